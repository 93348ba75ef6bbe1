package ipset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"exile/firewall"
	"exile/firewall/internal/bulk"
)

// leastHash is how many buckets a set has for which no other number is asked.
const leastHash = 1 << 10

// kernel speaks ipset over one netlink socket.
type kernel struct {
	conn *bulk.Conn
	buf  []byte // the message being written, reused
	// call sends one command and passes each answer to each. Tests inject faults here.
	call func(cmd, flags int, payload []byte, each func([]byte)) error
}

// setType is what a set of ours is made as. The revision is pinned: it is the first with the layout that we use, so the
// system's ipset tool lists the sets rightly on every kernel since 4.15.
type setType struct {
	name     string
	revision uint8
}

var (
	hashNet     = setType{"hash:net", 6}
	hashNetPort = setType{"hash:net,port", 7}
)

// header is what the kernel says of a set.
type header struct {
	typeName string
	family   uint8
	timeouts bool
	counts   bool
	maxElem  uint32
	elements uint32
}

func dial(netns int) (*kernel, error) {
	conn, err := bulk.Dial(unix.NETLINK_NETFILTER, netns)
	if err != nil {
		return nil, fmt.Errorf("open ipset socket: %w", err)
	}
	return &kernel{conn: conn, call: func(cmd, flags int, payload []byte, each func([]byte)) error {
		request := bulk.Request{Type: unix.NFNL_SUBSYS_IPSET<<8 | uint16(cmd), Flags: uint16(flags), Body: payload}
		return ask(conn, request, each)
	}}, nil
}

// ask sends a request and passes each answer, without netfilter's header, to each. bulk bounds how long the kernel may be silent.
func ask(conn *bulk.Conn, request bulk.Request, each func([]byte)) error {
	answer := func(body []byte) error {
		each(body[min(4, len(body)):])
		return nil
	}
	if request.Flags&unix.NLM_F_DUMP == unix.NLM_F_DUMP {
		return conn.Dump(context.Background(), request, answer)
	}
	refused, err := conn.Exchange(context.Background(), []bulk.Request{request}, func(_ int, body []byte) error { return answer(body) })
	return cmp.Or(err, refused[0])
}

func (k *kernel) close() error { return k.conn.Close() }

// begin starts a message about a set, and reuses the buffer of the last.
func (k *kernel) begin(set string) []byte {
	b := append(k.buf[:0], unix.AF_INET, 0, 0, 0) // netfilter header
	b = bulk.AppendAttribute(b, attrProtocol, protocol)
	return appendString(b, attrSetName, set)
}

// send is for commands that only succeed or fail.
func (k *kernel) send(cmd, flags int, b []byte) error {
	k.buf = b
	return k.call(cmd, flags, b, func([]byte) {})
}

// create makes a set with room for expected elements, 0 for who knows how many, that grows up to maxElem; a set of the name
// that is there already is EEXIST.
func (k *kernel) create(set string, t setType, family uint8, expected, maxElem uint32) error {
	b := k.begin(set)
	b = appendString(b, attrTypeName, t.name)
	b = bulk.AppendAttribute(b, attrRevision, t.revision)
	b = bulk.AppendAttribute(b, attrFamily, family)
	b = appendNested(b, attrData, func(b []byte) []byte {
		b = appendUint32(b, attrTimeout, 0) // elements have their own; without one they stay
		b = appendUint32(b, attrCADTFlags, flagCounts)
		if expected > 0 {
			// The kernel doubles the table until no bucket has more than a dozen, and copies all each time.
			b = appendUint32(b, attrHashSize, max(expected/4, leastHash))
		}
		return appendUint32(b, attrMaxElem, maxElem)
	})
	return k.send(cmdCreate, unix.NLM_F_CREATE|unix.NLM_F_EXCL, b)
}

// swap exchanges the contents of two sets at once: rules keep looking at the same name.
func (k *kernel) swap(a, b string) error {
	return k.send(cmdSwap, 0, appendString(k.begin(a), attrSetName2, b))
}

// flush takes all elements out of a set, also out of one in use; one that is not there is no error.
func (k *kernel) flush(set string) error {
	if err := k.send(cmdFlush, 0, k.begin(set)); !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// destroy removes a set; one that is not there is no error. Rules that were just deleted let go of their sets a moment
// later, on a busy machine more than a second later, so a set in use is tried again until ctx ends or two seconds have passed.
func (k *kernel) destroy(ctx context.Context, set string) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := k.send(cmdDestroy, 0, k.begin(set))
		switch {
		case errors.Is(err, unix.ENOENT):
			return nil
		case !errors.Is(err, errBusy) || wait > time.Second:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// header asks what kind of set has the name; ENOENT if none.
func (k *kernel) header(set string) (header, error) {
	var h header
	b := appendUint32(k.begin(set), attrFlags, listHeader)
	err := k.call(cmdList, unix.NLM_F_DUMP, b, func(msg []byte) {
		data := attr(msg, attrData)
		h.typeName = cString(attr(msg, attrTypeName))
		h.family = uint8(number(attr(msg, attrFamily)))
		h.timeouts = attr(data, attrTimeout) != nil
		h.counts = number(attr(data, attrCADTFlags))&flagCounts != 0
		h.maxElem = number(attr(data, attrMaxElem))
		h.elements = number(attr(data, attrElements))
	})
	return h, err
}

func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// index returns the number by which rules know the set.
func (k *kernel) index(set string) (uint16, error) {
	var data []byte
	err := k.call(cmdGetByName, 0, k.begin(set), func(msg []byte) { data = slices.Clone(attr(msg, attrIndex)) })
	if err == nil && len(data) < 2 {
		err = bulk.ErrShort
	}
	return uint16(number(data)), err
}

// elements hands every ban in the set to yield.
func (k *kernel) elements(set string, yield func(firewall.Ban)) error {
	return k.each(set, func(data []byte, now time.Time) error {
		ban, ok, err := parseElement(data, now)
		if ok && err == nil {
			yield(ban)
		}
		return err
	})
}

// each calls f with the attributes of every element of the set, and when they were read.
func (k *kernel) each(set string, f func(data []byte, now time.Time) error) error {
	var bad error
	err := k.call(cmdList, unix.NLM_F_DUMP, k.begin(set), func(msg []byte) {
		now := time.Now()
		err := bulk.Attributes(attr(msg, attrADT), func(typ uint16, data []byte) error {
			if typ != attrData {
				return nil
			}
			return f(data, now)
		})
		if err != nil {
			bad = err
		}
	})
	return errors.Join(err, bad)
}

// add puts the bans in or gives them their new end: at least one second from now. At most perMessage.
func (k *kernel) add(set string, bans []firewall.Ban) error {
	now := time.Now()
	b := bulk.AppendAttribute(k.begin(set), attrLineNo|unix.NLA_F_NET_BYTEORDER, 0, 0, 0, 0)
	b = appendNested(b, attrADT, func(b []byte) []byte {
		for _, ban := range bans {
			t := timeout(ban.Until, now)
			b = appendElement(b, ban.Key, &t)
		}
		return b
	})
	return k.send(cmdAdd, 0, b)
}

// del takes the keys out; one that is not there is no error. At most perMessage.
func (k *kernel) del(set string, keys []firewall.Key) error {
	b := bulk.AppendAttribute(k.begin(set), attrLineNo|unix.NLA_F_NET_BYTEORDER, 0, 0, 0, 0)
	b = appendNested(b, attrADT, func(b []byte) []byte {
		for _, key := range keys {
			b = appendElement(b, key, nil)
		}
		return b
	})
	return k.send(cmdDel, 0, b)
}
