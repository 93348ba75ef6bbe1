package varlink

import (
	"context"

	"exile/internal/control"
	"exile/internal/crowd"
)

// Limits on open connections. Root has its own, so that nobody can keep it out.
const (
	maxConnections = 128 // of all users but root
	maxPerUser     = 16
	maxRoot        = 64
	queueLength    = 1024 // announcements waiting for the hub, and replies waiting for a monitor
)

// hub knows all connections and monitors. The goroutine in run owns all of it; others hand it functions.
type hub struct {
	do       chan func()
	events   chan control.Event
	users    *crowd.Crowd // all but root
	roots    *crowd.Crowd
	guests   map[*crowd.Guest]*guest // of both
	monitors map[*monitor]struct{}
}

// guest is a connection.
type guest struct {
	crowd.Guest
	close func() error
}

// monitor is a caller that receives events. Its queue is closed if it was too slow.
type monitor struct{ queue chan []byte }

func newHub() *hub {
	return &hub{
		do: make(chan func()), events: make(chan control.Event, queueLength),
		users: crowd.New(maxConnections), roots: crowd.New(maxRoot), guests: make(map[*crowd.Guest]*guest),
		monitors: make(map[*monitor]struct{}),
	}
}

func (h *hub) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-h.do:
			f()
		case e := <-h.events:
			h.tell(e)
		}
	}
}

// own runs f in the goroutine of run; it returns false if that has ended, or is about to.
func (h *hub) own(ctx context.Context, f func()) bool {
	done := make(chan struct{})
	select {
	case h.do <- func() { f(); close(done) }:
		<-done
		return true
	case <-ctx.Done():
		return false
	}
}

// enter admits a connection, or reports that its user has enough. When users other than root have too many in total, the user
// with the most loses the oldest.
func (h *hub) enter(ctx context.Context, g *guest) (ok bool) {
	h.own(ctx, func() {
		room, most := h.users, maxPerUser
		if g.UID == 0 {
			room, most = h.roots, maxRoot
		}
		if ok = room.Of(g.UID) < most; !ok {
			return
		}
		h.guests[&g.Guest] = g
		if out := room.Enter(&g.Guest); out != nil {
			_ = h.guests[out].close() // ends its serve
			delete(h.guests, out)
		}
	})
	return ok
}

// leave undoes enter.
func (h *hub) leave(ctx context.Context, g *guest) {
	h.own(ctx, func() {
		h.users.Leave(&g.Guest)
		h.roots.Leave(&g.Guest)
		delete(h.guests, &g.Guest)
	})
}

// subscribe makes a monitor; nil if ctx has ended.
func (h *hub) subscribe(ctx context.Context) *monitor {
	m := &monitor{queue: make(chan []byte, queueLength)}
	if !h.own(ctx, func() { h.monitors[m] = struct{}{} }) {
		return nil
	}
	return m
}

func (h *hub) unsubscribe(ctx context.Context, m *monitor) {
	h.own(ctx, func() { delete(h.monitors, m) })
}

// tell encodes the reply once for all monitors; a monitor with a full queue is dropped.
func (h *hub) tell(e control.Event) {
	if len(h.monitors) == 0 {
		return
	}
	message, err := encode(reply{Parameters: monitorReply{Event: &e}, Continues: true})
	if err != nil {
		return // events are plain data: it cannot fail
	}
	for m := range h.monitors {
		select {
		case m.queue <- message:
		default:
			close(m.queue)
			delete(h.monitors, m)
		}
	}
}
