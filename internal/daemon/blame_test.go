package daemon

import "testing"

func TestBlame(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		guilty, failing int
		want            string
	}{
		{0, 0, "nothing is known of anybody in it"},
		{1, 0, "1 in it was banned before; nothing is known of others in it"},
		{3, 0, "3 in it were banned before; nothing is known of others in it"},
		{3, 1, "3 in it were banned before, 1 more failed; nothing is known of others in it"},
		{0, 10, "10 in it failed; nothing is known of others in it"},
	} {
		if got := blame(c.guilty, c.failing); got != c.want {
			t.Errorf("%d banned, %d failed: %q, want %q", c.guilty, c.failing, got, c.want)
		}
	}
}
