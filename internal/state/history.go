package state

import (
	"bytes"
	"encoding/binary"

	"exile/internal/tally"
)

// The sums of a jail on a day are written as they are: their format is that of internal/tally. Nothing else depends on them, so a damaged one is
// left out.

// dayKey sorts by date.
func dayKey(k tally.Key) []byte { return append(numberKey(uint64(k.Date)), k.Jail...) }

// storeDay keeps the sums of a day as they are.
func storeDay(into map[tally.Key][]byte, key, text []byte) error {
	if len(key) < 8 {
		return errKey
	}
	if into != nil {
		into[tally.Key{Jail: string(key[8:]), Date: int64(binary.BigEndian.Uint64(key))}] = bytes.Clone(text)
	}
	return nil
}
