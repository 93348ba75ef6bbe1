package allow

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// zone is what a name server knows, and how it behaves.
type zone struct {
	answers map[dnsmessage.Type][]dnsmessage.Resource
	rcode   dnsmessage.RCode
	cut     bool // over UDP it says that the answer is too long
	forged  bool // over UDP answers to other questions come first
}

func record(name string, ttl uint32, body dnsmessage.ResourceBody) dnsmessage.Resource {
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: ttl}, Body: body,
	}
}

// reply answers a question.
func (z zone) reply(t *testing.T, question []byte, udp bool) (answers [][]byte) {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		t.Errorf("question %x: %v", question, err)
		return nil
	}
	asked := m.Questions[0]
	m.Response, m.RCode = true, z.rcode
	if m.Answers = z.answers[asked.Type]; udp && z.cut {
		m.Truncated, m.Answers = true, nil
	}
	if udp && z.forged {
		false1, false2 := m, m
		false1.ID++
		false2.Questions = []dnsmessage.Question{{Name: dnsmessage.MustNewName("other.example."), Type: asked.Type, Class: asked.Class}}
		for _, f := range []*dnsmessage.Message{&false1, &false2} {
			f.Answers = []dnsmessage.Resource{record("host.example.", 1, &dnsmessage.AResource{A: [4]byte{203, 0, 113, 66}})}
			answers = append(answers, pack(t, f))
		}
		answers = append(answers, []byte("garbage"))
	}
	return append(answers, pack(t, &m))
}

func pack(t *testing.T, m *dnsmessage.Message) []byte {
	t.Helper()
	text, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return text
}

// server is a name server on the loopback, and the resolv.conf that names it behind one that nobody runs.
func server(t *testing.T, z zone) System {
	t.Helper()
	udp, tcp := listen(t)
	done := make(chan struct{}, 2)
	go func() { defer func() { done <- struct{}{} }(); z.serveUDP(t, udp) }()
	go func() { defer func() { done <- struct{}{} }(); z.serveTCP(t, tcp) }()
	t.Cleanup(func() { _, _ = udp.Close(), tcp.Close(); <-done; <-done })
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	text := "# a comment\nsearch example\nnameserver\nnameserver 127.0.0.2\nnameserver 127.0.0.1\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(udp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	return System{Socket: "/nowhere/socket", Config: conf, port: port}
}

// listen finds a port that is free for both.
func listen(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for {
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err == nil {
			return udp, tcp
		}
		_ = udp.Close()
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatal(err)
		}
	}
}

func (z zone) serveUDP(t *testing.T, conn net.PacketConn) {
	buf := make([]byte, maxUDP)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		for _, answer := range z.reply(t, buf[:n], true) {
			_, _ = conn.WriteTo(answer, from)
		}
	}
}

func (z zone) serveTCP(t *testing.T, l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		var size [2]byte
		_, _ = io.ReadFull(conn, size[:])
		question := make([]byte, binary.BigEndian.Uint16(size[:]))
		_, _ = io.ReadFull(conn, question)
		answer := z.reply(t, question, false)[0]
		_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
		_ = conn.Close()
	}
}

func TestDNS(t *testing.T) {
	t.Parallel()
	v6 := netip.MustParseAddr("2001:db8::1").As16()
	known := func() map[dnsmessage.Type][]dnsmessage.Resource { // of its own for each server: packing writes into it
		return map[dnsmessage.Type][]dnsmessage.Resource{
			dnsmessage.TypeA: {
				record("host.example.", 600, &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("real.example.")}),
				record("real.example.", 900, &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}}),
			},
			dnsmessage.TypeAAAA: {record("host.example.", 700, &dnsmessage.AAAAResource{AAAA: v6})},
		}
	}
	both := []string{"192.0.2.1", "2001:db8::1"}
	for name, c := range map[string]struct {
		zone   zone
		want   []string
		ttl    time.Duration
		failed string
	}{
		"both families, the lowest TTL, behind an alias": {zone{answers: known()}, both, 10 * time.Minute, ""},
		"too long for UDP": {zone{answers: known(), cut: true}, both, 10 * time.Minute, ""},
		"forged answers":   {zone{answers: known(), forged: true}, both, 10 * time.Minute, ""},
		"no such name":     {zone{rcode: dnsmessage.RCodeNameError}, nil, noSuchTTL, ""},
		"server failed":    {zone{rcode: dnsmessage.RCodeServerFailure}, nil, 0, "ServerFailure"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addrs, ttl, err := server(t, c.zone).Resolve(t.Context(), "host.example")
			checkAnswer(t, addrs, err, c.want, c.failed)
			if ttl != c.ttl {
				t.Errorf("TTL %v, want %v", ttl, c.ttl)
			}
		})
	}
}

func TestNoNameServer(t *testing.T) {
	t.Parallel()
	_, _, err := System{Socket: "/nowhere/socket", Config: os.DevNull}.Resolve(t.Context(), "host.example")
	checkAnswer(t, nil, err, nil, "no nameserver is named in /dev/null")
}
