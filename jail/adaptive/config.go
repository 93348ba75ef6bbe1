package adaptive

import (
	"time"

	"exile/jail"
)

const day = 24 * time.Hour

// Config has the settings of the detector. docs/efficacy.md says what each is worth. Points have two decimals.
type Config struct {
	MaxRetry    float64         // points within FindTime that make a ban; at most 500
	FindTime    time.Duration   // the fast window
	SlowRetry   float64         // points within SlowTime that make a ban; at most 500; 0: no slow window
	SlowTime    time.Duration   // the slow window
	NameHosts   int             // networks (/16, /48) that fail on an unknown name and make it an attack name; at most 8; 0: never
	NameSure    int             // networks from which on an attack name bans for MaxBan at once; at most 8; 0: never
	NameTime    time.Duration   // within this
	KnownGood   float64         // weight of a point of an address that logged in, or of its neighbour; 1: full
	KnownTime   time.Duration   // within this
	OwnerTime   time.Duration   // how long a password login marks its name as a person's
	Remember    time.Duration   // how long an offence makes the next ban longer
	Ladder      []time.Duration // ban times by offence when points decide
	NameLadder  []time.Duration // ban times by offence for an attack name on which fewer than NameSure networks failed
	PrefixHosts int             // banned addresses of a /24 (IPv6: /64 of a /56 or /48) that ban all of it; at most 8; 0: never
	PrefixTime  time.Duration   // within this

	// PrefixRetry is a factor: that many times the points that ban an address ban a /24 or /48, whichever of its addresses
	// they are of, in either window. Half as many ban a /56. 0: never.
	PrefixRetry int

	// PrefixLadder has the ban times of a network by offence: short at first, because strangers share it.
	PrefixLadder []time.Duration

	SiegeHosts    int           // networks that fail on an account nobody uses: then a stranger's failure there is half of MaxRetry; at most 8; 0: never
	SiegeTime     time.Duration // within this
	StrangerRetry float64       // points within FindTime that ban a stranger whose network had a ban within PrefixTime; 0: MaxRetry

	MaxBan   time.Duration // no ban is longer
	MaxNames int           // names remembered; the least recently used is forgotten first
	MaxAddrs int           // addresses counted, and as many offenders remembered; likewise
	MaxKnown int           // networks and names with logins, and networks with offenders, remembered; likewise

	// Weigher weighs failures, and the bans of addresses, by where an address is; nil: all weigh the same.
	Weigher jail.Weigher

	// Strangers are addresses that count alone, apart from their neighbours; nil: those that standards set aside.
	Strangers *jail.Strangers
}

// Default returns the settings that were measured on hosts kept apart for it. Do not tune them on your own hosts.
func Default() Config {
	return Config{
		MaxRetry: 5, FindTime: day, SlowRetry: 10, SlowTime: 30 * day,
		NameHosts: 3, NameSure: 4, NameTime: 30 * day,
		KnownGood: 0.2, KnownTime: 30 * day, OwnerTime: 90 * day, Remember: 60 * day,
		Ladder:      []time.Duration{time.Hour, 4 * time.Hour, day, 4 * day, 16 * day, 30 * day},
		NameLadder:  []time.Duration{time.Hour, day, 7 * day, 30 * day},
		PrefixHosts: 3, PrefixTime: 30 * day, PrefixRetry: 8, PrefixLadder: []time.Duration{time.Hour, day, 7 * day, 30 * day}, MaxBan: 30 * day,
		SiegeHosts: 5, SiegeTime: 7 * day, StrangerRetry: 2,
		MaxNames: 4096, MaxAddrs: 16384, MaxKnown: 2048,
	}
}
