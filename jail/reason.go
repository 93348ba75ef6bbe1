package jail

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"exile/internal/human"
	"exile/jail/internal/text"
)

// Reason is why a prefix is banned, in values: the text is made for those who ask, see String.
type Reason struct {
	Kind    ReasonKind
	Count   int           // guesses, or bans
	Span    time.Duration // within which they were made
	Own     fmt.Stringer  // of a detector with reasons of its own; nil: the kind says it all
	Weighed bool          // more or fewer guesses than usual were enough, by where the address is
	Around  string        // why only the address is banned and not the prefix around it; empty: it is not so
}

// ReasonKind is the evidence that decided.
type ReasonKind uint8

// The kinds of reasons. The zero kind says nothing.
const (
	ByFailures ReasonKind = 1 + iota // so many guesses within a time
	ByBans                           // so many bans within a time
	BySession                        // so many guesses, beside a session, for names that have none
)

// String is one line for people. Names in it are clipped and quoted.
func (r Reason) String() string {
	text := r.text()
	if r.Around != "" {
		text += "; only the address, because around it is: " + r.Around
	}
	return text
}

func (r *Reason) text() string {
	if r.Own != nil {
		return r.Own.String()
	}
	span := text.Span(r.Span)
	switch r.Kind {
	case ByFailures:
		words := "failed logins: " + strconv.Itoa(r.Count) + " within " + span
		if r.Weighed {
			words += byPlace
		}
		return words
	case ByBans:
		return "recidive: " + human.Count(r.Count, "bans") + " within " + span
	case BySession:
		return amidSessions + human.Count(r.Count, "failed logins") + " for names that have no session from there, within " + span
	default:
		return ""
	}
}

// byPlace says that the country or network of an address decided how many failures are enough.
const byPlace = ", weighed by country or network"

// amidSessions begins the texts of reasons of the kind BySession.
const amidSessions = "session: "

// AmidSessions reports whether a reason, as text, is that somebody guessed beside a session.
func AmidSessions(reason string) bool { return strings.HasPrefix(reason, amidSessions) }

// account is the name that an attempt was for, if the host has it. Other names may be anything, even passwords.
func account(a *Attempt) string {
	if a.Unknown {
		return ""
	}
	return a.User
}
