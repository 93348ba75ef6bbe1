package tally

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"unicode/utf8"
)

// addr is an address, or the first one of a network, as a key: IPv4 in its IPv6-mapped form.
type addr [16]byte

func (k addr) addr() netip.Addr { return netip.AddrFrom16(k).Unmap() }

// around returns the network that an address is in, see network.
func (k addr) around() netip.Prefix {
	a := k.addr()
	length := 48
	if a.Is4() {
		length = 24
	}
	p, _ := a.Prefix(length) // valid
	return p
}

// network returns the first address of the network around an address that is likely to belong to one customer of a provider, or to its neighbours:
// a /24, or a /48 of IPv6.
func (k addr) network() addr {
	keep := 6
	if k.is4() {
		keep = 15
	}
	clear(k[keep:])
	return k
}

func (k *addr) is4() bool {
	return binary.BigEndian.Uint64(k[:8]) == 0 && binary.BigEndian.Uint32(k[8:12]) == 0xffff
}

// hash returns a hash with a seed; with a seed of 0 it is always the same.
func (k *addr) hash(seed uint64) uint64 {
	return mix(mix(binary.BigEndian.Uint64(k[:8])^seed) + binary.BigEndian.Uint64(k[8:]))
}

func compareAddr(a, b addr) int { return bytes.Compare(a[:], b[:]) }

func hashAddr(t *top[addr], k addr) uint64 { return k.hash(t.seed) }

func addAddr(t *top[addr], k addr, n uint64) {
	if at := t.add(k.hash(t.seed), n); at != nil {
		*at = k
	}
}

// maxWord is how much of a text counts.
const maxWord = 62

// word is a text as a key, such as a name that somebody typed. Only its first 62 bytes are kept. It has no pointer, so that counting texts makes
// no garbage.
type word struct {
	length, cut uint8
	text        [maxWord]byte
}

// wordOf returns a text as a key.
func wordOf(text string) (w word) {
	short := clip(text)
	w.length = uint8(copy(w.text[:], short))
	if len(short) < len(text) {
		w.cut = 1
	}
	return w
}

// clip returns the part of a text that counts, without half a character at its end.
func clip(text string) string {
	if len(text) <= maxWord {
		return text
	}
	for n := maxWord; n > maxWord-utf8.UTFMax; n-- {
		if utf8.RuneStart(text[n]) {
			return text[:n]
		}
	}
	return text[:maxWord]
}

// String returns the text, with an ellipsis if it was cut off. It may hold any bytes, and is to be quoted where it is shown.
func (w word) String() string {
	text := string(w.text[:w.length])
	if w.cut > 0 {
		text += "…"
	}
	return text
}

func compareWord(a, b word) int {
	return cmp.Or(bytes.Compare(a.text[:], b.text[:]), cmp.Compare(a.length, b.length), cmp.Compare(a.cut, b.cut))
}

func hashWord(t *top[word], w word) uint64 { return hashText(t, string(w.text[:w.length]), w.cut > 0) }

func hashText(t *top[word], text string, cut bool) uint64 {
	h := maphash.String(t.words, text)
	if cut {
		h = ^h
	}
	return h
}

// addWord counts a text, unless it is empty.
func addWord(t *top[word], text string, n uint64) {
	if text == "" {
		return
	}
	short := clip(text)
	if at := t.add(hashText(t, short, len(short) < len(text)), n); at != nil {
		*at = wordOf(text)
	}
}
