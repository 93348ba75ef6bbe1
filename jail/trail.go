package jail

import "slices"

// trail remembers the entries in which addresses failed, so that a decision can name them. It is for detectors that keep
// sums and not entries. Its memory is bounded: those who failed longest ago are forgotten first.
type trail struct {
	hosts   *lists[key, step]
	origins origins
}

// step is one attempt of an address.
type step struct {
	mark    mark
	guesses uint16
}

const (
	maxTrails = 16384         // addresses whose entries are remembered, at most maxEvidence of each
	maxSteps  = 4 * maxTrails // entries of all of them
)

func newTrail() *trail { return &trail{hosts: newLists[key, step](maxTrails, maxSteps)} }

// note remembers the entry of a failed attempt.
func (t *trail) note(k key, a *Attempt) {
	at := a.Time.UnixMicro()
	v := t.hosts.touch(k, at)
	if v.n == maxEvidence {
		_, last := t.hosts.lastLinks(v)
		t.hosts.cut(v, last)
	}
	t.hosts.add(v, step{mark{at, t.origins.pack(a.Position, a.Rule)}, uint16(min(a.Guesses, maxCount))})
}

// forgive forgets the last n failures of k.
func (t *trail) forgive(k key, n int) {
	v := t.hosts.get(k)
	for n > 0 && v != nil && v.n > 0 {
		last := &t.hosts.marks[v.newest].mark
		taken := min(n, int(last.guesses))
		n -= taken
		if last.guesses -= uint16(taken); last.guesses == 0 {
			t.hosts.pop(v)
		}
	}
}

// evidence appends to traces the last entries of k that hold so many failures, oldest first.
func (t *trail) evidence(traces []Trace, k key, failures int) []Trace {
	v := t.hosts.get(k)
	if v == nil {
		return traces
	}
	first := len(traces)
	for i := v.newest; i != 0 && failures > 0; i = t.hosts.marks[i].older {
		s := &t.hosts.marks[i].mark
		traces = append(traces, t.origins.unpack(s.mark))
		failures -= int(s.guesses)
	}
	slices.Reverse(traces[first:])
	return traces
}
