package jail

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
)

// A snapshot is the memories one after the other, each the number of its entries and these from the oldest to the newest,
// so that the same are forgotten next. Numbers are varints, texts have their length before them.

// snapshotVersion names the form of a snapshot.
const snapshotVersion = 6

// The versions that are read besides. In the first networks have no users, and no host is a single IPv6 address. Before the
// one of crowds a name has addresses, and nothing is known of sieges and of regions in trouble. Before the one of tallies networks
// have no points.
const (
	firstVersion  = 3
	usersVersion  = 4
	crowdsVersion = 5
	tallyVersion  = 6
)

var errSnapshot = errors.New("not a snapshot of the adaptive detector")

// Snapshotter is a Detector whose memory reaches back further than the log may.
type Snapshotter interface {
	// Snapshot returns the memory, in a form of that version.
	Snapshot() (version uint32, data []byte, err error)
	// Restore replaces the memory with that of a snapshot. When it cannot, it returns an error and changes nothing.
	Restore(version uint32, data []byte) error
}

// Snapshot implements Snapshotter. It takes at most a few megabytes.
func (d *AdaptiveDetector) Snapshot() (version uint32, data []byte, err error) {
	var w snapshotWriter
	w.number(d.names.key[0])
	w.number(d.names.key[1])
	writeAll(&w, d.names.recent, func(w *snapshotWriter, name nameID, t *tried) {
		w.number(uint64(name))
		w.text(t.text)
		w.crowd(&t.crowd)
	})
	writeAll(&w, d.scores.recent, func(w *snapshotWriter, host key, s *list) {
		w.host(host.host())
		w.score(d.scores.oldestFirst(s))
	})
	writeAll(&w, d.known.nets.recent, writeNet)
	writeAll(&w, d.known.regions.recent, writeNet)
	writeAll(&w, d.known.names, func(w *snapshotWriter, name string, at *stamp) { w.text(name); w.number(uint64(*at)) })
	writeAll(&w, d.hosts.recent, func(w *snapshotWriter, host key, o *offence) { w.host(host.host()); w.offence(o) })
	writeAll(&w, d.wides.banned, (*snapshotWriter).members)
	writeAll(&w, d.wides.recent, func(w *snapshotWriter, p wideID, o *offence) { w.number(uint64(p)); w.offence(o) })
	writeAll(&w, d.sieges, func(w *snapshotWriter, name nameID, c *crowd) { w.number(uint64(name)); w.crowd(c) })
	writeAll(&w, d.troubled.recent, func(w *snapshotWriter, region netID, host *netID) { w.number(uint64(region)); w.number(uint64(*host)) })
	writeAll(&w, d.tallies, (*snapshotWriter).tallies)
	return snapshotVersion, w, nil
}

// Restore implements Snapshotter. What the host's accounts are is not part of a snapshot, and stays.
func (d *AdaptiveDetector) Restore(version uint32, data []byte) error {
	if version < firstVersion || version > snapshotVersion {
		return fmt.Errorf("snapshot of version %d: this program reads versions %d to %d", version, firstVersion, snapshotVersion)
	}
	fresh := NewAdaptive(d.cfg)
	r := &snapshotReader{data: data, version: version}
	fresh.names.key = nameKey{r.number(math.MaxUint64), r.number(math.MaxUint64)}
	readAll(r, fresh.names.recent, (*snapshotReader).nameID, set((*snapshotReader).tried))
	readAll(r, fresh.scores.recent, (*snapshotReader).host, func(r *snapshotReader, v *list) { r.score(fresh.scores, v) })
	readAll(r, fresh.known.nets.recent, (*snapshotReader).net, (*snapshotReader).user)
	readAll(r, fresh.known.regions.recent, (*snapshotReader).net, (*snapshotReader).user)
	readAll(r, fresh.known.names, (*snapshotReader).name, set((*snapshotReader).stamp))
	readAll(r, fresh.hosts.recent, (*snapshotReader).host, set((*snapshotReader).offence))
	readAll(r, fresh.wides.banned, (*snapshotReader).wide, set((*snapshotReader).members))
	readAll(r, fresh.wides.recent, (*snapshotReader).wide, set((*snapshotReader).offence))
	fresh.accounts = d.accounts
	if version >= crowdsVersion {
		readAll(r, fresh.sieges, (*snapshotReader).nameID, set((*snapshotReader).crowd))
		readAll(r, fresh.troubled.recent, (*snapshotReader).net, set((*snapshotReader).net))
	} else {
		fresh.deriveCrowds()
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

func writeAll[K comparable, V any](w *snapshotWriter, r *recent[K, V], one func(*snapshotWriter, K, *V)) {
	w.number(uint64(r.len()))
	for node := range r.all {
		w.number(uint64(node.touched))
		one(w, node.key, &node.value)
	}
}

func (w *snapshotWriter) number(n uint64) { *w = binary.AppendUvarint(*w, n) }

func (w *snapshotWriter) text(s string) {
	w.number(uint64(len(s)))
	*w = append(*w, s...)
}

func writeNet(w *snapshotWriter, n netID, o *owned[struct{}]) {
	w.number(uint64(n))
	w.number(uint64(o.of.user))
}

// host writes a network's number, or that of multicast and then all of a single IPv6 address.
func (w *snapshotWriter) host(p netip.Prefix) {
	if p.Bits() <= 64 {
		w.number(uint64(netIDOf(p)))
		return
	}
	b := p.Addr().As16()
	w.number(multicast)
	w.number(binary.BigEndian.Uint64(b[:8]))
	w.number(binary.BigEndian.Uint64(b[8:]))
}

func (w *snapshotWriter) crowd(c *crowd) {
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

func readAll[K comparable, V any](r *snapshotReader, into *recent[K, V], key func(*snapshotReader) K, value func(*snapshotReader, *V)) {
	for n := r.number(math.MaxUint32); n > 0 && !r.bad; n-- {
		at := r.stamp()
		k := key(r)
		if r.bad = r.bad || into.get(k) != nil; !r.bad { // the same twice is no snapshot of ours
			value(r, into.touch(k, int64(at)))
		}
	}
	into.evicted = 0
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

func (r *snapshotReader) name() string { return r.text(maxName) }

func (r *snapshotReader) stamp() stamp { return stamp(r.number(math.MaxUint32)) }

func (r *snapshotReader) net() netID { return netID(r.number(math.MaxUint64)) }

// host reads the key of what host wrote.
func (r *snapshotReader) host() (k key) {
	n := r.net()
	if n != multicast {
		return n.addr().As16()
	}
	binary.BigEndian.PutUint64(k[:8], r.number(math.MaxUint64))
	binary.BigEndian.PutUint64(k[8:], r.number(math.MaxUint64))
	r.bad = r.bad || !counted(netip.AddrFrom16(k))
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

func (r *snapshotReader) user(o *owned[struct{}]) {
	if r.version >= usersVersion {
		o.of.user = uint32(r.number(math.MaxUint32))
	}
}

func (r *snapshotReader) nameID() nameID { return nameID(r.number(math.MaxUint64)) }

func (r *snapshotReader) tried() tried {
	text := r.name()
	return tried{text: text, crowd: r.crowd()}
}

func (r *snapshotReader) crowd() crowd {
	if r.version < crowdsVersion {
		return r.formerCrowd()
	}
	c := crowd{n: uint8(r.number(maxTried))}
	for i := range c.n {
		c.hosts[i], c.at[i], c.twin[i] = r.net(), r.stamp(), uint8(r.number(maxTried))
	}
	r.bad = r.bad || !c.whole()
	return c
}

func (r *snapshotReader) members() members {
	var m members
	for n := r.number(maxCrowd); n > 0 && !r.bad; n-- {
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
func (r *snapshotReader) score(to scores, v *list) {
	for n := r.number(maxMarks); n > 0 && !r.bad; n-- {
		to.count(v, scoreMark{r.stamp(), points(r.number(math.MaxUint16)), uint16(r.number(math.MaxUint16))})
	}
}

func (r *snapshotReader) offence() offence {
	return offence{uint16(r.number(math.MaxUint16)), r.stamp()}
}
