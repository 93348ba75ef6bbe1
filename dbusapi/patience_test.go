package dbusapi_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi"
	"exile/dbusapi/dbustest"
)

// silent is an object that never answers.
type silent struct{ dbus.Handler }

func (silent) LookupObject(dbus.ObjectPath) (dbus.ServerObject, bool) { select {} }

// Neither a daemon nor a bus that does not answer is waited for without end.
func TestClientLosesPatience(t *testing.T) {
	t.Parallel()
	bus := dbustest.Start(t)
	conn, err := dbus.Connect(bus.Address, dbus.WithHandler(silent{}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.RequestName(dbusapi.BusName, 0); err != nil {
		t.Fatal(err)
	}
	c, err := dbusapi.Dial(t.Context(), dbusapi.ClientConfig{Address: bus.Address, Wait: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Status(t.Context()); err == nil || err.Error() != "no answer within 2s" {
		t.Errorf("a silent daemon: %v", err)
	}

	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = dbusapi.Dial(t.Context(), dbusapi.ClientConfig{Address: "unix:path=" + path, Wait: time.Millisecond})
	if err == nil || !strings.HasSuffix(err.Error(), "no answer within 1ms") {
		t.Errorf("a silent bus: %v", err)
	}
}
