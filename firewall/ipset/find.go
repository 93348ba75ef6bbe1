package ipset

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"exile/firewall"
	"exile/firewall/internal/bulk"
)

// Find implements firewall.Finder. The kernel has no question about one element, so the sets that the keys belong to are listed: 100,000 bans
// take a tenth of a second.
func (b *Backend) Find(ctx context.Context, keys []firewall.Key) ([]firewall.Found, error) {
	k, err := dial(b.cfg.NetNS)
	if err != nil {
		return nil, err
	}
	defer k.close()
	wanted := make(map[int]map[firewall.Key]*firewall.Found)
	for _, key := range keys {
		i := setOf(key)
		if wanted[i] == nil {
			wanted[i] = make(map[firewall.Key]*firewall.Found)
		}
		wanted[i][key] = nil
	}
	for i, of := range wanted {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := k.find(b.sets[i].name, of); err != nil && !errors.Is(err, unix.ENOENT) {
			return nil, fmt.Errorf("list bans in ipset %s: %w", b.sets[i].name, explain(err))
		}
	}
	var found []firewall.Found
	for _, key := range keys {
		if f := wanted[setOf(key)][key]; f != nil {
			found = append(found, *f)
		}
	}
	return found, nil
}

// find fills in those of the keys that the set has.
func (k *kernel) find(set string, wanted map[firewall.Key]*firewall.Found) error {
	return k.each(set, func(data []byte, now time.Time) error {
		ban, ok, err := parseElement(data, now)
		if !ok || err != nil {
			return err
		}
		if _, want := wanted[ban.Key]; want {
			wanted[ban.Key] = new(counted(ban, data))
		}
		return nil
	})
}

// counted adds what the kernel counted for an element, if its set counts.
func counted(ban firewall.Ban, element []byte) firewall.Found {
	f := firewall.Found{Ban: ban}
	// An element that is cut short was refused by parseElement.
	_ = bulk.Attributes(element, func(typ uint16, data []byte) error {
		switch typ {
		case attrPackets:
			f.Counts, f.Packets = true, number64(data)
		case attrBytes:
			f.Bytes = number64(data)
		}
		return nil
	})
	return f
}

// number64 returns the big-endian number of an attribute.
func number64(data []byte) (n uint64) {
	for _, c := range data[:min(len(data), 8)] {
		n = n<<8 | uint64(c)
	}
	return n
}
