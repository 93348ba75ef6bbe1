package names

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
		"endless":       {strings.Repeat("x", maxMessage+10), nil, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addrs, _, err := System{Resolved: resolved(t, c.answer)}.Resolve(context.Background(), "host.example")
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
