package jail

import (
	"slices"

	"exile/jail/internal/bounded"
	"exile/jail/internal/netkey"
)

// trail remembers the entries in which addresses failed, so that a decision can name them, for detectors that only keep
// sums. Its memory is bounded; it forgets the addresses first that failed longest ago.
type trail struct {
	hosts   *bounded.Marks[netkey.Key, step]
	origins origins
}

// step is one attempt of an address.
type step struct {
	mark    mark
	guesses uint16
}

const (
	maxTrails = 16384         // addresses, with at most maxEvidence entries each
	maxSteps  = 4 * maxTrails // entries of all of them
)

func newTrail() *trail {
	return &trail{hosts: bounded.NewMarks[netkey.Key, step](maxTrails, maxSteps, netkey.Hash())}
}

// note remembers the entry of a failed attempt.
func (t *trail) note(k netkey.Key, a *Attempt) {
	at := a.Time.UnixMicro()
	v := t.hosts.Touch(k, at)
	if v.Len() == maxEvidence {
		t.hosts.DropOldest(v)
	}
	t.hosts.Add(v, step{mark{at, t.origins.pack(a.Position, a.Rule)}, uint16(min(a.Guesses, MaxGuesses))})
}

// forgive forgets the last n failures of k.
func (t *trail) forgive(k netkey.Key, n int) {
	v := t.hosts.Get(k)
	for n > 0 && v != nil && v.Len() > 0 {
		last := t.hosts.Newest(v)
		taken := min(n, int(last.guesses))
		n -= taken
		if last.guesses -= uint16(taken); last.guesses == 0 {
			t.hosts.Pop(v)
		}
	}
}

// evidence appends to traces the last entries of k that make up so many failures, oldest first.
func (t *trail) evidence(traces []Trace, k netkey.Key, failures int) []Trace {
	v := t.hosts.Get(k)
	if v == nil {
		return traces
	}
	first := len(traces)
	for s := range t.hosts.NewestFirst(v) {
		if failures <= 0 {
			break
		}
		traces = append(traces, t.origins.unpack(s.mark))
		failures -= int(s.guesses)
	}
	slices.Reverse(traces[first:])
	return traces
}
