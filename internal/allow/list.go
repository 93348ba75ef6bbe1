// Package allow keeps up to date who is never banned: it reads the lists that ignoreip names, asks for the addresses of
// its host names, follows the addresses of this host, and runs ignorecommand. What the answer is at any moment is a set
// of package jail, which a decision looks up without waiting.
package allow

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"exile/jail"
)

// Addresses follows the addresses that are this host's own.
type Addresses interface {
	// Follow calls changed with all of them, at once and after each change, until ctx ends (then it returns nil) or it
	// cannot go on.
	Follow(ctx context.Context, changed func([]jail.Friend)) error
}

// Resolver asks for the addresses of host names.
type Resolver interface {
	// Resolve returns the addresses of host, none if it has none, and how long they hold. The error means that nobody
	// answered.
	Resolve(ctx context.Context, host string) ([]netip.Addr, time.Duration, error)
}

// Config says who is never banned.
type Config struct {
	Ignore   []jail.Ignore
	Self     Addresses   // nil: own addresses are not protected
	Resolver Resolver    // nil: host names protect nobody
	Report   func(error) // is told, by any goroutine, what could not be read or asked; the last answer holds. nil: nobody
}

// List is who is never banned. It is safe for concurrent use.
type List struct {
	cfg Config
	// The one exception from one owner per state: Serve is the only writer, and readers must never wait for it.
	current atomic.Pointer[jail.Friends]
	known   known // New's, then Serve's alone
}

// known is what each part of the list says now.
type known struct {
	files map[string]*listFile
	names map[string][]netip.Addr
	self  []jail.Friend
}

// New returns the list as far as it is known without asking: addresses, prefixes, and files. Serve keeps it up to date.
func New(cfg Config) *List {
	if cfg.Report == nil {
		cfg.Report = func(error) {}
	}
	l := &List{cfg: cfg, known: known{files: map[string]*listFile{}, names: map[string][]netip.Addr{}}}
	for _, g := range cfg.Ignore {
		if g.File != "" {
			l.known.files[g.File] = &listFile{path: g.File}
		}
	}
	l.readFiles()
	l.publish()
	return l
}

// Allowed implements jail.Allow.
func (l *List) Allowed(addr netip.Addr, at time.Time) (why string, ok bool) {
	return l.current.Load().Allowed(addr, at)
}

// Touches implements jail.Toucher.
func (l *List) Touches(p netip.Prefix) (why string, ok bool) { return l.current.Load().Touches(p) }

// publish makes what is known the answer. Where a prefix is named twice, the first in the order of ignoreip gives the
// reason.
func (l *List) publish() {
	var all []jail.Friend
	for _, g := range l.cfg.Ignore {
		switch {
		case g.File != "":
			all = append(all, l.known.files[g.File].friends...)
		case g.Host != "":
			for _, a := range l.known.names[g.Host] {
				all = append(all, friend(a, "ignoreip "+g.Host))
			}
		default:
			all = append(all, jail.Friend{Prefix: g.Prefix, Why: "ignoreip " + g.String()})
		}
	}
	l.current.Store(jail.NewFriends(append(all, l.known.self...)))
}

// fileCheck is how often the files are looked at.
const fileCheck = time.Minute

// Serve keeps the list up to date until ctx ends. It is called once.
func (l *List) Serve(ctx context.Context) {
	var group sync.WaitGroup
	self, names := make(chan []jail.Friend), make(chan answer)
	if l.cfg.Self != nil {
		group.Go(func() { l.follow(ctx, func(list []jail.Friend) { send(ctx, self, list) }) })
	}
	if l.cfg.Resolver != nil {
		group.Go(func() { l.resolve(ctx, func(a answer) { send(ctx, names, a) }) })
	}
	group.Go(func() { l.merge(ctx, self, names) })
	group.Wait()
}

// follow follows the addresses of this host, and begins again when that fails: what they were last stays protected.
func (l *List) follow(ctx context.Context, changed func([]jail.Friend)) {
	for {
		err := l.cfg.Self.Follow(ctx, changed)
		if ctx.Err() != nil {
			return
		}
		l.cfg.Report(fmt.Errorf("%w; what was known stays protected, and it is tried again", err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryAfter):
		}
	}
}

// merge is the one owner of what is known.
func (l *List) merge(ctx context.Context, self <-chan []jail.Friend, names <-chan answer) {
	check := time.NewTicker(fileCheck)
	defer check.Stop()
	for {
		changed := true
		select {
		case <-ctx.Done():
			return
		case l.known.self = <-self:
		case a := <-names:
			changed = !slices.Equal(l.known.names[a.host], a.addrs)
			l.known.names[a.host] = a.addrs
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
