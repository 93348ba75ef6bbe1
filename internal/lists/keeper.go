package lists

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"exile/firewall"
	"exile/internal/control"
)

// Kernel enforces lists. It is used from one goroutine at a time, except Watch.
type Kernel interface {
	// Replace has the kernel hold these lists and no other.
	Replace(ctx context.Context, lists []firewall.Blocklist) error
	// Holds reports whether it still does.
	Holds() (bool, error)
	// Dropped returns how many packets each list has stopped, by its name.
	Dropped() (map[string]uint64, error)
	// Watch calls touched when another program may have changed what is ours, until ctx ends.
	Watch(ctx context.Context, touched func()) error
}

// File is a list in a file.
type File struct {
	Name string // see firewall.ValidBlocklistName
	Path string
}

// Config says which lists there are and what they leave alone.
type Config struct {
	Files     []File
	Kernel    Kernel                // nil: lists are read, and stop nobody
	Protected func() []netip.Prefix // who is never stopped, now
	Log       *slog.Logger
}

// Keeper keeps lists. Its methods are safe for concurrent use.
type Keeper struct {
	cfg  Config
	wake chan struct{}
	// Exceptions to the rule of one owner per state: Serve is the only reader of the first, and the only writer of the second.
	suspended atomic.Bool
	current   atomic.Pointer[[]view]

	files     []*file          // these belong to Serve
	protected []firewall.Range // merged
	standing  bool             // the kernel was told of the files as they are, suspended or not
	stood     bool             // suspended, when it was told
	retry     time.Time        // when it is told again if nothing has changed
	wrong     error            // why it could not be told
}

// view is a list as others see it.
type view struct {
	control.Blocklist
	ranges []firewall.Range
}

// New returns a keeper that does nothing until Serve.
func New(cfg Config) *Keeper {
	k := &Keeper{cfg: cfg, wake: make(chan struct{}, 1)}
	for _, f := range cfg.Files {
		k.files = append(k.files, &file{File: f, err: errUnread})
	}
	k.publish()
	return k
}

const (
	checkEvery = 2 * time.Second // files, who is protected, and the kernel
	retryAfter = time.Minute
)

// Serve keeps the lists in the kernel until ctx ends, and leaves them there. It is called once.
func (k *Keeper) Serve(ctx context.Context) {
	var group errgroup.Group
	if k.cfg.Kernel != nil {
		group.Go(func() error { k.watch(ctx); return nil })
	}
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	for {
		k.round(ctx)
		select {
		case <-ctx.Done():
			_ = group.Wait() // it has no error
			return
		case <-check.C:
		case <-k.wake:
		}
	}
}

// watch has changes of others repaired at once. Without it they are found at the next check.
func (k *Keeper) watch(ctx context.Context) {
	for ctx.Err() == nil {
		if err := k.cfg.Kernel.Watch(ctx, k.soon); err != nil {
			k.cfg.Log.Debug("Cannot watch the table of the block lists", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
	}
}

func (k *Keeper) soon() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Suspend takes the lists out of the kernel, or puts them back.
func (k *Keeper) Suspend(suspend bool) {
	if k.suspended.Swap(suspend) != suspend {
		k.soon()
	}
}

// round looks at everything once, and changes the kernel where that is due.
func (k *Keeper) round(ctx context.Context) {
	now := time.Now()
	protected := rangesOf(k.cfg.Protected())
	anew := !slices.Equal(protected, k.protected)
	k.protected = protected
	for _, f := range k.files {
		if f.read() {
			k.report(f)
			anew = true
		}
	}
	if anew {
		k.choose()
	}
	suspended := k.suspended.Load()
	anew = anew || k.stood != suspended
	k.standing = k.standing && !anew && k.holds()
	if !k.standing && k.cfg.Kernel != nil && (anew || !now.Before(k.retry)) {
		k.tell(ctx, suspended, now)
	}
	k.publish()
}

// holds reports whether the kernel has what it was told. What cannot be asked is told again.
func (k *Keeper) holds() bool {
	if k.cfg.Kernel == nil {
		return true
	}
	holds, err := k.cfg.Kernel.Holds()
	return holds && err == nil
}

// choose cuts out who is protected, and leaves out what is too much.
func (k *Keeper) choose() {
	room := MaxEntries
	for _, f := range k.files {
		left, hit := cut(f.parsed.Ranges, k.protected)
		f.over = nil
		switch {
		case size4(left) > mostOfIPv4:
			f.over = errors.New("it has more than a quarter of all IPv4 addresses; nothing of it is in force")
		case len(left) > room:
			f.over = fmt.Errorf("all lists together have more than %d entries; nothing of this one is in force", MaxEntries)
		}
		if f.over != nil {
			left, hit = nil, 0
		}
		f.ranges, f.cut = left, hit
		room -= len(left)
	}
}

// mostOfIPv4 is how many addresses a list may have.
const mostOfIPv4 = 1 << 30

// tell tells the kernel which lists there are.
func (k *Keeper) tell(ctx context.Context, suspended bool, now time.Time) {
	var lists []firewall.Blocklist
	for _, f := range k.files {
		if !suspended && len(f.ranges) > 0 {
			lists = append(lists, firewall.Blocklist{Name: f.Name, Ranges: f.ranges})
		}
	}
	err := k.cfg.Kernel.Replace(ctx, lists)
	if ctx.Err() != nil {
		return
	}
	if err != nil && (k.wrong == nil || k.wrong.Error() != err.Error()) && len(k.files) > 0 {
		k.cfg.Log.Warn("Failed to change the block lists in the kernel", "error", err)
	}
	wait := checkEvery // also where somebody else undoes it all the time
	if err != nil {
		wait = retryAfter
	}
	k.standing, k.stood, k.wrong, k.retry = err == nil, suspended, err, now.Add(wait)
}

// report logs what a file says.
func (k *Keeper) report(f *file) {
	if f.err != nil {
		k.cfg.Log.Warn("Cannot read a block list; what it said before stays in force", "list", f.Name, "error", f.err)
		return
	}
	p := &f.parsed
	k.cfg.Log.Info("Read a block list", "list", f.Name, "file", f.Path, "entries", p.Entries, "too_wide", p.Wide, "lines_without_address",
		len(p.Bad)+p.BadMore, "first_of_them", p.Bad)
}

// publish shows others how things are.
func (k *Keeper) publish() {
	var dropped map[string]uint64
	if k.cfg.Kernel != nil && len(k.files) > 0 {
		dropped, _ = k.cfg.Kernel.Dropped() // what cannot be asked now is shown next time
	}
	views := make([]view, len(k.files))
	for i, f := range k.files {
		p := &f.parsed
		v := view{ranges: f.ranges, Blocklist: control.Blocklist{
			Name: f.Name, File: f.Path, Updated: f.changed, Entries: p.Entries, Ranges: len(f.ranges), Cut: f.cut, Wide: p.Wide,
			Unread: len(p.Bad) + p.BadMore, Dropped: dropped[f.Name], Enforced: k.standing && !k.stood && k.cfg.Kernel != nil && len(f.ranges) > 0,
		}}
		if err := errors.Join(f.err, f.over, k.wrong); err != nil && !errors.Is(f.err, errUnread) {
			v.Trouble = err.Error()
		}
		views[i] = v
	}
	k.current.Store(&views)
}

// Lists returns the lists in the order of the configuration.
func (k *Keeper) Lists() []control.Blocklist {
	views := *k.current.Load()
	lists := make([]control.Blocklist, len(views))
	for i := range views {
		lists[i] = views[i].Blocklist
	}
	return lists
}

// Naming returns the names of the lists that stop the address.
func (k *Keeper) Naming(a netip.Addr) (names []string) {
	for _, v := range *k.current.Load() {
		if v.Enforced && holds(v.ranges, a) {
			names = append(names, v.Name)
		}
	}
	return names
}

// rangesOf returns prefixes, and the networks that lists may not name, merged.
func rangesOf(prefixes []netip.Prefix) []firewall.Range {
	all := make([]firewall.Range, 0, len(prefixes)+len(local()))
	for _, p := range append(slices.Clip(prefixes), local()...) {
		if p.Addr().Is4In6() {
			continue // no packet has such a source
		}
		all = append(all, rangeOf(p))
	}
	return merge(all)
}

// local are the networks that each site uses as it likes (RFC 6890). Lists of "bogons" have them for routers at the edge; on a host with a
// container or an address of its own behind a router they would close it to its neighbours.
func local() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("0.0.0.0/32"), netip.MustParsePrefix("::/127"), netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/10"),
	}
}
