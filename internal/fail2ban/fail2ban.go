// Package fail2ban reads what fail2ban's configuration says, and says the same in exile's words. It reads the files as fail2ban does, traps
// included, and reports what it cannot say.
package fail2ban

import (
	"fmt"
	"strconv"
)

// Place is a line of a file.
type Place struct {
	File string
	Line int
}

// String returns FILE:LINE, or FILE alone where no line is meant.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// Kind says what became of something.
type Kind string

// The kinds of notes.
const (
	Moved    Kind = "moved"
	Changed  Kind = "changed" // moved, and means something else than fail2ban makes of it
	NotMoved Kind = "not moved"
)

// Note is a line of the report for people. What it quotes from the files is quoted.
type Note struct {
	Kind   Kind
	At     Place
	Jails  []string // of fail2ban's; none: it is not about jails
	Text   string
	Advice string
}

// value is the value of a key as it is written, and where.
type value struct {
	text  string
	at    Place
	stock bool // by fail2ban or the distribution, and not by the administrator
}

type section map[string]value

// quoted shows text from the files. It may be long, and anything may be in it.
func quoted(s string) string {
	const most = 80
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "..."
	}
	return fmt.Sprintf("%q", s)
}
