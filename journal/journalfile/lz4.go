package journalfile

import "encoding/binary"

// lz4Block expands the beginning of a raw block. Libraries only expand all of it, and we want a few bytes of up to 768 MB.
type lz4Block struct {
	block []byte // what is not read yet
	dst   []byte // the result is appended to it
	start int    // where in dst it begins
	most  int    // bytes that are wanted
}

// expand reports whether it is a block, as far as it was read.
func (z *lz4Block) expand() (ok bool) {
	for len(z.block) > 0 {
		token := z.block[0]
		z.block = z.block[1:]
		if !z.literals(token >> 4) {
			return false
		}
		if z.room() == 0 || len(z.block) == 0 { // literals are the last
			return true
		}
		if !z.match(token & 15) {
			return false
		}
	}
	return false
}

func (z *lz4Block) room() int { return z.start + z.most - len(z.dst) }

func (z *lz4Block) literals(bits byte) (ok bool) {
	n, ok := z.length(bits)
	n = min(n, z.room()) // what is not wanted may be missing
	if !ok || n > len(z.block) {
		return false
	}
	z.dst = append(z.dst, z.block[:n]...)
	z.block = z.block[n:]
	return true
}

// match appends a copy of what came before, which may overlap itself.
func (z *lz4Block) match(bits byte) (ok bool) {
	const shortest = 4
	if len(z.block) < 2 {
		return false
	}
	back := int(binary.LittleEndian.Uint16(z.block))
	z.block = z.block[2:]
	n, ok := z.length(bits)
	if !ok || back == 0 || back > len(z.dst)-z.start {
		return false
	}
	for n = min(n+shortest, z.room()); n > 0; {
		from := z.dst[len(z.dst)-back:]
		from = from[:min(n, back)]
		z.dst, n = append(z.dst, from...), n-len(from)
	}
	return true
}

// length reads a length of which four bits are in the token: bytes are added to 15 up to one that is not 255.
func (z *lz4Block) length(bits byte) (n int, ok bool) {
	n = int(bits)
	for more := bits == 15; more; z.block = z.block[1:] {
		if len(z.block) == 0 || n > maxField {
			return n, false
		}
		n += int(z.block[0])
		more = z.block[0] == 255
	}
	return n, true
}
