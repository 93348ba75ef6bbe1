package bulk

import (
	"bytes"
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"exile/firewall/firewalltest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func dial(t *testing.T) *Conn {
	t.Helper()
	c, err := Dial(unix.NETLINK_ROUTE, firewalltest.New(t).FD)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// rule asks for a policy routing rule with that priority.
func rule(typ, flags uint16, priority byte) Request {
	body := []byte{unix.AF_INET, 0, 0, 0, unix.RT_TABLE_MAIN, 0, 0, unix.FR_ACT_TO_TBL, 0, 0, 0, 0}
	return Request{Type: typ, Flags: flags, Body: AppendAttribute(body, unix.FRA_PRIORITY, priority, 0, 0, 0)}
}

func TestExchangeNamesEachRefusal(t *testing.T) {
	t.Parallel()
	c := dial(t)
	const create = unix.NLM_F_CREATE | unix.NLM_F_EXCL
	add := func(p byte) Request { return rule(unix.RTM_NEWRULE, create, p) }
	del := func(p byte) Request { return rule(unix.RTM_DELRULE, 0, p) }
	for _, tt := range []struct {
		name     string
		requests []Request
		want     map[int]error
	}{
		{"none", []Request{add(1), add(2)}, map[int]error{}},
		{"in the middle", []Request{add(3), add(1), add(4)}, map[int]error{1: unix.EEXIST}},
		{"first and last", []Request{del(77), del(1), del(78)}, map[int]error{0: unix.ENOENT, 2: unix.ENOENT}},
		{"the only one", []Request{del(77)}, map[int]error{0: unix.ENOENT}},
	} {
		got, err := c.Exchange(t.Context(), tt.requests, nil)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: refusals (-want +got):\n%s", tt.name, diff)
		}
	}
	if _, err := c.Exchange(t.Context(), make([]Request, Max+1), nil); err == nil {
		t.Error("Exchange takes more than Max requests")
	}
}

func TestDump(t *testing.T) {
	t.Parallel()
	c := dial(t)
	dump := rule(unix.RTM_GETRULE, 0, 0)
	dump.Body = dump.Body[:12]
	dump.Body[4], dump.Body[7] = 0, 0
	n := 0
	if err := c.Dump(t.Context(), dump, func([]byte) error { n++; return nil }); err != nil || n != 3 {
		t.Errorf("Dump = %v with %d rules, want the 3 of a new namespace", err, n)
	}
	stop := errors.New("stop")
	if err := c.Dump(t.Context(), dump, func([]byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Dump = %v, want the error of its function", err)
	}
}

// TestOverrun has the kernel answer more than the socket has room for: the exchange says that answers are lost, and what is
// left of them does not disturb the ones after it.
func TestOverrun(t *testing.T) {
	t.Parallel()
	c := dial(t)
	if err := c.SetReadBuffer(1); err != nil { // the kernel rounds it up, to a few answers
		t.Fatal(err)
	}
	requests := make([]Request, Max)
	for i := range requests {
		requests[i] = rule(unix.RTM_DELRULE, 0, 77) // there is none: each is refused
	}
	for range 3 {
		if _, err := c.Exchange(t.Context(), requests, nil); !errors.Is(err, unix.ENOBUFS) {
			t.Errorf("Exchange = %v, want ENOBUFS", err)
		}
	}
	for range 2 {
		refused, err := c.Exchange(t.Context(), requests[:1], nil)
		if diff := cmp.Diff(map[int]error{0: unix.ENOENT}, refused); diff != "" || err != nil {
			t.Errorf("Exchange after it = %v, refusals (-want +got):\n%s", err, diff)
		}
	}
}

func TestContext(t *testing.T) {
	t.Parallel()
	c := dial(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Exchange(ctx, []Request{rule(unix.RTM_NEWRULE, 0, 1)}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Exchange = %v, want context.Canceled", err)
	}
}

// TestLongList has the time for the first piece of a list be over when the list needs a second one: each piece has its own time.
func TestLongList(t *testing.T) {
	t.Parallel()
	c := dial(t)
	const many = 4 * 250 // more than the kernel sends at once
	for table := range byte(4) {
		requests := make([]Request, 250)
		for i := range requests {
			requests[i] = rule(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, byte(i+1))
			requests[i].Body[4] = 100 + table
		}
		if refused, err := c.Exchange(t.Context(), requests, nil); len(refused) != 0 || err != nil {
			t.Fatalf("Exchange = %v, %v", refused, err)
		}
	}
	dump := rule(unix.RTM_GETRULE, 0, 0)
	dump.Body = dump.Body[:12]
	dump.Body[4], dump.Body[7] = 0, 0
	n := 0
	err := c.Dump(t.Context(), dump, func([]byte) error {
		n++
		return c.conn.SetDeadline(time.Unix(1, 0)) // so long did the caller take
	})
	if err != nil || n != 3+many {
		t.Errorf("Dump = %v after %d rules, want all %d", err, n, 3+many)
	}
}

// TestSilence has the kernel not answer: the wait ends.
func TestSilence(t *testing.T) {
	t.Parallel()
	c := dial(t)
	c.patience = time.Millisecond
	if _, err := c.receive(t.Context(), nil); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("receive = %v, want a deadline that is exceeded", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.late = false
	if _, err := c.receive(ctx, nil); !errors.Is(err, context.Canceled) || !c.late {
		t.Errorf("receive = %v, late %t; want context.Canceled, and that an answer may follow", err, c.late)
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	b := AppendAttribute(AppendAttribute(AppendAttribute(nil, 1, 'a'), 2|unix.NLA_F_NESTED), 3, 1, 2, 3, 4, 5)
	type attribute struct {
		Type  uint16
		Value []byte
	}
	var got []attribute
	err := Attributes(b, func(typ uint16, v []byte) error {
		got = append(got, attribute{typ, bytes.Clone(v)})
		return nil
	})
	want := []attribute{{1, []byte("a")}, {2, []byte{}}, {3, []byte{1, 2, 3, 4, 5}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("Attributes = %v (-want +got):\n%s", err, diff)
	}
}

// FuzzRead feeds what a kernel does not send.
func FuzzRead(f *testing.F) {
	f.Add(AppendAttribute(nil, 1, 1, 2, 3))
	f.Add([]byte{0, 0, 1, 0})
	f.Add([]byte{20, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 254, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		err := Attributes(b, func(_ uint16, v []byte) error { total += len(v) + 4; return nil })
		if err == nil && total > len(b) {
			t.Errorf("%d bytes hold %d", len(b), total)
		}
		_, _ = messages(b, func(m syscall.NetlinkMessage) (bool, error) { return false, verdict(m.Data) })
	})
}
