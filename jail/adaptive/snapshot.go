package adaptive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"

	"exile/jail/internal/bounded"
	"exile/jail/internal/netkey"
	"exile/jail/internal/text"
)

// A snapshot is one memory after the other: the number of its entries, and then the entries, oldest first, so that the same
// are forgotten next. Numbers are varints; a text follows its length.

// snapshotVersion names the form of a snapshot.
const snapshotVersion = 6

// Former versions that are read too. In the first, networks have no users, and no host is a single IPv6 address. Before
// siegesVersion there are no twins, no sieges and no regions with bans. Before tallyVersion networks have no points.
const (
	firstVersion  = 3
	usersVersion  = 4
	siegesVersion = 5
	tallyVersion  = 6
)

var errSnapshot = errors.New("not a snapshot of the adaptive detector")

// Snapshot implements Snapshotter. It takes at most a few megabytes.
func (d *Detector) Snapshot() (version uint32, data []byte, err error) {
	var w snapshotWriter
	w.number(d.names.secret[0])
	w.number(d.names.secret[1])
	writeAll(&w, d.names.Store, func(w *snapshotWriter, name nameID, t *tried) {
		w.number(uint64(name))
		w.text(t.text)
		w.sources(&t.sources)
	})
	writeAll(&w, d.scores.Store, func(w *snapshotWriter, host netkey.Key, s *bounded.List) {
		w.host(hostOf(host))
		w.score(d.scores.OldestFirst(s))
	})
	writeAll(&w, d.known.nets.Store, writeNet)
	writeAll(&w, d.known.regions.Store, writeNet)
	writeAll(&w, d.known.names, func(w *snapshotWriter, name string, at *stamp) { w.text(name); w.number(uint64(*at)) })
	writeAll(&w, d.hosts.Store, func(w *snapshotWriter, host netkey.Key, o *offence) { w.host(hostOf(host)); w.offence(o) })
	writeAll(&w, d.wides.banned, (*snapshotWriter).members)
	writeAll(&w, d.wides.Store, func(w *snapshotWriter, p wideID, o *offence) { w.number(uint64(p)); w.offence(o) })
	writeAll(&w, d.sieges, func(w *snapshotWriter, name nameID, c *sources) { w.number(uint64(name)); w.sources(c) })
	writeAll(&w, d.troubled.Store, func(w *snapshotWriter, region netkey.ID, host *netkey.ID) {
		w.number(uint64(region))
		w.number(uint64(*host))
	})
	writeAll(&w, d.tallies, (*snapshotWriter).tallies)
	return snapshotVersion, w, nil
}

// Restore implements Snapshotter. What the host's accounts are is not part of a snapshot, and stays.
func (d *Detector) Restore(version uint32, data []byte) error {
	if version < firstVersion || version > snapshotVersion {
		return fmt.Errorf("snapshot of version %d: this program reads versions %d to %d", version, firstVersion, snapshotVersion)
	}
	fresh := New(d.cfg)
	r := &snapshotReader{data: data, version: version}
	fresh.names.secret = netkey.Secret{r.number(math.MaxUint64), r.number(math.MaxUint64)}
	readAll(r, fresh.names.Store, (*snapshotReader).nameID, set((*snapshotReader).tried))
	readAll(r, fresh.scores.Store, (*snapshotReader).host, func(r *snapshotReader, v *bounded.List) { r.score(fresh.scores, v) })
	readAll(r, fresh.known.nets.Store, (*snapshotReader).net, (*snapshotReader).user)
	readAll(r, fresh.known.regions.Store, (*snapshotReader).net, (*snapshotReader).user)
	readAll(r, fresh.known.names, (*snapshotReader).name, set((*snapshotReader).stamp))
	readAll(r, fresh.hosts.Store, (*snapshotReader).host, set((*snapshotReader).offence))
	readAll(r, fresh.wides.banned, (*snapshotReader).wide, set((*snapshotReader).members))
	readAll(r, fresh.wides.Store, (*snapshotReader).wide, set((*snapshotReader).offence))
	fresh.accounts = d.accounts
	if version >= siegesVersion {
		readAll(r, fresh.sieges, (*snapshotReader).nameID, set((*snapshotReader).sources))
		readAll(r, fresh.troubled.Store, (*snapshotReader).net, set((*snapshotReader).net))
	} else {
		fresh.deriveSieges()
	}
	if version >= tallyVersion {
		readAll(r, fresh.tallies, (*snapshotReader).wide, set((*snapshotReader).tallies))
	}
	if r.bad || len(r.data) > 0 {
		return errSnapshot
	}
	fresh.known.restored()
	*d = *fresh
	return nil
}

type snapshotWriter []byte

func writeAll[K comparable, V any](w *snapshotWriter, from *bounded.Store[K, V], one func(*snapshotWriter, K, *V)) {
	w.number(uint64(from.Len()))
	for e := range from.All {
		w.number(uint64(e.Touched))
		one(w, e.Key, &e.Value)
	}
}

func (w *snapshotWriter) number(n uint64) { *w = binary.AppendUvarint(*w, n) }

func (w *snapshotWriter) text(s string) {
	w.number(uint64(len(s)))
	*w = append(*w, s...)
}

func writeNet(w *snapshotWriter, n netkey.ID, o *bounded.OwnedValue[struct{}]) {
	w.number(uint64(n))
	w.number(uint64(o.Owner.User))
}

// host writes a network's number, or that of multicast and then all of a single IPv6 address.
func (w *snapshotWriter) host(p netip.Prefix) {
	if p.Bits() <= 64 {
		w.number(uint64(netkey.IDOf(p.Addr())))
		return
	}
	b := p.Addr().As16()
	w.number(uint64(netkey.Multicast))
	w.number(binary.BigEndian.Uint64(b[:8]))
	w.number(binary.BigEndian.Uint64(b[8:]))
}

func (w *snapshotWriter) sources(c *sources) {
	w.number(uint64(c.n))
	for i := range c.n {
		w.number(uint64(c.hosts[i]))
		w.number(uint64(c.at[i]))
		w.number(uint64(c.twin[i]))
	}
}

func (w *snapshotWriter) members(p wideID, m *members) {
	w.number(uint64(p))
	w.number(uint64(m.n))
	for i := range int(m.n) {
		w.number(uint64(m.of(p, i)))
		w.number(uint64(m.at[i]))
	}
}

func (w *snapshotWriter) tallies(p wideID, all *tallies) {
	w.number(uint64(p))
	for i := range all {
		w.number(uint64(all[i].newest))
		for _, points := range all[i].points {
			w.number(uint64(points))
		}
	}
}

func (w *snapshotWriter) score(marks []scoreMark) {
	w.number(uint64(len(marks)))
	for _, m := range marks {
		w.number(uint64(m.at))
		w.number(uint64(m.points))
		w.number(uint64(m.guesses))
	}
}

func (w *snapshotWriter) offence(o *offence) {
	w.number(uint64(o.count))
	w.number(uint64(o.until))
}

// snapshotReader reads what a disk gave back: every number is in its range, or all of it is bad.
type snapshotReader struct {
	data    []byte
	version uint32
	bad     bool
}

func readAll[K comparable, V any](r *snapshotReader, into *bounded.Store[K, V], key func(*snapshotReader) K, value func(*snapshotReader, *V)) {
	for n := r.number(math.MaxUint32); n > 0 && !r.bad; n-- {
		at := r.stamp()
		k := key(r)
		if r.bad = r.bad || into.Get(k) != nil; !r.bad { // the same twice is no snapshot of ours
			value(r, into.Touch(k, int64(at)))
		}
	}
	into.ClearEvicted()
}

// set makes of what reads a value what reads it into its place.
func set[V any](read func(*snapshotReader) V) func(*snapshotReader, *V) {
	return func(r *snapshotReader, v *V) { *v = read(r) }
}

// number reads a number that is at most limit; 0 when there is none.
func (r *snapshotReader) number(limit uint64) uint64 {
	n, size := binary.Uvarint(r.data)
	if size <= 0 || n > limit {
		r.bad, r.data = true, nil
		return 0
	}
	r.data = r.data[size:]
	return n
}

func (r *snapshotReader) text(limit uint64) string {
	n := int(r.number(limit))
	if n > len(r.data) {
		r.bad, r.data = true, nil
		return ""
	}
	s := string(r.data[:n])
	r.data = r.data[n:]
	return s
}

func (r *snapshotReader) name() string { return r.text(text.MaxName) }

func (r *snapshotReader) stamp() stamp { return stamp(r.number(math.MaxUint32)) }

func (r *snapshotReader) net() netkey.ID { return netkey.ID(r.number(math.MaxUint64)) }

// host reads the key of what host wrote.
func (r *snapshotReader) host() netkey.Key {
	n := r.net()
	if n != netkey.Multicast {
		return netkey.OfAddr(n.Addr())
	}
	k := netkey.Key{High: r.number(math.MaxUint64), Low: r.number(math.MaxUint64)}
	r.bad = r.bad || !netkey.Counted(k.Addr())
	return k
}

func (r *snapshotReader) wide() wideID {
	w := wideID(r.number(math.MaxUint64))
	if bits := w.bits(); bits > 64 {
		r.bad = true
	} else if same, ok := wideOf(w.prefix()); !ok || same != w {
		r.bad = true
	}
	return w
}

func (r *snapshotReader) user(o *bounded.OwnedValue[struct{}]) {
	if r.version >= usersVersion {
		o.Owner.User = uint32(r.number(math.MaxUint32))
	}
}

func (r *snapshotReader) nameID() nameID { return nameID(r.number(math.MaxUint64)) }

func (r *snapshotReader) tried() tried {
	name := r.name()
	return tried{text: name, sources: r.sources()}
}

func (r *snapshotReader) sources() sources {
	if r.version < siegesVersion {
		return r.formerSources()
	}
	c := sources{n: uint8(r.number(maxSources))}
	for i := range c.n {
		c.put(int(i), r.net(), r.stamp())
		c.twin[i] = uint8(r.number(maxSources))
	}
	r.bad = r.bad || !c.whole()
	return c
}

func (r *snapshotReader) members() members {
	var m members
	for n := r.number(maxCounted); n > 0 && !r.bad; n-- {
		m.see(r.net(), r.stamp())
	}
	return m
}

func (r *snapshotReader) tallies() (all tallies) {
	for n := range all {
		all[n].newest = uint32(r.number(math.MaxUint32))
		for i := range all[n].points {
			all[n].points[i] = points(r.number(math.MaxUint16))
		}
	}
	return all
}

// score adds the marks to a score that has none.
func (r *snapshotReader) score(to scores, v *bounded.List) {
	for n := r.number(maxMarks); n > 0 && !r.bad; n-- {
		to.count(v, scoreMark{r.stamp(), points(r.number(math.MaxUint16)), uint16(r.number(math.MaxUint16))})
	}
}

func (r *snapshotReader) offence() offence {
	return offence{uint16(r.number(math.MaxUint16)), r.stamp()}
}
