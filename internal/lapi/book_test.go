package lapi_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/lapi"
)

// now is the time of the tests, in whole seconds as the book keeps them.
var now = time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)

// ban reads "sshd 192.0.2.1 1h"; without a time it is permanent.
func ban(t *testing.T, text string) lapi.Ban {
	t.Helper()
	words := strings.Fields(text)
	if !strings.Contains(words[1], "/") {
		words[1] += "/32"
	}
	b := lapi.Ban{Jail: words[0], Prefix: netip.MustParsePrefix(words[1])}
	if len(words) == 3 {
		d, err := time.ParseDuration(words[2])
		if err != nil {
			t.Fatal(err)
		}
		b.Until = now.Add(d)
	}
	return b
}

func bans(t *testing.T, texts ...string) (all []lapi.Ban) {
	for _, text := range texts {
		all = append(all, ban(t, text))
	}
	return all
}

func none(string, netip.Prefix) bool { return false }

// poll is what a bouncer hears: new decisions with +, ended ones with -.
func poll(t *testing.T, b *lapi.Book, name string, startup bool) (heard []string) {
	t.Helper()
	mark, since := b.Mark(name)
	if startup {
		since = 0
	}
	say := func(sign string) func(lapi.Decision) error {
		return func(d lapi.Decision) error {
			left := d.Left.String()
			if sign == "-" {
				left = ""
			}
			heard = append(heard, strings.TrimSpace(fmt.Sprintf("%s%s %s %s", sign, d.Jail, d.Prefix, left)))
			return nil
		}
	}
	if err := b.Deleted(since, mark, now, say("-")); err != nil {
		t.Fatal(err)
	}
	if err := b.New(since, mark, now, say("+")); err != nil {
		t.Fatal(err)
	}
	b.Seen(name, mark)
	return heard
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A bouncer hears of each change once, in whatever order they come, and holds exactly what exiled bans.
func TestBook(t *testing.T) {
	t.Parallel()
	b := lapi.NewBook()
	if b.Ready() {
		t.Error("an empty book knows that nobody is banned")
	}
	b.Fill(bans(t, "sshd 192.0.2.1 1h", "web 192.0.2.0/24 2h", "sshd 192.0.2.9"), none)
	expect(t, poll(t, b, "a", true), "+sshd 192.0.2.1/32 1h0m0s", "+web 192.0.2.0/24 2h0m0s", "+sshd 192.0.2.9/32 87600h0m0s")
	expect(t, poll(t, b, "a", false))

	b.Put(ban(t, "sshd 192.0.2.1 1h")) // again the same
	b.Put(ban(t, "web 192.0.2.1 30m")) // ends earlier
	expect(t, poll(t, b, "a", false))
	b.Put(ban(t, "web 192.0.2.1 3h")) // ends later: a bouncer that only adds would keep the old end
	expect(t, poll(t, b, "a", false), "-sshd 192.0.2.1/32", "+web 192.0.2.1/32 3h0m0s")
	b.Lift("web", netip.MustParsePrefix("192.0.2.1/32")) // still banned by the other jail
	expect(t, poll(t, b, "a", false), "-web 192.0.2.1/32", "+sshd 192.0.2.1/32 1h0m0s")
	b.Lift("sshd", netip.MustParsePrefix("192.0.2.1/32"))
	b.Lift("sshd", netip.MustParsePrefix("192.0.2.77/32")) // never banned
	expect(t, poll(t, b, "a", false), "-sshd 192.0.2.1/32")
	b.Put(ban(t, "sshd 192.0.2.2 1h"))
	b.Lift("sshd", netip.MustParsePrefix("192.0.2.2/32")) // between two questions: it never knew
	expect(t, poll(t, b, "a", false))

	expect(t, poll(t, b, "late", false), "-sshd 192.0.2.1/32", "-web 192.0.2.1/32", "-sshd 192.0.2.1/32", "-sshd 192.0.2.2/32", "+web 192.0.2.0/24 2h0m0s", "+sshd 192.0.2.9/32 87600h0m0s")
	b.Put(ban(t, "sshd 192.0.2.3 -1s")) // ended, and exiled has not said so yet
	expect(t, poll(t, b, "late", false))

	keep := func(_ string, p netip.Prefix) bool { return p == netip.MustParsePrefix("192.0.2.9/32") }
	b.Fill(bans(t, "web 192.0.2.0/24 2h", "mail 192.0.2.5 1h"), keep)
	expect(t, poll(t, b, "a", false), "+mail 192.0.2.5/32 1h0m0s")
}

// What is lifted while the service does not run is heard afterwards; a bouncer that starts hears all that was lifted.
func TestRestart(t *testing.T) {
	t.Parallel()
	b, file := lapi.NewBook(), filepath.Join(t.TempDir(), "book")
	b.Fill(bans(t, "sshd 192.0.2.1 1h", "sshd 192.0.2.2 1h", "sshd 192.0.2.3"), none)
	poll(t, b, "a", true)
	b.Lift("sshd", netip.MustParsePrefix("192.0.2.3/32"))
	if err := b.Save(file); err != nil {
		t.Fatal(err)
	}
	b, err := lapi.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.Ready() {
		t.Error("it answers before exiled has said anything")
	}
	if err := b.Save(file + "2"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file + "2"); err == nil {
		t.Error("a book that knows less than its file replaces it")
	}
	b.Fill(bans(t, "sshd 192.0.2.2 1h", "sshd 192.0.2.4 1h"), none)
	expect(t, poll(t, b, "a", false), "-sshd 192.0.2.3/32", "-sshd 192.0.2.1/32", "+sshd 192.0.2.4/32 1h0m0s")
	expect(t, poll(t, b, "a", true), "-sshd 192.0.2.3/32", "-sshd 192.0.2.1/32", "+sshd 192.0.2.2/32 1h0m0s", "+sshd 192.0.2.4/32 1h0m0s")
}

// A file that somebody else wrote is an error, and the book begins anew.
func TestHostileFile(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "{", "[]\n", `{"seq":1}` + "\n" + `{"seq":2,"prefix":"192.0.2.1/32"}`, `{"seq":9}` + "\n" + `{"seq":2,"prefix":"x"}`, `{"seq":9}` + "\n" + `{"seq":2}`,
		`{"seq":9}` + "\n" + `{"seq":3,"prefix":"192.0.2.1/32"}{"seq":2,"prefix":"192.0.2.1/32"}`, `{"seq":9}` + "\n" + `{"seq":3,"born":3,"prefix":"192.0.2.1/32"}`,
	} {
		file := filepath.Join(t.TempDir(), "book")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := lapi.Load(file)
		if err == nil || b == nil {
			t.Errorf("%q is a book", text)
			continue
		}
		if mark, _ := b.Mark("a"); mark != 0 {
			t.Errorf("%q is half a book", text)
		}
	}
}

// However often addresses are banned and unbanned, the book stays small, and a bouncer that asks now and then misses nothing.
func TestBounded(t *testing.T) {
	t.Parallel()
	b, file, held := lapi.NewBook(), filepath.Join(t.TempDir(), "book"), make(map[string]bool)
	b.Fill(nil, none)
	n := 300_000
	if testing.Short() {
		n /= 10
	}
	for i := range n {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 32)
		b.Put(lapi.Ban{Jail: "sshd", Prefix: p, Until: now.Add(time.Hour)})
		if i >= 1000 {
			o := i - 1000
			b.Lift("sshd", netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(o >> 8), byte(o)}), 32))
		}
		if i%10_000 == 9_999 {
			for _, said := range poll(t, b, "a", false) {
				if words := strings.Fields(said[1:]); said[0] == '+' {
					held[words[1]] = true
				} else {
					delete(held, words[1])
				}
			}
		}
	}
	if len(held) != 1000 {
		t.Errorf("a bouncer holds %d addresses, want the 1000 that are banned", len(held))
	}
	if err := b.Save(file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if n := strings.Count(string(text), "\n"); err != nil || n > 210_000 {
		t.Errorf("the book has %d lines (%v)", n, err)
	}
}

// Decisions on an address are those on it and on networks around it.
func TestCovering(t *testing.T) {
	t.Parallel()
	b := lapi.NewBook()
	b.Fill(bans(t, "sshd 192.0.2.1 1h", "web 192.0.2.0/24 1h", "web 2001:db8::/64 1h", "sshd 192.0.2.2/32 -1s"), none)
	for text, want := range map[string][]string{
		"192.0.2.1/32": {"192.0.2.1/32", "192.0.2.0/24"}, "192.0.2.0/25": {"192.0.2.0/24"}, "192.0.2.2/32": {"192.0.2.0/24"}, "2001:db8::7/128": {"2001:db8::/64"},
		"198.51.100.1/32": nil,
	} {
		var got []string
		for _, d := range b.Covering(netip.MustParsePrefix(text), now) {
			got = append(got, d.Prefix.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
