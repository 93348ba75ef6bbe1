package replay

import (
	"cmp"
	"slices"
	"time"
)

// Hour is what happened in an hour of the log.
type Hour struct {
	At        time.Time `json:"at"` // its beginning, in UTC
	Prevented uint64    `json:"prevented,omitempty"`
	Passed    uint64    `json:"passed,omitempty"`
	Bans      uint64    `json:"bans,omitempty"`
}

// maxHours is how many hours are counted, some seven years. A log may hold any times.
const maxHours = 1 << 16

// hours count what happened, by the hours since 1970.
type hours struct {
	of   map[int64]*Hour
	last *Hour // that was counted last: the next is mostly the same
	full bool  // there were more
}

func newHours() hours { return hours{of: make(map[int64]*Hour)} }

// at returns the hour of a time, or nil if there are too many.
func (h *hours) at(t time.Time) *Hour {
	k := t.Unix() / 3600
	if h.last != nil && h.last.At.Unix()/3600 == k {
		return h.last
	}
	one := h.of[k]
	if one == nil {
		if len(h.of) >= maxHours {
			h.full = true
			return nil
		}
		one = &Hour{At: time.Unix(k*3600, 0).UTC()}
		h.of[k] = one
	}
	h.last = one
	return one
}

// attempts counts some.
func (h *hours) attempts(t time.Time, n uint64, prevented bool) {
	one := h.at(t)
	switch {
	case one == nil:
	case prevented:
		one.Prevented += n
	default:
		one.Passed += n
	}
}

// ban counts one.
func (h *hours) ban(t time.Time) {
	if one := h.at(t); one != nil {
		one.Bans++
	}
}

// Hours returns the hours in which something happened, in the order of time.
func (r *Replay) Hours() []Hour {
	list := make([]Hour, 0, len(r.hours.of))
	for _, one := range r.hours.of {
		list = append(list, *one)
	}
	slices.SortFunc(list, func(a, b Hour) int { return cmp.Compare(a.At.Unix(), b.At.Unix()) })
	return list
}
