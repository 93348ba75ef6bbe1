package allow

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

var sameAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// resolved answers one call with that text and checks what was asked.
func resolved(t *testing.T, answer string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		call, err := bufio.NewReader(conn).ReadString(0)
		if err != nil || !strings.Contains(call, `"name":"host.example"`) {
			t.Errorf("call %q, error %v", call, err)
		}
		fmt.Fprint(conn, answer)
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return path
}

func TestResolved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer string
		want   []string
		failed string
	}{
		"both families": {
			`{"parameters":{"addresses":[{"ifindex":2,"family":2,"address":[192,0,2,1]},` +
				`{"family":10,"address":[32,1,13,184,0,0,0,0,0,0,0,0,0,0,0,1]}],"name":"host.example","flags":1}}` + "\x00",
			[]string{"192.0.2.1", "2001:db8::1"},
			"",
		},
		"no such name":  {`{"error":"io.systemd.Resolve.DNSError","parameters":{"rcode":3}}` + "\x00", nil, ""},
		"no address":    {`{"error":"io.systemd.Resolve.NoSuchResourceRecord","parameters":{}}` + "\x00", nil, ""},
		"server failed": {`{"error":"io.systemd.Resolve.DNSError","parameters":{"rcode":2}}` + "\x00", nil, "DNSError"},
		"nobody":        {`{"error":"io.systemd.Resolve.NoNameServers","parameters":{}}` + "\x00", nil, "NoNameServers"},
		"odd address":   {`{"parameters":{"addresses":[{"address":[1,2,3]}]}}` + "\x00", nil, "3 bytes"},
		"no byte":       {`{"parameters":{"addresses":[{"address":[999,2,3,4]}]}}` + "\x00", nil, "999"},
		"cut short":     {`{"parameters":`, nil, "EOF"},
		"no JSON":       {"hello\x00", nil, "invalid character"},
		"endless":       {strings.Repeat("x", maxReply+10), nil, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addrs, _, err := System{Socket: resolved(t, c.answer)}.Resolve(context.Background(), "host.example")
			checkAnswer(t, addrs, err, c.want, c.failed)
		})
	}
}

func checkAnswer(t *testing.T, addrs []netip.Addr, err error, want []string, failed string) {
	t.Helper()
	if (err != nil) != (failed != "") || err != nil && !strings.Contains(err.Error(), failed) {
		t.Fatalf("error %v, want %q", err, failed)
	}
	var wanted []netip.Addr
	for _, w := range want {
		wanted = append(wanted, netip.MustParseAddr(w))
	}
	if diff := cmp.Diff(wanted, addrs, sameAddr); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// server is a name server on the loopback, and the resolv.conf that names it.
func server(t *testing.T, zone map[uint16][]string, rcode int) System {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg)
		r.SetRcode(q, rcode)
		for _, text := range zone[q.Question[0].Qtype] {
			record, err := dns.NewRR(text)
			if err != nil {
				t.Error(err)
			}
			r.Answer = append(r.Answer, record)
		}
		_ = w.WriteMsg(r)
	})}
	started, done := make(chan struct{}), make(chan struct{})
	s.NotifyStartedFunc = func() { close(started) }
	go func() { defer close(done); _ = s.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = s.Shutdown(); <-done })
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver 127.0.0.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	return System{Socket: "/nowhere/socket", Config: conf, port: port}
}

func TestDNS(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		zone   map[uint16][]string
		rcode  int
		want   []string
		ttl    time.Duration
		failed string
	}{
		"both families, the lowest TTL, behind an alias": {
			map[uint16][]string{
				dns.TypeA:    {"host.example. 600 IN CNAME real.example.", "real.example. 900 IN A 192.0.2.1"},
				dns.TypeAAAA: {"host.example. 700 IN AAAA 2001:db8::1"},
			},
			dns.RcodeSuccess,
			[]string{"192.0.2.1", "2001:db8::1"},
			10 * time.Minute, "",
		},
		"no such name":  {nil, dns.RcodeNameError, nil, noSuchTTL, ""},
		"server failed": {nil, dns.RcodeServerFailure, nil, 0, "SERVFAIL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addrs, ttl, err := server(t, c.zone, c.rcode).Resolve(context.Background(), "host.example")
			checkAnswer(t, addrs, err, c.want, c.failed)
			if ttl != c.ttl {
				t.Errorf("TTL %v, want %v", ttl, c.ttl)
			}
		})
	}
}
