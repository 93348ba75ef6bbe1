package allow

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"exile/jail"
)

func ignore(t *testing.T, words ...string) (list []jail.Ignore) {
	t.Helper()
	for _, w := range words {
		g, err := jail.ParseIgnore(w)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, g)
	}
	return list
}

func why(l *List, addr string) string {
	s, _ := l.Allowed(netip.MustParseAddr(addr), time.Time{})
	return s
}

// replies is a resolver that says what the test says. Passing time orders nothing for the race detector, hence the
// atomics.
type replies struct {
	next  atomic.Pointer[said]
	asked atomic.Int32
}

type said struct {
	addrs []netip.Addr
	ttl   time.Duration
	err   error
}

func (r *replies) Resolve(context.Context, string) ([]netip.Addr, time.Duration, error) {
	r.asked.Add(1)
	s := r.next.Load()
	return s.addrs, s.ttl, s.err
}

func (r *replies) say(ttl time.Duration, err error, addrs ...string) {
	s := &said{ttl: ttl, err: err}
	for _, a := range addrs {
		s.addrs = append(s.addrs, netip.MustParseAddr(a))
	}
	r.next.Store(s)
}

// moves is a host whose addresses change when the test says so.
type moves chan []jail.Friend

func (m moves) Follow(ctx context.Context, changed func([]jail.Friend)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case list := <-m:
			changed(list)
		}
	}
}

func serve(t *testing.T, l *List) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { l.Serve(ctx); close(done) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	synctest.Wait()
}

func TestNames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &replies{}
		r.say(10*time.Minute, nil, "192.0.2.1")
		l := New(Config{Ignore: ignore(t, "Host.Example."), Resolver: r})
		if why(l, "192.0.2.1") != "" {
			t.Error("known before anybody was asked")
		}
		serve(t, l)
		expect := func(when, addr, want string, asked int32) {
			t.Helper()
			synctest.Wait()
			if got := why(l, addr); got != want || r.asked.Load() != asked {
				t.Errorf("%s: %s is %q after %d questions, want %q after %d", when, addr, got, r.asked.Load(), want, asked)
			}
		}
		expect("at once", "192.0.2.1", "ignoreip host.example", 1)
		time.Sleep(9 * time.Minute)
		expect("before the TTL", "192.0.2.1", "ignoreip host.example", 1)
		r.say(0, nil, "2001:db8::1", "::")
		time.Sleep(90 * time.Second)
		expect("moved", "192.0.2.1", "", 2)
		expect("moved", "2001:db8::1", "ignoreip host.example", 2)
		expect("unspecified", "::", "", 2)
		r.say(0, errors.New("dead"))
		time.Sleep(5 * time.Minute) // a TTL of 0 is a minute, and so is the wait after an error
		expect("dead", "2001:db8::1", "ignoreip host.example", 7)
		checkState(t, l, "", "host.example (2001:db8::1)") // the last answer holds
		r.say(0, nil)
		time.Sleep(time.Minute)
		expect("gone", "2001:db8::1", "", 8)
		checkState(t, l, "host name host.example has no address", "host.example")
	})
}

// checkState compares what the list says of itself.
func checkState(t *testing.T, l *List, trouble string, protected ...string) {
	t.Helper()
	synctest.Wait()
	if got := text(l.Trouble()); got != trouble {
		t.Errorf("trouble %q, want %q", got, trouble)
	}
	if got := l.Protected(); !slices.Equal(got, protected) {
		t.Errorf("protected %q, want %q", got, protected)
	}
}

// TestNamesBefore: addresses from before a reload are valid until there is an answer, and a name without any is no trouble before it was looked
// up.
func TestNamesBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &replies{}
		r.say(0, errors.New("dead"))
		before := map[string][]netip.Addr{"host.example": {netip.MustParseAddr("192.0.2.1")}}
		l := New(Config{Ignore: ignore(t, "host.example", "new.example"), Resolver: r, Last: func(host string) []netip.Addr { return before[host] }})
		checkState(t, l, "", "host.example (192.0.2.1)", "new.example")
		serve(t, l)
		checkState(t, l, "host name new.example: dead", "host.example (192.0.2.1)", "new.example")
		if got := why(l, "192.0.2.1"); got != "ignoreip host.example" {
			t.Errorf("while nobody answers: %q", got)
		}
		next := New(Config{Ignore: ignore(t, "host.example"), Last: l.Addresses})
		checkState(t, next, "", "host.example (192.0.2.1)")
	})
}

// TestNameNeverResolved: a name without any known address protects nobody, and the list says so until it is resolved. It is soon looked up
// again, because the network may be coming up.
func TestNameNeverResolved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &replies{}
		r.say(0, errors.New("network is unreachable"))
		l := New(Config{Ignore: ignore(t, "192.0.2.9", "host.example"), Resolver: r})
		checkState(t, l, "", "192.0.2.9/32", "host.example") // nobody was asked yet
		serve(t, l)
		checkState(t, l, "host name host.example: network is unreachable", "192.0.2.9/32", "host.example")
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if n := r.asked.Load(); n != 3 { // at once, after 1 s and after 3 s
			t.Errorf("asked %d times", n)
		}
		r.say(0, nil, "192.0.2.1", "2001:db8::1")
		time.Sleep(4 * time.Second)
		checkState(t, l, "", "192.0.2.9/32", "host.example (192.0.2.1, 2001:db8::1)")
	})
}

func TestSelf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := make(moves)
		l := New(Config{Ignore: ignore(t, "192.0.2.1"), Self: m})
		serve(t, l)
		m <- []jail.Friend{friend(netip.MustParseAddr("::ffff:203.0.113.1"), "own address")}
		synctest.Wait()
		if got := why(l, "203.0.113.1"); got != "own address" {
			t.Errorf("own: %q", got)
		}
		m <- nil
		synctest.Wait()
		if got := why(l, "203.0.113.1"); got != "" {
			t.Errorf("no longer own: %q", got)
		}
		if got := why(l, "192.0.2.1"); got != "ignoreip 192.0.2.1/32" {
			t.Errorf("ignoreip: %q", got)
		}
	})
}

// fails is a host whose addresses cannot be followed at first.
type fails struct {
	moves
	times int
}

func (f *fails) Follow(ctx context.Context, changed func([]jail.Friend)) error {
	if f.times--; f.times >= 0 {
		return errors.New("no buffer space available")
	}
	return f.moves.Follow(ctx, changed)
}

// If the addresses of the host cannot be followed, that is tried again, and names are still resolved.
func TestSelfFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &replies{}
		r.say(time.Minute, nil, "192.0.2.1")
		f := &fails{make(moves), 2}
		l := New(Config{Ignore: ignore(t, "host.example"), Self: f, Resolver: r})
		serve(t, l)
		checkState(t, l, "ignoreself: no buffer space available", "host.example (192.0.2.1)")
		time.Sleep(5 * time.Minute)
		r.say(time.Minute, nil, "192.0.2.2")
		time.Sleep(time.Minute)
		f.moves <- []jail.Friend{friend(netip.MustParseAddr("203.0.113.1"), "own address")}
		synctest.Wait()
		if a, b := why(l, "192.0.2.2"), why(l, "203.0.113.1"); a != "ignoreip host.example" || b != "own address" {
			t.Errorf("%q, %q", a, b)
		}
		checkState(t, l, "", "host.example (192.0.2.2)")
	})
}

func TestFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "friends")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("192.0.2.1, 198.51.100.0/24 # office\r\n\n# 203.0.113.1\n2001:db8::/32\nnonsense!\nhost.example\nfile:/etc/passwd\n")
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Ignore: ignore(t, "file:"+path, "file:/nowhere")})
		for addr, want := range map[string]string{
			"192.0.2.1": "ignoreip file:" + path, "198.51.100.9": "ignoreip file:" + path,
			"2001:db8::1": "ignoreip file:" + path, "203.0.113.1": "", "192.0.2.2": "",
		} {
			if got := why(l, addr); got != want {
				t.Errorf("%s: %q, want %q", addr, got, want)
			}
		}
		all := text(l.Trouble())
		for _, want := range []string{"line 5: not an address or a network", "line 6: not", "line 7: not", "/nowhere: no such file"} {
			if !strings.Contains(all, want) {
				t.Errorf("the trouble lacks %q:\n%s", want, all)
			}
		}
		serve(t, l)
		write("203.0.113.7\n")
		time.Sleep(2 * fileCheck)
		synctest.Wait()
		if why(l, "192.0.2.1") != "" || why(l, "203.0.113.7") == "" {
			t.Error("the file has changed and the list has not")
		}
		gone := "file:/nowhere: open /nowhere: no such file or directory"
		checkState(t, l, gone, "file:"+path, "file:/nowhere")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * fileCheck)
		synctest.Wait()
		if why(l, "203.0.113.7") == "" {
			t.Error("the file is gone, and with it what it said")
		}
		checkState(t, l, "file:"+path+": open "+path+": no such file or directory\n"+gone, "file:"+path, "file:/nowhere")
		write("203.0.113.7\n")
		time.Sleep(2 * fileCheck)
		checkState(t, l, gone, "file:"+path, "file:/nowhere")
	})
}
