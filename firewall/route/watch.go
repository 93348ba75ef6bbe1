package route

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// groups are those in which the kernel reports changes of routes and rules.
var groups = [...]uint32{unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE}

// Watch implements firewall.Watcher: it calls touched once it listens, if another program deletes one of our routes or rules,
// and if messages of the kernel were lost.
func (b *Backend) Watch(ctx context.Context, touched func()) error {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{NetNS: b.config.NetNS})
	if err != nil {
		return fmt.Errorf("watch routes: %w", err)
	}
	defer conn.Close()
	if filter, err := others(b.conn.ID()); err == nil {
		_ = conn.SetBPF(filter) // for speed: without it we look at every message, and lose some after many bans
	}
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

// others returns a filter with which the kernel queues only deletions by others than own. Without it a restart with 100,000
// bans would queue 100,000 messages.
func others(own uint32) ([]bpf.RawInstruction, error) {
	wire16 := func(v uint16) uint32 {
		return uint32(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, v)))
	}
	wire32 := func(v uint32) uint32 { return binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, v)) }
	return bpf.Assemble([]bpf.Instruction{ // of struct nlmsghdr
		bpf.LoadAbsolute{Off: 12, Size: 4}, // sender
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: wire32(own), SkipTrue: 3},
		bpf.LoadAbsolute{Off: 4, Size: 2}, // type
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: wire16(unix.RTM_DELROUTE), SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: wire16(unix.RTM_DELRULE), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: 1<<32 - 1}, // bytes: all
	})
}

// concern reports whether a message says that another program deleted something of ours.
func (b *Backend) concern(messages []netlink.Message) bool {
	ours := b.ours.Load()
	if ours == nil {
		return false
	}
	for _, m := range messages {
		if m.Header.PID == b.conn.ID() {
			continue
		}
		switch m.Header.Type {
		case unix.RTM_DELROUTE:
			if _, is, err := ours.parseRoute(m.Data); is || err != nil {
				return true
			}
		case unix.RTM_DELRULE:
			if is, err := ours.isRule(m.Data); is || err != nil {
				return true
			}
		}
	}
	return false
}
