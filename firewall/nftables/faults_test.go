package nftables

import (
	"errors"
	"os"
	"testing"
	"time"

	"exile/firewall"
	"exile/firewall/firewalltest"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// nowhere is a generation that the ruleset never has: the kernel refuses what is sent with it.
const nowhere = 1<<32 - 2

// TestFaults has a transaction fail, once refused by the kernel and once made by it while its answer is lost, and then heals
// the kernel: no ban may stay lost, the errno must be found, and one comparison repairs.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]bool{"refused": false, "answer lost": true} {
		for _, fault := range []error{unix.ENOBUFS, os.ErrDeadlineExceeded} {
			t.Run(name+"/"+fault.Error(), func(t *testing.T) {
				t.Parallel()
				b := opened(t, firewalltest.New(t))
				before := everyClass()
				apply(t, b, firewall.Change{Add: before})
				want := append(before[1:len(before):len(before)], firewalltest.Many(transaction+1, false, time.Now().Add(time.Hour))...)
				change := firewall.Change{Add: want, Del: []firewall.Key{before[0].Key}}
				healthy, sent := b.flush, 0
				b.flush = func(generation uint32) error {
					if sent++; sent < 2 {
						return healthy(generation)
					}
					if lose {
						return errors.Join(healthy(generation), fault)
					}
					if err := healthy(nowhere); !errors.Is(err, unix.ERESTART) {
						t.Errorf("the kernel took what it should not: %v", err)
					}
					return fault
				}
				if err := b.Apply(t.Context(), change); !errors.Is(err, fault) || sent != 2 {
					t.Errorf("error %v after %d transactions, want %v after 2", err, sent, fault)
				}
				b.flush = healthy
				c := missing(t, b, want)
				if lost := missing(t, b, before[1:]); len(lost.Add) != 0 {
					t.Errorf("%d bans that held are lost", len(lost.Add))
				}
				if c.Empty() != lose {
					t.Errorf("the kernel lacks %d bans and has %d too many", len(c.Add), len(c.Del))
				}
				apply(t, b, c)
				wantBans(t, b, want)
			})
		}
	}
}

// TestOverrun has the kernel answer more than the socket has room for.
func TestOverrun(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	b := opened(t, ns)
	want := firewalltest.Many(3000, true, time.Now().Add(time.Hour))
	apply(t, b, firewall.Change{Add: want})
	doubt(t, ns)
	if err := b.ask.SetReadBuffer(1); err != nil {
		t.Fatal(err)
	}
	if _, err := b.List(t.Context()); !errors.Is(err, unix.ENOBUFS) {
		t.Errorf("List = %v, want ENOBUFS", err)
	}
	if err := b.ask.SetReadBuffer(1 << 20); err != nil {
		t.Fatal(err)
	}
	wantBans(t, b, want)
}

// TestExtensionDeletesFirst listens to the kernel: up to Linux 6.11 it takes no new end for an element that is there, and
// says nothing of it. So on every kernel what is extended is deleted and added, within one transaction.
func TestExtensionDeletesFirst(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	b := opened(t, ns)
	bans := everyClass()
	apply(t, b, firewall.Change{Add: bans})
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: ns.FD})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		t.Fatal(err)
	}
	for _, ban := range bans {
		ban.Until = time.Now().Add(48 * time.Hour)
		apply(t, b, firewall.Change{Add: []firewall.Ban{ban}})
		var heard []uint16
		for len(heard) == 0 || heard[len(heard)-1] != unix.NFT_MSG_NEWGEN { // which ends a transaction
			messages, err := conn.Receive()
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range messages {
				heard = append(heard, uint16(m.Header.Type)&0xff)
			}
		}
		want := []uint16{unix.NFT_MSG_DELSETELEM, unix.NFT_MSG_NEWSETELEM, unix.NFT_MSG_NEWGEN}
		if diff := cmp.Diff(want, heard[max(len(heard)-len(want), 0):]); diff != "" {
			t.Errorf("%v is extended, and the kernel tells (-want +got)\n%s", ban.Key, diff)
		}
	}
}
