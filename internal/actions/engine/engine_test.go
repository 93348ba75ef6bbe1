package engine

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/actions"
	"exile/internal/control"
)

// TestTell: each event once, in order, at once; what was before the first start is not told.
func TestTell(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]string{"hook": "on: [ban, unban]\nprogram: /bin/hook"})
		w.run()
		w.log(control.BanNew, "sshd", "192.0.2.1")
		w.log(control.BanRemoved, "sshd", "192.0.2.1", "EXILE_REASON", "expired")
		w.log(control.Degraded, "", "")
		w.log(control.BansRemoved, "sshd", "", "EXILE_COUNT", "7")
		w.log(control.BanNew, "sshd", "nonsense")
		w.after(0)
		if diff := cmp.Diff([]string{"0s hook ban 192.0.2.1", "0s hook unban 192.0.2.1", "0s hook unbans "}, w.told()); diff != "" {
			t.Error(diff)
		}
		if s := w.status("hook"); s.Done != 3 || s.Waiting != 0 || s.Failing() {
			t.Errorf("%+v", s)
		}
		w.stop()
	})
}

// TestNothingIsLost: what happens while the engine is stopped, or while it is killed in a run, is told after the next start, and nothing twice
// that was done.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]string{"hook": "program: /bin/hook"})
		w.run()
		w.log(control.BanNew, "sshd", "192.0.2.1")
		w.after(time.Second)
		w.stop()
		w.log(control.BanNew, "sshd", "192.0.2.2")
		w.log(control.BanNew, "sshd", "192.0.2.3")
		time.Sleep(time.Minute)
		block := make(chan struct{})
		w.answer(func(*actions.Action, actions.Request) (bool, error) { <-block; return false, errDown })
		w.run()
		w.end() // in the run for 192.0.2.2, which then fails
		w.after(time.Second)
		close(block)
		<-w.ended
		w.answer(func(*actions.Action, actions.Request) (bool, error) { time.Sleep(5 * time.Second); return false, nil })
		w.run()
		w.end() // again, but the run succeeds within the grace
		<-w.ended
		w.run()
		w.after(10 * time.Second)
		want := []string{"0s hook ban 192.0.2.1", "1m1s hook ban 192.0.2.2", "1m2s hook ban 192.0.2.2", "1m7s hook ban 192.0.2.3"}
		if diff := cmp.Diff(want, w.told()); diff != "" {
			t.Error(diff)
		}
		w.stop()
	})
}

// TestRetry: after a failure it is tried again, later and later, and given up in the end; then the next has its turn. The others are not held up.
func TestRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]string{"bad": "attempts: 4\nprogram: /bin/bad", "good": "program: /bin/good"})
		w.answer(func(a *actions.Action, r actions.Request) (bool, error) {
			if a.Name == "bad" && r.Events[0].Address() == "192.0.2.1" {
				return false, errDown
			}
			return false, nil
		})
		w.run()
		w.log(control.BanNew, "sshd", "192.0.2.1")
		w.log(control.BanNew, "sshd", "192.0.2.2")
		w.after(0)
		got := w.told()
		if len(got) != 3 {
			t.Errorf("at once: %q", got)
		}
		if s := w.status("bad"); s.LastError != errDown.Error() || !s.Failing() || s.Waiting != 2 {
			t.Errorf("%+v", s)
		}
		w.after(time.Hour)
		want := []string{"5s bad ban 192.0.2.1", "25s bad ban 192.0.2.1", "1m45s bad ban 192.0.2.1", "1m45s bad ban 192.0.2.2"}
		if diff := cmp.Diff(want, w.told()); diff != "" {
			t.Error(diff)
		}
		if s := w.status("bad"); s.Failures != 4 || s.Dropped != 1 || s.Done != 1 || s.Failing() {
			t.Errorf("%+v", s)
		}
		w.stop()
	})
}

// TestHopeless: what a helper calls permanent is not tried again, and a server says itself when.
func TestHopeless(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]string{"hook": "max_age: 2d\nprogram: /bin/hook"})
		answers := []error{&actions.Reply{Text: "no", Permanent: true}, &actions.Reply{Text: "later", RetryAfter: 600}, &actions.Reply{Text: "never", RetryAfter: math.MaxInt}, nil}
		w.answer(func(*actions.Action, actions.Request) (bool, error) {
			err := answers[0]
			answers = answers[1:]
			return false, err
		})
		w.run()
		w.log(control.BanNew, "sshd", "192.0.2.1")
		w.log(control.BanNew, "sshd", "192.0.2.2")
		w.after(25 * time.Hour)
		if diff := cmp.Diff([]string{"0s hook ban 192.0.2.1", "0s hook ban 192.0.2.2", "10m0s hook ban 192.0.2.2", "24h10m0s hook ban 192.0.2.2"}, w.told()); diff != "" {
			t.Error(diff)
		}
		w.stop()
	})
}

// TestRate: a burst, and then one at a time.
func TestRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]string{"hook": "rate: 2\nprogram: /bin/hook"})
		w.run()
		for i := range 4 {
			w.log(control.BanNew, "sshd", fmt.Sprintf("192.0.2.%d", i))
		}
		w.after(time.Hour)
		if diff := cmp.Diff([]string{"0s hook ban 192.0.2.0", "0s hook ban 192.0.2.1", "30s hook ban 192.0.2.2", "1m0s hook ban 192.0.2.3"}, w.told()); diff != "" {
			t.Error(diff)
		}
		w.stop()
	})
}

// TestDigest: one mail for what happened within an hour.
func TestDigest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]string{"mail": "mail: {to: root, digest: hourly}"})
		w.run()
		w.after(30 * time.Minute)
		w.log(control.BanNew, "sshd", "192.0.2.1")
		w.after(59 * time.Minute)
		w.log(control.BanNew, "sshd", "192.0.2.2")
		w.after(2 * time.Minute)
		w.log(control.BanNew, "sshd", "192.0.2.3")
		w.after(3 * time.Hour)
		if diff := cmp.Diff([]string{"1h30m0s mail ban 192.0.2.1 ban 192.0.2.2", "2h31m0s mail ban 192.0.2.3"}, w.told()); diff != "" {
			t.Error(diff)
		}
		w.stop()
	})
}

// TestOld: what is older than max_age is dropped and counted.
func TestOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]string{"hook": "max_age: 1h\nprogram: /bin/hook"})
		w.run()
		w.stop()
		w.log(control.BanNew, "sshd", "192.0.2.1")
		time.Sleep(50 * time.Minute)
		w.log(control.BanNew, "sshd", "192.0.2.2")
		time.Sleep(50 * time.Minute)
		w.run()
		if diff := cmp.Diff([]string{"1h40m0s hook ban 192.0.2.2"}, w.told()); diff != "" {
			t.Error(diff)
		}
		if s := w.status("hook"); s.Dropped != 1 || s.Done != 1 {
			t.Errorf("%+v", s)
		}
		w.stop()
	})
}

// TestOnce: an address is told of once within a time, over restarts too.
func TestOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]string{"report": "abuseipdb: {key: k, categories: {default: 18}}"})
		w.run()
		for range 3 {
			w.log(control.BanNew, "sshd", "8.8.8.8")
			w.log(control.BanNew, "sshd", "8.8.4.4")
			w.after(8 * time.Minute)
			w.stop()
			w.run()
		}
		want := []string{"0s report ban 8.8.8.8", "0s report ban 8.8.4.4", "16m0s report ban 8.8.8.8", "16m0s report ban 8.8.4.4"}
		if diff := cmp.Diff(want, w.told()); diff != "" {
			t.Error(diff)
		}
		w.stop()
	})
}

// TestEnds: the end of a ban is told although the address was told of shortly before.
func TestEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]string{"hook": "on: [ban, unban]\nonce: 1h\nprogram: /bin/hook"})
		w.run()
		for range 2 {
			w.log(control.BanNew, "sshd", "192.0.2.1")
			w.log(control.BanRemoved, "sshd", "192.0.2.1")
		}
		w.after(time.Second)
		if diff := cmp.Diff([]string{"0s hook ban 192.0.2.1", "0s hook unban 192.0.2.1", "0s hook unban 192.0.2.1"}, w.told()); diff != "" {
			t.Error(diff)
		}
		if s := w.status("hook"); s.Skipped != 1 {
			t.Errorf("%+v", s)
		}
		w.stop()
	})
}

// TestWaiting: the status says how many events wait although nothing is tried for a long time.
func TestWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]string{"mail": "mail: {to: root, digest: daily}"})
		w.run()
		for i := range 3 {
			w.log(control.BanNew, "sshd", fmt.Sprintf("192.0.2.%d", i))
			w.after(time.Hour)
		}
		if s := w.status("mail"); s.Waiting != 3 {
			t.Errorf("%+v", s)
		}
		w.after(24 * time.Hour)
		if s := w.status("mail"); s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
		w.stop()
	})
}

// TestForget: of the addresses that an action was told of, the old ones are forgotten, and of too many those that came first.
func TestForget(t *testing.T) {
	t.Parallel()
	q, err := OpenQueue(filepath.Join(t.TempDir(), "queue.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Hour) }
	for i := range 10 {
		_, err := q.Add(q.Position(), map[string][]actions.Event{"hook": {{ID: "x"}}})
		if err = errors.Join(err, q.Done("hook", uint64(i+1), []string{fmt.Sprint(9 - i)}, at(i))); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		before, most int
		want         string
	}{{2, 100, "0123456"}, {2, 3, "012"}, {100, 3, ""}} {
		if err := q.Forget("hook", at(c.before), c.most); err != nil {
			t.Fatal(err)
		}
		got := ""
		for i := range 10 {
			if told, err := q.Told("hook", fmt.Sprint(i), at(-1)); err != nil {
				t.Fatal(err)
			} else if told {
				got += fmt.Sprint(i)
			}
		}
		if got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// TestShare: where exiled takes long to list its bans, it is asked less often.
func TestShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]string{"web": "deny_list: {format: plain, reload: nginx.service}"})
		w.slow = 3 * time.Second
		w.run()
		for i := range 100 {
			w.banned(ban("web", fmt.Sprintf("192.0.2.%d/32", i)))
			w.log(control.BanNew, "web", fmt.Sprintf("192.0.2.%d", i))
			w.after(time.Second)
		}
		if diff := cmp.Diff([]string{"3s web", "36s web", "1m9s web"}, w.told()); diff != "" {
			t.Error(diff)
		}
		w.stop()
	})
}

// TestMended: what happens while the file of an action has a mistake is told when it is mended, if the action wants it.
func TestMended(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]string{"hook": "jails: [web]\nsimulated: yes\nprogram: /bin/hook"})
		mended := w.actions
		w.actions, w.broken = nil, []string{"hook"}
		w.run()
		w.log(control.BanNew, "sshd", "192.0.2.1")
		w.log(control.BanNew, "web", "192.0.2.2", "EXILE_SIMULATED", "yes")
		w.log(control.BanRemoved, "web", "192.0.2.2")
		w.log(control.BanNew, "web", "192.0.2.3")
		w.after(time.Minute)
		w.stop()
		w.actions, w.broken = mended, nil
		w.run()
		if diff := cmp.Diff([]string{"1m0s hook ban 192.0.2.2", "1m0s hook ban 192.0.2.3"}, w.told()); diff != "" {
			t.Error(diff)
		}
		if s := w.status("hook"); s.Done != 2 || s.Dropped != 0 || s.Skipped != 0 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
		w.stop()
	})
}

// TestBounded: of too many events the oldest are dropped and counted.
func TestBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]string{"hook": "program: /bin/hook"})
		w.run()
		w.stop()
		for i := range maxQueue + 5 {
			w.log(control.BanNew, "sshd", fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255))
		}
		w.answer(func(*actions.Action, actions.Request) (bool, error) { return false, errDown })
		w.run()
		if s := w.status("hook"); s.Dropped != 5 || s.Waiting != maxQueue {
			t.Errorf("%+v", s)
		}
		if got := w.told(); got[len(got)-1] != "0s hook ban 10.0.0.5" {
			t.Errorf("%q", got)
		}
		w.stop()
	})
}

// TestDenyList: the list is what exiled says, it is written when something happens, coalesced, and then the service is reloaded, until that
// has worked.
func TestDenyList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]string{"web": "jails: [web]\ndeny_list: {format: plain, reload: nginx.service, every: 10s}"})
		list := func() string {
			text, err := os.ReadFile(actions.ListPath(w.dir, "web"))
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := strings.Cut(string(text), "\n")
			return strings.ReplaceAll(rest, "\n", " ")
		}
		w.run()
		if got := list(); got != "" {
			t.Errorf("at first: %q", got)
		}
		w.after(time.Minute)
		simulated := control.Ban{Jail: "web", Prefix: ban("", "192.0.2.3/32").Prefix, Simulated: true}
		w.banned(ban("web", "192.0.2.2/32"), ban("sshd", "192.0.2.9/32"), ban("web", "192.0.2.1/32"), ban("web", "192.0.2.1/32"), simulated)
		w.log(control.BanNew, "web", "192.0.2.1")
		w.after(0)
		if got := list(); got != "192.0.2.1 192.0.2.2 " {
			t.Errorf("banned: %q", got)
		}
		w.banned()
		fail := true
		w.answer(func(*actions.Action, actions.Request) (bool, error) {
			if fail {
				fail = false
				return false, errDown
			}
			return false, nil
		})
		w.log(control.BansRemoved, "web", "", "EXILE_COUNT", "2")
		w.after(9 * time.Second)
		if got := list(); got != "192.0.2.1 192.0.2.2 " {
			t.Errorf("too early: %q", got)
		}
		w.after(time.Hour)
		if got := list(); got != "" {
			t.Errorf("lifted: %q", got)
		}
		if diff := cmp.Diff([]string{"0s web", "1m0s web", "1m10s web", "1m20s web"}, w.told()); diff != "" {
			t.Errorf("reloads: %s", diff)
		}
		w.stop()
	})
}

// TestCloudflare: the helper gets all that is wanted, and is asked again while there is more to do.
func TestCloudflare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]string{"cf": "cloudflare: {token: t, zone: 0123456789abcdef0123456789abcdef}"})
		w.banned(ban("web", "192.0.2.2/32"), ban("sshd", "2001:db8::/64"), ban("web", "198.51.0.0/20"))
		more := true
		w.answer(func(_ *actions.Action, r actions.Request) (bool, error) {
			if fmt.Sprint(r.Wanted) != "[192.0.2.2/32 2001:db8::/64]" {
				t.Errorf("wanted: %q", r.Wanted)
			}
			defer func() { more = false }()
			return more, nil
		})
		w.run()
		w.after(time.Minute)
		if diff := cmp.Diff([]string{"0s cf", "30s cf"}, w.told()); diff != "" {
			t.Error(diff)
		}
		w.stop()
	})
}

// TestQueue: a file that is no database is moved aside, and queues of actions that are gone are removed.
func TestQueue(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if q, err := OpenQueue(path); q != nil || err == nil {
		t.Fatalf("opened %v, %v", q, err)
	}
	if err := os.Remove(path); err != nil { // which is not moved aside: that it cannot be opened is no fault of its contents
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 10000)), 0o600); err != nil {
		t.Fatal(err)
	}
	q, err := OpenQueue(path)
	if q == nil || err == nil {
		t.Fatalf("opened %v, %v", q, err)
	}
	defer q.Close()
	if _, err := os.Stat(path + ".broken"); err != nil {
		t.Error(err)
	}
	event := actions.Event{ID: "x"}
	if _, err := q.Add(q.Position(), map[string][]actions.Event{"gone": {event, event}, "kept": {event}}); err != nil {
		t.Fatal(err)
	}
	dropped, err := q.Keep([]string{"kept"})
	kept, err2 := q.Waiting("kept")
	gone, err3 := q.Waiting("gone")
	if err := errors.Join(err, err2, err3); err != nil || dropped != 2 || kept != 1 || gone != 0 {
		t.Errorf("dropped %d, kept %d, gone %d: %v", dropped, kept, gone, err)
	}
}

// TestIdentity: an event that exiled tells of again has the same ID, and another has another.
func TestIdentity(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]string{"hook": "on: [ban, unban]\nprogram: /bin/hook"})
		var ids []string
		w.answer(func(_ *actions.Action, r actions.Request) (bool, error) {
			ids = append(ids, r.Events[0].ID)
			return false, nil
		})
		w.run()
		w.log(control.BanNew, "sshd", "192.0.2.1")
		w.log(control.BanNew, "sshd", "192.0.2.1")
		w.log(control.BanRemoved, "sshd", "192.0.2.1")
		w.log(control.BanNew, "web", "192.0.2.1")
		w.log(control.BansRemoved, "web", "")
		w.log(control.BansRemoved, "web", "")
		w.after(time.Second)
		seen := map[string]int{}
		for _, id := range ids {
			seen[id]++
		}
		if len(ids) != 6 || len(seen) != 5 || seen[ids[0]] != 2 {
			t.Errorf("%q", ids)
		}
		w.stop()
	})
}
