package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"exile/internal/control"
	"exile/journal"
)

// ErrFormat is the error for text that is not an exported state.
var ErrFormat = errors.New("not a state that exile has exported")

const (
	exportFormat  = "exile-state"
	exportVersion = 1
	// maxImport limits what an import reads.
	maxImport = 1 << 30
)

type document struct {
	Format    string             `json:"format"`
	Version   int                `json:"version"`
	Marks     []documentMark     `json:"positions"`
	Bans      []documentBan      `json:"bans"`
	Past      []documentPast     `json:"history"`
	Flushed   []documentFlush    `json:"flushed,omitempty"`
	Repeats   []documentRepeats  `json:"repeats,omitempty"`
	Reports   []documentReport   `json:"reports,omitempty"`
	Paused    time.Time          `json:"paused_until,omitzero"`
	Days      []documentDay      `json:"days,omitempty"`
	Snapshots []documentSnapshot `json:"snapshots"`
}

type documentMark struct {
	Source   string    `json:"source"`
	Position string    `json:"position"`
	Low      time.Time `json:"low,omitzero"`
}

type documentBan struct {
	Jail     string       `json:"jail"`
	Prefix   netip.Prefix `json:"prefix"`
	Since    time.Time    `json:"since"`
	Until    time.Time    `json:"until,omitzero"` // missing: permanent
	Failures int          `json:"failures"`
	Offence  int          `json:"offence"`
	Origin   string       `json:"origin"`
	Reason   string       `json:"reason"`
}

type documentPast struct {
	Jail     string       `json:"jail"`
	Prefix   netip.Prefix `json:"prefix"`
	Offences int          `json:"offences"`
	Last     time.Time    `json:"last"`
	Cleared  time.Time    `json:"cleared,omitzero"`
	Welcome  bool         `json:"welcome,omitempty"` // logged in since
}

type documentFlush struct {
	Jail string    `json:"jail"`
	At   time.Time `json:"at"`
}

type documentRepeats struct {
	Prefix netip.Prefix `json:"prefix"`
	Bans   []time.Time  `json:"bans"` // when they began
}

// documentReport has no number: reports are listed in order, and a number far from the others would make the daemon count up to it.
type documentReport struct {
	Time    time.Time  `json:"time"`
	Jail    string     `json:"jail"`
	Address netip.Addr `json:"address"`
	User    []byte     `json:"user"` // base64, because it may have any bytes
	Success bool       `json:"success,omitempty"`
}

type documentDay struct {
	Date      time.Time `json:"date"`
	Passed    uint64    `json:"passed"`
	Dropped   uint64    `json:"dropped"`
	Bans      uint64    `json:"bans"`
	Protected uint64    `json:"protected"`
	Denied    uint64    `json:"denied"`
}

type documentSnapshot struct {
	Jail    string `json:"jail"`
	Version uint32 `json:"version"`
	Data    []byte `json:"data"`
}

// Export writes c as JSON, the same contents always as the same bytes.
func (c Contents) Export(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "\t")
	if err := enc.Encode(c.document()); err != nil {
		return fmt.Errorf("export state: %w", err)
	}
	return nil
}

func (c Contents) document() document {
	doc := document{
		Format: exportFormat, Version: exportVersion,
		Marks: []documentMark{}, Bans: []documentBan{}, Past: []documentPast{}, Snapshots: []documentSnapshot{},
		Paused: c.Paused,
	}
	for _, name := range slices.Sorted(maps.Keys(c.Marks)) {
		m := c.Marks[name]
		doc.Marks = append(doc.Marks, documentMark{name, m.Position.String(), m.Low})
	}
	for _, w := range sortedWho(c.Bans) {
		b := c.Bans[w]
		doc.Bans = append(doc.Bans, documentBan{
			w.Jail, w.Prefix, b.Since, b.Until, b.Failures, b.Offence, string(b.Origin), b.Reason,
		})
	}
	for _, w := range sortedWho(c.Past) {
		p := c.Past[w]
		doc.Past = append(doc.Past, documentPast{w.Jail, w.Prefix, p.Offences, p.Last, p.Cleared, p.Welcome})
	}
	for _, jail := range slices.Sorted(maps.Keys(c.Flushed)) {
		doc.Flushed = append(doc.Flushed, documentFlush{jail, c.Flushed[jail]})
	}
	for _, p := range slices.SortedFunc(maps.Keys(c.Repeats), netip.Prefix.Compare) {
		doc.Repeats = append(doc.Repeats, documentRepeats{p, c.Repeats[p]})
	}
	for _, n := range slices.Sorted(maps.Keys(c.Reports)) {
		r := c.Reports[n]
		doc.Reports = append(doc.Reports, documentReport{r.Time, r.Jail, r.Addr, []byte(r.User), r.Success})
	}
	for _, day := range c.Days {
		doc.Days = append(doc.Days, documentDay(day))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Snapshots)) {
		s := c.Snapshots[name]
		doc.Snapshots = append(doc.Snapshots, documentSnapshot{name, s.Version, s.Data})
	}
	return doc
}

// sortedWho returns the keys in the order in which they are on disk.
func sortedWho[V any](m map[Who]V) []Who {
	pairs := make([]*pair, 0, len(m))
	for w := range m {
		pairs = append(pairs, &pair{key: w.key()})
	}
	sortPairs(pairs)
	all := make([]Who, len(pairs))
	for i, p := range pairs {
		all[i], _ = parseWho(p.key) // of our own making
	}
	return all
}

// Import reads what Export wrote. The error wraps ErrFormat and says which part is wrong.
func Import(r io.Reader) (Contents, error) {
	dec := json.NewDecoder(io.LimitReader(r, maxImport))
	dec.DisallowUnknownFields()
	var doc document
	if err := dec.Decode(&doc); err != nil {
		return Contents{}, fmt.Errorf("import state: %w: %w", ErrFormat, err)
	}
	if doc.Format != exportFormat || doc.Version != exportVersion {
		return Contents{}, fmt.Errorf("import state: %w: format %q, version %d", ErrFormat, doc.Format, doc.Version)
	}
	c, err := doc.contents()
	if err != nil {
		return Contents{}, fmt.Errorf("import state: %w: %w", ErrFormat, err)
	}
	return c, nil
}

func (doc document) contents() (Contents, error) {
	c := NewContents()
	for _, m := range doc.Marks {
		p, err := journal.ParsePosition(m.Position)
		if err == nil && !isName(m.Source) {
			err = errKey
		}
		if err != nil {
			return c, fmt.Errorf("source %q: %w", m.Source, err)
		}
		c.Marks[m.Source] = Mark{Position: p, Low: m.Low}
	}
	for _, b := range doc.Bans {
		if err := b.check(); err != nil {
			return c, fmt.Errorf("ban of %q in jail %q: %w", b.Prefix, b.Jail, err)
		}
		c.Bans[Who{b.Jail, b.Prefix}] = control.Ban{
			Jail: b.Jail, Prefix: b.Prefix, Since: b.Since, Until: b.Until, Failures: b.Failures, Offence: b.Offence,
			Origin: control.Origin(b.Origin), Reason: b.Reason,
		}
	}
	for _, p := range doc.Past {
		if !valid(p.Jail, p.Prefix) || p.Offences < 0 {
			return c, fmt.Errorf("history of %q in jail %q: %w", p.Prefix, p.Jail, errKey)
		}
		c.Past[Who{p.Jail, p.Prefix}] = Past{Offences: p.Offences, Last: p.Last, Cleared: p.Cleared, Welcome: p.Welcome}
	}
	for _, f := range doc.Flushed {
		if !isName(f.Jail) {
			return c, fmt.Errorf("flush of jail %q: %w", f.Jail, errKey)
		}
		c.Flushed[f.Jail] = f.At
	}
	for _, r := range doc.Repeats {
		if !valid("recidive", r.Prefix) || len(r.Bans) == 0 {
			return c, fmt.Errorf("repeats of %q: %w", r.Prefix, errKey)
		}
		c.Repeats[r.Prefix] = r.Bans
	}
	for i, r := range doc.Reports {
		if !isName(r.Jail) || !r.Address.IsValid() || r.Address != r.Address.Unmap().WithZone("") {
			return c, fmt.Errorf("report of %q in jail %q: %w", r.Address, r.Jail, errKey)
		}
		c.Reports[uint64(i)+1] = Report{Time: r.Time, Jail: r.Jail, Addr: r.Address, User: string(r.User), Success: r.Success}
	}
	c.Paused = doc.Paused
	for _, day := range doc.Days {
		c.Days = append(c.Days, control.Day(day))
	}
	for _, s := range doc.Snapshots {
		if !isName(s.Jail) {
			return c, fmt.Errorf("snapshot of jail %q: %w", s.Jail, errKey)
		}
		c.Snapshots[s.Jail] = Snapshot{Version: s.Version, Data: s.Data}
	}
	return c, nil
}

// check refuses what the daemon would not have written: a ban that no backend accepts would keep all others out of the kernel.
func (b documentBan) check() error {
	switch {
	case !valid(b.Jail, b.Prefix) || b.Failures < 0 || b.Offence < 0:
		return errKey
	case b.Prefix.Bits() < control.Widest(b.Prefix):
		return fmt.Errorf("too wide: at least /%d", control.Widest(b.Prefix))
	}
	return control.CheckText("origin", b.Origin)
}

func valid(jail string, p netip.Prefix) bool {
	return isName(jail) && p.IsValid() && p == p.Masked() && !p.Addr().Is4In6()
}

// isName reports whether s can be a part of a key.
func isName(s string) bool { return s != "" && len(s) <= 255 && !strings.ContainsRune(s, 0) }
