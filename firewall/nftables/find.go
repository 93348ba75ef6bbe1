package nftables

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"exile/firewall"
	"exile/firewall/internal/bulk"

	"golang.org/x/sys/unix"
)

// Find implements firewall.Finder: it asks for each key by name.
func (b *Backend) Find(ctx context.Context, keys []firewall.Key) (found []firewall.Found, err error) {
	conn, err := bulk.Dial(unix.NETLINK_NETFILTER, b.config.NetNS)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	for some := range slices.Chunk(keys, bulk.Max) {
		more, err := b.find(ctx, conn, some)
		if err != nil {
			return nil, fmt.Errorf("look into nftables table inet %s: %w", b.config.Table, err)
		}
		found = append(found, more...)
	}
	return found, nil
}

func (b *Backend) find(ctx context.Context, conn *bulk.Conn, keys []firewall.Key) (found []firewall.Found, err error) {
	requests := make([]bulk.Request, len(keys))
	for i, k := range keys {
		c := classOf(k)
		requests[i] = bulk.Request{Type: getElement, Body: c.appendKey(b.question(c), k)}
	}
	now := time.Now()
	refused, err := conn.Exchange(ctx, requests, func(i int, m []byte) error {
		return eachElement(m, func(element []byte) error {
			k, end, err := parseElement(element, classOf(keys[i]), now)
			if err == nil && k == keys[i] {
				found = append(found, counted(firewall.Ban{Key: k, Until: end}, element))
			}
			return err
		})
	})
	for _, refusal := range refused {
		if !errors.Is(refusal, unix.ENOENT) {
			return nil, refusal
		}
	}
	return found, err
}

// counted adds what the kernel counted for an element, if its set counts.
func counted(ban firewall.Ban, element []byte) firewall.Found {
	f := firewall.Found{Ban: ban}
	// The attributes that are missing in what is cut short leave what they say at zero.
	_ = bulk.Attributes(element, func(typ uint16, expression []byte) error {
		if typ != unix.NFTA_SET_ELEM_EXPR {
			return nil
		}
		return bulk.Attributes(expression, func(typ uint16, data []byte) error {
			if typ != unix.NFTA_EXPR_DATA {
				return nil
			}
			return bulk.Attributes(data, func(typ uint16, value []byte) error {
				switch {
				case typ == unix.NFTA_COUNTER_PACKETS && len(value) == 8:
					f.Counts, f.Packets = true, binary.BigEndian.Uint64(value)
				case typ == unix.NFTA_COUNTER_BYTES && len(value) == 8:
					f.Bytes = binary.BigEndian.Uint64(value)
				}
				return nil
			})
		})
	})
	return f
}
