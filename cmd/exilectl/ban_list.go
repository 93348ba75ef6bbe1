package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"exile/internal/control"
	"exile/journal/printed"
)

// banList reads bans: objects written by export, or lines that begin with an address or a network.
type banList struct {
	in    *bufio.Reader
	json  *json.Decoder // nil: lines
	asked control.BanRequest
	now   time.Time
	line  int // the current line or, of objects, the current ban
}

// newBanList takes whatever the list does not say from asked.
func newBanList(in io.Reader, asked control.BanRequest, now time.Time) *banList {
	l := &banList{in: bufio.NewReaderSize(in, printed.MaxLine), asked: asked, now: now}
	for begin, _ := l.in.Peek(1); string(begin) == "\n"; begin, _ = l.in.Peek(1) {
		l.line++
		_, _ = l.in.Discard(1)
	}
	if begin, _ := l.in.Peek(1); string(begin) == "{" {
		l.json, l.line = json.NewDecoder(l.in), 0
	}
	return l
}

// listed is a ban of a list.
type listed struct {
	control.BanRequest
	over bool             // it has ended
	past control.Offender // whose last ban it is; without Offences: the list does not say
}

// some reads at most n bans. At the end it returns io.EOF; other errors say where they occurred.
func (l *banList) some(n int) (out []listed, err error) {
	for len(out) < n {
		r, ok, err := l.next()
		if err != nil {
			return out, err
		}
		if ok {
			out = append(out, r)
		}
	}
	return out, nil
}

// next returns false for a line without a ban, for a ban that was only simulated, and for one that has expired, unless it says how many came before.
func (l *banList) next() (r listed, ok bool, err error) {
	l.line++
	what := "line"
	if l.json != nil {
		what = "ban"
		r, ok, err = l.object()
	} else {
		r, ok, err = l.address()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s %d: %w", what, l.line, err)
	}
	return r, ok, err
}

// importRow is the part of an exported control.Ban that matters; other programs may omit everything but the address.
type importRow struct {
	Jail    string          `json:"jail"`
	Address string          `json:"address"`
	Until   json.RawMessage `json:"until_usec"` // null: for ever; missing: not stated
	Reason  string          `json:"reason"`
	Since   int64           `json:"since_usec"`
	Offence int             `json:"offence"`
	// Simulated bans stop nobody, and importing them would.
	Simulated bool `json:"simulated"`
	// Former is what until_usec was called before there was a release. Taking such a row for one without an end would end a permanent ban.
	Former json.RawMessage `json:"until"`
}

func (l *banList) object() (r listed, ok bool, err error) {
	var row importRow
	if err := l.json.Decode(&row); err != nil {
		return r, false, err
	}
	if row.Former != nil {
		return r, false, errors.New(`"until" is what an older exilectl exports: rename it to "until_usec"`)
	}
	if row.Simulated {
		return r, false, nil
	}
	r.BanRequest = l.asked
	if row.Jail != "" {
		r.Jail = row.Jail
	}
	r.Reason = clean(row.Reason)
	if r.Prefix, err = control.ParsePrefix(row.Address); err != nil {
		return r, false, err
	}
	if row.Offence > 0 && row.Since > 0 {
		r.past = control.Offender{Jail: r.Jail, Prefix: r.Prefix, Offences: row.Offence, Last: time.UnixMicro(row.Since)}
	}
	if row.Until == nil {
		return r, true, nil
	}
	var until *int64
	if err := json.Unmarshal(row.Until, &until); err != nil {
		return r, false, err
	}
	if r.Permanent, r.Duration = until == nil, 0; until == nil {
		return r, true, nil
	}
	r.Duration = time.UnixMicro(*until).Sub(l.now)
	r.over = r.Duration <= 0
	return r, !r.over || r.past.Offences > 0, nil
}

// address reads a line of a list in one of the common forms: "192.0.2.0/24 ; why", "192.0.2.1,another column", "# a comment".
func (l *banList) address() (r listed, ok bool, err error) {
	line, err := printed.ReadLine(l.in)
	if err != nil {
		return r, false, err
	}
	text := strings.TrimPrefix(string(line), "\uFEFF")
	if end := strings.IndexAny(text, "#;,"); end >= 0 {
		text = text[:end]
	}
	words := strings.Fields(text)
	if len(words) == 0 {
		return r, false, nil
	}
	r.BanRequest = l.asked
	r.Prefix, err = control.ParsePrefix(words[0])
	return r, err == nil, err
}
