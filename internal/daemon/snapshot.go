package daemon

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/btree"

	"exile/internal/control"
)

// snapshot holds the bans of one moment, in order of jail and prefix, for reading while the table changes.
type snapshot []view

// view holds the bans of a jail of one moment.
type view struct {
	of   *part
	bans *btree.BTreeG[*entry]
}

// snapshot returns the bans of a jail, or of all jails (""). It costs the loop next to nothing: nodes of the tree are copied when they change.
func (t *table) snapshot(jail string) (s snapshot) {
	for _, name := range t.jails() {
		if jail == "" || jail == name {
			s = append(s, view{t.parts[name], t.parts[name].bans.Clone()})
		}
	}
	return s
}

func (s snapshot) len() (n int) {
	for _, v := range s {
		n += v.bans.Len()
	}
	return n
}

// from calls f for the bans from that place on, until f returns false.
func (s snapshot) from(at *entry, f func(*entry) bool) {
	for _, v := range s {
		if v.of.jail < at.jail {
			continue
		}
		if v.of.jail > at.jail {
			at = keyOf(v.of.jail, netip.Prefix{})
		}
		goOn := true
		v.bans.AscendGreaterOrEqual(at, func(e *entry) bool {
			goOn = f(e)
			return goOn
		})
		if !goOn {
			return
		}
	}
}

// without drops the jails whose bans were flushed meanwhile.
func (s snapshot) without(t *table) snapshot {
	return slices.DeleteFunc(s, func(v view) bool { return t.parts[v.of.jail] != v.of })
}

// page returns the bans that p asks for and the key of the next page, empty if there is none.
func (s snapshot) page(p control.Page) ([]control.Ban, string) {
	next, limit := "", p.Size()
	bans := make([]control.Ban, 0, min(limit, s.len()))
	jail, prefix := parsePageKey(p.After)
	after := keyOf(cmp.Or(jail, p.Jail), prefix)
	s.from(after, func(e *entry) bool {
		if jail != "" && e.place == after.place {
			return true
		}
		if len(bans) == limit {
			next = pageKey(bans[limit-1])
			return false
		}
		bans = append(bans, e.ban())
		return true
	})
	return bans, next
}

func pageKey(b control.Ban) string { return b.Jail + " " + b.Prefix.String() }

// parsePageKey reads what pageKey wrote. Anything else starts the list anew, which harms only the caller.
func parsePageKey(s string) (jail string, p netip.Prefix) {
	jail, text, _ := strings.Cut(s, " ")
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return "", netip.Prefix{}
	}
	return jail, p
}
