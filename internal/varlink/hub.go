package varlink

import (
	"context"

	"exile/internal/control"
)

// Limits on what users may have open. What root may is its own, so that nobody keeps it out.
const (
	maxConnections = 128 // of all users but root
	maxPerUser     = 16
	maxRoot        = 64
	queueLength    = 1024 // announcements that may wait for the hub, and replies for a monitor
)

// hub knows who is connected and who monitors. All of it belongs to the goroutine in run; others hand it functions.
type hub struct {
	do       chan func()
	events   chan control.Event
	users    map[uint32]int // connections of each
	total    int            // of all but root
	monitors map[*monitor]struct{}
}

// monitor is one who is told of what happens. Its queue is closed when it was too slow.
type monitor struct{ queue chan []byte }

func newHub() *hub {
	return &hub{
		do: make(chan func()), events: make(chan control.Event, queueLength),
		users: make(map[uint32]int), monitors: make(map[*monitor]struct{}),
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

// own runs f in the goroutine of run; it reports false when that has ended, or is about to.
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

// enter counts a connection, or reports that the user has enough.
func (h *hub) enter(ctx context.Context, uid uint32) (ok bool) {
	h.own(ctx, func() {
		if uid == 0 {
			ok = h.users[uid] < maxRoot
		} else {
			ok = h.users[uid] < maxPerUser && h.total < maxConnections
		}
		if ok {
			h.count(uid, 1)
		}
	})
	return ok
}

// leave ends what enter began.
func (h *hub) leave(ctx context.Context, uid uint32) { h.own(ctx, func() { h.count(uid, -1) }) }

func (h *hub) count(uid uint32, n int) {
	if uid != 0 {
		h.total += n
	}
	if h.users[uid] += n; h.users[uid] == 0 {
		delete(h.users, uid)
	}
}

// subscribe makes a monitor; nil when ctx ended.
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

// tell writes the reply once for all who monitor; whose queue is full is one no longer.
func (h *hub) tell(e control.Event) {
	if len(h.monitors) == 0 {
		return
	}
	message, err := encode(reply{Parameters: monitorReply{Event: toEvent(e)}, Continues: true})
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
