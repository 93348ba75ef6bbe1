package ipset

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"exile/firewall"
)

// set is one of our four.
type set struct {
	name    string
	kind    setType
	table   nftables.TableFamily
	family  uint8
	maxElem uint32
}

// setOf returns which of the four sets a key belongs to: 4, 6, 4-port, 6-port.
func setOf(k firewall.Key) int {
	i := 0
	if !k.Prefix.Addr().Is4() {
		i = 1
	}
	if k.Port != (firewall.Port{}) {
		i += 2
	}
	return i
}

// adopt makes the set, or takes the one that is there if it is of our kind.
func (b *Backend) adopt(s *set) (made bool, err error) {
	err = b.kernel.create(s.name, s.kind, s.family, 0, s.maxElem)
	if !errors.Is(err, unix.EEXIST) {
		return err == nil, err
	}
	h, err := b.kernel.header(s.name)
	if err != nil {
		return false, err
	}
	if !s.like(h) {
		return false, fmt.Errorf("another program has a set of this name, type %q: destroy it (ipset destroy %s): %w",
			h.typeName, s.name, unix.EEXIST)
	}
	s.maxElem = h.maxElem
	if !h.counts { // an earlier version made it; a set that cannot be replaced bans as well, but does not count
		_ = b.replace(context.Background(), s, h.elements, h.maxElem)
	}
	return false, nil
}

// like reports whether h is that of a set which we made, or could have made.
func (s *set) like(h header) bool {
	return h.typeName == s.kind.name && h.family == s.family && h.timeouts
}

// add adds any number of bans to the set, which may have to grow. If it cannot, it adds as many as there is room for.
func (b *Backend) add(ctx context.Context, s *set, bans []firewall.Ban, now time.Time) (full error) {
	if err := b.makeRoom(ctx, s, len(bans)); err != nil {
		return err
	}
	for left := bans; len(left) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		some := left[:min(perMessage, len(left))]
		err := b.kernel.add(s.name, some)
		if errors.Is(err, errHashFull) {
			if err = b.grow(ctx, s, len(left)); err == nil {
				err = b.kernel.add(s.name, some)
			}
		}
		if errors.Is(err, errHashFull) {
			full, err = err, b.addEach(s, some)
		}
		if err != nil {
			return err
		}
		b.remember(some, now)
		left = left[len(some):]
	}
	return full
}

// addEach adds one ban after the other: the kernel stops at the first that it has no room for, and later ones may only need a
// new end.
func (b *Backend) addEach(s *set, bans []firewall.Ban) error {
	for i := range bans {
		if err := b.kernel.add(s.name, bans[i:i+1]); err != nil && !errors.Is(err, errHashFull) {
			return err
		}
	}
	return nil
}

// makeRoom grows the set before many bans come, while there is less to copy.
func (b *Backend) makeRoom(ctx context.Context, s *set, more int) error {
	if more <= perMessage {
		return nil
	}
	h, err := b.kernel.header(s.name)
	if err != nil || int(h.elements)+more <= int(s.maxElem) {
		return err
	}
	if err := b.grow(ctx, s, more); !errors.Is(err, errHashFull) {
		return err
	}
	return nil // perhaps some are there already: the kernel will tell
}

// remember keeps the ends that the kernel cannot keep.
func (b *Backend) remember(bans []firewall.Ban, now time.Time) {
	for _, ban := range bans {
		if ban.Until.Sub(now) > maxTimeout*time.Second {
			b.long[ban.Key] = ban.Until
		} else {
			delete(b.long, ban.Key)
		}
	}
}

// del deletes any number of keys from the set.
func (b *Backend) del(ctx context.Context, s *set, keys []firewall.Key) error {
	for some := range slices.Chunk(keys, perMessage) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.kernel.del(s.name, some); err != nil {
			return err
		}
		for _, k := range some {
			delete(b.long, k)
		}
	}
	return nil
}

// grow replaces a full set with a larger one that has the same bans; rules see the one or the other.
func (b *Backend) grow(ctx context.Context, s *set, more int) error {
	size := uint32(min(uint64(s.maxElem)+uint64(max(more, int(s.maxElem))), uint64(b.most)))
	most := uint32(1) << bits.Len32(size-1)
	if most <= s.maxElem {
		return fmt.Errorf("%d bans are the most that it holds: ban networks instead of addresses: %w", s.maxElem, errHashFull)
	}
	return b.replace(ctx, s, size, most)
}

// replace puts a set with room for expected elements, and for maxElem at most, in the place of one, with the same bans. What their elements
// counted begins anew.
func (b *Backend) replace(ctx context.Context, s *set, expected, maxElem uint32) error {
	next := s.name + "-grow"
	if err := b.kernel.destroy(ctx, next); err != nil { // left by an exiled that died here
		return err
	}
	if err := b.kernel.create(next, s.kind, s.family, expected, maxElem); err != nil {
		return err
	}
	err := b.copySet(ctx, s.name, next)
	if err == nil {
		err = b.kernel.swap(s.name, next)
	}
	if err == nil {
		s.maxElem = maxElem
	}
	return errors.Join(err, b.kernel.destroy(context.WithoutCancel(ctx), next))
}

// copySet adds a second to the ends, since the kernel rounds the remaining time down: a ban may end a second late, never
// early. If it happens more than once, the caller's next comparison corrects it.
func (b *Backend) copySet(ctx context.Context, from, to string) error {
	var bans []firewall.Ban
	err := b.kernel.elements(from, func(ban firewall.Ban) {
		if !ban.Until.IsZero() {
			ban.Until = ban.Until.Add(time.Second)
		}
		bans = append(bans, ban)
	})
	if err != nil {
		return err
	}
	for some := range slices.Chunk(bans, perMessage) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.kernel.add(to, some); err != nil {
			return err
		}
	}
	return nil
}

// promised returns a ban with its true end, if the kernel cannot keep that and does not need an extension yet.
func (b *Backend) promised(ban firewall.Ban) firewall.Ban {
	until, ok := b.long[ban.Key]
	if ok && !ban.Until.IsZero() && time.Until(ban.Until) > maxTimeout*time.Second/2 {
		ban.Until = until
	}
	return ban
}
