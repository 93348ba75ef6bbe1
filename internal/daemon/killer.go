package daemon

import (
	"context"
	"slices"
	"time"

	"exile/firewall"
)

// killer cuts the open connections of banned addresses outside the loop, because that may take long.
type killer struct {
	work  chan func(context.Context) error
	queue []firewall.Key // whose connections are still to be cut
}

func newKiller() killer { return killer{work: make(chan func(context.Context) error)} }

// run cuts the connections that the loop hands over until ctx ends. failed is called with errors.
func (k *killer) run(ctx context.Context, failed func(error)) error {
	for {
		select {
		case kill := <-k.work:
			if err := kill(ctx); err != nil && ctx.Err() == nil {
				failed(err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// add queues connections.
func (k *killer) add(keys []firewall.Key) { k.queue = append(k.queue, keys...) }

// next returns the channel for the work and the queue; nil when the queue is empty.
func (k *killer) next() (chan<- func(context.Context) error, []firewall.Key) {
	if len(k.queue) == 0 {
		return nil, nil
	}
	return k.work, slices.Clone(k.queue)
}

// sent empties the queue: the goroutine has what was in it.
func (k *killer) sent() { k.queue = nil }

// queueKill queues the connections that the keys ban, if the configuration wants them cut.
func (d *Daemon) queueKill(keys ...firewall.Key) {
	if d.plan.Kill != nil && !d.kernel.pausing() {
		d.killer.add(keys)
	}
}

// nextKill returns the channel of the killer and its work. Both are nil when there is none, and until it is known who is logged in.
func (d *Daemon) nextKill() (chan<- func(context.Context) error, func(context.Context) error) {
	if d.plan.Kill == nil || !d.sources.caughtUp() && time.Since(d.stats.started) < patience {
		return nil, nil
	}
	work, keys := d.killer.next()
	if work == nil {
		return nil, nil
	}
	kill, spared := d.plan.Kill, d.sparer.list()
	return work, func(ctx context.Context) error { return kill(ctx, keys, spared) }
}

// killFailed degrades the daemon for a while. It is called from the killer's goroutine.
func (d *Daemon) killFailed(ctx context.Context, err error) {
	d.send(ctx, func(context.Context) { d.health.degrade(reasonKill, time.Now().Add(transient), err) })
}
