// Package firewalltest proves backends: Run holds one against the contract of firewall.Backend, with packets, in network
// namespaces of its own; Fake is a backend in memory for the tests of the daemon.
package firewalltest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"exile/firewall"
)

// Lack is something that a backend cannot do by its nature, and says so in its documentation.
type Lack string

// What a backend may lack.
const (
	LacksPorts  Lack = "ports"  // bans of one port are refused with errors.ErrUnsupported
	LacksUDP    Lack = "udp"    // datagrams of banned sources still arrive, only the answers do not leave
	LacksCut    Lack = "cut"    // connections that are up go on, for IPv6 both ways, until their sockets are destroyed
	LacksMeter  Lack = "meter"  // the kernel does not count what it drops
	LacksTally  Lack = "tally"  // nor what each ban drops
	LacksSpare  Lack = "spare"  // bans stop everybody whom they are about
	LacksExpiry Lack = "expiry" // the kernel keeps no ends: the caller lifts bans, and says their ends again after a restart
)

// Open makes the backend that is tested, in the namespace; the suite closes it.
type Open func(t *testing.T, ns NetNS) firewall.Backend

// Run holds the backend against the contract. It needs root and skips without.
func Run(t *testing.T, open Open, lacks ...Lack) {
	s := suite{openBackend: open, lacks: lacks}
	for _, c := range []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"drops what is banned", testDrops},
		{"lets nothing else be", testOverlap},
		{"extends and shortens", testExtend},
		{"expires", testExpires},
		{"bans for long", testLong},
		{"limits to a port", testPorts},
		{"cuts connections", testCuts},
		{"counts what it drops", testMeter},
		{"finds single bans", testFind},
		{"spares connections", testSparesConnections},
		{"spares addresses", testSparesAddresses},
		{"drops forwarded traffic", testForwarded},
		{"is idempotent", testIdempotent},
		{"refuses bad keys", testBadKeys},
		{"stops when told", testCancelled},
		{"leaves bans at close", testReopen},
		{"destroys only its own", testDestroy},
		{"drops all at once", testEmpty},
		{"survives a foreign flush", testForeignFlush},
		{"holds many", testMany},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := s.bench(t)
			c.test(t, b)
			b.ends(t)
		})
	}
}

type suite struct {
	openBackend Open
	lacks       []Lack
}

// bench is a lab with the backend at work on its host.
type bench struct {
	suite
	lab
	firewall.Backend
	wanted map[firewall.Key]time.Time // what Apply was asked for
}

func (s suite) bench(t *testing.T) *bench {
	t.Helper()
	l := newLab(t)
	b := &bench{s, l, s.openBackend(t, l.host), make(map[firewall.Key]time.Time)}
	t.Cleanup(func() { b.Close() }) // the test may have closed it already
	b.holds(t, nil)
	return b
}

// Apply has the backend make the change, and notes what is to be in the kernel from then on.
func (b *bench) Apply(ctx context.Context, c firewall.Change) error {
	if err := b.Backend.Apply(ctx, c); err != nil {
		return err
	}
	for _, k := range c.Del {
		delete(b.wanted, k)
	}
	for _, ban := range c.Add {
		b.wanted[ban.Key] = ban.Until
	}
	return nil
}

// Destroy has the backend remove everything.
func (b *bench) Destroy(ctx context.Context) error {
	clear(b.wanted)
	return b.Backend.Destroy(ctx)
}

// ends asserts that the kernel holds what it was asked to when the test is over, no less and no more.
func (b *bench) ends(t *testing.T) {
	t.Helper()
	var want []firewall.Ban
	for k, until := range b.wanted {
		if until.IsZero() || until.After(time.Now()) || b.lack(LacksExpiry) {
			want = append(want, firewall.Ban{Key: k, Until: until})
		}
	}
	b.holds(t, want)
}

func (s suite) lack(l Lack) bool { return slices.Contains(s.lacks, l) }

// until is when a ban of the tests ends that does not say otherwise.
func until() time.Time { return time.Now().Add(time.Hour) }

func ban(prefix string, until time.Time) firewall.Ban {
	return firewall.Ban{Key: firewall.Key{Prefix: netip.MustParsePrefix(prefix)}, Until: until}
}

func (b *bench) add(t *testing.T, bans ...firewall.Ban) {
	t.Helper()
	if err := b.Apply(t.Context(), firewall.Change{Add: bans}); err != nil {
		t.Fatalf("Apply: %v", err)
	}
}

func (b *bench) del(t *testing.T, bans ...firewall.Ban) {
	t.Helper()
	var c firewall.Change
	for _, ban := range bans {
		c.Del = append(c.Del, ban.Key)
	}
	if err := b.Apply(t.Context(), c); err != nil {
		t.Fatalf("Apply: %v", err)
	}
}

// holds asserts that the kernel enforces exactly these bans.
func (b *bench) holds(t *testing.T, want []firewall.Ban) {
	t.Helper()
	if c := b.missing(t, want); !c.Empty() {
		what := fmt.Sprint(c)
		t.Errorf("kernel lacks %d bans and has %d too many: %s", len(c.Add), len(c.Del), what[:min(len(what), 300)])
	}
	b.counts(t, len(want))
}

// counts asserts that the backend, if it counts, counts so many.
func (b *bench) counts(t *testing.T, want int) {
	t.Helper()
	c, ok := b.Backend.(firewall.Counter)
	if !ok {
		return
	}
	if n, err := c.Count(t.Context()); err != nil || n != want {
		t.Errorf("Count = %d, %v; want %d", n, err, want)
	}
}

func (b *bench) missing(t *testing.T, want []firewall.Ban) firewall.Change {
	t.Helper()
	have, err := b.List(t.Context())
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	return firewall.Diff(want, have)
}

// banned asserts that nothing from the source arrives.
func (b *bench) banned(t *testing.T, sources ...string) {
	t.Helper()
	for _, src := range sources {
		b.shut(t, src, single)
		b.shut(t, src, dual)
		if b.udp(t, src) != b.lack(LacksUDP) {
			t.Errorf("datagram from %s: arrived = %t, want %t", src, !b.lack(LacksUDP), b.lack(LacksUDP))
		}
	}
}

// free asserts that everything from the source arrives.
func (b *bench) free(t *testing.T, sources ...string) {
	t.Helper()
	for _, src := range sources {
		b.open(t, src, single)
		b.open(t, src, dual)
		if !b.udp(t, src) {
			t.Errorf("datagram from %s does not arrive", src)
		}
	}
}
