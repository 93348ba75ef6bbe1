// Package crowd shares the connections that a socket takes fairly among the users of this host.
package crowd

// Guest is a connection. Its zero value belongs to root.
type Guest struct {
	UID uint32 // of who connected; Stranger where that is not known
}

// Stranger stands for all users whose uid is not known. The kernel gives it to no process.
const Stranger = ^uint32(0)

// Crowd is the connections that are open. It belongs to one goroutine.
type Crowd struct {
	max    int
	guests []*Guest // oldest first
}

// New makes a Crowd of at most max guests, which is at least 1.
func New(max int) *Crowd { return &Crowd{max: max} }

// Enter lets a guest in. Where the room is full it returns the guest who has to make place, and who is no longer of the
// crowd: the oldest of the user who has most of them, and root's only where there are no others. Otherwise it returns nil.
func (c *Crowd) Enter(g *Guest) *Guest {
	c.guests = append(c.guests, g)
	if len(c.guests) <= c.max {
		return nil
	}
	out := c.victim()
	c.Leave(out)
	return out
}

// Leave lets a guest go. One who is not there may go as well.
func (c *Crowd) Leave(g *Guest) {
	for i := range c.guests {
		if c.guests[i] == g {
			c.guests = append(c.guests[:i], c.guests[i+1:]...)
			return
		}
	}
}

// Of counts the guests of a user.
func (c *Crowd) Of(uid uint32) int {
	n := 0
	for _, g := range c.guests {
		if g.UID == uid {
			n++
		}
	}
	return n
}

// victim is never the newest where another is possible.
func (c *Crowd) victim() *Guest {
	of := make(map[uint32]int, len(c.guests))
	for _, g := range c.guests {
		of[g.UID]++
	}
	of[0] = 0
	var out *Guest
	for _, g := range c.guests {
		if out == nil || of[g.UID] > of[out.UID] {
			out = g
		}
	}
	return out
}
