package jail

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/dchest/siphash"
)

// clip shortens a name to what is kept of it.
func clip(name string) string { return name[:min(len(name), maxName)] }

const maxName = 64

// names are the user names that failed, and where from. They are hashed, all of what was sent: a name that one address
// tried may be somebody's password, and is kept nowhere. Only what is evidence is kept as text, clipped, to show it.
type names struct {
	*recent[nameID, tried]
	key nameKey
}

// nameID is the hash of a name. Its key is random, and kept with what was learned, so that nobody can make up names that
// pass for each other.
type nameID uint64

type nameKey [2]uint64

func newNameKey() (k nameKey) {
	for i := range k {
		k[i] = maphash.Bytes(maphash.MakeSeed(), nil)
	}
	return k
}

// tried is what is known of a name that failed.
type tried struct {
	crowd
	strange uint32 // the epoch of the accounts at which it was like none of them; see AdaptiveDetector.near
	text    string // once it was evidence
}

func newNames(n int) names { return names{newRecent[nameID, tried](n), newNameKey()} }

func (n *names) id(name string) nameID {
	var b [maxUser]byte // a conversion would allocate
	return nameID(siphash.Hash(n.key[0], n.key[1], append(b[:0], name...)))
}

// user is the number of a user who logged in; 0: the log does not name one.
func (n *names) user(name string) uint32 {
	if name == "" {
		return 0
	}
	return uint32(n.id(clip(name)))
}

// AttackName is a name that only attackers use, as far as the host knows.
type AttackName struct {
	Name  string // as sent, clipped to 64 bytes: quote it
	Hosts int    // networks (/16, /48) that failed on it, 8 standing for more
	Last  time.Time
}

func (n names) list(at stamp, span time.Duration, atLeast int) []AttackName {
	var list []AttackName
	for node := range n.all {
		if hosts := node.value.count(at, span); hosts >= max(atLeast, 1) && node.value.text != "" {
			list = append(list, AttackName{node.value.text, hosts, stamp(node.touched).time()})
		}
	}
	slices.SortFunc(list, func(a, b AttackName) int {
		return cmp.Or(cmp.Compare(b.Hosts, a.Hosts), b.Last.Compare(a.Last), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// exists reports whether the attempt is for a name that the host has: the service calls those unknown, too, that it lets nobody
// log in to.
func (d *AdaptiveDetector) exists(a *Attempt) bool {
	return a.User != "" && (!a.Unknown || d.accounts.has(a.User))
}

// foreign reports whether the attempt is for a name that the host does not have, or that cannot log in by password, and that
// never did of late.
func (d *AdaptiveDetector) foreign(a *Attempt, at stamp) bool {
	locked := d.accounts.locked(a.User)
	owned := (!a.Unknown || locked) && d.known.owner(a.User, at, d.cfg.OwnerTime)
	return a.User != "" && (a.Unknown || locked) && !owned
}

// learn enters the address under a foreign name and returns how many networks failed on it if that makes it an attack
// name: enough, and it is no slip of the finger away from a name that exists. Else it returns 0.
func (d *AdaptiveDetector) learn(a *Attempt, host netID, at stamp) int {
	t := d.names.touch(d.names.id(a.User), int64(at))
	t.see(host, at)
	n := t.count(at, d.cfg.NameTime)
	switch {
	case n < d.cfg.NameHosts || d.cfg.NameHosts == 0:
		return 0
	case !d.accounts.locked(a.User) && !d.strange(t, a.User):
		return 0
	case t.text == "":
		t.text = strings.Clone(clip(a.User))
	}
	return n
}

// strange reports whether a name is no slip of the finger away from one that exists. That takes long: it remembers the
// answer for as long as no name is added to those.
func (d *AdaptiveDetector) strange(t *tried, name string) bool {
	if t.strange == d.epoch {
		return true
	}
	if d.near(name) {
		return false
	}
	t.strange = d.epoch
	return true
}

// near reports whether a name is a slip of the finger away from one that exists or that logged in.
func (d *AdaptiveDetector) near(name string) bool {
	name = clip(name)
	return d.accounts.near(name) || d.known.alike(name)
}

// Names returns the names that are evidence now, with the number of networks that failed on each, most first. It
// compares each with every account: not for every attempt.
func (d *AdaptiveDetector) Names(at time.Time) []AttackName {
	list := d.names.list(stampOf(at), d.cfg.NameTime, d.cfg.NameHosts)
	return slices.DeleteFunc(list, func(n AttackName) bool { return !d.accounts.locked(n.Name) && d.near(n.Name) })
}

// ForgetName drops what was learned about a name, also one that Names clipped, and reports whether anything was.
func (d *AdaptiveDetector) ForgetName(name string) bool {
	id, before := d.names.id(name), d.names.len()+d.sieges.len()
	d.sieges.delete(id)
	for node := range d.names.all {
		if node.key == id || node.value.text != "" && node.value.text == name {
			d.names.delete(node.key)
		}
	}
	return d.names.len()+d.sieges.len() < before
}
