package lists

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"exile/firewall"
)

// kernel remembers what it was told.
type kernel struct {
	held  []firewall.Blocklist
	told  int
	gone  bool
	fails error
}

func (k *kernel) Replace(_ context.Context, lists []firewall.Blocklist) error {
	k.told++
	if k.fails == nil {
		k.held, k.gone = lists, false
	}
	return k.fails
}

func (k *kernel) Holds() (bool, error) { return !k.gone, nil }

func (k *kernel) Dropped() (map[string]uint64, error) { return map[string]uint64{"bad": 7}, nil }

func (k *kernel) Watch(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return nil
}

// text is what the kernel holds.
func (k *kernel) text() string {
	var words []string
	for _, l := range k.held {
		words = append(words, l.Name+":")
		for _, r := range l.Ranges {
			words = append(words, fmt.Sprintf("%v-%v", r.From, r.To))
		}
	}
	return strings.Join(words, " ")
}

// world is a keeper of the list "bad" at work.
type world struct {
	*Keeper
	t         *testing.T
	kernel    *kernel
	path      string
	protected []netip.Prefix
}

// run runs f beside a keeper, in time of its own.
func run(t *testing.T, f func(w *world)) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bad")
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, kernel: &kernel{}, path: path}
		w.Keeper = New(Config{
			Files: []File{{Name: "bad", Path: path}}, Kernel: w.kernel, Protected: func() []netip.Prefix { return w.protected },
			Log: slog.New(slog.DiscardHandler),
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { w.Serve(ctx); close(done) }()
		synctest.Wait()
		f(w)
		cancel()
		<-done
	})
}

// write replaces the file as a fetcher does.
func (w *world) write(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path+".new", []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(w.path+".new", w.path); err != nil {
		w.t.Fatal(err)
	}
}

// holds waits for a few rounds and compares what the kernel holds then.
func (w *world) holds(want string) {
	w.t.Helper()
	time.Sleep(2 * checkEvery)
	synctest.Wait()
	if got := w.kernel.text(); got != want {
		w.t.Errorf("the kernel holds %q, want %q", got, want)
	}
}

func TestKeeps(t *testing.T) {
	run(t, func(w *world) {
		if l := w.Lists()[0]; l.Trouble == "" || l.Enforced {
			t.Errorf("a list without a file is %+v", l)
		}
		w.write("198.51.100.0/24\n10.0.0.0/8 # bogon\n")
		w.holds("bad: 198.51.100.0-198.51.100.255")
		l := w.Lists()[0]
		if !l.Enforced || l.Trouble != "" || l.Entries != 2 || l.Ranges != 1 || l.Cut != 1 || l.Dropped != 7 || l.Updated.IsZero() {
			t.Errorf("the list is %+v", l)
		}
		told := w.kernel.told
		w.holds("bad: 198.51.100.0-198.51.100.255")
		if w.kernel.told != told {
			t.Error("the kernel is told again, though nothing has changed")
		}

		w.protected = []netip.Prefix{netip.MustParsePrefix("198.51.100.16/30")}
		w.holds("bad: 198.51.100.0-198.51.100.15 198.51.100.20-198.51.100.255")
		for addr, want := range map[string]int{"198.51.100.15": 1, "198.51.100.16": 0, "192.0.2.1": 0} {
			if names := w.Naming(netip.MustParseAddr(addr)); len(names) != want {
				t.Errorf("%s is in %q", addr, names)
			}
		}
		w.kernel.gone, w.kernel.held = true, nil
		w.holds("bad: 198.51.100.0-198.51.100.15 198.51.100.20-198.51.100.255")

		w.Suspend(true)
		w.holds("")
		if l := w.Lists()[0]; l.Enforced {
			t.Errorf("during a pause the list is %+v", l)
		}
		w.Suspend(false)
		w.write("2001:db8::1\n")
		w.holds("bad: 2001:db8::1-2001:db8::1")
		w.write("")
		w.holds("")
	})
}

func TestKeepsWhatWasRead(t *testing.T) {
	run(t, func(w *world) {
		w.write("192.0.2.1")
		w.holds("bad: 192.0.2.1-192.0.2.1")
		for _, spoil := range []func(){
			func() { w.write(strings.Repeat("x", maxLine+1)) },
			func() { os.Remove(w.path) },
			func() { _ = os.Mkdir(w.path, 0o700) },
		} {
			spoil()
			w.holds("bad: 192.0.2.1-192.0.2.1")
			if l := w.Lists()[0]; l.Trouble == "" || !l.Enforced {
				t.Errorf("the list whose file is bad is %+v", l)
			}
		}
		os.Remove(w.path)
		w.write("192.0.2.2")
		w.holds("bad: 192.0.2.2-192.0.2.2")
		if l := w.Lists()[0]; l.Trouble != "" {
			t.Errorf("the mended list has trouble %q", l.Trouble)
		}
	})
}

func TestTooMuch(t *testing.T) {
	run(t, func(w *world) {
		var all strings.Builder
		for i := 20; i < 100; i++ {
			fmt.Fprintf(&all, "%d.0.0.0/8\n", i)
		}
		w.write(all.String())
		w.holds("")
		if l := w.Lists()[0]; !strings.Contains(l.Trouble, "quarter") || l.Enforced {
			t.Errorf("a list of a third of all addresses is %+v", l)
		}
	})
}

func TestKernelRefuses(t *testing.T) {
	run(t, func(w *world) {
		w.kernel.fails = errors.New("no memory")
		w.write("192.0.2.1")
		w.holds("")
		if l := w.Lists()[0]; !strings.Contains(l.Trouble, "no memory") || l.Enforced {
			t.Errorf("the list that the kernel refuses is %+v", l)
		}
		told := w.kernel.told
		w.holds("")
		if w.kernel.told != told {
			t.Error("the kernel that refused is told again at once")
		}
		w.kernel.fails = nil
		time.Sleep(retryAfter)
		w.holds("bad: 192.0.2.1-192.0.2.1")
	})
}
