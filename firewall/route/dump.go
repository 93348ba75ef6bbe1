package route

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"exile/firewall/internal/bulk"

	"golang.org/x/sys/unix"
)

// dumpRoutes calls each with every prefix for which we have a blackhole, and other for every route of others in the table. If
// others change routes meanwhile, the kernel may skip one or repeat one; the caller's next comparison finds it.
func (b *Backend) dumpRoutes(ctx context.Context, family uint8, each func(netip.Prefix), other func()) error {
	request := bulk.Request{Type: unix.RTM_GETROUTE, Body: inTable(b.config.Table, family, 0)}
	err := b.dump(ctx, request, func(m []byte) error {
		p, ours, err := b.config.parseRoute(m)
		switch {
		case ours && familyOf(p) == family:
			each(p)
		case !ours && isIn(m, b.config.Table, family):
			other()
		}
		return err
	})
	if err != nil && !errors.Is(err, unix.ENOENT) && !switchedOff(err) { // ENOENT: the kernel has no such table yet
		return fmt.Errorf("list blackhole routes: %w", err)
	}
	return nil
}

// switchedOff reports whether err says that the kernel cannot do this in the address family: it runs without the family, as
// after ipv6.disable=1, so there is nobody to ban, or it was built without rules.
func switchedOff(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP)
}

// hasRule reports whether our rule is there.
func (b *Backend) hasRule(ctx context.Context, family uint8) (bool, error) {
	request := bulk.Request{Type: unix.RTM_GETRULE, Body: []byte{family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}
	found := false
	err := b.dump(ctx, request, func(m []byte) error {
		ours, err := b.config.isRule(m)
		found = found || ours
		return err
	})
	if err != nil && !switchedOff(err) {
		return false, fmt.Errorf("list routing rules: %w", err)
	}
	return found, nil
}

// addRule makes the rule, or notes that the kernel runs without the family and needs none.
func (b *Backend) addRule(ctx context.Context, family uint8) (err error) {
	err = b.changeRule(ctx, unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, family)
	b.off[family] = false
	if err == nil || errors.Is(err, unix.EEXIST) {
		return nil
	}
	if switchedOff(err) {
		spoken, askErr := b.speaks(ctx, family)
		if b.off[family] = !spoken; !spoken || askErr != nil {
			return askErr
		}
		err = fmt.Errorf("the kernel is built without policy routing for the family "+
			"(CONFIG_IP_MULTIPLE_TABLES, CONFIG_IPV6_MULTIPLE_TABLES): use ipset or nftables: %w", err)
	}
	return fmt.Errorf("add rule that has table %d asked: %w", b.config.Table, err)
}

// speaks reports whether the kernel runs with the family. It asks for a route to nowhere: any answer but "no such question"
// means yes. Rules do not tell: a kernel can have the family without them.
func (b *Backend) speaks(ctx context.Context, family uint8) (bool, error) {
	question := bulk.Request{Type: unix.RTM_GETROUTE, Body: []byte{family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}
	refused, err := b.exchange(ctx, []bulk.Request{question}, nil)
	if err != nil {
		return true, fmt.Errorf("ask for address family %d: %w", family, err)
	}
	return !switchedOff(refused[0]), nil
}

// delRule deletes our rule, and copies of it.
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
	refused, err := b.exchange(ctx, []bulk.Request{request}, nil)
	return errors.Join(err, refused[0])
}
