package fail2ban

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"exile/internal/control"
	"exile/internal/sqlite"
)

// Offender is somebody whom a jail of fail2ban has banned.
type Offender struct {
	Jail   string
	Prefix netip.Prefix
	Since  time.Time     // of the last ban
	Length time.Duration // of that one; negative: for ever
	Bans   int           // how many there were, with that one
}

// History is what fail2ban's database knows.
type History struct {
	Offenders []Offender          // by jail and prefix
	Others    map[string][]string // by jail: the first of those that are no addresses
	NOthers   map[string]int      // how many these are
}

const (
	// defaultDatabase is where fail2ban keeps what it knows, unless fail2ban.conf says otherwise.
	defaultDatabase = "/var/lib/fail2ban/fail2ban.sqlite3"
	// maxOffenders and maxBanRows limit what is read of a database.
	maxOffenders = 1_000_000
	maxBanRows   = 20_000_000
	maxExamples  = 3
	maxName      = 255                      // bytes of a jail's name or of an address
	lastSecond   = 253_402_300_799          // of the year 9999
	longestBan   = 100 * 365 * 24 * 60 * 60 // seconds; a longer ban is for ever
)

// Database returns the path of fail2ban's database, and where that is said; empty if fail2ban keeps none.
func (s *Setup) Database() (string, Place, error) {
	file, at := defaultDatabase, Place{File: s.shown(s.dir)}
	for _, suffix := range []string{".conf", ".local"} {
		names, err := s.folder("fail2ban.d", suffix)
		if err != nil {
			return "", at, err
		}
		for _, name := range append([]string{path.Join(s.dir, "fail2ban"+suffix)}, names...) {
			d, err := s.document(name)
			if err != nil {
				return "", at, err
			}
			if d == nil {
				continue
			}
			for _, section := range []string{defaultSection, "Definition"} {
				if v, ok := d.sections[section]["dbfile"]; ok {
					file, at = v.text, v.at
				}
			}
		}
	}
	switch {
	case strings.EqualFold(file, "none") || file == ":memory:" || file == "":
		return "", at, nil
	case !path.IsAbs(file):
		return "", at, fmt.Errorf("%s: dbfile is no path: %s", at, quoted(file))
	}
	return file, at, nil
}

// offenderKey is whom a row is about.
type offenderKey struct {
	jail   string
	prefix netip.Prefix
}

type reader struct {
	rows      int
	offenders map[offenderKey]*Offender
	counted   map[offenderKey]int // bans that are kept one by one
	history   History
}

// ReadHistory reads the database of fail2ban 0.11 and later, which keeps for each address and jail the last ban and how many there were, and
// each ban for dbpurgeage.
func ReadHistory(file string) (*History, error) {
	db, err := sqlite.Open(file)
	if errors.Is(err, sqlite.ErrPending) {
		return nil, fmt.Errorf("%w: stop what writes to it, with systemctl stop fail2ban; then sqlite3 %s .tables moves them into it", err, file)
	}
	if err != nil {
		return nil, err
	}
	r := reader{
		offenders: make(map[offenderKey]*Offender), counted: make(map[offenderKey]int),
		history: History{Others: make(map[string][]string), NOthers: make(map[string]int)},
	}
	if err := errors.Join(r.read(db), db.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	for key, o := range r.offenders {
		o.Bans = min(max(o.Bans, r.counted[key]), control.MaxOffences)
		r.history.Offenders = append(r.history.Offenders, *o)
	}
	slices.SortFunc(r.history.Offenders, func(a, b Offender) int {
		return cmp.Or(strings.Compare(a.Jail, b.Jail), a.Prefix.Compare(b.Prefix))
	})
	return &r.history, nil
}

func (r *reader) read(db *sqlite.DB) error {
	last, err := db.Table("bips")
	if err == nil && (!last.Has("bantime") || !last.Has("bancount")) {
		err = errors.New("the table bips has no bantime or no bancount")
	}
	if err != nil {
		return fmt.Errorf("%w: fail2ban before 0.11 did not write how long a ban lasts", err)
	}
	err = last.Each([]string{"jail", "ip", "timeofban", "bantime", "bancount"}, r.last)
	if err != nil {
		return err
	}
	each, err := db.Table("bans")
	if errors.Is(err, sqlite.ErrNoTable) {
		return nil
	}
	return cmp.Or(err, each.Each([]string{"jail", "ip"}, r.each))
}

// last takes the last ban of an address.
func (r *reader) last(row []any) error {
	key, ok, err := r.key(row)
	if !ok {
		return err
	}
	since, isTime := row[2].(int64)
	length, isLength := row[3].(int64)
	bans, _ := row[4].(int64)
	if !isTime || !isLength || since < 0 || since > lastSecond {
		r.other(key.jail, key.prefix.String())
		return nil
	}
	if len(r.offenders) == maxOffenders {
		return fmt.Errorf("more than %d addresses were banned", maxOffenders)
	}
	o := Offender{Jail: key.jail, Prefix: key.prefix, Since: time.Unix(since, 0), Length: -1, Bans: int(min(max(bans, 1), control.MaxOffences))}
	if length >= 0 && length <= longestBan {
		o.Length = time.Duration(length) * time.Second
	}
	if before, ok := r.offenders[key]; ok && before.Since.After(o.Since) { // one address in two ways of writing
		o.Since, o.Length = before.Since, before.Length
	}
	r.offenders[key] = &o
	return nil
}

// each counts a ban. Only those whose last ban is known are of interest: fail2ban forgets the others when it lifts a ban by hand.
func (r *reader) each(row []any) error {
	key, ok, err := r.key(row)
	if ok && r.offenders[key] != nil {
		r.counted[key]++
	}
	return err
}

// key reads whom a row is about; false if that is no address: a filter may name something else.
func (r *reader) key(row []any) (k offenderKey, ok bool, err error) {
	if r.rows++; r.rows > maxBanRows {
		return k, false, fmt.Errorf("more than %d bans", maxBanRows)
	}
	jail, isText := row[0].(string)
	who, _ := row[1].(string)
	if !isText || len(jail) > maxName {
		r.other("", who)
		return k, false, nil
	}
	p, err := parsePrefix(who)
	if err != nil {
		r.other(jail, who)
		return k, false, nil
	}
	return offenderKey{jail, p}, true, nil
}

// parsePrefix reads an address or a network. An IPv4 address in the form of IPv6 is that IPv4 address.
func parsePrefix(s string) (netip.Prefix, error) {
	if len(s) > maxName {
		return netip.Prefix{}, errors.New("too long")
	}
	p, err := control.ParsePrefix(s)
	return p.Masked(), err
}

// other counts what is no address.
func (r *reader) other(jail, who string) {
	h := &r.history
	if _, known := h.NOthers[jail]; !known && len(h.NOthers) == maxSections {
		jail = ""
	}
	h.NOthers[jail]++
	if who = quoted(who); len(h.Others[jail]) < maxExamples && !slices.Contains(h.Others[jail], who) {
		h.Others[jail] = append(h.Others[jail], who)
	}
}
