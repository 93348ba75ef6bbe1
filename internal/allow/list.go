// Package allow knows which addresses are never banned: it reads the lists that ignoreip names, resolves host names, follows the addresses of
// this host, and runs ignorecommand. The current answer is a set of package jail, which a decision looks up without waiting.
package allow

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"exile/jail"
)

// Addresses follows the host's own addresses.
type Addresses interface {
	// Follow calls changed with all of them, at once and after each change. It returns nil when ctx ends, or an error if it cannot
	// go on.
	Follow(ctx context.Context, changed func([]jail.Friend)) error
}

// Resolver resolves host names.
type Resolver interface {
	// Resolve returns the addresses of host, possibly none, and how long they are valid. An error means that there was no answer.
	Resolve(ctx context.Context, host string) ([]netip.Addr, time.Duration, error)
}

// Config says which addresses are never banned.
type Config struct {
	Ignore   []jail.Ignore
	Friends  []jail.Friend // others, with the reason of each
	Self     Addresses     // nil: own addresses are not protected
	Resolver Resolver      // nil: host names protect nobody
	// Last returns the addresses that a host name had before. They are valid until there is an answer. nil: nothing is known.
	Last func(host string) []netip.Addr
}

// List is the set of addresses that are never banned. It is safe for concurrent use.
type List struct {
	cfg Config
	// An exception to the rule of one owner per state: Serve is the only writer, and readers must never wait for it.
	current atomic.Pointer[current]
	known   known // belongs to New, then to Serve alone
}

// current is what readers see.
type current struct {
	*jail.Friends
	names   map[string][]netip.Addr
	words   []string
	trouble error
}

// known is the current content of each part of the list.
type known struct {
	files map[string]*listFile
	names map[string]answer
	self  ownAddrs
}

// ownAddrs are the addresses of this host, and the error that keeps us from following them.
type ownAddrs struct {
	list []jail.Friend
	err  error
}

// New returns the list with what is known at once: addresses, prefixes, and files. Serve keeps it up to date.
func New(cfg Config) *List {
	l := &List{cfg: cfg, known: known{files: map[string]*listFile{}, names: map[string]answer{}}}
	for _, g := range cfg.Ignore {
		if g.File != "" {
			l.known.files[g.File] = &listFile{path: g.File}
		}
	}
	l.recall()
	l.readFiles()
	l.publish()
	return l
}

// recall takes over the addresses that host names had before.
func (l *List) recall() {
	for _, g := range l.cfg.Ignore {
		if g.Host == "" || l.cfg.Last == nil {
			continue
		}
		if addrs := l.cfg.Last(g.Host); len(addrs) > 0 {
			l.known.names[g.Host] = answer{host: g.Host, addrs: addrs}
		}
	}
}

// Allowed implements jail.Allow.
func (l *List) Allowed(addr netip.Addr, at time.Time) (why string, ok bool) {
	return l.current.Load().Allowed(addr, at)
}

// Touches implements jail.Toucher.
func (l *List) Touches(p netip.Prefix) (why string, ok bool) { return l.current.Load().Touches(p) }

// Prefixes returns the networks of the list, in any order.
func (l *List) Prefixes() []netip.Prefix { return l.current.Load().Prefixes() }

// Protected returns the entries of ignoreip as configured, with the current addresses of each host name.
func (l *List) Protected() []string { return l.current.Load().words }

// Addresses returns the addresses of a host name of the list, as of the last answer.
func (l *List) Addresses(host string) []netip.Addr { return l.current.Load().names[host] }

// Trouble says which parts of the list do not work now; nil: all work.
func (l *List) Trouble() error { return l.current.Load().trouble }

// publish makes what is known visible to readers. If a prefix occurs twice, the first in the order of ignoreip gives the reason.
func (l *List) publish() {
	var all []jail.Friend
	var troubles []error
	words, names := make([]string, len(l.cfg.Ignore)), make(map[string][]netip.Addr)
	for i, g := range l.cfg.Ignore {
		words[i] = g.String()
		switch {
		case g.File != "":
			f := l.known.files[g.File]
			all = append(all, f.friends...)
			troubles = append(troubles, f.trouble())
		case g.Host != "":
			a := l.known.names[g.Host]
			all = append(all, a.friends()...)
			words[i] += a.String()
			names[g.Host] = a.addrs
			troubles = append(troubles, a.trouble())
		default:
			all = append(all, jail.Friend{Prefix: g.Prefix, Why: "ignoreip " + g.String()})
		}
	}
	all = append(append(all, l.cfg.Friends...), l.known.self.list...)
	l.current.Store(&current{jail.NewFriends(all), names, words, errors.Join(append(troubles, l.known.self.err)...)})
}

// fileCheck is how often the files are checked.
const fileCheck = time.Minute

// Serve keeps the list up to date until ctx ends. It is called once.
func (l *List) Serve(ctx context.Context) {
	var group sync.WaitGroup
	self, names := make(chan ownAddrs), make(chan answer)
	if l.cfg.Self != nil {
		group.Go(func() { l.follow(ctx, func(o ownAddrs) { send(ctx, self, o) }) })
	}
	if l.cfg.Resolver != nil {
		group.Go(func() { l.resolve(ctx, func(a answer) { send(ctx, names, a) }) })
	}
	group.Go(func() { l.merge(ctx, self, names) })
	group.Wait()
}

// follow follows the addresses of this host, and starts again when that fails. Meanwhile the last known ones stay protected.
func (l *List) follow(ctx context.Context, tell func(ownAddrs)) {
	var last ownAddrs
	for {
		err := l.cfg.Self.Follow(ctx, func(list []jail.Friend) {
			last = ownAddrs{list: list}
			tell(last)
		})
		if ctx.Err() != nil {
			return
		}
		last.err = fmt.Errorf("ignoreself: %w", err)
		tell(last)
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryAfter):
		}
	}
}

// merge owns what is known.
func (l *List) merge(ctx context.Context, self <-chan ownAddrs, names <-chan answer) {
	check := time.NewTicker(fileCheck)
	defer check.Stop()
	for {
		changed := true
		select {
		case <-ctx.Done():
			return
		case l.known.self = <-self:
		case a := <-names:
			changed = l.learn(a)
		case <-check.C:
			changed = l.readFiles()
		}
		if changed {
			l.publish()
		}
	}
}

func send[T any](ctx context.Context, to chan<- T, v T) {
	select {
	case to <- v:
	case <-ctx.Done():
	}
}
