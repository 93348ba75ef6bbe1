package adaptive

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/dchest/siphash"

	"exile/jail"
	"exile/jail/internal/bounded"
	"exile/jail/internal/netkey"
	"exile/jail/internal/text"
)

// names are the user names that failed, and from where. They are kept as hashes of all that was sent: a name that one
// address tried may be somebody's password. Only what is evidence is kept as text, clipped, to be shown.
type names struct {
	*bounded.Store[nameID, tried]
	secret netkey.Secret
}

// nameID is the hash of a name. Its key is random, and kept with what was learned: nobody can make up names that are taken
// for each other.
type nameID uint64

// tried is what is known of a name that failed.
type tried struct {
	sources
	strange uint32 // the epoch of the accounts in which it was like none of them; see Detector.strange
	text    string // once it was evidence
}

func newNames(n int) names {
	return names{bounded.New[nameID, tried](n, bounded.HashNumber[nameID]()), netkey.NewSecret()}
}

func (n *names) id(name string) nameID {
	var b [256]byte // a conversion would allocate
	return nameID(siphash.Hash(n.secret[0], n.secret[1], append(b[:0], name...)))
}

// user is the number of a user who logged in; 0: the log names none.
func (n *names) user(name string) uint32 {
	if name == "" {
		return 0
	}
	return uint32(n.id(text.Clip(name)))
}

// AttackName is a name that only attackers use, as far as the host knows.
type AttackName struct {
	Name  string // as sent, clipped to 64 bytes: quote it
	Hosts int    // networks (/16, /48) that failed on it; 8 stands for 8 or more
	Last  time.Time
}

func (n names) list(at stamp, span time.Duration, atLeast int) []AttackName {
	var list []AttackName
	for e := range n.All {
		if hosts := e.Value.count(at, span); hosts >= max(atLeast, 1) && e.Value.text != "" {
			list = append(list, AttackName{e.Value.text, hosts, stamp(e.Touched).time()})
		}
	}
	slices.SortFunc(list, func(a, b AttackName) int {
		return cmp.Or(cmp.Compare(b.Hosts, a.Hosts), b.Last.Compare(a.Last), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// repute is what the host knows of the name of an attempt.
type repute struct {
	exists  bool // the service also calls those unknown that it lets nobody log in to
	locked  bool // it cannot log in by password
	used    bool // somebody logs in to it
	foreign bool // the host does not have it, or it is locked, and it did not log in by password lately
}

// repute looks up the name of an attempt.
func (d *Detector) repute(a *jail.Attempt, at stamp) repute {
	if a.User == "" {
		return repute{}
	}
	locked, has := d.accounts.shut[text.Clip(a.User)]
	used, owned := false, false
	if !a.Unknown || locked {
		used, owned = d.known.user(a.User, at, d.cfg.OwnerTime)
	}
	return repute{has || !a.Unknown, locked, used && !a.Unknown, (locked || a.Unknown) && !owned}
}

// learn notes that an address failed on a foreign name, and returns how many networks did, if that makes it an attack
// name: they are enough, and it is no typing error of a name that exists. Otherwise it returns 0.
func (d *Detector) learn(a *jail.Attempt, locked bool, host netkey.ID, at stamp) int {
	t := d.names.Touch(d.names.id(a.User), int64(at))
	t.see(host, at)
	n := t.count(at, d.cfg.NameTime)
	switch {
	case n < d.cfg.NameHosts || d.cfg.NameHosts == 0:
		return 0
	case !locked && !d.strange(t, a.User):
		return 0
	case t.text == "":
		t.text = strings.Clone(text.Clip(a.User))
	}
	return n
}

// strange reports whether a name is no typing error of one that exists. That takes long, so it remembers the answer until
// another name exists.
func (d *Detector) strange(t *tried, name string) bool {
	if t.strange == d.epoch {
		return true
	}
	if d.near(name) {
		return false
	}
	t.strange = d.epoch
	return true
}

// near reports whether a name is a typing error away from one that exists or that logged in.
func (d *Detector) near(name string) bool {
	name = text.Clip(name)
	return d.accounts.near(name) || d.known.alike(name)
}

// Names returns the names that are evidence now, with the number of networks that failed on each, most first. It compares
// each with every account: do not call it for every attempt.
func (d *Detector) Names(at time.Time) []AttackName {
	list := d.names.list(stampOf(at), d.cfg.NameTime, d.cfg.NameHosts)
	return slices.DeleteFunc(list, func(n AttackName) bool { return !d.accounts.locked(n.Name) && d.near(n.Name) })
}

// ForgetName drops what was learned about a name, also one that Names clipped, and reports whether there was anything.
func (d *Detector) ForgetName(name string) bool {
	id, before := d.names.id(name), d.names.Len()+d.sieges.Len()
	d.sieges.Delete(id)
	for e := range d.names.All {
		if e.Key == id || e.Value.text != "" && e.Value.text == name {
			d.names.Delete(e.Key)
		}
	}
	return d.names.Len()+d.sieges.Len() < before
}
