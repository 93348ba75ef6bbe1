package engine

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/actions"
	"exile/internal/control"
)

// disk is files that a test changes while they are watched.
type disk struct {
	version atomic.Value // a string; what is loaded
	loads   atomic.Int32
	all     map[string]Files
}

func (d *disk) watched() Watched {
	return Watched{
		Version: func() string { return d.version.Load().(string) },
		Load: func() (Files, error) {
			d.loads.Add(1)
			if f, ok := d.all[d.version.Load().(string)]; ok {
				return f, nil
			}
			return Files{}, errors.New("cannot be read")
		},
	}
}

// live runs engines for what is on the disk, until the test ends them.
func (w *world) live(d *disk) {
	queue, err := OpenQueue(filepath.Join(w.dir, "queue.db"))
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	w.end, w.ended = cancel, make(chan struct{})
	cfg := Config{Source: w, Queue: queue, Host: "host", Dir: w.dir, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Ask: w.record}
	watched := d.watched()
	first, err := watched.Load()
	if err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(w.ended)
		Live(ctx, cfg, first, watched)
		_ = queue.Close()
	}()
	synctest.Wait()
}

// action is one that a file of that name and text makes.
func action(t *testing.T, name, text string) *actions.Action {
	t.Helper()
	a, err := actions.Parse(name+".yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestLive: changed files are in force within seconds, no event is lost or told twice over that, whatever the files are meanwhile, and the status
// goes on.
func TestLive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		hook, more := action(t, "hook", "program: /bin/hook"), action(t, "more", "jails: [web]\nprogram: /bin/more")
		d := &disk{all: map[string]Files{
			"one": {Actions: []*actions.Action{hook}}, "broken": {Broken: []string{"hook"}, Problems: []string{"hook.yaml:1: mistake"}},
			"two": {Actions: []*actions.Action{hook, more}},
		}}
		d.version.Store("one")
		w.live(d)
		w.log(control.BanNew, "sshd", "192.0.2.1")
		w.after(time.Second)
		d.version.Store("unreadable") // such a change is none
		w.after(time.Minute)
		w.log(control.BanNew, "sshd", "192.0.2.2")
		w.after(time.Second)
		d.version.Store("broken")
		w.after(time.Minute)
		w.log(control.BanNew, "sshd", "192.0.2.3")
		w.after(time.Minute)
		d.version.Store("two")
		w.after(time.Minute)
		w.log(control.BanNew, "web", "192.0.2.4")
		w.after(time.Second)
		var told []string
		for _, c := range w.asked {
			told = append(told, c.action+c.about)
		}
		want := []string{"hook ban 192.0.2.1", "hook ban 192.0.2.2", "hook ban 192.0.2.3", "hook ban 192.0.2.4", "more ban 192.0.2.4"}
		if len(told) == len(want) && told[3] > told[4] { // both are told at once
			told[3], told[4] = told[4], told[3]
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if s := w.status("hook"); s.Done != 2 || s.Waiting != 0 { // of the broken one there was no status
			t.Errorf("%+v", s)
		}
		if n := d.loads.Load(); n != 4 {
			t.Errorf("the files were read %d times, want at each change only", n)
		}
		w.stop()
	})
}

// TestLiveKeepsCounting: the status of an action goes on over a change of another one, and a run that has begun is not done again.
func TestLiveKeepsCounting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		hook := action(t, "hook", "program: /bin/hook")
		d := &disk{all: map[string]Files{"one": {Actions: []*actions.Action{hook}}, "two": {Actions: []*actions.Action{hook, action(t, "more", "program: /bin/more")}}}}
		d.version.Store("one")
		w.answer(func(*actions.Action, actions.Request) (bool, error) { time.Sleep(8 * time.Second); return false, nil })
		w.live(d)
		w.log(control.BanNew, "sshd", "192.0.2.1")
		w.after(10 * time.Second)
		d.version.Store("two")
		w.after(3 * time.Second)
		w.log(control.BanNew, "sshd", "192.0.2.2") // the run for it begins before the change, and ends after it
		w.after(time.Minute)
		n := 0
		for _, c := range w.asked {
			if c.action == "hook" {
				n++
			}
		}
		if s := w.status("hook"); n != 2 || s.Done != 2 || s.Failures != 0 || s.Waiting != 0 {
			t.Errorf("%d runs, %+v", n, s)
		}
		w.stop()
	})
}

// TestLiveBeforeTheFirstEvent: an event during the change is told, even if it is the first one ever.
func TestLiveBeforeTheFirstEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		d := &disk{all: map[string]Files{"none": {}, "one": {Actions: []*actions.Action{action(t, "hook", "program: /bin/hook")}}, "broken": {Broken: []string{"hook"}}}}
		d.version.Store("broken")
		w.live(d)
		d.version.Store("one")
		w.log(control.BanNew, "sshd", "192.0.2.1")
		w.after(time.Minute)
		if len(w.asked) != 1 || w.asked[0].about != " ban 192.0.2.1" {
			t.Errorf("%+v", w.asked)
		}
		w.stop()
	})
}
