package journal

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Position says where a source is: after the entry that it names. The zero value is nowhere. It is opaque outside this
// folder, comparable, and prints as a journal cursor that journalctl --cursor accepts or, for a text log, as
// "dev=..;ino=..;off=..;head=..;t=..".
type Position struct {
	// Journal: the fields of a cursor, see sd_journal_get_cursor(3).
	SeqnumID  ID
	Seqnum    uint64
	Boot      ID
	Monotonic uint64 // µs
	Realtime  uint64 // µs since 1970; of the last entry, in a text log too
	XorHash   uint64

	// Text log: the file, the offset after the line, and a hash of the file's first bytes.
	Device uint64
	Inode  uint64
	Offset int64
	Head   uint64
	// Others says where the other text logs of the same source are, in the format of package textlog; empty if there is only
	// one. The position of a batch has it, those of its entries do not.
	Others string
	// Parts says where the sources are that package merge makes one of, in its format; empty: this is the position of a single source. A
	// position with parts has, besides them, only Realtime, the latest of all.
	Parts string
}

// IsZero reports whether p is nowhere.
func (p Position) IsZero() bool { return p == Position{} }

// Time is when the entry that p names was received, zero: unknown.
func (p Position) Time() time.Time {
	if p.Realtime == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(p.Realtime))
}

// isText reports whether p is a position in a text log.
func (p Position) isText() bool { return p.Inode != 0 || p.Device != 0 }

// String is the form that ParsePosition reads; empty for the zero position.
func (p Position) String() string {
	switch {
	case p.IsZero():
		return ""
	case p.Parts != "":
		return fmt.Sprintf("t=%x;parts=%s", p.Realtime, p.Parts)
	case p.isText():
		text := fmt.Sprintf("dev=%x;ino=%x;off=%x;head=%x;t=%x", p.Device, p.Inode, p.Offset, p.Head, p.Realtime)
		if p.Others != "" {
			text += ";others=" + p.Others
		}
		return text
	default:
		return fmt.Sprintf("s=%s;i=%x;b=%s;m=%x;t=%x;x=%x", p.SeqnumID, p.Seqnum, p.Boot, p.Monotonic, p.Realtime, p.XorHash)
	}
}

// ErrPosition is the error for text that is not a position.
var ErrPosition = errors.New("not a journal cursor and not a text log position")

// ParsePosition reads what String prints, and any cursor of journalctl. The empty string is the zero position.
func ParsePosition(s string) (Position, error) {
	var p Position
	if s == "" {
		return p, nil
	}
	for part := range strings.SplitSeq(s, ";") {
		key, value, ok := strings.Cut(part, "=")
		if !ok {
			return Position{}, fmt.Errorf("%w: %q", ErrPosition, s)
		}
		if err := p.set(key, value); err != nil {
			return Position{}, fmt.Errorf("%w: %q: %w", ErrPosition, s, err)
		}
	}
	return p, nil
}

func (p *Position) set(key, value string) (err error) {
	switch key {
	case "s":
		err = p.SeqnumID.parse(value)
	case "b":
		err = p.Boot.parse(value)
	case "i":
		p.Seqnum, err = strconv.ParseUint(value, 16, 64)
	case "m":
		p.Monotonic, err = strconv.ParseUint(value, 16, 64)
	case "t":
		p.Realtime, err = strconv.ParseUint(value, 16, 64)
	case "x":
		p.XorHash, err = strconv.ParseUint(value, 16, 64)
	case "dev":
		p.Device, err = strconv.ParseUint(value, 16, 64)
	case "ino":
		p.Inode, err = strconv.ParseUint(value, 16, 64)
	case "off":
		p.Offset, err = strconv.ParseInt(value, 16, 64)
	case "head":
		p.Head, err = strconv.ParseUint(value, 16, 64)
	case "others":
		p.Others = value
	case "parts":
		p.Parts = value
	default:
		err = fmt.Errorf("unknown part %q", key)
	}
	return err
}

func (id *ID) parse(s string) error {
	if len(s) != 2*len(id) {
		return fmt.Errorf("%q is not 32 hexadecimal digits", s)
	}
	_, err := hex.Decode(id[:], []byte(s))
	return err
}

// String is the 32 hexadecimal digits that systemd prints.
func (id ID) String() string { return hex.EncodeToString(id[:]) }
