package route

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// groups are where the kernel tells of routes and rules.
var groups = [...]uint32{unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE}

// Watch implements firewall.Watcher: it calls touched when it listens, when somebody else deletes one of our routes or
// rules, and when the kernel told more than we could take.
func (b *Backend) Watch(ctx context.Context, touched func()) error {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{NetNS: b.config.NetNS})
	if err != nil {
		return fmt.Errorf("watch routes: %w", err)
	}
	defer conn.Close()
	for _, g := range groups {
		if err := conn.JoinGroup(g); err != nil {
			return fmt.Errorf("watch routes: %w", err)
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	touched()
	for {
		messages, err := conn.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			touched()
		case err != nil:
			return fmt.Errorf("watch routes: %w", err)
		case b.concern(messages):
			touched()
		}
	}
}

// concern reports whether one of the messages says that another program deleted what is ours.
func (b *Backend) concern(messages []netlink.Message) bool {
	for _, m := range messages {
		if m.Header.PID == b.conn.ID() {
			continue
		}
		switch m.Header.Type {
		case unix.RTM_DELROUTE:
			if _, ours, err := b.config.parseRoute(m.Data); ours || err != nil {
				return true
			}
		case unix.RTM_DELRULE:
			if ours, err := b.config.isRule(m.Data); ours || err != nil {
				return true
			}
		}
	}
	return false
}
