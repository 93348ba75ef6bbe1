package route

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exile/firewall"
	"exile/firewall/firewalltest"
)

// What the examples in units/examples/edge do is shown with the networks that they name:
//
//	attacker 198.51.100.66 -- router 192.0.2.1 -- 192.0.2.10 host A, which bans
//	                                           -- 192.0.2.20 host C
const (
	examples  = "../../units/examples/edge/"
	attacker  = "198.51.100.66"
	neighbour = "198.51.100.67"
	patience  = 30 * time.Second // for what must come
)

// TestEdge has a ban on one host make the router drop the source for another host, and its end let it pass again. What is no ban, or too
// wide, or of the network itself, is not announced.
func TestEdge(t *testing.T) {
	t.Parallel()
	bird, err := exec.LookPath("bird")
	if err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED: bird is not here (make deps)")
	}
	router, a, c, outside := firewalltest.New(t), firewalltest.New(t), firewalltest.New(t), firewalltest.New(t)
	router.Exec(t, "ip", "link", "add", "lan", "type", "bridge")
	for name, ns := range map[string]firewalltest.NetNS{"to-a": a, "to-c": c, "out": outside} {
		plug(t, router, ns, name)
	}
	for _, args := range []string{"link set to-a master lan", "link set to-c master lan", "link set lan up", "addr add 192.0.2.1/24 dev lan", "addr add 198.51.100.1/24 dev out"} {
		router.Exec(t, "ip", strings.Fields(args)...)
	}
	for args, ns := range map[string]firewalltest.NetNS{"192.0.2.10/24": a, "192.0.2.20/24": c, attacker + "/24": outside, neighbour + "/24": outside} {
		ns.Exec(t, "ip", "addr", "add", args, "dev", "up")
	}
	for via, all := range map[string][]firewalltest.NetNS{"192.0.2.1": {a, c}, "198.51.100.1": {outside}} {
		for _, ns := range all {
			ns.Exec(t, "ip", "route", "add", "default", "via", via)
		}
	}
	router.Do(t, func() error {
		for key, value := range map[string]string{"ip_forward": "1", "conf/all/rp_filter": "2"} {
			if err := os.WriteFile("/proc/sys/net/ipv4/"+key, []byte(value), 0); err != nil {
				return err
			}
		}
		return nil
	})
	run(t, router, bird, "edge-bird.conf")
	run(t, a, bird, "exile-bird.conf")
	l := answering(t, c)
	backend := opened(t, a)
	b := firewall.Ban{Key: firewall.Key{Prefix: netip.MustParsePrefix(attacker + "/32")}}
	if !reaches(t, outside, attacker, l) {
		t.Fatal("the attacker does not reach host C before the ban")
	}
	apply(t, backend, firewall.Change{Add: []firewall.Ban{b}})
	for _, route := range []string{
		"0.0.0.0/1", "198.0.0.0/8", "192.0.2.128/25", "10.0.0.0/24", // half of all addresses, too wide, our own, private
	} {
		a.Exec(t, "ip", "route", "add", "blackhole", route, "table", "166", "proto", "166")
	}
	a.Exec(t, "ip", "route", "add", "blackhole", "203.0.113.1", "table", "166", "proto", "static") // of somebody else
	within(t, "the router drops the attacker for host C", func() bool { return !reaches(t, outside, attacker, l) })
	if !reaches(t, outside, neighbour, l) {
		t.Error("the attacker's neighbour is dropped, too")
	}
	if got := router.Exec(t, "ip", "route", "show", "type", "blackhole"); !strings.HasPrefix(got, "blackhole "+attacker+" ") || strings.Count(got, "\n") != 1 {
		t.Errorf("the router has black holes for more than the ban:\n%s", got)
	}
	apply(t, backend, firewall.Change{Del: []firewall.Key{b.Key}})
	within(t, "the attacker reaches host C after the ban", func() bool { return reaches(t, outside, attacker, l) })
}

// plug connects a namespace to the router by a link that the router calls name.
func plug(t *testing.T, router, ns firewalltest.NetNS, name string) {
	t.Helper()
	router.Exec(t, "ip", "link", "add", "name", name, "type", "veth", "peer", "name", "up", "netns", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.FD))
	router.Exec(t, "ip", "link", "set", name, "up")
	ns.Exec(t, "ip", "link", "set", "dev", "up", "up")
}

// run runs BIRD in a namespace until the test ends.
func run(t *testing.T, ns firewalltest.NetNS, bird, config string) {
	t.Helper()
	path, err := filepath.Abs(examples + config)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(bird, "-f", "-c", path, "-s", filepath.Join(t.TempDir(), "ctl"), "-P", filepath.Join(t.TempDir(), "pid"))
	cmd.Stdout, cmd.Stderr = &out, &out
	ns.Do(t, cmd.Start)
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", config, out.String())
		}
	})
}

// answering listens on a port of host C.
func answering(t *testing.T, c firewalltest.NetNS) (port string) {
	t.Helper()
	var l net.Listener
	c.Do(t, func() (err error) {
		l, err = net.Listen("tcp4", "192.0.2.20:0")
		return err
	})
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close() // that it came is enough
		}
	}()
	return l.Addr().String()
}

// reaches reports whether a source can connect to host C.
func reaches(t *testing.T, from firewalltest.NetNS, source, to string) (ok bool) {
	t.Helper()
	from.Do(t, func() error {
		d := net.Dialer{Timeout: 300 * time.Millisecond, LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
		conn, err := d.Dial("tcp4", to)
		if ok = err == nil; ok {
			return conn.Close()
		}
		return nil
	})
	return ok
}

func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Errorf("not in %v: %s", patience, what)
}
