package journalfile

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"golang.org/x/sys/unix"
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

// TestHuge: of a compressed field that is huge only the beginning is read.
func TestHuge(t *testing.T) {
	const size = 1 << 30
	huge, err := unix.Mmap(-1, 0, size, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(huge) }()
	for _, flags := range []byte{compressedXZ, compressedLZ4, compressedZSTD} {
		var u unzipper
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := u.expand(nil, flags, huge, 100)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 || !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d: %d bytes allocated: %v", flags, used, err)
		}
	}
}

// TestLimits: the beginning of a field that is large, and cannot be made smaller, needs but the beginning of what it became.
func TestLimits(t *testing.T) {
	t.Parallel()
	want := make([]byte, 3*maxBlock/2)
	_, _ = rand.NewChaCha8([32]byte{}).Read(want)
	var packed bytes.Buffer
	x, err := xz.WriterConfig{CheckSum: xz.CRC32, DictCap: 1 << 20}.NewWriter(&packed)
	if err == nil {
		_, err = x.Write(want)
	}
	if err = errors.Join(err, x.Close()); err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	literals := append([]byte{15 << 4}, bytes.Repeat([]byte{255}, (len(want)-15)/255)...) // of LZ4: nothing else
	literals = append(append(literals, byte((len(want)-15)%255)), want...)
	for flags, p := range map[byte][]byte{
		compressedXZ: packed.Bytes(), compressedZSTD: z.EncodeAll(want, nil),
		compressedLZ4: append(binary.LittleEndian.AppendUint64(nil, uint64(len(want))), literals...),
	} {
		for _, limit := range []int{0, 1, 64 << 10, maxBlock / 4, len(want) - 1, len(want), len(want) + 1, maxField} {
			var u unzipper
			got, whole, err := u.expand(nil, flags, p, limit)
			if !bytes.Equal(got, want[:min(limit, len(want))]) || whole != (limit >= len(want)) || err != nil {
				t.Errorf("%d up to %d: %d bytes, whole %v, %v", flags, limit, len(got), whole, err)
			}
		}
	}
}
