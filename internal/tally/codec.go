package tally

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"
)

// A day is written as its version and then its fields in order, numbers as varints. Numbers and latencies that follow in a later version go
// to the end; a reader refuses versions that it does not know.

const version = 1

// ErrDamaged is the error of a day that was not written by this package.
var ErrDamaged = errors.New("a day of another form")

// Append appends the whole day, for somebody who goes on counting.
func (d *Day) Append(v []byte) []byte { return d.append(slices.Grow(v, 8<<10), liveKeys, liveRules) }

// AppendKept appends what is kept of a day that is over: of its addresses, networks and names the 24 with the most attempts, of its rules 12.
// That is 2 kB, and with the longest names 4 kB.
func (d *Day) AppendKept(v []byte) []byte { return d.append(v, keptKeys, keptRules) }

func (d *Day) append(v []byte, keys, rules int) []byte {
	v = append(v, version)
	v = append(binary.AppendUvarint(v, uint64(len(d.Jail))), d.Jail...)
	v = binary.AppendVarint(v, d.Date.Unix())
	for _, n := range d.fields() {
		v = binary.AppendUvarint(v, *n)
	}
	v = d.Sources.append(v)
	v = appendTop(v, d.addresses, keys, compareAddr, (*addr).append)
	v = appendTop(v, d.networks, keys, compareAddr, (*addr).append)
	v = appendTop(v, d.names, keys, compareWord, (*word).append)
	v = appendTop(v, d.rules, rules, compareWord, (*word).append)
	return appendTop(v, d.reasons, rules, compareWord, (*word).append)
}

// fields returns all numbers of a day, in the order in which they are written.
func (d *Day) fields() []*uint64 {
	f := []*uint64{&d.Attempts, &d.Passed, &d.Prevented, &d.Bans, &d.Protected, &d.Denied, &d.Dropped}
	for i := range d.Hours {
		h := &d.Hours[i]
		f = append(f, &h.Attempts, &h.Prevented, &h.Bans)
	}
	for i := range d.Latency {
		f = append(f, &d.Latency[i])
	}
	return f
}

// append writes few registers as pairs, and many as they are.
func (d *Distinct) append(v []byte) []byte {
	used := 0
	for _, rank := range d {
		if rank > 0 {
			used++
		}
	}
	v = binary.AppendUvarint(v, uint64(used))
	if used > registers/3 {
		return append(v, d[:]...)
	}
	for i, rank := range d {
		if rank > 0 {
			v = append(binary.BigEndian.AppendUint16(v, uint16(i)), rank)
		}
	}
	return v
}

func appendTop[K any](v []byte, t *top[K], most int, compare func(a, b K) int, key func(*K, []byte) []byte) []byte {
	if t.used <= most {
		v = appendHead(v, t.lost, t.others, t.used)
		for k, n := range t.each {
			v = binary.AppendUvarint(key(k, v), n)
		}
		return v
	}
	list, others := t.first(most, compare)
	v = appendHead(v, t.lost, others, len(list))
	for i := range list {
		v = binary.AppendUvarint(key(&list[i].key, v), list[i].atLeast)
	}
	return v
}

func appendHead(v []byte, lost, others uint64, n int) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(v, lost), others-lost), uint64(n))
}

func (k *addr) append(v []byte) []byte {
	if a := k.addr(); a.Is4() {
		return append(append(v, 4), k[12:]...)
	}
	return append(append(v, 16), k[:]...)
}

func (w *word) append(v []byte) []byte {
	return append(append(v, w.cut<<7|w.length), w.text[:w.length]...)
}

// Decode reads a day that was written by Append or AppendKept. Its error is ErrDamaged.
func Decode(text []byte) (*Day, error) {
	r := &reader{text: text}
	if r.byte() != version {
		return nil, ErrDamaged
	}
	jail := string(r.bytes(r.number()))
	d := NewDay(jail, time.Unix(r.signed(), 0))
	for _, n := range d.fields() {
		*n = r.number()
	}
	d.Sources.read(r)
	readTop(r, d.addresses, (*reader).addr, hashAddr)
	readTop(r, d.networks, (*reader).addr, hashAddr)
	readTop(r, d.names, (*reader).word, hashWord)
	readTop(r, d.rules, (*reader).word, hashWord)
	readTop(r, d.reasons, (*reader).word, hashWord)
	if r.bad || len(r.text) > 0 {
		return nil, ErrDamaged
	}
	return d, nil
}

func (d *Distinct) read(r *reader) {
	used := r.number()
	if used > registers/3 {
		copy(d[:], r.bytes(registers))
		return
	}
	for range used {
		pair := r.bytes(3)
		if r.bad {
			return
		}
		d[binary.BigEndian.Uint16(pair)%registers] = pair[2]
	}
}

func readTop[K any](r *reader, t *top[K], key func(*reader) K, hash func(*top[K], K) uint64) {
	lost, more, n := r.number(), r.number(), r.number()
	r.bad = r.bad || n > uint64(t.size) || lost+more < lost
	for i := uint64(0); i < n && !r.bad; i++ {
		k, count := key(r), r.number()
		at := t.add(hash(t, k), count)
		r.bad = r.bad || at == nil // twice, or never
		if !r.bad {
			*at = k
		}
	}
	t.lost, t.others = lost, lost+more
}

// reader takes fields from the front. After the first mistake it returns zeros.
type reader struct {
	text []byte
	bad  bool
}

func (r *reader) bytes(n uint64) []byte {
	if r.bad || n > uint64(len(r.text)) {
		r.bad = true
		return nil
	}
	taken := r.text[:n]
	r.text = r.text[n:]
	return taken
}

func (r *reader) byte() byte {
	if b := r.bytes(1); !r.bad {
		return b[0]
	}
	return 0
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.text)
	if size <= 0 {
		r.bad = true
		return 0
	}
	r.text = r.text[size:]
	return n
}

func (r *reader) signed() int64 {
	n, size := binary.Varint(r.text)
	if size <= 0 {
		r.bad = true
		return 0
	}
	r.text = r.text[size:]
	return n
}

func (r *reader) addr() (k addr) {
	switch length := r.byte(); length {
	case 4:
		k[10], k[11] = 0xff, 0xff
		copy(k[12:], r.bytes(4))
	case 16:
		copy(k[:], r.bytes(16))
	default:
		r.bad = true
	}
	return k
}

func (r *reader) word() (w word) {
	head := r.byte()
	w.cut, w.length = head>>7, head&0x7f
	if w.length > maxWord {
		r.bad = true
		return word{}
	}
	copy(w.text[:], r.bytes(uint64(w.length)))
	return w
}
