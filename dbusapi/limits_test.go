package dbusapi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"exile/internal/control"
)

func TestGate(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	g := newGate()
	for i := range maxCallsPerPeer {
		if _, _, err := g.enter(":1.1", "Ban", now); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	if _, _, err := g.enter(":1.1", "Ban", now); err == nil {
		t.Error("more calls than a peer may have")
	}
	if _, _, err := g.enter(":1.2", "Ban", now); err != nil {
		t.Errorf("another peer: %v", err)
	}
	g.leave(ended{peer: g.peers[":1.1"]})
	if _, _, err := g.enter(":1.1", "Ban", now); err != nil {
		t.Errorf("after one has ended: %v", err)
	}
}

func TestGateCountsAllPeers(t *testing.T) {
	t.Parallel()
	g, admitted := newGate(), 0
	for i := range 3 * maxCalls {
		if _, _, err := g.enter(":1."+strconv.Itoa(i), "Ban", time.Unix(0, 0)); err == nil {
			admitted++
		}
	}
	if admitted != maxCalls+maxFirst {
		t.Errorf("%d calls at once, want %d", admitted, maxCalls+maxFirst)
	}
	for range admitted {
		g.leave(ended{peer: g.peers[":1.0"]}) // must not wait
	}
}

// Somebody with a few connections that are all busy does not keep root from lifting a ban.
func TestGateHasRoomForWhoDoesNothingElse(t *testing.T) {
	t.Parallel()
	g := newGate()
	for i := range maxCalls {
		if _, _, err := g.enter(":1."+strconv.Itoa(i/maxCallsPerPeer), "ListBans", time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := g.enter(":2.1", "Unban", time.Unix(0, 0)); err != nil {
		t.Error("the first call of a peer was not admitted")
	}
	if _, _, err := g.enter(":2.1", "Unban", time.Unix(0, 0)); err == nil {
		t.Error("a second one was")
	}
}

func TestGateRationsReports(t *testing.T) {
	t.Parallel()
	now, admitted := time.Unix(1000, 0), 0
	g := newGate()
	report := func(n int) {
		for range n {
			if _, _, err := g.enter(":1.1", "Report", now); err == nil {
				admitted++
				g.leave(ended{peer: g.peers[":1.1"]})
			}
		}
	}
	report(2 * reportBurst)
	now = now.Add(2 * time.Second)
	report(2 * reportBurst)
	if want := reportBurst + 2*reportRate; admitted != want {
		t.Errorf("%d reports in two seconds, want %d", admitted, want)
	}
}

// Of a peer's calls every so many is asked about; one that does not read is asked about once a second and not served.
func TestGateDropsTheDeaf(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	g := newGate()
	enter := func(want admission) {
		t.Helper()
		if _, got, err := g.enter(":1.1", "Ban", now); got != want || err != nil {
			t.Fatalf("call is admitted as %d, %v; want %d", got, err, want)
		}
	}
	for range askCalls - 1 {
		enter(serve)
		g.leave(ended{peer: g.peers[":1.1"]})
	}
	enter(ask)
	enter(serve) // nobody has answered yet
	g.leave(ended{peer: g.peers[":1.1"], asked: true, deaf: true})
	g.leave(ended{peer: g.peers[":1.1"]})
	enter(drop)
	now = now.Add(askEvery)
	enter(ask)
	enter(drop)
	g.leave(ended{peer: g.peers[":1.1"], asked: true})
	enter(serve)
	if g.total != 1 {
		t.Errorf("%d calls are running, want 1", g.total)
	}
}

// However many connections somebody opens, few are remembered.
func TestGateForgetsPeers(t *testing.T) {
	t.Parallel()
	g := newGate()
	for i := range 10 * maxPeers {
		name := ":1." + strconv.Itoa(i)
		if _, _, err := g.enter(name, "Report", time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
		g.leave(ended{peer: g.peers[name]})
	}
	if len(g.peers) > maxPeers {
		t.Errorf("%d peers are remembered, at most %d should be", len(g.peers), maxPeers)
	}
}

// One user does not take the places of all subscribers; root always finds one of those that are left.
func TestSubscribersAreFew(t *testing.T) {
	t.Parallel()
	s := &session{subs: map[string]uint32{}}
	for i := 0; !s.subscribers(1000); i++ {
		s.subs[":1."+strconv.Itoa(i)] = 1000
	}
	if len(s.subs) != maxSubscribersPerUser || s.subscribers(1001) || s.subscribers(0) {
		t.Errorf("one user has %d; another full: %t, root full: %t", len(s.subs), s.subscribers(1001), s.subscribers(0))
	}
	for i := 0; !s.subscribers(0); i++ {
		s.subs[":2."+strconv.Itoa(i)] = 0
	}
	if len(s.subs) != maxSubscribers || !s.subscribers(1001) {
		t.Errorf("%d subscribers, want %d", len(s.subs), maxSubscribers)
	}
}

// To find an object and to describe it makes no garbage. Not parallel: it counts allocations.
func TestTablesAreMadeOnce(t *testing.T) {
	s := &session{objects: newObjects()}
	var text string
	find := func() {
		if o, err := s.lookup(t.Context(), managerPath); err == nil {
			text = o.xml()
		}
	}
	if n := testing.AllocsPerRun(10, find); n > 0 || text == "" {
		t.Errorf("%v allocations for a description of %d bytes", n, len(text))
	}
}

func TestReadHeader(t *testing.T) {
	t.Parallel()
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		msg := &dbus.Message{Type: dbus.TypeMethodCall, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/a")), dbus.FieldMember: dbus.MakeVariant("M"),
			dbus.FieldSender: dbus.MakeVariant(":1.234"), dbus.FieldUnixFDs: dbus.MakeVariant(uint32(3)),
			dbus.FieldSignature: dbus.MakeVariant(dbus.ParseSignatureMust("s")),
		}, Body: []any{"x"}}
		var b bytes.Buffer
		if err := msg.EncodeTo(&b, order); err != nil {
			t.Fatal(err)
		}
		fields := order.Uint32(b.Bytes()[12:])
		if got, want := readHeader(order, b.Bytes()[16:16+fields]), (header{":1.234", true}); got != want {
			t.Errorf("%v: %v, want %v", order, got, want)
		}
	}
}

// Whatever a peer and the bus send, reading it ends, and what is let through is what the limit allows.
func FuzzWire(f *testing.F) {
	var b bytes.Buffer
	msg := &dbus.Message{Type: dbus.TypeMethodCall, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/a")), dbus.FieldMember: dbus.MakeVariant("M"),
		dbus.FieldSender: dbus.MakeVariant(":1.2"),
	}}
	if err := msg.EncodeTo(&b, binary.LittleEndian); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(append(b.Bytes(), "l\x01\x00\x01\xff\xff\x00\x00\x01\x00\x00\x00\x10\x00\x00\x00"...))
	f.Fuzz(func(t *testing.T, in []byte) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := socket(t, fds[0]), socket(t, fds[1])
		defer ours.Close()
		go func() {
			_, _ = theirs.Write(in) // the reader may have enough
			_ = theirs.Close()
		}()
		w := &wire{UnixConn: ours, framed: true, fds: make(chan int, 1), refuse: func(sender string, _ uint32) {
			if sender == "" {
				t.Error("refused nobody")
			}
		}}
		buf := make([]byte, 4096)
		for n, sum := 0, 0; err == nil; sum += n {
			if n, err = w.Read(buf); sum > len(in) {
				t.Fatalf("%d bytes came out of %d", sum, len(in))
			}
		}
	})
}

func socket(t *testing.T, fd int) *net.UnixConn {
	t.Helper()
	file := os.NewFile(uintptr(fd), "socket")
	defer file.Close()
	c, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.UnixConn)
}

func TestParsePrefix(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"192.0.2.1":            "192.0.2.1",
		"192.0.2.1/24":         "192.0.2.0/24",
		"::ffff:192.0.2.1":     "192.0.2.1",
		"::ffff:192.0.2.0/120": "192.0.2.0/24",
		"2001:DB8::1/64":       "2001:db8::/64",
		"2001:db8::1":          "2001:db8::1",
		"::ffff:0:0/90":        "",
		"fe80::1%eth0":         "",
		"192.0.2.1/33":         "",
		"192.0.2.01":           "",
		"example.org":          "",
		" 192.0.2.1":           "",
		"":                     "",
	}
	for in, want := range tests {
		got := ""
		if p, err := ParsePrefix(in); err == nil {
			got = FormatPrefix(p)
		}
		if got != want {
			t.Errorf("ParsePrefix(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzParsePrefix(f *testing.F) {
	f.Add("192.0.2.1/24")
	f.Add("::ffff:1.2.3.4/100")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePrefix(s)
		if err != nil {
			return
		}
		again, err := ParsePrefix(FormatPrefix(p))
		if err != nil || again != p || p != p.Masked() || p.Addr().Is4In6() {
			t.Errorf("ParsePrefix(%q) = %v, written and read again %v, %v", s, p, again, err)
		}
	})
}

func TestEscapeLabel(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"sshd": "sshd", "web-1": "web_2d1", "1a": "_31a", "": "_", "ä": "_c3_a4", "a_b": "a_5fb"} {
		if got := escapeLabel(in); got != want {
			t.Errorf("escapeLabel(%q) = %q, want %q", in, got, want)
		}
	}
}

// A permanent ban and the longest times must survive the wire.
func TestTimesSurvive(t *testing.T) {
	t.Parallel()
	for _, b := range []control.Ban{
		{Prefix: netip.MustParsePrefix("192.0.2.1/32")},
		{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Since: time.Unix(1, 5000), Until: time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		got, err := toRecord(b).ban()
		if err != nil || !got.Since.Equal(b.Since) || !got.Until.Equal(b.Until) {
			t.Errorf("%v became %v, %v", b, got, err)
		}
	}
	if diff := cmp.Diff([]time.Duration{-1, 0, time.Hour}, []time.Duration{
		fromDurationUSec(durationUSec(-1)), fromDurationUSec(durationUSec(0)), fromDurationUSec(durationUSec(time.Hour)),
	}); diff != "" {
		t.Error(diff)
	}
}

// TestAnswerWithDescriptor: what the bus answers is read without the descriptor that comes with it, and what others send with
// one is not.
func TestAnswerWithDescriptor(t *testing.T) {
	t.Parallel()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := socket(t, fds[0]), socket(t, fds[1])
	defer ours.Close()
	kept, sent, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	for _, kind := range []dbus.Type{dbus.TypeSignal, dbus.TypeMethodReply} {
		msg := &dbus.Message{Type: kind, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/a")), dbus.FieldMember: dbus.MakeVariant("M"),
			dbus.FieldInterface: dbus.MakeVariant("a.b"), dbus.FieldReplySerial: dbus.MakeVariant(uint32(1)),
			dbus.FieldUnixFDs: dbus.MakeVariant(uint32(1)), dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(dbus.UnixFDIndex(0))),
		}, Body: []any{dbus.UnixFDIndex(0)}}
		var b bytes.Buffer
		if err := msg.EncodeTo(&b, binary.LittleEndian); err != nil {
			t.Fatal(err)
		}
		if _, _, err := theirs.WriteMsgUnix(b.Bytes(), unix.UnixRights(int(sent.Fd())), nil); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = sent.Close(), theirs.Close()
	w := &wire{UnixConn: ours, framed: true, fds: make(chan int, 1), rights: make([]byte, unix.CmsgSpace(maxRights*4)), refuse: func(string, uint32) {}}
	got, err := dbus.DecodeMessage(w)
	if err != nil || got.Type != dbus.TypeMethodReply || len(got.Body) != 1 {
		t.Errorf("got %+v, %v; want the answer", got, err)
	}
	if _, err := kept.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a descriptor was left open: %v", err)
	}
}
