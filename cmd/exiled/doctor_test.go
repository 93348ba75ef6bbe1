package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exile/firewall"
	"exile/firewall/firewalltest"
	"exile/firewall/nftables"
	"exile/firewall/probe"
	"exile/internal/config"
	"exile/internal/control"
)

// tester is a daemon that bans through a backend, or does not.
type tester struct {
	backend          firewall.Backend // nil: its bans are none
	refuses          error
	banned           []string
	lifted, forgiven int
}

func (d *tester) Status(context.Context) (control.Status, error) { return control.Status{}, nil }

func (d *tester) Ban(ctx context.Context, r control.BanRequest) (control.Ban, error) {
	d.banned = append(d.banned, fmt.Sprint(r.Jail, " ", r.Prefix, " ", r.Duration))
	if ban := (control.Ban{Prefix: r.Prefix}); !ban.IsTest() {
		return ban, errors.New("actions would be told of it")
	}
	if d.refuses != nil || d.backend == nil {
		return control.Ban{}, d.refuses
	}
	ban := firewall.Ban{Key: firewall.Key{Prefix: r.Prefix, Port: firewall.Port{Proto: protoTCP, Number: 22}}, Until: time.Now().Add(r.Duration)}
	return control.Ban{}, d.backend.Apply(ctx, firewall.Change{Add: []firewall.Ban{ban}})
}

func (d *tester) Unban(context.Context, string, netip.Prefix) (int, error) { d.lifted++; return 1, nil }

func (d *tester) ForgetAddress(context.Context, string, netip.Prefix) (bool, error) {
	d.forgiven++
	return true, nil
}

// TestExaminePackets: what is closed is told from what is not, and the test bans are lifted, also when the examination is interrupted.
func TestExaminePackets(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	backend, err := nftables.New(nftables.Config{NetNS: ns.FD})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { backend.Close() })
	lab, err := probe.New(ns.FD)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lab.Close() })
	cfg, err := config.Parse("exile.yaml", []byte("jails: {sshd: {port: 22}, quiet: {filter: sshd, simulate: yes}, off: {filter: sshd, enabled: no}}"))
	if err != nil {
		t.Fatal(err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, c := range []struct {
		name string
		ctx  context.Context
		d    *tester
		want []string
		not  string
		bans int
	}{
		{"no ban", t.Context(), &tester{}, []string{
			"WRONG   jail sshd, IPv4: 22/tcp: NOT closed", "WRONG   jail sshd, IPv6: 22/tcp: NOT closed", "jail quiet only simulates",
			"this host forwards no IPv4", "this host forwards no IPv6",
		}, "off", 2},
		{"refused", t.Context(), &tester{refuses: errors.New("not today")}, []string{"WRONG   jail sshd: the test address cannot be banned: not today"}, "IPv6: 22", 2},
		{"interrupted", stopped, &tester{backend: backend}, nil, "jail sshd", 0},
		{"banned", t.Context(), &tester{backend: backend}, []string{
			"ok      jail sshd, IPv4: 22/tcp: closed to the banned address and open to its neighbour", "ok      jail sshd, IPv6: 22/tcp: closed to the banned",
		}, "WRONG", 2},
	} {
		var out strings.Builder
		e := &examiner{findings: newFindings(&out), daemon: c.d, lab: lab}
		e.all(c.ctx, cfg)
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: %q is not in\n%s", c.name, want, &out)
			}
		}
		if strings.Contains(out.String(), c.not) || e.bad != strings.Contains(out.String(), "WRONG") {
			t.Errorf("%s: %q, bad %t:\n%s", c.name, c.not, e.bad, &out)
		}
		if len(c.d.banned) != c.bans || c.d.lifted != c.bans || c.d.forgiven != c.bans {
			t.Errorf("%s: banned %q, lifted %d, forgot %d", c.name, c.d.banned, c.d.lifted, c.d.forgiven)
		}
	}
}

// TestTestAddresses: what actions leave out is what the laboratory uses.
func TestTestAddresses(t *testing.T) {
	t.Parallel()
	if got := control.TestAddresses(); got != [2]netip.Addr{probe.IPv4().Offender, probe.IPv6().Offender} {
		t.Errorf("%v", got)
	}
}

// TestVerdicts: the verdict on a port depends on who gets an answer from it.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	host, guest := probe.IPv4().Host, probe.IPv4().Guest
	for _, c := range []struct {
		reply reply
		want  verdict
	}{
		{reply{to: host, neighbour: true}, closedHere},
		{reply{to: guest, neighbour: true}, closedBehind},
		{reply{to: host, neighbour: true, offender: true}, openHere},
		{reply{to: guest, offender: true}, openBehind},
		{reply{to: host}, silent},
		{reply{to: guest}, silentBehind},
		{reply{to: host, neighbour: true, err: errors.New("no")}, unasked},
	} {
		if got := c.reply.verdict(host); got != c.want {
			t.Errorf("%+v: %v, want %v", c.reply, got, c.want)
		}
	}
	many := make([]firewall.Port, 20)
	for i := range many {
		many[i] = firewall.Port{Proto: protoTCP, Number: uint16(i)}
	}
	if some, left := asked(append(many, firewall.Port{Proto: 132, Number: 1})); len(some) != maxAsked || left != 5 {
		t.Errorf("%d are asked, %d are not", len(some), left)
	}
}

// TestExamineHost: other programs that ban are found, names are not shown, and own data is hidden.
func TestExamineHost(t *testing.T) {
	t.Parallel()
	proc := t.TempDir()
	for pid, comm := range map[string]string{"1": "systemd", "7": "fail2ban-server", "8": "sshguard", "9": "sshguard"} {
		if err := os.MkdirAll(filepath.Join(proc, pid), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "comm"), []byte(comm+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Parse("exile.yaml", []byte("ignoreip: [here.example, gone.example]"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	f := &findings{out: &out, hide: strings.NewReplacer("secret", "<host>")}
	examineRivals(f, proc)
	examineNames(t.Context(), f, cfg, func(name string) []netip.Addr {
		if name == "here.example" {
			return []netip.Addr{netip.MustParseAddr("192.0.2.1")}
		}
		return nil
	})
	f.add(good, "this is secret\nin two lines")
	got := out.String()
	for _, want := range []string{
		"fail2ban-server is running, too: see exilectl import-fail2ban", "name 1 of ignoreip has 1 address", "WRONG   name 2 of ignoreip has no address",
		"ok      this is <host>; in two lines\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if strings.Contains(got, "example") || strings.Count(got, "sshguard is running") != 1 || !f.bad {
		t.Errorf("bad %t:\n%s", f.bad, got)
	}
}
