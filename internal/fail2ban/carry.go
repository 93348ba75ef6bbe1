package fail2ban

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"exile/internal/config"
	"exile/internal/control"
	"exile/internal/human"
	"exile/jail"
)

// This file says what becomes of bans.

// importedFrom is the reason of a ban that was carried over.
const importedFrom = "imported from fail2ban"

// fate is what became of the offenders of a jail.
type fate struct {
	jail           string // of fail2ban's
	holds, history int
	spared, wide   []netip.Prefix
	lost           int // addresses whose jail was not moved
}

// Carry returns the bans of a history as those of the jails here: each offender with his last ban, which may be over, and as its number how
// many he had. The report says how many were taken of each jail, and what was not; holding is how many still hold.
func (r *Result) Carry(h *History, from string, now time.Time) (bans []control.Ban, holding int) {
	fates := make(map[string]*fate)
	for _, o := range h.Offenders {
		f := fates[o.Jail]
		if f == nil {
			f = &fate{jail: o.Jail}
			fates[o.Jail] = f
		}
		b, holds := r.ban(o, now)
		switch {
		case b.Jail == "":
			f.lost++
			continue
		case r.spares(b.Jail, o.Prefix):
			f.spared = append(f.spared, o.Prefix)
			continue
		case o.Prefix.Bits() < control.Widest(o.Prefix):
			f.wide = append(f.wide, o.Prefix)
			continue
		case holds:
			f.holds++
			holding++
		}
		f.history++
		bans = append(bans, b)
	}
	for _, name := range slices.Sorted(maps.Keys(fates)) {
		r.tell(fates[name], from)
	}
	for _, name := range slices.Sorted(maps.Keys(h.NOthers)) {
		r.told(NotMoved, from, name, fmt.Sprintf("what was banned is no address, or has no time: %s, in all %d",
			strings.Join(h.Others[name], ", "), h.NOthers[name]), "")
	}
	return bans, holding
}

// On returns the names of the jails that are on here.
func (r *Result) On() []string { return slices.Sorted(maps.Values(r.names)) }

// ban is the last ban of an offender here. One that begins in the future began now: the clock was set back.
func (r *Result) ban(o Offender, now time.Time) (b control.Ban, holds bool) {
	b = control.Ban{
		Jail: r.names[o.Jail], Prefix: o.Prefix, Since: o.Since, Offence: o.Bans, Origin: control.OriginManual, Reason: importedFrom,
	}
	if b.Since.After(now) {
		b.Since = now
	}
	if o.Length >= 0 {
		b.Until = b.Since.Add(o.Length)
	}
	return b, b.Until.IsZero() || b.Until.After(now)
}

// spares reports whether a jail never bans an address, or a part of a network. The rule recidive bans nobody whom any jail spares.
func (r *Result) spares(name string, p netip.Prefix) bool {
	return slices.ContainsFunc(r.config.Jails, func(j config.Jail) bool {
		return (j.Name == name || name == recidive) && slices.ContainsFunc(j.IgnoreIP, func(g jail.Ignore) bool { return g.Prefix.Overlaps(p) })
	})
}

// tell adds to the report what became of a jail's offenders.
func (r *Result) tell(f *fate, from string) {
	if f.history > 0 {
		r.told(Moved, from, f.jail, fmt.Sprintf("%s, and the past of %s", human.Count(f.holds, "current bans"),
			human.Count(f.history, "addresses")), "")
	}
	if f.lost > 0 {
		r.told(NotMoved, from, f.jail, fmt.Sprintf("the bans of %s, because no jail here is it", human.Count(f.lost, "addresses")),
			"exilectl ban bans by hand")
	}
	if len(f.spared) > 0 {
		r.told(NotMoved, from, f.jail, fmt.Sprintf("the bans of %s, which ignoreip names: %s", human.Count(len(f.spared), "addresses"), examples(f.spared)), "")
	}
	if len(f.wide) > 0 {
		r.told(NotMoved, from, f.jail, fmt.Sprintf("the bans of %s, which are too wide: %s", human.Count(len(f.wide), "networks"), examples(f.wide)), "")
	}
}

func (r *Result) told(kind Kind, from, name, text, advice string) {
	n := Note{Kind: kind, At: Place{File: from}, Text: text, Advice: advice}
	if name != "" {
		n.Jails = []string{strings.Trim(quoted(name), `"`)}
	}
	r.Notes = append(r.Notes, n)
}

// Uncarried says in the report that bans stay behind, and why.
func (r *Result) Uncarried(at Place, why error, advice string) {
	r.Notes = append(r.Notes, Note{Kind: NotMoved, At: at, Text: "current bans and the history of offences: " + why.Error(), Advice: advice})
}

func examples(all []netip.Prefix) string {
	var words []string
	for _, p := range all[:min(len(all), maxExamples)] {
		words = append(words, control.FormatPrefix(p))
	}
	if len(all) > maxExamples {
		words = append(words, "...")
	}
	return strings.Join(words, ", ")
}
