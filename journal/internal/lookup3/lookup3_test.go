package lookup3_test

import (
	"testing"

	"exile/journal/internal/lookup3"
)

// TestSum64 compares with the values that the authors of the functions published.
func TestSum64(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]uint64{"": 0xdeadbeefdeadbeef, "Four score and seven years ago": 0x17770551ce7226e6} {
		if got := lookup3.Sum64([]byte(in)); got != want {
			t.Errorf("Sum64(%q) = %#x, want %#x", in, got, want)
		}
	}
}
