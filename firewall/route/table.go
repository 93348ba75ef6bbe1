package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"exile/firewall/internal/bulk"

	"golang.org/x/sys/unix"
)

// usual are our tables: we take the first without routes of others.
var usual = [...]uint8{166, 168, 169, 170, 171, 172}

// errTaken says that no table can be ours.
var errTaken = errors.New("routes of others are in it, by which all traffic would go")

// settle makes sure that our table has no routes of others, or finds a table without any, and removes what is ours from the
// others. It prefers the one with our routes.
func (b *Backend) settle(ctx context.Context) error {
	if b.ours.Load() != nil {
		if taken, _, err := b.survey(ctx, b.config.Table, unix.RTN_UNICAST); err != nil || !taken {
			return err
		}
	}
	free, used := uint8(0), uint8(0)
	for _, t := range b.tables {
		taken, ours, err := b.survey(ctx, t, 0)
		switch {
		case err != nil:
			return err
		case taken:
			continue
		case free == 0:
			free = t
		}
		if ours && used == 0 {
			used = t
		}
	}
	if used != 0 {
		free = used
	}
	return b.take(ctx, free)
}

// take makes a table ours; 0: none is free.
func (b *Backend) take(ctx context.Context, table uint8) error {
	for _, t := range b.tables {
		if t == table {
			continue
		}
		if err := b.within(t, func() error { return b.empty(ctx) }); err != nil {
			return err
		}
	}
	clear(b.ends)
	b.listed = false
	if table == 0 {
		b.ours.Store(nil)
		return fmt.Errorf("routing table %s: %w: delete them (ip route show table %d), or use nftables or ipset",
			strings.Join(numbers(b.tables), ", "), errTaken, b.tables[0])
	}
	b.config.Table = table
	ours := b.config
	b.ours.Store(&ours)
	return nil
}

// within calls do with another table in the configuration.
func (b *Backend) within(table uint8, do func() error) error {
	own := b.config.Table
	b.config.Table = table
	defer func() { b.config.Table = own }()
	return do()
}

// survey reports whether a table has routes of others, and any of ours. It looks at one kind of routes; 0: at all.
func (b *Backend) survey(ctx context.Context, table uint8, kind byte) (taken, ours bool, err error) {
	c := b.config
	c.Table = table
	for _, family := range families {
		request := bulk.Request{Type: unix.RTM_GETROUTE, Body: inTable(table, family, kind)}
		err := b.dump(ctx, request, func(m []byte) error {
			_, is, err := c.parseRoute(m)
			taken, ours = taken || !is && isIn(m, table, family), ours || is
			return err
		})
		if err != nil && !errors.Is(err, unix.ENOENT) && !switchedOff(err) {
			return false, false, fmt.Errorf("list routes of table %d: %w", table, err)
		}
	}
	return taken, ours, nil
}

// inTable is the struct rtmsg of a question about one kind of routes in a table; 0: about all.
func inTable(table, family, kind uint8) []byte {
	return []byte{family, 0, 0, 0, table, 0, 0, kind, 0, 0, 0, 0}
}

// isIn reports whether m, the answer of a dump, is about a route in that table: kernels before 4.20 do not filter.
func isIn(m []byte, table, family uint8) bool {
	return len(m) >= unix.SizeofRtMsg && m[0] == family && m[4] == table
}

// Settle chooses the table, and says which if it is not the usual one.
func (b *Backend) Settle(ctx context.Context) (string, error) {
	if err := b.settle(ctx); err != nil || b.config.Table == b.tables[0] {
		return "", err
	}
	return fmt.Sprintf("in routing table %d, since others have routes in %d", b.config.Table, b.tables[0]), nil
}

func numbers(tables []uint8) []string {
	return slices.Collect(func(yield func(string) bool) {
		for _, t := range tables {
			if !yield(fmt.Sprint(t)) {
				return
			}
		}
	})
}
