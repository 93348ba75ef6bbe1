package journalfile

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"runtime"
	"strings"
	"testing"
)

// TestXZ expands what liblzma makes when it is given a field at once, as journald does, in contrast to a stream: the block
// says how large it is.
func TestXZ(t *testing.T) {
	t.Parallel()
	const at1MiB = "fd377a585a000000ff12d94103c021e004210110000000001fa97771e0025f00195d00269146acd06f74b8a609f4ec073d018db9d68df0" +
		"e500fe800000000000000131e0040000005d50c5aba8000afc020000000000595a" // LZMA_CHECK_NONE, a dictionary of 1 MiB
	p, err := hex.DecodeString(at1MiB)
	if err != nil {
		t.Fatal(err)
	}
	var u unzipper
	got, whole, err := u.expand(nil, compressedXZ, p, 1<<20)
	if want := "MESSAGE=" + strings.Repeat("exile ", 100); string(got) != want || !whole || err != nil {
		t.Errorf("%q, whole %v, %v", got, whole, err)
	}
	for i := 12; i < 24; i++ { // the block header: numbers that do not end in it
		lie := append(bytes.Clone(p[:i]), bytes.Repeat([]byte{0xff}, 24-i)...)
		if _, _, err := u.expand(nil, compressedXZ, append(lie, p[24:]...), 1<<20); !errors.Is(err, ErrCorrupt) {
			t.Errorf("block header %x: %v", lie[12:], err)
		}
	}
}

// TestBombs: what a compressed field says of its size costs no memory.
func TestBombs(t *testing.T) {
	lz4Empty := append(make([]byte, 8), 0x10, 'x', 0, 0)
	lz4Lie := append(binary.LittleEndian.AppendUint64(nil, maxField), make([]byte, 64)...)
	zstdWindow := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x01, 0x00, 0x00} // a window of 2 TiB
	xzDictionary := append([]byte("\xfd7zXZ\x00\x00\x01\x69\x22\xde\x36\x02\x00\x21\x01\x28"), make([]byte, 16)...)
	xzSizes := append([]byte("\xfd7zXZ\x00\x00\x00\xff\x12\xd9\x41\x03\xc0\x21\xe0\x04\x21\x01\x28"), make([]byte, 16)...)
	for name, in := range map[string]struct {
		flags byte
		p     []byte
	}{
		"lz4": {compressedLZ4, lz4Lie}, "empty lz4": {compressedLZ4, lz4Empty}, "zstd": {compressedZSTD, zstdWindow},
		"xz": {compressedXZ, xzDictionary}, "xz with sizes": {compressedXZ, xzSizes},
	} {
		var u unzipper
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := u.expand(nil, in.flags, in.p, maxField)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, want %v", name, err, ErrCorrupt)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
			t.Errorf("%s: %d bytes allocated", name, used)
		}
	}
}
