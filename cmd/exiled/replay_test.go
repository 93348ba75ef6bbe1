package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exile/internal/replay"
)

// TestProgress: the line says how far the time of the log has been read, and nothing of it where that is unknown.
func TestProgress(t *testing.T) {
	t.Parallel()
	begun := time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC)
	first := begun.Add(-100 * time.Hour)
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{first.Add(25 * time.Hour), "1000 entries, 500/s, 25 %, 6s left"},
		{first.Add(100 * time.Hour), "1000 entries, 500/s, 100 %, 0ms left"},
		{first.Add(200 * time.Hour), "1000 entries, 500/s"}, // the clock of the log was ahead
		{first, "1000 entries, 500/s"},
	} {
		p := newProgress(replay.Request{}, begun)
		p.first, p.entries = first, 1000
		if got := p.line(c.at, 2*time.Second); got != c.want {
			t.Errorf("at %v: %q, want %q", c.at, got, c.want)
		}
	}
	p := newProgress(replay.Request{Until: begun.Add(-50 * time.Hour)}, begun)
	p.first, p.entries = first, 1000
	if got, want := p.line(first.Add(25*time.Hour), 2*time.Second), "1000 entries, 500/s, 50 %, 2s left"; got != want {
		t.Errorf("with an end: %q, want %q", got, want)
	}
}

// TestInterruptedEarly: a configuration that cannot be read is said, also if an interrupt came before.
func TestInterruptedEarly(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	request := filepath.Join(t.TempDir(), "request")
	if err := os.WriteFile(request, []byte(`{"config": "testdata/nowhere.yaml"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := rehearse(ctx, request, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "nowhere.yaml") {
		t.Errorf("the report is %s", &out)
	}
}
