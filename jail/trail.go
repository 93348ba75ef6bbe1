package jail

import "slices"

// trail remembers the entries in which addresses failed, so that a decision can name them. It is for detectors that keep
// sums and not entries. Its memory is bounded: those who failed longest ago are forgotten first.
type trail struct {
	hosts   *recent[key, []step]
	origins origins
}

// step is one attempt of an address.
type step struct {
	mark    mark
	guesses uint16
}

// maxTrails is the number of addresses whose entries are remembered, at most 24 bytes for each of maxEvidence entries.
const maxTrails = 16384

func newTrail() *trail { return &trail{hosts: newRecent[key, []step](maxTrails)} }

// note remembers the entry of a failed attempt.
func (t *trail) note(k key, a *Attempt) {
	at := a.Time.UnixMicro()
	steps := t.hosts.touch(k, at)
	if len(*steps) == maxEvidence {
		*steps = slices.Delete(*steps, 0, 1)
	}
	*steps = append(*steps, step{mark{at, t.origins.pack(a.Position, a.Rule)}, uint16(clampCount(a.Guesses))})
}

// forgive forgets the last n failures of k.
func (t *trail) forgive(k key, n int) {
	steps := t.hosts.get(k)
	for n > 0 && steps != nil && len(*steps) > 0 {
		last := &(*steps)[len(*steps)-1]
		taken := min(n, int(last.guesses))
		n -= taken
		if last.guesses -= uint16(taken); last.guesses == 0 {
			*steps = (*steps)[:len(*steps)-1]
		}
	}
}

// evidence appends to traces the last entries of k that hold so many failures, oldest first.
func (t *trail) evidence(traces []Trace, k key, failures int) []Trace {
	steps := t.hosts.get(k)
	if steps == nil {
		return traces
	}
	first := len(*steps)
	for first > 0 && failures > 0 {
		first--
		failures -= int((*steps)[first].guesses)
	}
	for _, s := range (*steps)[first:] {
		traces = append(traces, t.origins.unpack(s.mark))
	}
	return traces
}
