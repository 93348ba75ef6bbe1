package fail2ban

import (
	"maps"
	"slices"
	"strings"
)

// unknown reports the keys of the jail that neither fail2ban nor this package knows.
func (j *job) unknown() {
	own := j.setup.sections[j.name]
	for key := range own {
		_, _, _ = j.get(key) // for what it refers to; errors were reported where the value is read
	}
	maps.Copy(j.mover.used, j.source.used)
	for _, key := range slices.Sorted(maps.Keys(own)) {
		switch v := own[key]; {
		case isKey(key), j.source.used[key]:
		case j.full():
			j.more++ // without the search for what was meant
		default:
			j.left(v.at, "fail2ban knows no key "+quoted(key), meant(key))
		}
	}
}

// leftDefaults reports such keys of [DEFAULT], which the administrator wrote.
func (m *mover) leftDefaults() {
	for _, key := range slices.Sorted(maps.Keys(m.from.defaults)) {
		switch v := m.from.defaults[key]; {
		case v.stock, isKey(key), m.used[key]:
		case m.full():
			m.more++
		default:
			m.note(Note{Kind: NotMoved, At: v.at, Text: "fail2ban knows no key " + quoted(key) + ", and no jail refers to it", Advice: meant(key)})
		}
	}
}

// sshd says that exile guards sshd although fail2ban does not.
func (m *mover) sshd() {
	if !slices.ContainsFunc(m.jails, func(e entry) bool { return e.name == sshd }) {
		m.note(Note{
			Kind: Changed, At: Place{File: m.from.shown(m.from.dir)},
			Text: "no jail of fail2ban guards sshd, and exile's jail sshd is on", Advice: "exilectl disable sshd turns it off",
		})
	}
}

// meant advises on a key that is misspelt.
func meant(key string) string {
	best, least := "", 3
	for _, known := range append(strings.Fields(keysMoved), strings.Fields(keysElsewhere)...) {
		if n := distance(key, known); n < least {
			best, least = known, n
		}
	}
	switch {
	case key == "bantime.max":
		best = "bantime.maxtime"
	case key == "ban.increment":
		best = "bantime.increment"
	case strings.ContainsRune(key, '['):
		return "it looks like one more action: such a line begins with blanks"
	case best == "":
		return ""
	}
	return "did you mean " + best + "?"
}

// distance is how many letters must be put in, taken out or replaced to make one word of the other.
func distance(a, b string) int {
	if len(a) > 40 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for k := range row {
		row[k] = k
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for k := range len(b) {
			cost := 1
			if a[i] == b[k] {
				cost = 0
			}
			diagonal, row[k+1] = row[k+1], min(row[k+1]+1, row[k]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
