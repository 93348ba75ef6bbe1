package export

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"time"

	"exile/journal"
)

// outputFields are the fields that Entry and dropped need, besides those that journalctl always prints.
var outputFields = []string{
	"_PID", "_UID", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER", "_TRANSPORT", "MESSAGE",
	"MESSAGE_ID", "N_DROPPED", "OBJECT_SYSTEMD_UNIT",
}

// Entry makes an entry of the fields that Next returned, also of others whose names are wanted. Message is a part of them, and valid as long. If a
// field repeats, the first wins.
func Entry(fields []Field, wanted []string, names *journal.Strings) (journal.Entry, error) {
	e := journal.Entry{UID: -1}
	var cursor, realtime bool
	for _, f := range slices.Backward(fields) { // the first wins
		var err error
		value := f.Value
		switch string(f.Name) {
		case "__CURSOR":
			cursor = true
			e.Position, err = journal.ParsePosition(string(value))
		case "__REALTIME_TIMESTAMP":
			realtime = true
			e.Time, err = microseconds(value)
		case "_PID":
			e.PID = int32(number(value, 32, 0))
		case "_UID":
			e.UID = number(value, 33, -1)
		case "_SYSTEMD_UNIT":
			e.Unit = names.Of(value)
		case "SYSLOG_IDENTIFIER":
			e.Identifier = names.Of(value)
		case "_TRANSPORT":
			e.Transport = names.Of(value)
		case "MESSAGE":
			e.Message = value
		default:
			deliver(&e, f, wanted, names)
		}
		if err != nil {
			return journal.Entry{}, fmt.Errorf("%w: %s: %w", ErrFormat, f.Name, err)
		}
	}
	if !cursor || !realtime {
		return journal.Entry{}, fmt.Errorf("%w: an entry without __CURSOR or __REALTIME_TIMESTAMP", ErrFormat)
	}
	e.Boot = e.Position.Boot
	return e, nil
}

// deliver puts a field into e if it is wanted and has been read whole.
func deliver(e *journal.Entry, f Field, wanted []string, names *journal.Strings) {
	if f.Cut || len(f.Value) > maxDelivered || !slices.ContainsFunc(wanted, func(name string) bool { return name == string(f.Name) }) {
		return
	}
	if e.Fields == nil {
		e.Fields = make(map[string]string, len(wanted))
	}
	e.Fields[string(f.Name)] = names.Of(f.Value)
}

// maxDelivered is the longest value of a field that is delivered, in bytes; one that is longer is missing.
const maxDelivered = 256

// number returns unknown for anything but a number of that many bits, including the sign, and for negative ones.
func number(b []byte, bits int, unknown int64) int64 {
	n, err := strconv.ParseInt(string(b), 10, bits)
	if err != nil || n < 0 {
		return unknown
	}
	return n
}

func microseconds(b []byte) (time.Time, error) {
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMicro(n), nil
}

// messageDropped is the MESSAGE_ID of journald's "Suppressed N messages from UNIT".
const messageDropped = "a596d6fe7bfa4994828e72309e95d61e"

// dropped returns the gap that an entry of journald itself reports. The transport, which cannot be forged, shows that it is.
func dropped(fields []Field, e journal.Entry) (journal.Gap, bool) {
	if e.Transport != "driver" || string(value(fields, "MESSAGE_ID")) != messageDropped {
		return journal.Gap{}, false
	}
	count, unit := value(fields, "N_DROPPED"), value(fields, "OBJECT_SYSTEMD_UNIT")
	if text, ok := bytes.CutPrefix(e.Message, []byte("Suppressed ")); ok {
		told, from, _ := bytes.Cut(text, []byte(" messages from "))
		if len(count) == 0 {
			count = told
		}
		if len(unit) == 0 {
			unit = from
		}
	}
	return journal.Gap{
		Kind: journal.GapSuppressed, Unit: string(unit), Entries: uint64(number(count, 64, 0)), Until: e.Time,
	}, true
}

// value returns the first value of a field, or nil.
func value(fields []Field, name string) []byte {
	for _, f := range fields {
		if string(f.Name) == name {
			return f.Value
		}
	}
	return nil
}
