package lapi

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// This file keeps the book over a restart: a bouncer must hear of what was lifted meanwhile.

// header begins the file; a line for each entry of the log follows.
type header struct {
	Seq  uint64            `json:"seq"`
	Read map[string]uint64 `json:"read"`
}

// line is an entry in the file.
type line struct {
	Seq    uint64       `json:"seq"`
	Born   uint64       `json:"born,omitzero"`
	Until  int64        `json:"until,omitzero"` // seconds since 1970
	Prefix netip.Prefix `json:"prefix"`
	Jail   string       `json:"jail"`
}

// most is how many lines a file may have: the bans of a daemon that is full, and the ends.
const most = 2_000_000 + mostGone

// Save writes the book into a file, which it replaces at once or not at all.
func (b *Book) Save(path string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ready {
		return nil // it knows less than the file
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".book-*")
	if err != nil {
		return fmt.Errorf("keep the decisions: %w", err)
	}
	w := bufio.NewWriterSize(f, 64<<10)
	err = errors.Join(b.write(json.NewEncoder(w)), w.Flush(), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("keep the decisions: %w", err)
	}
	return nil
}

func (b *Book) write(enc *json.Encoder) error {
	if err := enc.Encode(header{b.seq, b.read}); err != nil {
		return err
	}
	for _, e := range b.log {
		if !e.ended() && !b.live(e) {
			continue
		}
		if err := enc.Encode(line{e.seq, e.born, e.until, e.prefix, e.jail}); err != nil {
			return err
		}
	}
	return nil
}

// Load reads a file into a new book, which then has to be filled. What is wrong with the file is an error, and without one the book is new.
func Load(path string) (*Book, error) {
	b := NewBook()
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return b, fmt.Errorf("read the decisions of the last run: %w", err)
	}
	defer f.Close()
	if err := b.load(json.NewDecoder(bufio.NewReaderSize(f, 64<<10))); err != nil {
		return NewBook(), fmt.Errorf("read the decisions of the last run from %s: %w", path, err)
	}
	return b, nil
}

func (b *Book) load(dec *json.Decoder) error {
	var h header
	if err := dec.Decode(&h); err != nil {
		return err
	}
	names := make(map[string]string) // one copy of each jail's name
	for n := 0; ; n++ {
		var l line
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if n == most || !l.Prefix.IsValid() || l.Seq <= b.seq || l.Seq > h.Seq || l.Born >= l.Seq {
			return fmt.Errorf("line %d is not what exile-lapi writes", n+2)
		}
		if _, known := names[l.Jail]; !known {
			names[l.Jail] = l.Jail
		}
		b.restore(entry{l.Seq, l.Born, l.Until, l.Prefix, names[l.Jail]})
	}
	b.seq = h.Seq
	for name, mark := range h.Read {
		b.read[name] = min(mark, h.Seq)
	}
	return nil
}

func (b *Book) restore(e entry) {
	b.seq, b.log = e.seq, append(b.log, e)
	if e.ended() {
		b.gone++
		return
	}
	ban := Ban{Jail: e.jail, Prefix: e.prefix}
	if e.until != 0 {
		ban.Until = time.Unix(e.until, 0)
	}
	b.current[e.prefix], b.bans[e.prefix] = e.seq, []Ban{ban}
}
