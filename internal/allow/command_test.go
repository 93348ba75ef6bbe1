package allow

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func command(t *testing.T, keep time.Duration, argv ...string) *Command {
	t.Helper()
	c, err := NewCommands().Command(argv, keep)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

var guesser = netip.MustParseAddr("192.0.2.1")

func TestCommand(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		argv    []string
		ignored bool
		failed  string
	}{
		"yes":            {[]string{"/bin/true"}, true, ""},
		"no":             {[]string{"/bin/false"}, false, ""},
		"address":        {[]string{"/usr/bin/test", "x<ip>", "=", "x192.0.2.1"}, true, ""},
		"no shell":       {[]string{"/usr/bin/test", "$(id);", "=", "$(id);"}, true, ""},
		"no program":     {[]string{"/nowhere/program"}, false, "no such file"},
		"killed itself":  {[]string{script(t, "kill -9 $$")}, false, "killed"},
		"no environment": {[]string{script(t, `test -z "$HOME$NOTIFY_SOCKET"`)}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := command(t, 0, c.argv...).Ignored(context.Background(), guesser)
			if got != c.ignored || (err != nil) != (c.failed != "") {
				t.Fatalf("ignored %v, error %v", got, err)
			}
			if err != nil && !strings.Contains(err.Error(), c.failed) {
				t.Errorf("error %v, want %q", err, c.failed)
			}
		})
	}
}

func TestCommandCache(t *testing.T) {
	t.Parallel()
	for keep, want := range map[time.Duration]string{0: "xx", time.Hour: "x"} {
		out := filepath.Join(t.TempDir(), "runs")
		c := command(t, keep, script(t, "printf x >>"+out))
		for range 2 {
			if ok, err := c.Ignored(context.Background(), guesser); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		if runs, err := os.ReadFile(out); err != nil || string(runs) != want {
			t.Errorf("kept for %v: runs %q, error %v", keep, runs, err)
		}
	}
}

// A command has five seconds, and then it and what it started are dead.
func TestCommandTimeout(t *testing.T) {
	t.Parallel()
	child := filepath.Join(t.TempDir(), "child")
	c := command(t, time.Hour, script(t, "sleep 1000 & echo $! >"+child+"; wait"))
	begun := time.Now()
	ignored, err := c.Ignored(context.Background(), guesser)
	if ignored || err == nil || !strings.Contains(err.Error(), "no answer after 5s") {
		t.Errorf("ignored %v, error %v", ignored, err)
	}
	if took := time.Since(begun); took < commandTimeout {
		t.Errorf("it had %s", took)
	}
	pid, err := os.ReadFile(child)
	if err != nil {
		t.Fatal(err)
	}
	stat := "/proc/" + strings.TrimSpace(string(pid)) + "/stat"
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if state, err := os.ReadFile(stat); err != nil || strings.Contains(string(state), ") Z ") {
			return // gone, or dead and waiting to be reaped
		}
	}
	t.Error("what it started lives on")
}

// A command that hangs is killed with its children when its caller gives up, and at most four run at once.
func TestCommandLimits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := command(t, 0, script(t, "echo $$ >"+dir+"/$$; sleep 1000 & wait"))
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	tired := errors.New("tired")
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if ok, err := c.Ignored(ctx, guesser); ok || !errors.Is(err, tired) {
				t.Errorf("ignored %v, error %v", ok, err)
			}
		})
	}
	running := func() int {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	for running() < maxCommands {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond) // a fifth would start at once
	if n := running(); n != maxCommands {
		t.Errorf("%d run at once", n)
	}
	cancel(tired)
	all.Wait()
}
