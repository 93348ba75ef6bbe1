package main

import (
	"bufio"
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"exile/internal/control"
)

// mute is an exiled that has a ban, and that cannot say what the kernel holds.
type mute struct{ control.Reader }

func (mute) Address(_ context.Context, p netip.Prefix) (control.Address, error) {
	return control.Address{Prefix: p, Banned: true, Bans: []control.Ban{{Jail: "sshd", Prefix: p}}}, nil
}

func (mute) Held(context.Context, netip.Prefix) ([]control.Held, error) {
	return nil, errors.New("unknown method DescribeKernel")
}

// What could not be asked of the kernel is unknown, and not missing there: else people would reset a firewall that works.
func TestKernelUnknown(t *testing.T) {
	t.Parallel()
	x := &explanation{Source: "exiled", State: "running", Backend: "nftables", Address: control.Address{Prefix: netip.MustParsePrefix("192.0.2.7/32")}}
	if err := x.ask(t.Context(), mute{}); err != nil {
		t.Fatal(err)
	}
	if state, _ := x.verdict(); state != "banned" || len(x.Notes) != 1 {
		t.Errorf("%q, %q", state, x.Notes)
	}
	w := &whyNot{x: x}
	w.ofBans(control.Status{State: "running", Backend: "nftables"})
	if len(w.Reasons) != 1 || w.Reasons[0].Word != "banned" || w.Reasons[0].Remedy != "" || !strings.Contains(w.Reasons[0].Text, "is unknown") {
		t.Errorf("%+v", w.Reasons)
	}
	x.Kernel = []control.Held{}
	if state, _ := x.verdict(); state != "banned, but the kernel does not have the ban" {
		t.Error(state)
	}
}

// A number that stopped counting is not said to be whole.
func TestNetworkNotCounted(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	c := &console{Writer: bufio.NewWriter(&b), now: time.Unix(1e9, 0)}
	x := &explanation{Address: control.Address{NWithin: control.MostCounted, NFailing: 2, Failing: make([]control.Host, 2)}}
	x.printNetwork(c)
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1000 bans or more, 0 of them here\n", "2 addresses\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in %q", want, b.String())
		}
	}
}
