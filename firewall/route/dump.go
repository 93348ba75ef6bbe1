package route

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"exile/firewall/internal/bulk"

	"golang.org/x/sys/unix"
)

// dumpRoutes calls each with every prefix that we have a blackhole for. When others change routes meanwhile, the kernel may
// leave one out or repeat one; the caller's next comparison finds it.
func (b *Backend) dumpRoutes(ctx context.Context, family uint8, each func(netip.Prefix)) error {
	request := bulk.Request{Type: unix.RTM_GETROUTE, Body: b.config.appendRtmsg(nil, family, 0)}
	err := b.conn.Dump(ctx, request, func(m []byte) error {
		p, ours, err := b.config.parseRoute(m)
		if ours && familyOf(p) == family {
			each(p)
		}
		return err
	})
	if err != nil && !errors.Is(err, unix.ENOENT) && !switchedOff(err) { // ENOENT: the kernel has no such table yet
		return fmt.Errorf("list blackhole routes: %w", err)
	}
	return nil
}

// switchedOff reports whether err says that the kernel runs without the address family, as after ipv6.disable=1. Nobody of
// that family needs to be banned then.
func switchedOff(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP)
}

// hasRule reports whether our table is asked.
func (b *Backend) hasRule(ctx context.Context, family uint8) (bool, error) {
	request := bulk.Request{Type: unix.RTM_GETRULE, Body: []byte{family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}
	found := false
	err := b.conn.Dump(ctx, request, func(m []byte) error {
		ours, err := b.config.isRule(m)
		found = found || ours
		return err
	})
	if err != nil && !switchedOff(err) {
		return false, fmt.Errorf("list routing rules: %w", err)
	}
	return found, nil
}

func (b *Backend) addRule(ctx context.Context, family uint8) error {
	err := b.changeRule(ctx, unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, family)
	if err != nil && !errors.Is(err, unix.EEXIST) && !switchedOff(err) {
		return fmt.Errorf("add rule that has table %d asked: %w", b.config.Table, err)
	}
	return nil
}

// delRule deletes our rule and any copy of it.
func (b *Backend) delRule(ctx context.Context, family uint8) error {
	for range 100 {
		err := b.changeRule(ctx, unix.RTM_DELRULE, 0, family)
		if errors.Is(err, unix.ENOENT) || switchedOff(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("delete rule that has table %d asked: %w", b.config.Table, err)
		}
	}
	return fmt.Errorf("delete rule that has table %d asked: somebody puts it back", b.config.Table)
}

func (b *Backend) changeRule(ctx context.Context, typ, flags uint16, family uint8) error {
	request := bulk.Request{Type: typ, Flags: flags, Body: b.config.rule(family)}
	refused, err := b.conn.Exchange(ctx, []bulk.Request{request}, nil)
	return errors.Join(err, refused[0])
}
