package jail

import (
	"strconv"
	"strings"
	"time"
)

// Reason is why a prefix is banned, in values: only who asks pays for the text, see String.
type Reason struct {
	Kind    ReasonKind
	Name    string        // ByName: as the remote sent it
	Count   int           // ByFailures: guesses; ByName: networks that failed on it; ByPrefix: banned in it; ByBans: bans
	Points  points        // ByPoints, ByName and ByNetwork: within Span
	Limit   points        // of them that make a ban
	Span    time.Duration // the window that decided
	Known   bool          // the points were weighed as those of a known neighbour
	Siege   int           // networks that failed on the name, where that made the points more; else 0
	Beside  bool          // fewer points were enough, since somebody in its network was banned
	Offence int           // 1 for the first time
	Step    int           // of the ladder, 1 for the first
	Around  string        // why only the address is banned and not the prefix around it; empty: it is not so
}

// ReasonKind is the evidence that decided.
type ReasonKind uint8

// The kinds of reasons. The zero kind says nothing.
const (
	ByFailures ReasonKind = 1 + iota // so many guesses within a time
	ByPoints                         // so many points within a time
	ByName                           // a name that only attackers use
	ByPrefix                         // so many banned addresses in a network
	ByBans                           // so many bans within a time
	ByNetwork                        // so many points of all addresses of a network within a time
	BySession                        // so many guesses, beside a session, for names that have none
)

// String is one line for people. Names in it are clipped and quoted.
func (r Reason) String() string {
	b := r.evidence(make([]byte, 0, 128))
	if r.Around != "" {
		b = append(append(b, "; only the address, because around it is: "...), r.Around...)
	}
	return string(b)
}

func (r *Reason) evidence(b []byte) []byte {
	switch r.Kind {
	case ByFailures:
		b = strconv.AppendInt(append(b, "failed logins: "...), int64(r.Count), 10)
		return append(append(b, " within "...), r.Span.String()...)
	case ByBans:
		b = strconv.AppendInt(append(b, "recidive: "...), int64(r.Count), 10)
		return append(append(b, " bans within "...), r.Span.String()...)
	case BySession:
		b = strconv.AppendInt(append(b, amidSessions...), int64(r.Count), 10)
		return append(append(b, " failed logins for names that have no session from there, within "...), r.Span.String()...)
	case ByPrefix:
		b = append(append(b, "prefix: "...), addresses(r.Count)...)
		return r.steps(append(append(b, " in it banned within "...), days(r.Span)...))
	case ByNetwork:
		return r.steps(append(r.points(append(b, "network: "...)), " by all its addresses"...))
	case ByName:
		b = strconv.AppendQuoteToASCII(append(b, "name: "...), clip(r.Name))
		b = append(append(append(b, ", on which "...), networks(r.Count)...), " failed, "...)
		return r.steps(r.points(b))
	case ByPoints:
		return r.steps(r.points(append(b, "count: "...)))
	default:
		return b
	}
}

// amidSessions begins the texts of reasons of the kind BySession.
const amidSessions = "session: "

// AmidSessions reports whether a reason, as text, is that somebody guessed beside a session.
func AmidSessions(reason string) bool { return strings.HasPrefix(reason, amidSessions) }

func (r *Reason) points(b []byte) []byte {
	b = r.Limit.append(append(r.Points.append(b), " of "...))
	b = append(append(b, " points in "...), days(r.Span)...)
	if r.Known {
		b = append(b, ", weighed as a known neighbour"...)
	}
	if r.Siege > 0 {
		b = append(append(append(b, ", weighed as a siege by "...), networks(r.Siege)...), " of an account that nobody uses"...)
	}
	if r.Beside {
		b = append(b, ", in a network where somebody was banned"...)
	}
	return b
}

func (r *Reason) steps(b []byte) []byte {
	b = strconv.AppendInt(append(b, ", offence "...), int64(r.Offence), 10)
	return strconv.AppendInt(append(b, ", step "...), int64(r.Step), 10)
}
