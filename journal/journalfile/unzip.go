package journalfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Flags of a data object.
const (
	compressedXZ = 1 << iota
	compressedLZ4
	compressedZSTD

	compressed = compressedXZ | compressedLZ4 | compressedZSTD
)

// maxWindow bounds the memory that a compressed field can make its decoder use. journald compresses with windows of at
// most 8 MiB.
const maxWindow = 16 << 20

// maxField is the largest field that journald accepts (DATA_SIZE_MAX).
const maxField = 768 << 20

// maxBlock is how much must be read beyond what is wanted: more than a format takes at once, and more than it adds to what
// cannot be compressed, apart from LZ4's 255th part.
const maxBlock = 1 << 20

// unzipper expands compressed payloads, whose lengths may be wrong.
type unzipper struct {
	zstd *zstd.Decoder
	src  bytes.Reader
	in   []byte
}

// expand appends at most limit bytes of what p expands to to dst, and reports whether that was all. It reads p once, and
// first of all: p may be a mapping.
func (u *unzipper) expand(dst []byte, flags byte, p []byte, limit int) (_ []byte, whole bool, err error) {
	limit = min(limit, maxField)
	u.in = append(u.in[:0], p[:min(len(p), limit+limit/128+maxBlock)]...)
	defer u.shrink()
	switch flags & compressed {
	case compressedZSTD:
		return u.expandZSTD(dst, limit)
	case compressedLZ4:
		return u.expandLZ4(dst, limit)
	case compressedXZ:
		return u.expandXZ(dst, limit)
	default:
		return dst, false, fmt.Errorf("%w: object is compressed twice: flags %#x", ErrCorrupt, flags)
	}
}

func (u *unzipper) expandZSTD(dst []byte, limit int) (_ []byte, whole bool, err error) {
	u.src.Reset(u.in)
	if u.zstd == nil {
		// Concurrency 1: no goroutines, so that nothing needs to be closed.
		u.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return dst, false, fmt.Errorf("start zstd: %w", err)
		}
	}
	if err := u.zstd.Reset(&u.src); err != nil {
		return dst, false, fmt.Errorf("%w: zstd: %w", ErrCorrupt, err)
	}
	return readUpTo(dst, u.zstd, limit, "zstd")
}

// expandLZ4 reads a 64-bit size and one raw block.
func (u *unzipper) expandLZ4(dst []byte, limit int) (_ []byte, whole bool, err error) {
	if len(u.in) < 8 {
		return dst, false, fmt.Errorf("%w: lz4: %d bytes", ErrCorrupt, len(u.in))
	}
	size, block := binary.LittleEndian.Uint64(u.in), u.in[8:]
	if size == 0 || size > maxField { // no field is empty
		return dst, false, fmt.Errorf("%w: lz4: %d bytes out of %d", ErrCorrupt, size, len(block))
	}
	n := min(int(size), limit)
	z := lz4Block{block: block, dst: dst, start: len(dst), most: n + 1} // one more, to see whether there is more
	ok := z.expand()
	whole = int(size) == n
	if got := len(z.dst) - z.start; !ok || whole && got != n || got < n {
		return dst, false, fmt.Errorf("%w: lz4: %d bytes, not %d", ErrCorrupt, got, size)
	}
	return z.dst[:z.start+n], whole, nil
}

// shrink frees large buffers: one large field must not cost memory for ever.
func (u *unzipper) shrink() {
	const keep = 1 << 20
	if cap(u.in) > keep {
		u.in = nil
	}
}

func (u *unzipper) expandXZ(dst []byte, limit int) (_ []byte, whole bool, err error) {
	if err := checkXZ(u.in); err != nil {
		return dst, false, err
	}
	u.src.Reset(u.in)
	r, err := xz.ReaderConfig{DictCap: 1 << 16, SingleStream: true}.NewReader(&u.src)
	if err != nil {
		return dst, false, fmt.Errorf("%w: xz: %w", ErrCorrupt, err)
	}
	return readUpTo(dst, r, limit, "xz")
}

// checkXZ refuses streams with a larger dictionary than journald's: the library would allocate it at once. The stream header
// has 12 bytes; then comes the block header: size, flags, up to two sizes that journald writes and a stream does not, and one
// filter: LZMA2, one byte of properties.
func checkXZ(p []byte) error {
	const sizeOfCompressed, sizeOfAll = 0x40, 0x80
	if len(p) < 24 || p[13]&^(sizeOfCompressed|sizeOfAll) != 0 {
		return fmt.Errorf("%w: xz: not one filter", ErrCorrupt)
	}
	filter := p[14:]
	for _, has := range []byte{sizeOfCompressed, sizeOfAll} {
		if p[13]&has == 0 {
			continue
		}
		_, n := binary.Uvarint(filter)
		filter = filter[max(n, 0):]
		if n <= 0 || len(filter) < 3 {
			return fmt.Errorf("%w: xz: block header ends in a size", ErrCorrupt)
		}
	}
	if bits := filter[2]; filter[0] != 0x21 || filter[1] != 1 || bits > 24 { // 24: 16 MiB
		return fmt.Errorf("%w: xz: filter %#x with a dictionary of size %d", ErrCorrupt, filter[0], bits)
	}
	return nil
}

// readUpTo appends at most limit bytes of r to dst and reports whether that was all.
func readUpTo(dst []byte, r io.Reader, limit int, name string) (_ []byte, whole bool, err error) {
	for start := len(dst); ; {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		room := min(cap(dst)-len(dst), limit-(len(dst)-start)+1) // one more than the limit, to see whether there is more
		n, err := r.Read(dst[len(dst) : len(dst)+room])
		dst = dst[:len(dst)+n]
		if len(dst)-start > limit {
			return dst[:start+limit], false, nil
		}
		if errors.Is(err, io.EOF) {
			return dst, true, nil
		}
		if err != nil {
			return dst, false, fmt.Errorf("%w: %s: %w", ErrCorrupt, name, err)
		}
	}
}
