package journalfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// TestLZ4Start: of a field that is huge only what is wanted is expanded.
func TestLZ4Start(t *testing.T) {
	want := "MESSAGE=" + strings.Repeat("exile ", 2<<20)
	p := lz4Field(t, []byte(want))
	var u unzipper
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, whole, err := u.expand(nil, compressedLZ4, p, 100)
	runtime.ReadMemStats(&after)
	if string(got) != want[:100] || whole || err != nil {
		t.Errorf("%q, whole %v, %v", got, whole, err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("%d bytes allocated", used)
	}
	for _, lie := range []int{-1, +1} {
		binary.LittleEndian.PutUint64(p, uint64(len(want)+lie))
		if _, _, err := u.expand(nil, compressedLZ4, p, maxField); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d bytes too many: %v, want %v", lie, err, ErrCorrupt)
		}
	}
}

// TestLZ4 compares with the library: what it makes, cut at any place, and what it makes of damaged blocks.
func TestLZ4(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		data := make([]byte, 100+rnd.IntN(2000))
		for i := range data {
			if data[i] = byte(rnd.IntN(256)); i > 0 && rnd.IntN(20) > 0 {
				data[i] = data[rnd.IntN(i)/8*7]
			}
		}
		data = append(data, bytes.Repeat(data[:50+rnd.IntN(50)], 2+rnd.IntN(5))...)
		p := lz4Field(t, data)
		compareLZ4(t, p, 1+rnd.IntN(len(data)+10))
		for range rnd.IntN(3) {
			p[8+rnd.IntN(len(p)-8)] = byte(rnd.IntN(256))
		}
		compareLZ4(t, p[:len(p)-rnd.IntN(2)], len(data)+10)
	}
}

// lz4Field compresses as journald does.
func lz4Field(t *testing.T, data []byte) []byte {
	t.Helper()
	block := make([]byte, lz4.CompressBlockBound(len(data)))
	n, err := lz4.CompressBlock(data, block, nil)
	if err != nil || n == 0 {
		t.Fatalf("%d bytes: %v", n, err)
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(data))), block[:n]...)
}

// compareLZ4 takes no notice of what the library refuses: of damaged blocks it does so sooner.
func compareLZ4(t *testing.T, p []byte, limit int) {
	t.Helper()
	size := int(binary.LittleEndian.Uint64(p))
	want := make([]byte, size)
	n, bad := lz4.UncompressBlock(p[8:], want)
	var u unzipper
	got, whole, err := u.expand([]byte("before"), compressedLZ4, p, limit)
	switch {
	case err != nil && !errors.Is(err, ErrCorrupt):
		t.Fatalf("%x: %v, want %v", p, err, ErrCorrupt)
	case bad != nil || n != size:
	case err != nil || whole != (size <= limit) || string(got) != "before"+string(want[:min(size, limit)]):
		t.Fatalf("%x up to %d: %x, whole %v, %v", p, limit, got, whole, err)
	}
}
