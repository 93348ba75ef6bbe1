package dbusapi

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
)

// infinity is a time or duration that never ends, as sd-bus writes it.
const infinity = math.MaxUint64

// Flags of Ban. JavaScript cannot send infinity, therefore permanent is a flag too.
const (
	flagPermanent = 1 << iota
	flagForce
)

// maxText bounds every string that a caller hands in, in bytes.
const maxText = control.MaxText

// banRecord is a ban on the wire: (ssttuus).
type banRecord struct {
	Jail, Address string
	Since, Until  uint64 // microseconds since 1970; infinity: permanent
	Failures, Nth uint32
	Origin        string
}

func toRecord(b control.Ban) banRecord {
	return banRecord{
		Jail: b.Jail, Address: FormatPrefix(b.Prefix), Since: usec(b.Since), Until: untilUSec(b.Until),
		Failures: count(b.Failures), Nth: count(b.Offence), Origin: string(b.Origin),
	}
}

// readBans reads a page. Long lists are read row by row, as they lie: dbus.Store would double the time and the memory.
func readBans(body []any) ([]control.Ban, string, error) {
	if len(body) != 2 {
		return nil, "", fmt.Errorf("read bans: reply has %d values, not 2", len(body))
	}
	rows, ok := body[0].([][]any)
	next, ok2 := body[1].(string)
	if !ok || !ok2 {
		return nil, "", fmt.Errorf("read bans: reply is %T and %T", body[0], body[1])
	}
	out := make([]control.Ban, 0, len(rows))
	names := map[string]string{} // each jail and origin once, not once a ban
	for _, row := range rows {
		b, err := readBan(row, names)
		if err != nil {
			return nil, "", fmt.Errorf("read bans: %w", err)
		}
		out = append(out, b)
	}
	return out, next, nil
}

func readBan(row []any, names map[string]string) (control.Ban, error) {
	if len(row) != 7 {
		return control.Ban{}, fmt.Errorf("record of %d values, not 7", len(row))
	}
	var r banRecord
	var ok [7]bool
	r.Jail, ok[0] = row[0].(string)
	r.Address, ok[1] = row[1].(string)
	r.Since, ok[2] = row[2].(uint64)
	r.Until, ok[3] = row[3].(uint64)
	r.Failures, ok[4] = row[4].(uint32)
	r.Nth, ok[5] = row[5].(uint32)
	r.Origin, ok[6] = row[6].(string)
	if ok != [7]bool{true, true, true, true, true, true, true} {
		return control.Ban{}, fmt.Errorf("record %v has other types than %T", row, r)
	}
	r.Jail, r.Origin = once(names, r.Jail), once(names, r.Origin)
	return r.ban()
}

// once returns the first string that was equal to s.
func once(names map[string]string, s string) string {
	if first, ok := names[s]; ok {
		return first
	}
	names[s] = s
	return s
}

func (r banRecord) ban() (control.Ban, error) {
	p, err := ParsePrefix(r.Address)
	return control.Ban{
		Jail: r.Jail, Prefix: p, Since: fromUSec(r.Since), Until: fromUSec(r.Until),
		Failures: int(r.Failures), Offence: int(r.Nth), Origin: control.Origin(r.Origin),
	}, err
}

// hostRecord is an address that is counted: (sutt).
type hostRecord struct {
	Address     string
	Failures    uint32
	First, Last uint64
}

func toHostRecord(h control.Host) hostRecord {
	return hostRecord{FormatPrefix(h.Prefix), count(h.Failures), usec(h.First), usec(h.Last)}
}

// jailRecord is a jail in a list: (sosuut).
type jailRecord struct {
	Name            string
	Path            dbus.ObjectPath
	State           string
	Banned, Failing uint32
	Total           uint64
}

func toJailRecord(j control.JailStatus) jailRecord {
	return jailRecord{j.Name, jailPath(j.Name), j.State, count(j.Banned), count(j.Failing), j.Total}
}

// FormatPrefix writes a prefix as the bus does: an address alone without its length.
func FormatPrefix(p netip.Prefix) string { return control.FormatPrefix(p) }

// ParsePrefix reads an address or a network. IPv4 in IPv6 becomes IPv4, host bits are cleared, zones are refused.
func ParsePrefix(s string) (netip.Prefix, error) { return control.ParsePrefix(s) }

// usec is a time in microseconds since 1970; 0 for the zero Time.
func usec(t time.Time) uint64 {
	if us := t.UnixMicro(); us > 0 {
		return uint64(us)
	}
	return 0
}

// untilUSec is the end of a ban: infinity for the zero Time.
func untilUSec(t time.Time) uint64 {
	if t.IsZero() {
		return infinity
	}
	return usec(t)
}

// fromUSec is the inverse of usec and untilUSec.
func fromUSec(us uint64) time.Time {
	if us == 0 || us > math.MaxInt64 {
		return time.Time{}
	}
	return time.UnixMicro(int64(us))
}

// durationUSec is a duration in microseconds; infinity for a negative one, which is for ever.
func durationUSec(d time.Duration) uint64 {
	if d < 0 {
		return infinity
	}
	return uint64(d.Microseconds())
}

func fromDurationUSec(us uint64) time.Duration {
	if us > math.MaxInt64/1000 {
		return -1
	}
	return time.Duration(us) * time.Microsecond
}

// count is a number that the wire has 32 bits for.
func count(n int) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) }

// checkText refuses text that is too long or that could move a cursor.
func checkText(what, s string) error { return control.CheckText(what, s) }

// escapeLabel writes any name as one part of an object path, as sd_bus_path_encode does.
func escapeLabel(name string) string {
	if name == "" {
		return "_"
	}
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if letter || i > 0 && '0' <= c && c <= '9' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "_%02x", c)
	}
	return b.String()
}

func jailPath(name string) dbus.ObjectPath {
	return jailsPath + "/" + dbus.ObjectPath(escapeLabel(name))
}
