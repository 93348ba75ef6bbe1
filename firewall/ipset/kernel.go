package ipset

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"exile/firewall"
)

// protocol is the version of the ipset protocol that knows sets by index: Linux 4.15.
const protocol = 7

// Commands and flags that netlink's nl does not name.
const (
	cmdGetByName = 14
	attrIndex    = 11
	listHeader   = 1 << 2  // of IPSET_ATTR_FLAGS: no elements
	leastHash    = 1 << 10 // buckets of a set for which no other number is asked
)

// answerTimeout bounds how long one message may take: the kernel works while we wait.
const answerTimeout = 10 * time.Second

// kernel speaks ipset over one netlink socket.
type kernel struct {
	socket *nl.NetlinkSocket
	buf    []byte // the message being written, reused
	// call sends one command and hands each answer to each; tests put faults before it.
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
	maxElem  uint32
	elements uint32
}

func dial(netns int) (*kernel, error) {
	var s *nl.NetlinkSocket
	err := firewall.InNamespace(netns, func() (err error) {
		s, err = nl.Subscribe(unix.NETLINK_NETFILTER) // to nothing: it is the one way to a plain socket
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open ipset socket: %w", err)
	}
	wait := unix.NsecToTimeval(answerTimeout.Nanoseconds())
	if err := s.SetReceiveTimeout(&wait); err != nil {
		s.Close()
		return nil, fmt.Errorf("set ipset socket timeout: %w", err)
	}
	handles := map[int]*nl.SocketHandle{unix.NETLINK_NETFILTER: {Socket: s}}
	return &kernel{socket: s, call: func(cmd, flags int, payload []byte, each func([]byte)) error {
		req := nl.NewNetlinkRequest(cmd|unix.NFNL_SUBSYS_IPSET<<8, flags)
		req.Sockets = handles
		req.RawData = payload
		return req.ExecuteIter(unix.NETLINK_NETFILTER, 0, func(msg []byte) bool {
			each(msg)
			return true
		})
	}}, nil
}

func (k *kernel) close() { k.socket.Close() }

// begin starts a message about a set, and reuses the buffer of the last.
func (k *kernel) begin(set string) []byte {
	b := append(k.buf[:0], unix.AF_INET, 0, 0, 0) // netfilter header
	b = appendAttr(b, nl.IPSET_ATTR_PROTOCOL, protocol)
	return appendString(b, nl.IPSET_ATTR_SETNAME, set)
}

// send is for commands that only succeed or fail.
func (k *kernel) send(cmd, flags int, b []byte) error {
	k.buf = b
	return k.call(cmd, flags|unix.NLM_F_ACK, b, func([]byte) {})
}

// create makes a set with room for expected elements, 0 for who knows how many, that grows up to maxElem; a set of the name
// that is there already is EEXIST.
func (k *kernel) create(set string, t setType, family uint8, expected, maxElem uint32) error {
	b := k.begin(set)
	b = appendString(b, nl.IPSET_ATTR_TYPENAME, t.name)
	b = appendAttr(b, nl.IPSET_ATTR_REVISION, t.revision)
	b = appendAttr(b, nl.IPSET_ATTR_FAMILY, family)
	b = appendNested(b, nl.IPSET_ATTR_DATA, func(b []byte) []byte {
		b = appendUint32(b, nl.IPSET_ATTR_TIMEOUT, 0) // elements have their own; without one they stay
		if expected > 0 {
			// The kernel doubles the table until no bucket has more than a dozen, and copies all each time.
			b = appendUint32(b, nl.IPSET_ATTR_HASHSIZE, max(expected/4, leastHash))
		}
		return appendUint32(b, nl.IPSET_ATTR_MAXELEM, maxElem)
	})
	return k.send(nl.IPSET_CMD_CREATE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, b)
}

// swap exchanges the contents of two sets at once: rules keep looking at the same name.
func (k *kernel) swap(a, b string) error {
	return k.send(nl.IPSET_CMD_SWAP, 0, appendString(k.begin(a), nl.IPSET_ATTR_SETNAME2, b))
}

// destroy removes a set; one that is not there is no error. Rules that were just deleted let go of their sets a moment
// later, so a set in use is tried again until ctx ends or a second has passed.
func (k *kernel) destroy(ctx context.Context, set string) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := k.send(nl.IPSET_CMD_DESTROY, 0, k.begin(set))
		switch {
		case errors.Is(err, unix.ENOENT):
			return nil
		case !errors.Is(err, setBusy) || wait > time.Second/2:
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
	b := appendUint32(k.begin(set), nl.IPSET_ATTR_FLAGS, listHeader)
	err := k.call(nl.IPSET_CMD_LIST, unix.NLM_F_DUMP, b, func(msg []byte) {
		body := msg[min(4, len(msg)):]
		data := attr(body, nl.IPSET_ATTR_DATA)
		h.typeName = cString(attr(body, nl.IPSET_ATTR_TYPENAME))
		h.family = uint8(number(attr(body, nl.IPSET_ATTR_FAMILY)))
		h.timeouts = attr(data, nl.IPSET_ATTR_TIMEOUT) != nil
		h.maxElem = number(attr(data, nl.IPSET_ATTR_MAXELEM))
		h.elements = number(attr(data, nl.IPSET_ATTR_ELEMENTS))
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
	err := k.call(cmdGetByName, 0, k.begin(set), func(msg []byte) { data = attr(msg[min(4, len(msg)):], attrIndex) })
	if err == nil && len(data) < 2 {
		err = errShort
	}
	return uint16(number(data)), err
}

// elements hands every ban in the set to yield.
func (k *kernel) elements(set string, yield func(firewall.Ban)) error {
	var bad error
	err := k.call(nl.IPSET_CMD_LIST, unix.NLM_F_DUMP, k.begin(set), func(msg []byte) {
		now := time.Now()
		for typ, data := range attrs(attr(msg[min(4, len(msg)):], nl.IPSET_ATTR_ADT)) {
			if typ != nl.IPSET_ATTR_DATA {
				continue
			}
			ban, ok, err := parseElement(data, now)
			if err != nil {
				bad = err
			} else if ok {
				yield(ban)
			}
		}
	})
	return errors.Join(err, bad)
}

// add puts the bans in or gives them their new end: at least one second from now. At most perMessage.
func (k *kernel) add(set string, bans []firewall.Ban) error {
	now := time.Now()
	b := appendAttr(k.begin(set), nl.IPSET_ATTR_LINENO|unix.NLA_F_NET_BYTEORDER, 0, 0, 0, 0)
	b = appendNested(b, nl.IPSET_ATTR_ADT, func(b []byte) []byte {
		for _, ban := range bans {
			t := timeout(ban.Until, now)
			b = appendElement(b, ban.Key, &t)
		}
		return b
	})
	return k.send(nl.IPSET_CMD_ADD, 0, b)
}

// del takes the keys out; one that is not there is no error. At most perMessage.
func (k *kernel) del(set string, keys []firewall.Key) error {
	b := appendAttr(k.begin(set), nl.IPSET_ATTR_LINENO|unix.NLA_F_NET_BYTEORDER, 0, 0, 0, 0)
	b = appendNested(b, nl.IPSET_ATTR_ADT, func(b []byte) []byte {
		for _, key := range keys {
			b = appendElement(b, key, nil)
		}
		return b
	})
	return k.send(nl.IPSET_CMD_DEL, 0, b)
}
