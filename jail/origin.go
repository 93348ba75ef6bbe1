package jail

import (
	"time"

	"exile/journal"
)

// maxEvidence is how many entries a verdict names.
const maxEvidence = 16

// mark is one attempt: 16 bytes.
type mark struct {
	at     int64  // µs since 1970
	origin uint64 // see origins
}

// origins packs the position of an entry and the rule that matched it into eight bytes. What all entries of a boot or of a
// log file share is kept once. The time is in the mark.
type origins struct {
	bases []journal.Position // a ring: the number of a base is its index
	next  int
	rules []string
}

const (
	maxBases   = 1 << 8
	maxRules   = 1 << 8
	serialBits = 48
)

func newOrigins() origins { return origins{} }

// pack returns the origin of an attempt.
func (o *origins) pack(p journal.Position, rule string) uint64 {
	base, serial := split(p)
	return uint64(o.base(base))<<56 | uint64(o.rule(rule))<<serialBits | serial&(1<<serialBits-1)
}

// unpack returns the trace of a mark. Its position is enough to find the entry: the parts of a cursor that it lacks say no
// more than the sequence number.
func (o *origins) unpack(m mark) Trace {
	t := Trace{Time: time.UnixMicro(m.at).UTC(), Rule: o.rules[m.origin>>serialBits&(maxRules-1)]}
	t.Position = o.bases[m.origin>>56]
	serial := m.origin & (1<<serialBits - 1)
	switch {
	case t.Position.Inode != 0:
		t.Position.Offset, t.Position.Realtime = int64(serial), uint64(m.at)
	case serial != 0:
		t.Position.Seqnum, t.Position.Realtime = serial, uint64(m.at)
	}
	return t
}

// split splits a position into what many entries share and what is the entry's own.
func split(p journal.Position) (base journal.Position, serial uint64) {
	if p.Inode != 0 {
		serial = uint64(p.Offset)
		p.Offset, p.Realtime = 0, 0
		return p, serial
	}
	return journal.Position{SeqnumID: p.SeqnumID, Boot: p.Boot}, p.Seqnum
}

func (o *origins) base(p journal.Position) int {
	for i := range o.bases {
		if o.bases[i] == p {
			return i
		}
	}
	if len(o.bases) < maxBases {
		o.bases = append(o.bases, p)
		return len(o.bases) - 1
	}
	i := o.next
	o.bases[i] = p
	o.next = (i + 1) % maxBases
	return i
}

func (o *origins) rule(r string) int {
	for i := range o.rules {
		if o.rules[i] == r {
			return i
		}
	}
	if len(o.rules) < maxRules {
		o.rules = append(o.rules, r)
	}
	return len(o.rules) - 1
}
