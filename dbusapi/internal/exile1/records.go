package exile1

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
)

// Infinity is a time or duration that never ends, as sd-bus writes it.
const Infinity = math.MaxUint64

// BanRecord is a ban on the wire: (ssttuusb).
type BanRecord struct {
	Jail, Address string
	Since, Until  uint64 // microseconds since 1970; Infinity: permanent
	Failures, Nth uint32
	Origin        string
	Simulated     bool
}

// ToBanRecord makes the record of a ban.
func ToBanRecord(b control.Ban) BanRecord {
	return BanRecord{
		Jail: b.Jail, Address: control.FormatPrefix(b.Prefix), Since: USec(b.Since), Until: UntilUSec(b.Until),
		Failures: Count(b.Failures), Nth: Count(b.Offence), Origin: string(b.Origin), Simulated: b.Simulated,
	}
}

// ReadBans reads a page, row by row as it was decoded: dbus.Store would take twice the time and the memory.
func ReadBans(body []any) ([]control.Ban, string, error) {
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
	if len(row) != 8 {
		return control.Ban{}, fmt.Errorf("record of %d values, not 8", len(row))
	}
	var r BanRecord
	var ok [8]bool
	r.Jail, ok[0] = row[0].(string)
	r.Address, ok[1] = row[1].(string)
	r.Since, ok[2] = row[2].(uint64)
	r.Until, ok[3] = row[3].(uint64)
	r.Failures, ok[4] = row[4].(uint32)
	r.Nth, ok[5] = row[5].(uint32)
	r.Origin, ok[6] = row[6].(string)
	r.Simulated, ok[7] = row[7].(bool)
	if ok != [8]bool{true, true, true, true, true, true, true, true} {
		return control.Ban{}, fmt.Errorf("record %v has other types than %T", row, r)
	}
	r.Jail, r.Origin = once(names, r.Jail), once(names, r.Origin)
	return r.Control()
}

// once returns the first string equal to s that it was given, so that equal strings share their memory.
func once(names map[string]string, s string) string {
	if first, ok := names[s]; ok {
		return first
	}
	names[s] = s
	return s
}

// Control returns the ban that the record is of.
func (r BanRecord) Control() (control.Ban, error) {
	p, err := control.ParsePrefix(r.Address)
	return control.Ban{
		Jail: r.Jail, Prefix: p, Since: FromUSec(r.Since), Until: FromUSec(r.Until),
		Failures: int(r.Failures), Offence: int(r.Nth), Origin: control.Origin(r.Origin), Simulated: r.Simulated,
	}, err
}

// HostRecord is an address that is counted: (sutt).
type HostRecord struct {
	Address     string
	Failures    uint32
	First, Last uint64
}

// ToHostRecord makes the record of an address.
func ToHostRecord(h control.Host) HostRecord {
	return HostRecord{control.FormatPrefix(h.Prefix), Count(h.Failures), USec(h.First), USec(h.Last)}
}

// JailRecord is a jail in a list: (sosuut).
type JailRecord struct {
	Name            string
	Path            dbus.ObjectPath
	State           string
	Banned, Failing uint32
	Total           uint64
}

// ToJailRecord makes the record of a jail.
func ToJailRecord(j control.JailStatus) JailRecord {
	return JailRecord{j.Name, JailPath(j.Name), j.State, Count(j.Banned), Count(j.Failing), j.Total}
}

// BanRequest is a ban that BanMany is asked for: (ssts).
type BanRequest struct {
	Jail, Address string
	Duration      uint64 // microseconds; 0: the jail's bantime; Infinity: permanent
	Reason        string
}

// Offender is how often an address was banned before, for Remember: (ssut).
type Offender struct {
	Jail, Address string
	Offences      uint32
	Last          uint64 // when the last ban began
}

// Refusal is what BanMany or Remember did not do: (uss).
type Refusal struct {
	Index         uint32 // of the request
	Name, Message string // of the error
}

// NameRecord is a learned name: (ssut). The name is quoted, because a D-Bus string cannot hold any bytes.
type NameRecord struct {
	Jail, Name string
	Hosts      uint32
	Last       uint64
}

// USec is a time in microseconds since 1970; 0 for the zero Time.
func USec(t time.Time) uint64 {
	if us := t.UnixMicro(); us > 0 {
		return uint64(us)
	}
	return 0
}

// UntilUSec is the end of a ban: Infinity for the zero Time.
func UntilUSec(t time.Time) uint64 {
	if t.IsZero() {
		return Infinity
	}
	return USec(t)
}

// FromUSec is the inverse of USec and UntilUSec.
func FromUSec(us uint64) time.Time {
	if us == 0 || us > math.MaxInt64 {
		return time.Time{}
	}
	return time.UnixMicro(int64(us))
}

// DurationUSec is a duration in microseconds; Infinity for a negative one, which is for ever.
func DurationUSec(d time.Duration) uint64 {
	if d < 0 {
		return Infinity
	}
	return uint64(d.Microseconds())
}

// FromDurationUSec is the inverse of DurationUSec; -1 also for a duration that is too long.
func FromDurationUSec(us uint64) time.Duration {
	if us > math.MaxInt64/1000 {
		return -1
	}
	return time.Duration(us) * time.Microsecond
}

// Count is a number for which the wire has 32 bits.
func Count(n int) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) }

// Text makes any text one that the bus can carry: reasons may come from a damaged state file.
func Text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// List is never nil and has no empty strings.
func List(s ...string) []string {
	return slices.DeleteFunc(append([]string{}, s...), func(s string) bool { return s == "" })
}
