package dbusapi_test

import (
	"net/netip"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"exile/internal/control"
)

// listen returns the signals that the service broadcasts, in order.
func (h *host) listen(t *testing.T) <-chan *dbus.Signal {
	t.Helper()
	conn, err := dbus.Connect(h.bus.Address, dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.AddMatchSignal(dbus.WithMatchSender("org.exile1")); err != nil {
		t.Fatal(err)
	}
	out := make(chan *dbus.Signal, 1000)
	conn.Signal(out)
	return out
}

// Many bans are one PropertiesChanged, and without a subscriber nothing else.
func TestChangesAreGathered(t *testing.T) {
	t.Parallel()
	h := start(t)
	signals := h.listen(t)
	c := h.dial(t)
	if _, err := c.Status(t.Context()); err != nil { // the service knows its state before
		t.Fatal(err)
	}
	for i := range 200 {
		p, err := nthPrefix(i)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Ban(t.Context(), control.BanRequest{Jail: "sshd", Prefix: p}); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[dbus.ObjectPath]uint64{}
	count := 0
	for seen["/org/exile1"] < 203 || seen["/org/exile1/jail/sshd"] < 202 {
		s := <-signals
		if s.Name != "org.freedesktop.DBus.Properties.PropertiesChanged" {
			t.Fatalf("signal %v without a subscriber", s)
		}
		count++
		values := s.Body[1].(map[string]dbus.Variant)
		for name, v := range values {
			switch name {
			case "NBanned":
				seen[s.Path] = v.Value().(uint64)
			case "NEnforced":
			default:
				t.Errorf("%s of %s is announced and has not changed", name, s.Path)
			}
		}
	}
	if count > 20 {
		t.Errorf("200 bans made %d signals", count)
	}
}

// A state that ends by itself is announced like any other change.
func TestStateChanges(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.fake.Set(control.Status{State: "catching-up"}, nil, nil, nil)
	signals := h.listen(t)
	for _, want := range []string{"catching-up", "running"} {
		h.service.Announce(control.Event{Kind: control.StateChanged, Reason: want})
		for got := ""; got != want; {
			if s := <-signals; s.Path == "/org/exile1" && s.Name == "org.freedesktop.DBus.Properties.PropertiesChanged" {
				got, _ = s.Body[1].(map[string]dbus.Variant)["State"].Value().(string)
			}
		}
		h.fake.Set(control.Status{State: "running"}, nil, nil, nil)
	}
}

// Jails that come with a configuration are announced before the reload is over: the object before its name.
func TestJailsComeAndGo(t *testing.T) {
	t.Parallel()
	h := start(t)
	signals := h.listen(t)
	c := h.dial(t)
	if _, err := c.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.fake.Set(control.Status{}, []control.JailStatus{{Name: "sshd"}, {Name: "ftp"}}, nil, nil)
	if err := c.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for len(got) < 6 {
		s := <-signals
		if s.Name != "org.freedesktop.DBus.Properties.PropertiesChanged" {
			got = append(got, s.Name)
		}
	}
	want := []string{
		"org.exile1.Manager.Reloading",
		"org.freedesktop.DBus.ObjectManager.InterfacesRemoved", "org.exile1.Manager.JailRemoved",
		"org.freedesktop.DBus.ObjectManager.InterfacesAdded", "org.exile1.Manager.JailNew",
		"org.exile1.Manager.Reloading",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("signals (-want +got):\n%s", diff)
	}
}

func TestManagedObjects(t *testing.T) {
	t.Parallel()
	h := start(t)
	var got map[dbus.ObjectPath]map[string]map[string]dbus.Variant
	err := h.raw(t).Object("org.exile1", "/org/exile1").Call("org.freedesktop.DBus.ObjectManager.GetManagedObjects", 0).Store(&got)
	if err != nil {
		t.Fatal(err)
	}
	sshd := got["/org/exile1/jail/sshd"]["org.exile1.Jail"]
	if len(got) != 2 || sshd["NBanned"].Value() != uint64(2) || sshd["Name"].Value() != "sshd" {
		t.Errorf("objects: %v", got)
	}
}

// nthPrefix is the i-th of many addresses.
func nthPrefix(i int) (netip.Prefix, error) {
	return netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}).Prefix(32)
}
