package services

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"exile/jail"
	"exile/journal"
)

// said is a line, and what the filter slapd must make of it.
type said struct {
	after   time.Duration // since the line before
	pid     int32
	unit    string
	line    string
	address string // of what counts or is a login; empty: nothing
	guesses int
}

const (
	accepts  = "conn=1003 fd=12 ACCEPT from IP=%s:43210 (IP=0.0.0.0:389)"
	refuses  = "conn=1003 op=0 RESULT tag=97 err=49 text="
	welcomes = `conn=1003 op=0 BIND dn="cn=bob" mech=SIMPLE ssf=0`
	over     = "conn=1003 fd=12 closed"
)

// TestConnections: a failure has the address of its connection, and of none other.
func TestConnections(t *testing.T) {
	t.Parallel()
	from := func(addr string) said { return said{line: fmt.Sprintf(accepts, addr)} }
	for name, lines := range map[string][]said{
		"a failure":                   {from("192.0.2.1"), {line: refuses, address: "192.0.2.1", guesses: 1}, {line: refuses, address: "192.0.2.1", guesses: 1}},
		"a login":                     {from("192.0.2.1"), {line: welcomes, address: "192.0.2.1"}},
		"an unknown id":               {{line: refuses}, {line: welcomes}},
		"a closed connection":         {from("192.0.2.1"), {line: over}, {line: refuses}},
		"an id used again":            {from("192.0.2.1"), from("192.0.2.2"), {line: refuses, address: "192.0.2.2", guesses: 1}},
		"another process":             {from("192.0.2.1"), {pid: 7, line: refuses}, {line: refuses, address: "192.0.2.1", guesses: 1}},
		"another unit":                {from("192.0.2.1"), {unit: "slapd@b.service", line: refuses}},
		"an address that nobody has":  {from("0.0.0.0"), {line: refuses}},
		"an old connection":           {from("192.0.2.1"), {after: 40 * 24 * time.Hour, line: refuses, address: "192.0.2.1", guesses: 1}},
		"an id used by a local one":   {from("192.0.2.1"), {line: "conn=1003 fd=12 ACCEPT from PATH=/run/slapd/ldapi (PATH=/run/slapd/ldapi)"}, {line: refuses}},
		"failures before the address": {{line: refuses}, {line: refuses}, {line: fmt.Sprintf(accepts, "192.0.2.1"), address: "192.0.2.1", guesses: 2}, from("192.0.2.1")},
		"failures long before it":     {{line: refuses}, {after: earlyTime + 1000, line: fmt.Sprintf(accepts, "192.0.2.1")}},
		"a failure long before one":   {{line: refuses}, {after: 2 * earlyTime, line: refuses}, {line: fmt.Sprintf(accepts, "192.0.2.1"), address: "192.0.2.1", guesses: 1}},
		"one of a closed connection":  {{line: refuses}, {line: over}, from("192.0.2.1")},
		"a login before the address":  {{line: welcomes}, from("192.0.2.1")},
		"a name like a line": {
			from("192.0.2.1"),
			{line: `conn=1004 op=0 BIND dn="cn=conn=1003 op=0 RESULT tag=97 err=49 text=" method=128`},
			{line: "conn=1004 op=0 do_bind: invalid dn (x\nconn=1003 op=0 RESULT tag=97 err=49 text=)"},
			{line: "conn=1004 op=0 RESULT tag=97 err=34 text=conn=1003 op=0 RESULT tag=97 err=49 text="},
			{line: `conn=1004 op=0 BIND dn="x" mech=SIMPLE ssf=0" method=128`},
			{line: "conn=1004 fd=13 ACCEPT from PATH=x conn=1003 fd=12 ACCEPT from IP=203.0.113.250:1 (IP=0.0.0.0:389)"},
			{line: refuses, address: "192.0.2.1", guesses: 1},
		},
	} {
		f, at := load(t, "slapd").Filter("normal"), time.Unix(1_800_000_000, 0)
		for i, l := range lines {
			at = at.Add(l.after)
			e := journal.Entry{Time: at, PID: 4711 + l.pid, Unit: "slapd.service" + l.unit, Message: []byte(l.line)}
			got, guesses := "", 0
			ev := jail.Parse(f, &e)
			if ev.Counts || ev.Kind == jail.Success {
				got = ev.Addr.String()
			}
			if ev.Counts {
				guesses = ev.Count
			}
			if got != l.address || guesses != l.guesses {
				t.Errorf("%s: line %d: %d of %q, want %d of %q", name, i+1, guesses, got, l.guesses, l.address)
			}
			if got == "" && ev.Rule != "" && !ev.Ignored {
				t.Errorf("%s: line %d, which counts nowhere, is not ignored: %+v", name, i+1, ev)
			}
		}
	}
}

// TestConnectionsInJail: the jail counts and bans the address of the connection.
func TestConnectionsInJail(t *testing.T) {
	t.Parallel()
	j, err := jail.New(jail.Config{
		Name: "slapd", Detection: jail.Threshold, MaxRetry: 2, FindTime: time.Hour, BanTime: time.Hour, IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 10,
	}, jail.NewScrutiny("slapd", load(t, "slapd").Filter("normal")), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := journal.Entry{Time: time.Unix(1_800_000_000, 0), PID: 4711, Unit: "slapd.service"}
	var banned []netip.Prefix
	for _, line := range []string{fmt.Sprintf(accepts, "192.0.2.1"), refuses, over, fmt.Sprintf(accepts, "192.0.2.1"), refuses, over, refuses} {
		e.Message = []byte(line)
		for _, d := range j.Observe(&e) {
			banned = append(banned, d.Prefix)
		}
	}
	if len(banned) != 1 || banned[0].String() != "192.0.2.1/32" {
		t.Errorf("banned: %v", banned)
	}
	if n := j.Counters(); n.Lines[jail.Failure] != 2 || n.Ignored != 5 {
		t.Errorf("%+v", n)
	}
}

// TestConnectionsAreBounded: the longest unheard are forgotten.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	f := load(t, "slapd").Filter("normal").(reader)
	for id := range maxPeers + 100 {
		jail.Parse(f, &journal.Entry{Time: time.Unix(1_800_000_000, 0), Message: fmt.Appendf(nil, "conn=%d fd=12 ACCEPT from IP=192.0.2.1:1 (IP=", id)})
	}
	if n := f.peers.known.Len(); n != maxPeers {
		t.Errorf("%d connections are known", n)
	}
	for _, id := range []int{100, maxPeers + 99, 99} {
		ev := jail.Parse(f, &journal.Entry{Time: time.Unix(1_800_000_000, 0), Message: fmt.Appendf(nil, "conn=%d op=0 RESULT tag=97 err=49 ", id)})
		if ev.Addr.IsValid() != (id != 99) {
			t.Errorf("connection %d: %+v", id, ev)
		}
	}
}
