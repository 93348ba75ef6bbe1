package dbusapi_test

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
)

func (h *host) raw(t *testing.T) *dbus.Conn {
	t.Helper()
	conn, err := dbus.Connect(h.bus.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

const limits = "org.freedesktop.DBus.Error.LimitsExceeded"

func errorName(err error) string {
	if e, ok := errors.AsType[dbus.Error](err); ok {
		return e.Name
	}
	return ""
}

// Not parallel: it counts the descriptors of the process.
func TestForeignDescriptorsAreClosed(t *testing.T) {
	h := start(t)
	conn := h.raw(t)
	before := openFiles(t)
	for range 50 {
		err := conn.Object("org.exile1", "/org/exile1").Call("org.exile1.Manager.Reload", 0, dbus.UnixFD(0), dbus.UnixFD(0)).Err
		if errorName(err) != limits {
			t.Fatalf("call with descriptors: %v", err)
		}
	}
	if after := openFiles(t); after > before+10 {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if _, err := h.dial(t).Status(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestLargeMessagesAreRefused(t *testing.T) {
	t.Parallel()
	onEachBus(t, func(t *testing.T, h *host) {
		conn := h.raw(t)
		manager := conn.Object("org.exile1", "/org/exile1")
		for _, size := range []int{40 << 10, 1 << 20, 20 << 20} {
			err := manager.Call("org.exile1.Manager.DescribeAddress", 0, strings.Repeat("x", size)).Err
			if errorName(err) != limits {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
		err := manager.Call("org.exile1.Manager.DescribeAddress", 0, strings.Repeat("x", 20<<10)).Err
		if errorName(err) != "org.freedesktop.DBus.Error.InvalidArgs" {
			t.Errorf("20 KiB: %v", err)
		}
	})
}

// A peer that calls faster than it is answered is refused; others are answered as usual.
func TestFloodHitsOnlyItsSender(t *testing.T) {
	t.Parallel()
	onEachBus(t, func(t *testing.T, h *host) {
		conn := h.raw(t)
		victim := h.dial(t)
		const n = 5000
		calls := make(chan *dbus.Call, n)
		for range n {
			conn.Object("org.exile1", "/org/exile1").Go("org.exile1.Manager.ListBans", 0, calls, "", "", uint32(0), uint64(0))
		}
		if _, err := victim.Status(t.Context()); err != nil {
			t.Errorf("a peaceful peer: %v", err)
		}
		for range n {
			if err := (<-calls).Err; err != nil && errorName(err) != limits {
				t.Fatal(err)
			}
		}
	})
}

func TestReportsAreLimited(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: only root may report without polkit")
	}
	h := start(t)
	conn := h.raw(t)
	refused := 0
	for range 3000 {
		err := conn.Object("org.exile1", "/org/exile1").Call("org.exile1.Manager.Report", 0, "sshd", "192.0.2.1", "u", false, uint64(0)).Err
		if errorName(err) == limits {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if refused == 0 || len(h.fake.Commands()) < 1000 {
		t.Errorf("%d reports counted, %d refused", len(h.fake.Commands()), refused)
	}
}

// Announcing must not wait, whatever the bus does. This host has no bus.
func TestAnnounceNeverWaits(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.bus.Stop()
	h.wait(t, false)
	for range 100_000 {
		h.service.Announce(control.Event{Kind: control.BanNew})
	}
}

// A peer that has not subscribed hears of no ban, even if another has.
func TestOnlySubscribersHearOfBans(t *testing.T) {
	t.Parallel()
	onEachBus(t, func(t *testing.T, h *host) {
		other, subscriber := h.listen(t), h.raw(t)
		heard := make(chan *dbus.Signal, 10)
		subscriber.Signal(heard)
		if err := subscriber.Object("org.exile1", "/org/exile1").Call("org.exile1.Manager.Subscribe", 0).Err; err != nil {
			t.Fatal(err)
		}
		h.service.Announce(control.Event{Kind: control.BanNew, Ban: control.Ban{Jail: "sshd", Prefix: netip.MustParsePrefix("192.0.2.99/32")}})
		for s := range heard {
			if s.Name == "org.exile1.Manager.BanNew" && s.Body[1] == "192.0.2.99" {
				break
			}
		}
		if err := subscriber.Object("org.exile1", "/org/exile1").Call("org.exile1.Manager.Reload", 0).Err; err != nil {
			t.Fatal(err)
		}
		for s := range other { // Reloading comes after what was said before
			switch s.Name {
			case "org.exile1.Manager.Reloading":
				return
			case "org.exile1.Manager.BanNew":
				t.Errorf("the other hears %v", s.Body)
			}
		}
	})
}
