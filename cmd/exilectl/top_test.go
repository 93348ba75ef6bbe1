package main

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"exile/internal/control"
)

func newScreen(t *testing.T) *screen {
	t.Helper()
	return &screen{ctx: t.Context(), daemon: fakeDaemon(), options: &options{json: jsonOff}, every: time.Hour, width: 100, height: 24}
}

// The screen shows counted addresses, worst first, the rates between two looks, and the latest events.
func TestTopShows(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	first := s.look().(sample)
	second := first
	second.at = first.at.Add(2 * time.Second)
	second.status.Entries += 50
	second.status.Bans += 3
	s.Update(first)
	s.Update(second)
	s.Update(control.Event{Kind: control.BanNew, Time: hour(1), Ban: control.Ban{
		Jail: "ss\x1b[2Jhd", Prefix: netip.MustParsePrefix("203.0.113.5/32"), Failures: 6,
	}})
	got := s.View().Content
	for _, want := range []string{
		"25.0 entries/s, 0.0 failures/s, 1.5 bans/s", "3 banned, 2 failing", "203.0.113.5 by ss\\x1b[2Jhd, 6 failures",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q on the screen:\n%s", want, got)
		}
	}
	if strings.Index(got, "198.51.100.1") > strings.Index(got, "2001:db8:1::/64") {
		t.Errorf("the worst is not first:\n%s", got)
	}
}

func TestTopEnds(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	if _, cmd := s.Update(tea.KeyPressMsg(tea.Key{Code: 'q', Text: "q"})); cmd == nil {
		t.Error("q does not end it")
	}
	lost := errors.New("lost")
	if _, cmd := s.Update(sample{err: lost}); cmd == nil || !errors.Is(s.err, lost) {
		t.Errorf("a lost daemon does not end it with its error: %v", s.err)
	}
	s = newScreen(t)
	if _, cmd := s.Update(unheard{lost}); cmd == nil || !errors.Is(s.err, lost) {
		t.Errorf("the end of the events does not end it with its error: %v", s.err)
	}
}

// A restarting daemon is silent for a while: the screen says so and goes on.
func TestTopGoesOn(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	first := s.look().(sample)
	s.Update(first)
	if _, cmd := s.Update(sample{at: first.at.Add(time.Second), err: errors.New("no \x1b[2Jreply")}); cmd == nil || s.err != nil {
		t.Errorf("it does not look again: %v", s.err)
	}
	if got := s.View().Content; !strings.Contains(got, `Failed to get status: no \x1b[2Jreply`) || !strings.Contains(got, "198.51.100.1") {
		t.Errorf("it does not show what is wrong, and what was:\n%s", got)
	}
	s.Update(first)
	if got := s.View().Content; !strings.Contains(got, "entries/s") {
		t.Errorf("it does not recover:\n%s", got)
	}
}

// However long it runs, it remembers little.
func TestTopForgets(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	for range 10 * maxRecent {
		s.Update(control.Event{Kind: control.BanRemoved})
	}
	if len(s.recent) != maxRecent {
		t.Errorf("%d events are remembered, want %d", len(s.recent), maxRecent)
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"2": 2 * time.Second, "0.5": 500 * time.Millisecond, "500ms": 500 * time.Millisecond, "1m": time.Minute, "0": 0} {
		var p interval
		if err := p.Set(text); err != nil || time.Duration(p) != want {
			t.Errorf("%s is %s, %v; want %s", text, p.String(), err, want)
		}
	}
	for _, text := range []string{"", "-1", "-1s", "soon", "NaN", "inf", "1e300"} {
		var p interval
		if err := p.Set(text); err == nil {
			t.Errorf("%q is %s", text, p.String())
		}
	}
}
