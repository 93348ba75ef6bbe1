package main

import (
	"testing"
	"time"
)

func TestPause(t *testing.T) {
	t.Parallel()
	for n, want := range map[uint32]time.Duration{0: 0, 1: 2 * time.Second, 2: 4 * time.Second, 3: 8 * time.Second, 4: 10 * time.Second, 1 << 31: 10 * time.Second} {
		if got := pause(n); got != want {
			t.Errorf("pause(%d) = %v, want %v", n, got, want)
		}
	}
}
