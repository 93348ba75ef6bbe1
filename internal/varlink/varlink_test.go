package varlink

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"exile/internal/control"
	"exile/internal/control/controltest"
	"exile/internal/crowd"
)

var at = time.UnixMicro(1_700_000_000_123_456)

// fake is a daemon with one jail, n bans and one counted address.
func fake(n int) *controltest.Fake {
	f := &controltest.Fake{Now: func() time.Time { return at }}
	var bans []control.Ban
	addr := netip.MustParseAddr("192.0.2.0")
	for range n {
		addr = addr.Next()
		bans = append(bans, control.Ban{
			Jail: "sshd", Prefix: netip.PrefixFrom(addr, 32), Since: at, Until: at.Add(time.Hour), Failures: 4, Offence: 2,
			Origin: control.OriginJournal, Reason: "r",
		})
	}
	f.Set(control.Status{
		Version: "1", State: "degraded", Degraded: []string{"a"}, Remedies: []string{"b"}, Notice: "n", Backend: "ipset", Why: "w",
		Started: at, PausedTo: at, Failing: 3, Entries: 4, Failures: 5, Bans: 6, Unbans: 7, Evicted: 15, Repairs: 8, Gaps: 9, Suppressed: 10,
		Skipped: 11, Undated: 16, KernelErrors: 12, DiskErrors: 13, ReloadFailures: 14, LastRepair: at, LastEntry: at, Lag: time.Second, Position: "s=1",
		Dropped: map[string]uint64{"exile4": 15}, Days: []control.Day{{Date: at, Passed: 1, Dropped: 2, Bans: 3, Protected: 4, Denied: 5}},
		Blocklists: []control.Blocklist{{Name: "bad", File: "/bad", Updated: at, Entries: 1, Ranges: 2, Cut: 3, Wide: 4, Unread: 5, Dropped: 6, Enforced: true, Trouble: "t"}},
	}, []control.JailStatus{{
		Name: "sshd", State: "running", Units: []string{"ssh.service"}, Detection: "threshold", Why: "built-in", Rule: "4 attempts", MaxRetry: 4, FindTime: time.Minute,
		BanTime: -1, Protected: []string{"::1"}, Failing: 1, Total: 2, Failures: 3, LastBan: at, Spared: 4, Denied: 5, Framable: "so", Forgeable: true,
	}}, bans, []control.Host{{Jail: "sshd", Prefix: netip.MustParsePrefix("2001:db8::/64"), Failures: 3, First: at, Last: at}})
	return f
}

// serve serves a daemon on a socket of the test.
func serve(t *testing.T, f *controltest.Fake) (*Server, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Daemon: f, Version: "1.2.3"})
	f.Announce = s.Announce
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s, path
}

// TestClient: the client gets what the daemon said.
func TestClient(t *testing.T) {
	t.Parallel()
	f := fake(1300)
	_, path := serve(t, f)
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []control.Page{{}, {Max: 1}, {Jail: "sshd", Max: 10_000}, {After: "sshd 192.0.2.9/32", Max: 501}, {Jail: "none"}} {
		compare(t, p, func(r control.Reader) (any, error) {
			bans, next, err := r.Bans(t.Context(), p)
			return map[string]any{"bans": bans, "next": next}, err
		}, f, c)
	}
	compare(t, "hosts", func(r control.Reader) (any, error) {
		hosts, _, err := r.Hosts(t.Context(), control.Page{})
		return hosts, err
	}, f, c)
	compare(t, "status", func(r control.Reader) (any, error) { return r.Status(t.Context()) }, f, c)
	compare(t, "jails", func(r control.Reader) (any, error) { return r.Jails(t.Context()) }, f, c)
	compare(t, "address", func(r control.Reader) (any, error) {
		return r.Address(t.Context(), netip.MustParsePrefix("192.0.2.9/32"))
	}, f, c)
}

// A daemon that ends in the middle of a call does not answer it.
func TestStoppingIsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, stopping := range []error{control.ErrStopping, context.Canceled} {
		f := fake(1)
		_, path := serve(t, f)
		c, err := Dial(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		f.Fail(stopping)
		if _, err := c.Unban(t.Context(), "", netip.MustParsePrefix("192.0.2.1/32")); !errors.Is(err, errUnanswered) {
			t.Errorf("%v: the client says %v, want that there was no answer", stopping, err)
		}
	}
}

func compare(t *testing.T, what any, ask func(control.Reader) (any, error), f, c control.Reader) {
	t.Helper()
	want, wantErr := ask(f)
	got, err := ask(c)
	if (err == nil) != (wantErr == nil) || errors.Is(err, control.ErrNoSuchJail) != errors.Is(wantErr, control.ErrNoSuchJail) {
		t.Errorf("%+v: error %v, want %v", what, err, wantErr)
	}
	opts := cmp.Options{cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0)}
	if diff := cmp.Diff(want, got, opts); diff != "" {
		t.Errorf("%+v (-daemon +client):\n%s", what, diff)
	}
}

// journal is a group that may read the journal.
const journal = 101

var (
	somebody = control.Peer{UID: 1000, Groups: []uint32{100}}
	reader   = control.Peer{UID: 1001, Groups: []uint32{100, journal}}
	granted  = control.Peer{UID: 1002, PID: 77} // by polkit, to unban
)

// authorize stands in for polkit.
func authorize(_ context.Context, p control.Peer, a control.Action) error {
	if p.UID == granted.UID && p.PID == granted.PID && a == control.MayUnban {
		return nil
	}
	return errors.New("no")
}

// talk sends a call verbatim on a connection of caller p, and returns the replies up to the last.
func talk(t *testing.T, p control.Peer, f *controltest.Fake, text string) []string {
	t.Helper()
	dir := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Daemon: f, Gate: control.Gate{Readers: []uint32{journal}}, Authorize: authorize})
	ended := make(chan struct{})
	go func() { newConnection(s, far, p).serve(t.Context()); close(ended) }()
	go func() { _, _ = io.WriteString(near, text+"\x00"); _ = near.(*net.UnixConn).CloseWrite() }()
	var lines []string
	for in := bufio.NewReader(near); ; {
		line, err := in.ReadString(0)
		if err != nil {
			<-ended
			return lines
		}
		lines = append(lines, strings.TrimSuffix(line, "\x00"))
	}
}

// TestCalls: who gets which answer, and nobody but root changes anything.
func TestCalls(t *testing.T) {
	t.Parallel()
	const denied = `{"parameters":{},"error":"org.varlink.service.PermissionDenied"}`
	tests := []struct {
		name, call, want string
		peer             control.Peer
		commands         string
	}{
		{name: "garbage", call: "GET / HTTP/1.1\r\n", want: ""},
		{name: "too large", call: `{"method":"` + strings.Repeat("x", maxMessage) + `"}`, want: ""},
		{name: "deep", call: `{"method":"org.exile1.GetStatus","parameters":` + strings.Repeat("[", 8000), want: ""},
		{name: "no method", call: `{}`, want: `{"parameters":{"parameter":"method"},"error":"org.varlink.service.InvalidParameter"}`},
		{name: "unknown interface", call: `{"method":"a.b.C"}`, want: `{"parameters":{"interface":"a.b"},"error":"org.varlink.service.InterfaceNotFound"}`},
		{name: "unknown method", call: `{"method":"org.exile1.C"}`, want: `{"parameters":{"method":"org.exile1.C"},"error":"org.varlink.service.MethodNotFound"}`},
		{name: "unknown parameter", call: `{"method":"org.exile1.ListJails","parameters":{"x":1}}`, want: `{"parameters":{"parameter":"parameters"},"error":"org.varlink.service.InvalidParameter"}`},
		{name: "wrong type", call: `{"method":"org.exile1.ListBans","parameters":{"max":"1"}}`, want: `{"parameters":{"parameter":"max"},"error":"org.varlink.service.InvalidParameter"}`},
		{name: "no more", call: `{"method":"org.exile1.Monitor"}`, want: `{"parameters":{},"error":"org.varlink.service.ExpectedMore"}`},
		{name: "unban", peer: somebody, call: `{"method":"org.exile1.Unban","parameters":{"address":"192.0.2.1"}}`, want: denied},
		{name: "unban, nobody", peer: control.Peer{UID: 65534}, call: `{"method":"org.exile1.Flush"}`, want: denied},
		{name: "oneway", peer: somebody, call: `{"method":"org.exile1.Flush","oneway":true}`, want: ""},
		{name: "unban as root", call: `{"method":"org.exile1.Unban","parameters":{"address":"::ffff:192.0.2.1"}}`, want: `{"parameters":{"removed":1}}`, commands: `unban "" 192.0.2.1/32`},
		{name: "oneway as root", call: `{"method":"org.exile1.Reload","oneway":true}`, want: "", commands: "reload"},
		{name: "pause without a time", call: `{"method":"org.exile1.Pause"}`, want: `{"parameters":{"parameter":"duration_usec"},"error":"org.varlink.service.InvalidParameter"}`},
		{name: "escape in a reason", call: `{"method":"org.exile1.Ban","parameters":{"address":"192.0.2.7","reason":"\u001b[2J"}}`, want: `{"parameters":{"message":"reason \"\\x1b[2J\" has unprintable characters"},"error":"org.exile1.InvalidArgument"}`},
	}
	for _, method := range []string{"Ban", "Report", "Pause", "Reload", "ResetStatistics", "ResetFirewall"} {
		tests = append(tests, struct {
			name, call, want string
			peer             control.Peer
			commands         string
		}{name: method, peer: somebody, call: `{"method":"org.exile1.` + method + `"}`, want: denied})
	}
	for _, tt := range tests {
		f := fake(2)
		if got := strings.Join(talk(t, tt.peer, f, tt.call), "\n"); got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, tt.want)
		}
		if got := strings.Join(f.Commands(), "\n"); got != tt.commands {
			t.Errorf("%s: the daemon was told %q, want %q", tt.name, got, tt.commands)
		}
	}
}

// nullList matches an empty field that is not a time, a duration or an uncounted sum.
var nullList = regexp.MustCompile(`"(units|protected|degraded|remedies|days|jails)":null`)

// TestEveryMethodIsGuarded: each method answers only callers who may use it, and answers for everybody contain no address.
func TestEveryMethodIsGuarded(t *testing.T) {
	t.Parallel()
	for name := range methods() {
		needs, ok := control.ActionOf(name)
		if !ok {
			t.Errorf("%s: internal/control does not say who may call it", name)
		}
		for _, tt := range []struct {
			peer control.Peer
			may  bool
		}{
			{control.Peer{}, true},
			{somebody, needs == control.Public},
			{reader, needs == control.Public || needs == control.MayInspect},
			{granted, needs == control.Public || needs == control.MayUnban},
			{control.Peer{UID: granted.UID, PID: 1}, needs == control.Public},
		} {
			// Callers who may use the method are refused for an unknown parameter, so that nothing happens.
			got := talk(t, tt.peer, fake(1), `{"method":"org.exile1.`+name+`","parameters":{"nope":1}}`)
			if may := len(got) == 1 && strings.Contains(got[0], "InvalidParameter"); may != tt.may {
				t.Errorf("%s, called by %+v: %q", name, tt.peer, got)
			}
		}
	}
	for _, method := range []string{"GetStatus", "ListJails"} {
		got := strings.Join(talk(t, somebody, fake(1), `{"method":"org.exile1.`+method+`"}`), "")
		if strings.Contains(got, "::1") || strings.Contains(got, "192.0.2") || !strings.Contains(got, `"parameters"`) || nullList.MatchString(got) {
			t.Errorf("somebody asks for %s: %s", method, got)
		}
	}
	f := fake(1)
	f.Set(control.Status{
		Degraded: []string{"guessing:alice"}, Remedies: []string{"alice from ::1"}, Instead: map[string]control.Reason{"guessing:alice": {Word: "guessing"}},
	}, nil, nil, nil)
	for _, peer := range []control.Peer{somebody, reader} {
		got := strings.Join(talk(t, peer, f, `{"method":"org.exile1.GetStatus"}`), "")
		if named := strings.Contains(got, "alice"); !strings.Contains(got, "guessing") || named != (peer.UID == reader.UID) {
			t.Errorf("%+v asks who is attacked: %s", peer, got)
		}
	}
	if got := strings.Join(talk(t, reader, fake(1), `{"method":"org.exile1.ListJails"}`), ""); !strings.Contains(got, `["::1"]`) {
		t.Errorf("a reader of the journal does not see who is protected: %s", got)
	}
}

// TestMore: a list arrives complete in several replies.
func TestMore(t *testing.T) {
	t.Parallel()
	got := talk(t, reader, fake(maxPage+1), `{"method":"org.exile1.ListBans","more":true}`)
	if len(got) != 2 || strings.Count(strings.Join(got, ""), `"address"`) != maxPage+1 ||
		!strings.HasSuffix(got[0], `"continues":true}`) || strings.Contains(got[1], "continues") {
		t.Errorf("got %d replies: %.200q", len(got), got)
	}
}

// TestMonitor: a monitor hears what others do, each event once, from when it is ready.
func TestMonitor(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOTHING WAS TESTED: only root may change anything")
	}
	_, path := serve(t, fake(0))
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, events := make(chan struct{}), make(chan control.Event, 10)
	ended := make(chan error, 1)
	go func() {
		ended <- c.Monitor(ctx, func() { close(ready) }, func(e control.Event) error { events <- e; return nil })
	}()
	<-ready
	p := netip.MustParsePrefix("203.0.113.0/24")
	b, err := c.Ban(t.Context(), control.BanRequest{Prefix: p, Duration: time.Hour, Reason: "by hand"})
	if err != nil {
		t.Fatal(err)
	}
	e := <-events
	if e.Kind != control.BanNew || e.Ban != b || b.Prefix != p || b.Until.Sub(b.Since) != time.Hour {
		t.Errorf("heard %+v, want the ban %+v", e, b)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestSlowMonitor: a monitor that does not read is dropped, and nobody waits for it.
func TestSlowMonitor(t *testing.T) {
	t.Parallel()
	h := newHub()
	m := &monitor{queue: make(chan []byte, 2)}
	h.monitors[m] = struct{}{}
	for range 3 {
		h.tell(control.Event{Kind: control.BanNew})
	}
	if len(h.monitors) != 0 {
		t.Error("a monitor whose queue is full stays")
	}
	for range 2 {
		<-m.queue
	}
	if _, ok := <-m.queue; ok {
		t.Error("the queue of a slow monitor stays open")
	}
}

// TestCrowd: each user has a share of the connections; when all are taken, the user with the most makes room, and root has
// connections of its own.
func TestCrowd(t *testing.T) {
	t.Parallel()
	h := newHub()
	go h.run(t.Context())
	closed := make(map[uint32]int)
	connect := func(uid uint32) *guest {
		g := &guest{crowd.Guest{UID: uid}, nil}
		g.close = func() error { closed[uid]++; return nil }
		if !h.enter(t.Context(), g) {
			return nil
		}
		return g
	}
	alone := connect(999)
	for uid := uint32(1000); uid < 1020; uid++ {
		for n := range maxPerUser {
			if connect(uid) == nil {
				t.Errorf("uid %d is refused connection %d", uid, n)
			}
		}
		if uid == 1000 && connect(uid) != nil {
			t.Errorf("uid %d has more than %d connections", uid, maxPerUser)
		}
	}
	if h.own(t.Context(), func() {}); len(h.guests) != maxConnections {
		t.Errorf("%d connections, want %d", len(h.guests), maxConnections)
	}
	if connect(998) == nil || closed[999] != 0 || closed[998] != 0 {
		t.Errorf("a user with one connection is kept out, or loses it: %v", closed)
	}
	for n := range maxRoot + 1 {
		if g := connect(0); (g != nil) != (n < maxRoot) {
			t.Errorf("root, connection %d: let in: %t", n, g != nil)
		}
	}
	if closed[0] != 0 {
		t.Error("root loses a connection")
	}
	h.leave(t.Context(), alone)
	if connect(999) == nil {
		t.Error("a closed connection makes no room")
	}
}
