package textlog

import (
	"context"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// event is what inotify says of a name.
func event(mask uint32, name string) []byte {
	padded := make([]byte, (len(name)+16)/16*16)
	copy(padded, name)
	b := binary.NativeEndian.AppendUint32(nil, 1)
	b = binary.NativeEndian.AppendUint32(b, mask)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = binary.NativeEndian.AppendUint32(b, uint32(len(padded)))
	return append(b, padded...)
}

func TestRelevant(t *testing.T) {
	t.Parallel()
	w := newWatch([]string{"/nonexistent/auth.log"})
	t.Cleanup(w.close)
	for _, c := range []struct {
		name           string
		events         []byte
		grown, changed bool
	}{
		{"nothing", nil, false, false},
		{"another log", event(unix.IN_MODIFY, "syslog"), false, false},
		{"another log rotated", event(unix.IN_MOVED_TO, "syslog.1"), false, false},
		{"the log", event(unix.IN_MODIFY, "auth.log"), true, false},
		{"its rotation", event(unix.IN_MODIFY, "auth.log.1"), true, false},
		{"its rotation, with the extension at the end", event(unix.IN_MODIFY, "auth-20261130.log"), true, false},
		{"rotated", event(unix.IN_MOVED_FROM, "auth.log"), false, true},
		{"a folder", event(unix.IN_CREATE|unix.IN_ISDIR, "nginx"), false, true},
		{"the folder itself", event(unix.IN_DELETE_SELF, "")[:16], false, true},
		{"too much", event(unix.IN_Q_OVERFLOW, "")[:16], false, true},
		{"several", append(event(unix.IN_MODIFY, "syslog"), event(unix.IN_MODIFY, "auth.log")...), true, false},
		{"cut short", event(unix.IN_MODIFY, "auth.log")[:20], false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if grown, changed := w.relevant(c.events); grown != c.grown || changed != c.changed {
				t.Errorf("relevant = %v, %v, want %v, %v", grown, changed, c.grown, c.changed)
			}
		})
	}
}

// TestWithoutInotify: the host's watches are used up; the folders are looked at by the clock.
func TestWithoutInotify(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &watch{patterns: []string{"/nonexistent/auth.log"}}
		w.arm()
		begun := time.Now()
		if !w.wait(t.Context()) || time.Since(begun) != blind {
			t.Errorf("waited %v, want %v", time.Since(begun), blind)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w.interrupt()
		w.wait(ctx)
		if time.Since(begun) != blind {
			t.Error("waited although all was over")
		}
		w.close()
	})
}
