package efficacy

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Synthetic makes up a host of several kinds of attackers and owners, the same one for the same seed. Its addresses are
// all IPv4.
func Synthetic(seed uint64) Host {
	g := generator{Rand: rand.New(rand.NewPCG(seed, 7)), start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	g.owners()
	g.burst(40)
	g.campaign(600, 50)
	g.slow(30)
	g.neighbours(12)
	g.poisoners()
	g.breakIn()
	slices.SortStableFunc(g.rows, func(a, b Row) int { return a.Start.Compare(b.Start) })
	return Host{Name: fmt.Sprintf("synthetic%d", seed), Rows: g.rows}
}

// WriteTSV writes rows as Read reads them, whole seconds only.
func WriteTSV(w io.Writer, rows []Row) error {
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, "start\tlast_fail\taddress\tuser\tguesses\tsuccess\tinvalid\tmethod")
	for _, r := range rows {
		fmt.Fprintf(b, "%d\t%d\t%s\t%s\t%d\t%d\t%d\t%s\n", r.Start.Unix(), r.Last.Unix(), r.Addr, r.User, r.Guesses, count(r.Success), count(r.Unknown), r.Method)
	}
	return b.Flush()
}

// generator makes rows up over a hundred days.
type generator struct {
	*rand.Rand
	start time.Time
	rows  []Row
}

const (
	span   = 100 * 24 * 3600 // seconds
	aMonth = 30 * 24 * 3600
)

// add makes an attempt up that takes some seconds.
func (g *generator) add(at int, addr netip.Addr, user string, guesses int, unknown bool) {
	start := g.start.Add(time.Duration(at) * time.Second)
	last := start.Add(time.Duration(g.IntN(20)) * time.Second)
	g.rows = append(g.rows, Row{Start: start, Last: last, Addr: addr, User: user, Guesses: guesses, Unknown: unknown})
}

// login makes a login up, after some wrong guesses.
func (g *generator) login(at int, addr netip.Addr, user, method string, guesses int) {
	g.add(at, addr, user, guesses, false)
	r := &g.rows[len(g.rows)-1]
	r.Success, r.Method = true, method
}

func (g *generator) addr(a, b byte) netip.Addr {
	return netip.AddrFrom4([4]byte{a, b, byte(g.IntN(256)), byte(1 + g.IntN(250))})
}

// owners log in by password or key, from home and from elsewhere, mistype their password and their name, and one is a
// monitor that comes every hour.
func (g *generator) owners() {
	for i, user := range []string{"alice", "bob", "carolina", "dave"} {
		home, method := g.addr(100, byte(i)), []string{"password", "publickey"}[i%2]
		for at := g.IntN(day); at < span; at += day/2 + g.IntN(2*day) {
			from := home
			if g.IntN(5) == 0 {
				from = g.addr(101, byte(i))
			}
			if g.IntN(4) == 0 {
				g.add(at-60, from, user, 1+g.IntN(3), false)
			}
			if g.IntN(10) == 0 {
				g.add(at-30, from, user[:len(user)-1], 1, true)
			}
			g.login(at, from, user, method, g.IntN(2))
		}
	}
	monitor := g.addr(102, 0)
	for at := 0; at < span; at += 3600 {
		g.add(at, monitor, "", 0, false)
		g.login(at+5, monitor, "monitor", "publickey", 0)
	}
}

const day = 24 * 3600

// burst is n addresses that guess fast, and come back.
func (g *generator) burst(n int) {
	for range n {
		addr, at := g.addr(byte(1+g.IntN(90)), byte(g.IntN(256))), g.IntN(span)
		for range 1 + g.IntN(3) {
			for range 5 + g.IntN(60) {
				g.add(at, addr, "root", 1+g.IntN(3), false)
				at += 1 + g.IntN(30)
			}
			at += g.IntN(aMonth)
		}
	}
}

// campaign is n addresses that guess a few times each, on the same names.
func (g *generator) campaign(n, names int) {
	for range n {
		addr, at := g.addr(byte(110+g.IntN(80)), byte(g.IntN(256))), g.IntN(span)
		for range 1 + g.IntN(4) {
			g.add(at, addr, fmt.Sprintf("service%d", g.IntN(names)), 1, true)
			at += g.IntN(3 * day)
		}
	}
}

// slow is n addresses that guess about once a day.
func (g *generator) slow(n int) {
	for range n {
		addr := g.addr(byte(1+g.IntN(90)), byte(g.IntN(256)))
		for at := g.IntN(day); at < span; at += day/2 + g.IntN(day) {
			g.add(at, addr, []string{"root", "admin", "bob"}[g.IntN(3)], 1, false)
		}
	}
}

// neighbours are n networks whose addresses attack one after the other.
func (g *generator) neighbours(n int) {
	for range n {
		base, at := g.addr(200, byte(g.IntN(256))).As4(), g.IntN(span)
		for range 8 {
			base[3] = byte(g.IntN(256))
			for range 6 {
				g.add(at, netip.AddrFrom4(base), "root", 1, false)
				at += g.IntN(600)
			}
			at += g.IntN(day)
		}
	}
}

// poisoners are addresses that try the slips of an owner's name, so that they are evidence against him.
func (g *generator) poisoners() {
	for i, name := range []string{"alcie", "bbo", "carolin", "davee", "nobodyelse"} {
		for j := range 4 {
			g.add(day*(i+j), g.addr(210, byte(i)), name, 1, true)
		}
	}
}

// breakIn is an address that guesses until it is right.
func (g *generator) breakIn() {
	addr, at := g.addr(211, 0), span/2
	for i := range 60 {
		g.add(at, addr, []string{"root", "admin", "oracle", "test", "pi", "user"}[i%6], 1, i%6 > 1)
		at += 3600
	}
	g.login(at, addr, "root", "password", 0)
}
