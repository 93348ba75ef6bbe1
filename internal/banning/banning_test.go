package banning_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/banning"
	"exile/internal/control"
	"exile/jail"
)

// notes is a book of one jail, and the steps that were done.
type notes struct {
	past  map[netip.Prefix]banning.Past
	bans  map[netip.Prefix]control.Ban
	steps []string
}

func (n *notes) Past(_ *banning.Jail, p netip.Prefix) banning.Past { return n.past[p] }

func (n *notes) Covering(_ *banning.Jail, p netip.Prefix) (bans []control.Ban) {
	for bits := p.Bits(); bits >= control.Widest(p); bits-- {
		wider, _ := p.Addr().Prefix(bits)
		if b, ok := n.bans[wider]; ok {
			bans = append(bans, b)
		}
	}
	return bans
}

func (n *notes) Do(s banning.Step) {
	length := "for ever"
	if !s.Ban.Until.IsZero() {
		length = s.Ban.Until.Sub(s.Ban.Since).String()
	}
	n.steps = append(n.steps, fmt.Sprintf("%v %v offence %d %s", s.Verb, s.Ban.Prefix, s.Ban.Offence, length))
	switch s.Verb {
	case banning.Remember:
		n.past[s.Ban.Prefix] = banning.Past{Offences: s.Ban.Offence, Last: s.Ban.Since, Cleared: s.Ban.Since}
	case banning.Put:
		n.bans[s.Ban.Prefix] = s.Ban
	case banning.Cover:
		delete(n.bans, s.Ban.Prefix)
	}
}

// newRules is a jail whose ban times double from an hour, and whose second ban in a /24 is one of the /24.
func newRules() (*banning.Rules, *banning.Jail, *notes) {
	j := &banning.Jail{
		Jail: new(jail.Jail), Name: "sshd", Remember: 24 * time.Hour,
		Length:     func(n int, _ netip.Prefix) time.Duration { return time.Hour << (n - 1) },
		Aggregator: jail.NewAggregator(jail.Aggregate{IPv4: 2}, nil, func(netip.Prefix) bool { return false }),
	}
	n := &notes{past: make(map[netip.Prefix]banning.Past), bans: make(map[netip.Prefix]control.Ban)}
	return &banning.Rules{Jails: []*banning.Jail{j}, Book: n}, j, n
}

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func ban(prefix string, since time.Time) control.Ban {
	return control.Ban{Jail: "sshd", Prefix: netip.MustParsePrefix(prefix), Since: since, Origin: control.OriginJournal}
}

// TestOffend: what the rules make of offences, step by step.
func TestOffend(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(*banning.Rules, *banning.Jail)
		want []string
	}{
		{"ban times grow, and the cap of a ladder holds", func(r *banning.Rules, j *banning.Jail) {
			r.Offend(j, ban("192.0.2.1/32", noon), nil, noon)
			r.Offend(j, ban("192.0.2.1/32", noon.Add(3*time.Hour)), nil, noon.Add(3*time.Hour))
			r.Offend(j, ban("192.0.2.1/32", noon.Add(9*time.Hour)), []time.Duration{time.Minute}, noon.Add(9*time.Hour))
		}, []string{
			"0 192.0.2.1/32 offence 1 1h0m0s", "1 192.0.2.1/32 offence 1 1h0m0s", "0 192.0.2.1/32 offence 2 2h0m0s", "1 192.0.2.1/32 offence 2 2h0m0s",
			"0 192.0.2.1/32 offence 3 1m0s", "1 192.0.2.1/32 offence 3 1m0s",
		}},
		{"an offence is forgotten", func(r *banning.Rules, j *banning.Jail) {
			r.Offend(j, ban("192.0.2.1/32", noon), nil, noon)
			r.Offend(j, ban("192.0.2.1/32", noon.Add(25*time.Hour)), nil, noon.Add(25*time.Hour))
		}, []string{
			"0 192.0.2.1/32 offence 1 1h0m0s", "1 192.0.2.1/32 offence 1 1h0m0s", "0 192.0.2.1/32 offence 1 1h0m0s", "1 192.0.2.1/32 offence 1 1h0m0s",
		}},
		{"a ban that would be over is only remembered", func(r *banning.Rules, j *banning.Jail) {
			r.Offend(j, ban("192.0.2.1/32", noon), nil, noon.Add(2*time.Hour))
		}, []string{"0 192.0.2.1/32 offence 1 1h0m0s"}},
		{"a ban that begins in the future begins now and is no longer", func(r *banning.Rules, j *banning.Jail) {
			r.Offend(j, ban("192.0.2.1/32", noon.Add(5*time.Hour)), nil, noon)
		}, []string{"0 192.0.2.1/32 offence 1 1h0m0s", "1 192.0.2.1/32 offence 1 1h0m0s"}},
		{"a network in place of its addresses, until the last ends", func(r *banning.Rules, j *banning.Jail) {
			r.Offend(j, ban("192.0.2.1/32", noon), nil, noon)
			r.Offend(j, ban("192.0.2.2/32", noon.Add(time.Minute)), nil, noon.Add(time.Minute))
		}, []string{
			"0 192.0.2.1/32 offence 1 1h0m0s", "1 192.0.2.1/32 offence 1 1h0m0s", "0 192.0.2.2/32 offence 1 1h0m0s", "1 192.0.2.2/32 offence 1 1h0m0s",
			"1 192.0.2.0/24 offence 1 1h0m0s", "2 192.0.2.1/32 offence 1 1h0m0s", "2 192.0.2.2/32 offence 1 1h0m0s",
		}},
		{"an extended ban keeps the later end", func(r *banning.Rules, j *banning.Jail) {
			for _, length := range []time.Duration{0, time.Hour} { // permanent, then not
				b := ban("192.0.2.1/32", noon)
				if b.Offence = 1; length > 0 {
					b.Until = noon.Add(length)
				}
				r.Add(j, b, noon)
			}
		}, []string{"1 192.0.2.1/32 offence 1 for ever", "1 192.0.2.1/32 offence 1 for ever"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, j, n := newRules()
			c.do(r, j)
			if diff := cmp.Diff(c.want, n.steps); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

// TestServed: attempts have their answer once.
func TestServed(t *testing.T) {
	t.Parallel()
	r, j, n := newRules()
	one := netip.MustParsePrefix("192.0.2.1/32")
	n.past[one] = banning.Past{Cleared: noon, Pardoned: noon.Add(time.Minute)}
	n.bans[netip.MustParsePrefix("198.51.100.0/24")] = ban("198.51.100.0/24", noon)
	for _, c := range []struct {
		name   string
		ban    control.Ban
		reason string
		now    time.Time
		want   bool
	}{
		{"read again", ban("192.0.2.1/32", noon), "", noon.Add(time.Hour), true},
		{"pardoned with all others", ban("192.0.2.1/32", noon.Add(time.Minute)), "", noon.Add(time.Hour), true},
		{"new", ban("192.0.2.1/32", noon.Add(2*time.Minute)), "", noon.Add(time.Hour), false},
		{"the clock was set back", ban("192.0.2.1/32", noon.Add(-time.Hour)), "", noon.Add(-time.Hour), false},
		{"banned with its network", ban("198.51.100.7/32", noon), "", noon, true},
		{"spared in its network until now", ban("198.51.100.7/32", noon), "session: 9 failed logins", noon, false},
	} {
		if c.ban.Reason = c.reason; r.Served(j, &c.ban, c.now) != c.want {
			t.Errorf("%s: served is %t", c.name, !c.want)
		}
	}
}
