package names

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// zone is what a name server knows of host.example, by family, and what else it answers.
type zone struct {
	a, aaaa []string
	codes   map[dnsmessage.Type]dnsmessage.RCode
}

// listen runs a name server on the loopback, and returns a resolver that asks it and nobody else.
func (z zone) listen(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); z.serve(t, conn) }()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func (z zone) serve(t *testing.T, conn net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if text := z.reply(t, buf[:n]); text != nil {
			_, _ = conn.WriteTo(text, from) // a client that has gone
		}
	}
}

func (z zone) reply(t *testing.T, question []byte) []byte {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		t.Errorf("question %x: %v", question, err)
		return nil
	}
	kind := m.Questions[0].Type
	m.Response, m.RecursionAvailable, m.RCode, m.Additionals = true, true, z.codes[kind], nil
	header := dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 60}
	known := map[dnsmessage.Type][]string{dnsmessage.TypeA: z.a, dnsmessage.TypeAAAA: z.aaaa}[kind]
	for _, text := range known {
		addr := netip.MustParseAddr(text)
		var body dnsmessage.ResourceBody = &dnsmessage.AAAAResource{AAAA: addr.As16()}
		if addr.Is4() {
			body = &dnsmessage.AResource{A: addr.As4()}
		}
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: body})
	}
	text, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return text
}

// helped is the socket of a helper that answers one question by that resolver.
func helped(t *testing.T, r *net.Resolver) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if err := answer(context.Background(), conn, r); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return path
}

// TestHelper: without systemd-resolved the helper is asked, and says what the name server says; an error is never taken for
// a name without an address, not even one about a single family.
func TestHelper(t *testing.T) {
	t.Parallel()
	const v4, v6 = dnsmessage.TypeA, dnsmessage.TypeAAAA
	bad := func(kinds ...dnsmessage.Type) map[dnsmessage.Type]dnsmessage.RCode {
		codes := map[dnsmessage.Type]dnsmessage.RCode{}
		for _, k := range kinds {
			codes[k] = dnsmessage.RCodeServerFailure
		}
		return codes
	}
	var many []string
	for i := range 20 {
		many = append(many, fmt.Sprintf("192.0.2.%d", 100+i))
	}
	for name, c := range map[string]struct {
		zone   zone
		want   []string
		failed string
	}{
		"both families":    {zone{a: []string{"192.0.2.1"}, aaaa: []string{"2001:db8::1"}}, []string{"192.0.2.1", "2001:db8::1"}, ""},
		"IPv4 only":        {zone{a: []string{"192.0.2.1"}}, []string{"192.0.2.1"}, ""},
		"IPv6 only":        {zone{aaaa: []string{"2001:db8::1"}}, []string{"2001:db8::1"}, ""},
		"many":             {zone{a: many}, many, ""},
		"no address":       {zone{}, nil, ""},
		"no such name":     {zone{codes: map[dnsmessage.Type]dnsmessage.RCode{v4: 3, v6: 3}}, nil, ""},
		"server failed":    {zone{codes: bad(v4, v6)}, nil, "host.example"},
		"failed for one":   {zone{a: []string{"192.0.2.1"}, codes: bad(v6)}, nil, "host.example"},
		"failed for other": {zone{aaaa: []string{"2001:db8::1"}, codes: bad(v4)}, nil, "host.example"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := System{Resolved: "/nowhere/socket", Helper: helped(t, c.zone.listen(t))}
			addrs, ttl, err := s.Resolve(t.Context(), "host.example")
			checkAnswer(t, addrs, err, c.want, c.failed)
			if ttl != holds {
				t.Errorf("it holds for %v", ttl)
			}
		})
	}
}

// TestWhole: only a single label is searched for in the domains of the host.
func TestWhole(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"host": "host", "host.": "host.", "host.example": "host.example.", "host.example.": "host.example.", "": "",
	} {
		if got := whole(host); got != want {
			t.Errorf("%q is asked for as %q, want %q", host, got, want)
		}
	}
}

// TestNobody: where neither listens, hosts(5) counts, and the error about all else says what to start.
func TestNobody(t *testing.T) {
	t.Parallel()
	s := System{Resolved: "/nowhere/socket", Helper: "/nowhere/else"}
	addrs, _, err := s.Resolve(t.Context(), "localhost")
	if err != nil || len(addrs) == 0 || !addrs[0].IsLoopback() {
		t.Errorf("localhost is %v, %v", addrs, err)
	}
	s.self = zone{codes: map[dnsmessage.Type]dnsmessage.RCode{dnsmessage.TypeA: dnsmessage.RCodeRefused}}.listen(t)
	if _, _, err := s.Resolve(t.Context(), "host.example."); err == nil || !strings.Contains(err.Error(), "exiled-names.socket") {
		t.Errorf("error %v", err)
	}
}

// TestQuestion: what is no question is not answered.
func TestQuestion(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing": "", "no end": `{"method":`, "no JSON": "hello\x00", "endless": strings.Repeat("x", maxMessage+10),
		"another method": `{"method":"org.varlink.service.GetInfo"}` + "\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var said strings.Builder
			if err := Answer(t.Context(), asked{strings.NewReader(text), &said}); err == nil || said.Len() > 0 {
				t.Errorf("error %v, answer %q", err, said.String())
			}
		})
	}
}

// asked is a connection with a question in it.
type asked struct {
	*strings.Reader
	said *strings.Builder
}

func (a asked) Write(p []byte) (int, error) { return a.said.Write(p) }
