package client_test

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/client"
	"exile/dbusapi/dbustest"
	"exile/dbusapi/internal/exile1"
)

// silent is an object that never answers.
type silent struct{ dbus.Handler }

func (silent) LookupObject(dbus.ObjectPath) (dbus.ServerObject, bool) { select {} }

// The client does not wait for ever for a daemon or a bus that does not answer.
func TestClientLosesPatience(t *testing.T) {
	t.Parallel()
	bus := dbustest.Start(t)
	conn, err := dbus.Connect(bus.Address, dbus.WithHandler(silent{}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.RequestName(exile1.BusName, 0); err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(t.Context(), client.Config{Address: bus.Address, Wait: 2 * time.Second})
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
	_, err = client.Dial(t.Context(), client.Config{Address: "unix:path=" + path, Wait: time.Millisecond})
	if err == nil || !strings.HasSuffix(err.Error(), "no answer within 1ms") {
		t.Errorf("a silent bus: %v", err)
	}
}

// ending is a daemon that ends when it is called, or else answers.
type ending struct {
	conn *dbus.Conn
	ends bool
	read *atomic.Int32
}

func (e ending) called() {
	if e.read.Add(1); e.ends {
		_ = e.conn.Close()
	}
}

// Describe is a question.
func (e ending) Describe() (string, *dbus.Error) { e.called(); return `{"version":"next"}`, nil }

// Unban is a command.
func (e ending) Unban(string, string, uint64) (uint32, *dbus.Error) { e.called(); return 1, nil }

// A daemon that ends between a call and its answer may have done what it was asked: a question is for the next one, a
// command is not repeated.
func TestQuestionsOutliveARestart(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ask   func(*client.Client) error
		calls int32
		fails string
	}{
		"question": {func(c *client.Client) error {
			s, err := c.Status(t.Context())
			if s.Version != "next" {
				t.Errorf("not the next one answered, but %q", s.Version)
			}
			return err
		}, 2, ""},
		"command": {func(c *client.Client) error {
			_, err := c.Unban(t.Context(), "", netip.MustParsePrefix("192.0.2.1/32"))
			return err
		}, 1, "may have been carried out"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bus := dbustest.Start(t)
			var calls atomic.Int32
			for _, ends := range []bool{true, false} { // the second waits for the name
				conn, err := dbus.Connect(bus.Address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if err := conn.Export(ending{conn, ends, &calls}, "/org/exile1", exile1.ManagerInterface); err != nil {
					t.Fatal(err)
				}
				if _, err := conn.RequestName(exile1.BusName, 0); err != nil {
					t.Fatal(err)
				}
			}
			c, err := client.Dial(t.Context(), client.Config{Address: bus.Address})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := tt.ask(c); (err != nil) != (tt.fails != "") || !strings.Contains(fmt.Sprint(err), tt.fails) {
				t.Errorf("error %v, want %q", err, tt.fails)
			}
			if calls.Load() != tt.calls {
				t.Errorf("%d calls, want %d", calls.Load(), tt.calls)
			}
		})
	}
}
