package nftables

import (
	"encoding/binary"
	"time"

	"exile/firewall"
	"exile/firewall/internal/bulk"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const getElement = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETSETELEM

// whole is the body of a request for all elements of the set: struct nfgenmsg, the table and the set.
func (b *Backend) whole(c class) []byte {
	m := []byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}
	m = bulk.AppendAttribute(m, unix.NFTA_SET_ELEM_LIST_TABLE, append([]byte(b.config.Table), 0)...)
	return bulk.AppendAttribute(m, unix.NFTA_SET_ELEM_LIST_SET, append([]byte(c.name()), 0)...)
}

// question is the body of a request for one element of the set, without its last part, the key.
func (b *Backend) question(c class) []byte {
	size := c.keySize() // a multiple of 4
	key := bulk.AppendAttribute(nil, unix.NFTA_DATA_VALUE, make([]byte, size)...)
	element := bulk.AppendAttribute(nil, unix.NFTA_SET_ELEM_KEY|unix.NLA_F_NESTED, key...)
	list := bulk.AppendAttribute(nil, unix.NFTA_LIST_ELEM|unix.NLA_F_NESTED, element...)
	m := bulk.AppendAttribute(b.whole(c), unix.NFTA_SET_ELEM_LIST_ELEMENTS|unix.NLA_F_NESTED, list...)
	return m[:len(m)-size]
}

// elements calls put with each element of an answer.
func elements(m []byte, c class, now time.Time, put func(firewall.Key, time.Time) error) error {
	return eachElement(m, func(element []byte) error {
		k, end, err := parseElement(element, c, now)
		if err != nil {
			return err
		}
		return put(k, end)
	})
}

// eachElement calls f with the attributes of each element of an answer.
func eachElement(m []byte, f func(element []byte) error) error {
	const header = 4 // struct nfgenmsg
	if len(m) < header {
		return bulk.ErrShort
	}
	return bulk.Attributes(m[header:], func(typ uint16, list []byte) error {
		if typ != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			return nil
		}
		return bulk.Attributes(list, func(_ uint16, element []byte) error { return f(element) })
	})
}

func parseElement(b []byte, c class, now time.Time) (k firewall.Key, end time.Time, err error) {
	err = bulk.Attributes(b, func(typ uint16, value []byte) (err error) {
		switch {
		case typ == unix.NFTA_SET_ELEM_KEY && len(value) > unix.SizeofNlAttr:
			k, err = c.key(value[unix.SizeofNlAttr:])
		case typ == unix.NFTA_SET_ELEM_EXPIRATION && len(value) == 8:
			end = now.Add(time.Duration(min(binary.BigEndian.Uint64(value), maxLeft)) * time.Millisecond)
		}
		return err
	})
	if err == nil && !k.Prefix.IsValid() {
		err = bulk.ErrShort
	}
	return k, end, err
}

// maxLeft is the longest time in milliseconds that a time.Duration has room for.
const maxLeft = (1<<63 - 1) / uint64(time.Millisecond)

// lookedUp returns the class of the set that e looks into.
func lookedUp(e expr.Any) (class, bool) {
	lookup, ok := e.(*expr.Lookup)
	if !ok {
		return class{}, false
	}
	return parseClass(lookup.SetName)
}
