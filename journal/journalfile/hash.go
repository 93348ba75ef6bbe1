package journalfile

import (
	"encoding/binary"

	"github.com/dchest/siphash"

	"exile/journal/internal/lookup3"
)

// hash is the hash of a field or of field=value in this file's hash tables.
func (l *layout) hash(b []byte) uint64 {
	if l.keyed {
		return siphash.Hash(binary.LittleEndian.Uint64(l.fileID[:8]), binary.LittleEndian.Uint64(l.fileID[8:]), b)
	}
	return lookup3.Sum64(b)
}
