// Package nftwatch watches one nftables table for changes.
package nftwatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// tableAttr is the attribute that names the table in the messages about tables, chains, rules, sets and elements alike.
const tableAttr = unix.NFTA_TABLE_NAME

// Watch calls touched once it listens, and then each time the table is changed other than through the socket with the port id
// own, until ctx ends (nil) or the socket fails. netns is an open file of the network namespace; 0 is the caller's own. It
// also calls touched if messages were lost because they came faster than it read them.
func Watch(ctx context.Context, netns int, table string, own uint32, touched func()) error {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: netns})
	if err != nil {
		return fmt.Errorf("open nftables monitor: %w", err)
	}
	defer conn.Close()
	if err := conn.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		return fmt.Errorf("join nftables monitor: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	touched()
	for {
		msgs, err := conn.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			touched()
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("read nftables monitor: %w", err)
		case anyAbout(msgs, table, own):
			touched()
		}
	}
}

func anyAbout(msgs []netlink.Message, table string, own uint32) bool {
	for _, m := range msgs {
		if m.Header.PID != own && about(m, table) {
			return true
		}
	}
	return false
}

func about(m netlink.Message, table string) bool {
	if m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || m.Header.Type&0xff == unix.NFT_MSG_NEWGEN || len(m.Data) < 4 {
		return false
	}
	attrs, err := netlink.NewAttributeDecoder(m.Data[4:]) // after the netfilter header
	if err != nil {
		return false
	}
	for attrs.Next() {
		if attrs.Type() == tableAttr {
			name, _, _ := bytes.Cut(attrs.Bytes(), []byte{0})
			return string(name) == table
		}
	}
	return false
}
