package crowd_test

import (
	"testing"

	"exile/internal/crowd"
)

// The user with the most connections gives way, with the oldest.
func TestGreediestGivesWay(t *testing.T) {
	t.Parallel()
	c := crowd.New(4)
	guests := func(uids ...uint32) []*crowd.Guest {
		out := make([]*crowd.Guest, len(uids))
		for i, uid := range uids {
			out[i] = &crowd.Guest{UID: uid}
		}
		return out
	}
	all := guests(0, 1001, 1000, 1000)
	for _, g := range all {
		if out := c.Enter(g); out != nil {
			t.Errorf("uid %d has to leave a room that is not full", out.UID)
		}
	}
	late := guests(1002, 1000, 0, 0, 0, 0)
	for i, want := range []*crowd.Guest{all[2], all[3], all[1], late[0], late[1], all[0]} {
		if got := c.Enter(late[i]); got != want {
			t.Errorf("guest %d: uid %d has to leave, want uid %d", i, got.UID, want.UID)
		}
	}
	if n := c.Of(0); n != 4 {
		t.Errorf("%d guests of root, want 4", n)
	}
	c.Leave(all[0]) // who had to leave leaves again by itself
	c.Leave(late[5])
	if out := c.Enter(&crowd.Guest{UID: 1000}); out != nil {
		t.Errorf("uid %d has to leave though there is room", out.UID)
	}
}

// However many connections one user opens, those of others stay, and a newcomer gets in.
func TestOthersStay(t *testing.T) {
	t.Parallel()
	c := crowd.New(32)
	scraper := &crowd.Guest{UID: 997}
	c.Enter(scraper)
	for range 600 {
		if c.Enter(&crowd.Guest{UID: 1000}) == scraper {
			t.Fatal("a crowd of one user pushes another out")
		}
	}
	if mine, theirs := c.Of(997), c.Of(1000); mine != 1 || theirs != 31 {
		t.Errorf("%d and %d guests, want 1 and 31", mine, theirs)
	}
	late := &crowd.Guest{UID: 996}
	if out := c.Enter(late); out.UID != 1000 {
		t.Errorf("for a newcomer uid %d has to leave", out.UID)
	}
}
