package jail

import "net/netip"

const (
	chunkBits    = 10
	chunkSize    = 1 << chunkBits
	bytesPerHost = 128 // a prefix costs at most that, at five marks
)

// key is an address, IPv4 as IPv4-mapped, or a prefix's: its length follows from its family. See Strangers.Unit.
type key [16]byte

func keyOf(p netip.Prefix) key { return p.Addr().As16() }

// prefix is that of the key: so many bits by its family, and a single address where more bits are set.
func (k key) prefix(bits4, bits6 int) netip.Prefix {
	a, bits := netip.AddrFrom16(k).Unmap(), bits6
	if a.Is4() {
		bits = bits4
	}
	if p, _ := a.Prefix(bits); p.Addr() == a {
		return p
	}
	return netip.PrefixFrom(a, a.BitLen())
}

// table holds a fixed number of marks for each of its prefixes and knows which was touched last. It is a slab, found by
// hash, linked by age. A map from prefix to a pointer costs three times the memory, and the garbage collector's time.
type table struct {
	limit   int
	slots   int // marks of a prefix
	index   index[key]
	chunks  []chunk // so that growing copies nothing
	fresh   uint32  // hosts ever handed out
	free    uint32  // 1 + first of the freed hosts, linked by next
	newest  uint32  // 1 + number
	oldest  uint32
	evicted uint64
}

// chunk keeps the keys apart: who changes the order by age looks at hosts that have nothing else to do with it, and the
// smaller those are, the more of them the cache holds.
type chunk struct {
	keys  []key
	hosts []host
	marks []mark
}

type host struct {
	next, prev uint32 // 1 + number: next is older, prev is newer
	n          uint16 // marks in use
}

// newTable returns a table for about limit prefixes: fewer if each has so many marks that they took more memory than
// limit prefixes of five marks.
func newTable(limit, slots int) *table {
	size := 48 + 16*slots
	if size > bytesPerHost {
		limit = max(1, limit/size*bytesPerHost)
	}
	t := &table{limit: limit, slots: slots}
	t.index = newIndex(limit, func(n uint32) key { return t.key(n - 1) })
	return t
}

func (t *table) len() int { return t.index.used }

// at returns a host and its marks, all of them.
func (t *table) at(id uint32) (*host, []mark) {
	c := &t.chunks[id>>chunkBits]
	i := int(id & (chunkSize - 1))
	return &c.hosts[i], c.marks[i*t.slots : (i+1)*t.slots]
}

func (t *table) host(id uint32) *host { return &t.chunks[id>>chunkBits].hosts[id&(chunkSize-1)] }

func (t *table) key(id uint32) key { return t.chunks[id>>chunkBits].keys[id&(chunkSize-1)] }

func (t *table) find(k key) (id uint32, ok bool) {
	n := t.index.find(k, t.index.hash(k))
	return n - 1, n != 0
}

// touch returns the host of k and makes it the newest; a new one, for which the oldest may have to go, has no marks.
func (t *table) touch(k key) (id uint32) {
	h := t.index.hash(k)
	n := t.index.find(k, h)
	switch n {
	case 0:
		n = t.add(k, h)
	case t.newest:
		return n - 1
	default:
		t.unlink(n)
	}
	t.pushNewest(n)
	return n - 1
}

func (t *table) add(k key, h uint64) (n uint32) {
	if t.len() >= t.limit {
		t.remove(t.oldest - 1)
		t.evicted++
	}
	n = t.take()
	t.chunks[(n-1)>>chunkBits].keys[(n-1)&(chunkSize-1)] = k
	t.index.put(h, n)
	return n
}

func (t *table) remove(id uint32) {
	t.index.remove(t.index.hash(t.key(id)), id+1)
	t.unlink(id + 1)
	*t.host(id) = host{next: t.free}
	t.free = id + 1
}

func (t *table) take() uint32 {
	if n := t.free; n != 0 {
		t.free = t.host(n - 1).next
		*t.host(n - 1) = host{}
		return n
	}
	if t.fresh&(chunkSize-1) == 0 {
		t.chunks = append(t.chunks, chunk{make([]key, chunkSize), make([]host, chunkSize), make([]mark, chunkSize*t.slots)})
	}
	t.fresh++
	return t.fresh
}

func (t *table) unlink(n uint32) {
	h := t.host(n - 1)
	if h.prev != 0 {
		t.host(h.prev - 1).next = h.next
	} else {
		t.newest = h.next
	}
	if h.next != 0 {
		t.host(h.next - 1).prev = h.prev
	} else {
		t.oldest = h.prev
	}
}

func (t *table) pushNewest(n uint32) {
	h := t.host(n - 1)
	h.prev, h.next = 0, t.newest
	if t.newest != 0 {
		t.host(t.newest - 1).prev = n
	} else {
		t.oldest = n
	}
	t.newest = n
}

// all yields every host with its number, newest first. The body may remove the host that it is given.
func (t *table) all(yield func(uint32) bool) {
	for n := t.newest; n != 0; {
		next := t.host(n - 1).next
		if !yield(n - 1) {
			return
		}
		n = next
	}
}
