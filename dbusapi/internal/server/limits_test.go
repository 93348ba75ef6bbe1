package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

func TestGate(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	g := newGate("Report")
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
	g, admitted := newGate("Report"), 0
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

// A user whose connections are all busy does not keep root from lifting a ban.
func TestGateHasRoomForIdlePeers(t *testing.T) {
	t.Parallel()
	g := newGate("Report")
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

func TestGateRationsAMethod(t *testing.T) {
	t.Parallel()
	now, admitted := time.Unix(1000, 0), 0
	g := newGate("Report")
	report := func(n int) {
		for range n {
			if _, _, err := g.enter(":1.1", "Report", now); err == nil {
				admitted++
				g.leave(ended{peer: g.peers[":1.1"]})
			}
		}
	}
	report(2 * rationBurst)
	now = now.Add(2 * time.Second)
	report(2 * rationBurst)
	if want := rationBurst + 2*rationRate; admitted != want {
		t.Errorf("%d reports in two seconds, want %d", admitted, want)
	}
}

// A peer is checked every few calls. One that does not read is checked once a second and not served.
func TestGateDropsStalledPeers(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	g := newGate("Report")
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
	enter(check)
	enter(serve) // the check has no answer yet
	g.leave(ended{peer: g.peers[":1.1"], checked: true, stalled: true})
	g.leave(ended{peer: g.peers[":1.1"]})
	enter(drop)
	now = now.Add(askEvery)
	enter(check)
	enter(drop)
	g.leave(ended{peer: g.peers[":1.1"], checked: true})
	enter(serve)
	if g.total != 1 {
		t.Errorf("%d calls are running, want 1", g.total)
	}
}

// However many connections somebody opens, few are remembered.
func TestGateForgetsPeers(t *testing.T) {
	t.Parallel()
	g := newGate("Report")
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
	s := &subscribers{users: map[string]uint32{}}
	for i := 0; !s.full(1000); i++ {
		s.users[":1."+strconv.Itoa(i)] = 1000
	}
	if len(s.users) != maxSubscribersPerUser || s.full(1001) || s.full(0) {
		t.Errorf("one user has %d; another full: %t, root full: %t", len(s.users), s.full(1001), s.full(0))
	}
	for i := 0; !s.full(0); i++ {
		s.users[":2."+strconv.Itoa(i)] = 0
	}
	if len(s.users) != maxSubscribers || !s.full(1001) {
		t.Errorf("%d subscribers, want %d", len(s.users), maxSubscribers)
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

// Whatever a peer and the bus send, reading it ends and lets nothing through that is above the limit.
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

// A reply of the bus is read without the descriptor that comes with it; what others send with one is not read.
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
