package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"net/netip"
	"slices"
	"time"

	"exile/internal/control"
	"exile/journal"
)

// A value consists of its fields in order, with numbers as varints and texts after their length, and a checksum over key and
// fields. JSON would be nicer to look at and takes ten times as long to read 100,000 bans at start.

var (
	errKey   = errors.New("not a jail and a prefix")
	errValue = errors.New("a value of another form")
)

// seal appends the checksum.
func seal(key, value []byte) []byte {
	return binary.BigEndian.AppendUint32(value, checksum(key, value))
}

// unseal takes the checksum off and reports whether it was right.
func unseal(key, sealed []byte) ([]byte, bool) {
	n := len(sealed) - 4
	if n < 0 {
		return nil, false
	}
	return sealed[:n], binary.BigEndian.Uint32(sealed[n:]) == checksum(key, sealed[:n])
}

func checksum(key, value []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli) // made once by the package
	return crc32.Update(crc32.Update(0, table, key), table, value)
}

// key is the jail, a zero byte, and the prefix; it sorts by jail.
func (w Who) key() []byte { return append(jailKey(w.Jail), prefixKey(w.Prefix)...) }

// jailKey is the prefix of all keys of a jail.
func jailKey(jail string) []byte { return append([]byte(jail), 0) }

func prefixKey(p netip.Prefix) []byte {
	key, _ := p.MarshalBinary() // never fails
	return key
}

// numberKey sorts by number.
func numberKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// nameKey is the key of a source or a jail.
func nameKey(name string) []byte { return []byte(name) }

func parseWho(key []byte) (Who, error) {
	name, prefix, ok := bytes.Cut(key, []byte{0})
	w := Who{Jail: string(name)}
	if !ok || w.Prefix.UnmarshalBinary(prefix) != nil || !w.Prefix.IsValid() {
		return Who{}, errKey
	}
	return w, nil
}

func encodeMark(m Mark) []byte {
	return appendTime(appendText(nil, m.Position.String()), m.Low)
}

func decodeMark(d *decoder) Mark {
	p, err := journal.ParsePosition(d.text())
	d.bad = d.bad || err != nil
	return Mark{Position: p, Low: d.time()}
}

func encodeBan(b control.Ban) []byte {
	v := appendTime(appendTime(nil, b.Since), b.Until)
	v = binary.AppendVarint(binary.AppendVarint(v, int64(b.Failures)), int64(b.Offence))
	v = appendText(v, b.Jail)
	prefix, _ := b.Prefix.MarshalBinary()
	v = appendText(v, string(prefix))
	return appendText(appendText(v, string(b.Origin)), b.Reason)
}

func decodeBan(d *decoder) control.Ban {
	b := control.Ban{Since: d.time(), Until: d.time(), Failures: int(d.number()), Offence: int(d.number()), Jail: d.text()}
	d.bad = d.bad || b.Prefix.UnmarshalBinary([]byte(d.text())) != nil || !b.Prefix.IsValid()
	b.Origin, b.Reason = control.Origin(d.text()), d.text()
	return b
}

func encodePast(p Past) []byte {
	if p.Offences == 0 && p.Last.IsZero() && p.Cleared.IsZero() && !p.Welcome { // nothing is known
		return nil
	}
	v := appendTime(appendTime(binary.AppendVarint(nil, int64(p.Offences)), p.Last), p.Cleared)
	if p.Welcome {
		v = append(v, 1)
	}
	return v
}

func decodePast(d *decoder) Past {
	p := Past{Offences: int(d.number()), Last: d.time(), Cleared: d.time()}
	if len(d.data) > 0 {
		p.Welcome = d.number() != 0
	}
	return p
}

func encodeTrial(t control.Trial) []byte {
	if t.Text == "" {
		return nil
	}
	return appendText(appendTime(appendTime(nil, t.Since), t.Until), t.Text)
}

func decodeTrial(d *decoder) control.Trial {
	return control.Trial{Since: d.time(), Until: d.time(), Text: d.text()}
}

func encodeTime(t time.Time) []byte { return appendTime(nil, t) }

func encodeTimes(times []time.Time) []byte {
	var v []byte
	for _, t := range times {
		v = appendTime(v, t)
	}
	return v
}

func decodeTimes(d *decoder) []time.Time {
	var times []time.Time
	for len(d.data) > 0 && !d.bad {
		times = append(times, d.time())
	}
	d.bad = d.bad || len(times) == 0
	return times
}

func encodeFlushed(jails map[string]time.Time) []byte {
	var v []byte
	for _, jail := range slices.Sorted(maps.Keys(jails)) {
		v = appendTime(appendText(v, jail), jails[jail])
	}
	return v
}

func decodeFlushed(d *decoder) map[string]time.Time {
	jails := make(map[string]time.Time)
	for len(d.data) > 0 && !d.bad {
		jail := d.text()
		jails[jail] = d.time()
	}
	return jails
}

func encodeReport(r Report) []byte {
	if !r.Addr.IsValid() {
		return nil
	}
	success := int64(0)
	if r.Success {
		success = 1
	}
	v := binary.AppendVarint(appendTime(nil, r.Time), success)
	return appendText(appendText(appendText(v, r.Jail), string(r.Addr.AsSlice())), r.User)
}

func decodeReport(d *decoder) Report {
	r := Report{Time: d.time(), Success: d.number() != 0, Jail: d.text()}
	addr, ok := netip.AddrFromSlice([]byte(d.text()))
	d.bad = d.bad || !ok
	r.Addr, r.User = addr, d.text()
	return r
}

func encodeDays(days []control.Day) []byte {
	var v []byte
	for _, day := range days {
		v = binary.AppendVarint(v, day.Date.Unix())
		for _, n := range []uint64{day.Passed, day.Dropped, day.Bans, day.Protected, day.Denied} {
			v = binary.AppendVarint(v, int64(n))
		}
	}
	return v
}

func decodeDays(d *decoder) []control.Day {
	var days []control.Day
	for len(d.data) > 0 && !d.bad {
		days = append(days, control.Day{
			Date: time.Unix(d.number(), 0).UTC(), Passed: d.count(), Dropped: d.count(),
			Bans: d.count(), Protected: d.count(), Denied: d.count(),
		})
	}
	return days
}

func encodeEvents(events []control.Event) []byte {
	var v []byte
	for _, e := range events {
		v = appendText(appendTime(appendText(v, string(e.Kind)), e.Time), e.Reason)
		v = binary.AppendVarint(binary.AppendVarint(v, int64(e.Count)), int64(e.Latency))
		var ban []byte
		if e.Ban.Prefix.IsValid() {
			ban = encodeBan(e.Ban)
		}
		v = appendText(appendText(v, string(ban)), e.Ban.Evidence)
	}
	return v
}

func decodeEvents(d *decoder) []control.Event {
	var events []control.Event
	for len(d.data) > 0 && !d.bad {
		e := control.Event{
			Kind: control.EventKind(d.text()), Time: d.time(), Reason: d.text(),
			Count: int(d.number()), Latency: time.Duration(d.number()),
		}
		if ban := d.text(); ban != "" {
			of := &decoder{data: []byte(ban)}
			e.Ban = decodeBan(of)
			d.bad = d.bad || of.bad || len(of.data) > 0
		}
		e.Ban.Evidence = d.text()
		events = append(events, e)
	}
	return events
}

func encodeSnapshot(s Snapshot) []byte {
	return append(binary.BigEndian.AppendUint32(nil, s.Version), s.Data...)
}

func decodeSnapshot(d *decoder) Snapshot {
	if len(d.data) < 4 {
		d.bad = true
		return Snapshot{}
	}
	s := Snapshot{Version: binary.BigEndian.Uint32(d.data), Data: bytes.Clone(d.data[4:])}
	d.data = nil
	return s
}

func appendText(v []byte, s string) []byte {
	return append(binary.AppendUvarint(v, uint64(len(s))), s...)
}

// appendTime writes seconds and nanoseconds; a zero time has an impossible number of nanoseconds.
func appendTime(v []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(binary.AppendVarint(v, 0), -1)
	}
	return binary.AppendVarint(binary.AppendVarint(v, t.Unix()), int64(t.Nanosecond()))
}

// decoder reads fields from the front of data. After the first mistake it returns zeros.
type decoder struct {
	data []byte
	bad  bool
}

func (d *decoder) number() int64 {
	n, size := binary.Varint(d.data)
	if size <= 0 || d.bad {
		d.bad = true
		return 0
	}
	d.data = d.data[size:]
	return n
}

// count is a number of things, which is not negative.
func (d *decoder) count() uint64 { return uint64(max(d.number(), 0)) }

func (d *decoder) text() string {
	n, size := binary.Uvarint(d.data)
	if size <= 0 || d.bad || n > uint64(len(d.data)-size) {
		d.bad = true
		return ""
	}
	s := string(d.data[size : size+int(n)])
	d.data = d.data[size+int(n):]
	return s
}

func (d *decoder) time() time.Time {
	seconds, nanos := d.number(), d.number()
	switch {
	case d.bad || nanos == -1:
		return time.Time{}
	case nanos < 0 || nanos >= 1e9:
		d.bad = true
		return time.Time{}
	}
	return time.Unix(seconds, nanos).UTC()
}
