package adaptive

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/jail"
	"exile/jail/internal/netkey"
)

// translating knows a prefix of the host's own translator, as DNS64 shows it.
func translating() *jail.Strangers {
	s := new(jail.Strangers)
	s.SetNAT64([]netip.Prefix{netip.MustParsePrefix("2001:db8:64::/96"), netip.MustParsePrefix("192.0.2.0/24")})
	return s
}

// strangeRanges are an address for each of 200 hosts in each range of strangers.
func strangeRanges() map[string]func(host byte) netip.Addr {
	ranges := make(map[string]func(byte) netip.Addr)
	for _, base := range []string{
		"64:ff9b::192.0.2.0", "64:ff9b:1:fffe::192.0.2.0", "2001:db8:64::192.0.2.0", "::ffff:0:192.0.2.0",
		"2001:0:4137:9e76:0:1234:3fff:fd00", "2001:20::1:0", "fe80::a00:27ff:fe00:0", "fe80:0:0:1::",
	} {
		ranges[base] = func(host byte) netip.Addr {
			b := netip.MustParseAddr(base).As16()
			b[15] = host
			return netip.AddrFrom16(b)
		}
	}
	ranges["169.254.1.0"] = func(host byte) netip.Addr { return addr4(169, 254, 1, host) }
	return ranges
}

// strangeJail is a jail that knows the strangers of the tests.
type strangeJail struct {
	*jail.Jail
	detector *Detector // nil: it has the other one
}

// strangeJails are a jail with each detector.
func strangeJails(t *testing.T) map[string]strangeJail {
	t.Helper()
	jails := make(map[string]strangeJail)
	for detection, d := range map[jail.Detection]*Detector{jail.Threshold: nil, jail.Adaptive: New(strangeAdaptive())} {
		cfg := jailConfig(detection)
		cfg.MaxRetry, cfg.IPv4Prefix, cfg.IPv6Prefix, cfg.Strangers = 5, 24, 48, translating()
		var detector jail.Detector
		if d != nil {
			d.SetAccounts([]string{"root", "alice"}, nil)
			detector = d
		}
		j, err := jail.New(cfg, silent{}, nil, detector)
		if err != nil {
			t.Fatal(err)
		}
		jails[string(detection)] = strangeJail{j, d}
	}
	return jails
}

func jailConfig(detection jail.Detection) jail.Config {
	return jail.Config{
		Name: "sshd", Detection: detection, MaxRetry: 4, FindTime: time.Hour, BanTime: time.Hour,
		IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 1000, TrustLogins: 24 * time.Hour,
	}
}

// silent is a filter to which no line means anything: the tests bring attempts of their own.
type silent struct{}

func (silent) Parse([]byte) jail.Event { return jail.Event{} }

// newJail is an adaptive jail without a filter.
func newJail(t *testing.T) *jail.Jail {
	t.Helper()
	j, err := jail.New(jailConfig(jail.Adaptive), silent{}, nil, New(Default()))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func strangeAdaptive() Config {
	cfg := Default()
	cfg.Strangers = translating()
	return cfg
}

// eachStranger runs a test with each detector in each range.
func eachStranger(t *testing.T, test func(t *testing.T, j strangeJail, host func(byte) netip.Addr)) {
	for name, host := range strangeRanges() {
		for detection, j := range strangeJails(t) {
			t.Run(detection+" "+name, func(t *testing.T) {
				t.Parallel()
				test(t, j, host)
			})
		}
	}
}

func failed(j strangeJail, a netip.Addr, user string, n int) (bans []netip.Prefix) {
	for range n {
		for _, d := range j.ObserveAttempt(jail.Attempt{Time: noon, Addr: a, User: user, Guesses: 1}) {
			bans = append(bans, d.Prefix)
		}
	}
	return bans
}

// Four neighbours guess as often as they may, and alice mistypes once.
func TestStrangersGuessesAreTheirOwn(t *testing.T) {
	t.Parallel()
	eachStranger(t, func(t *testing.T, j strangeJail, host func(byte) netip.Addr) {
		for i := range byte(4) {
			if bans := failed(j, host(10+i), "root", 4); bans != nil {
				t.Errorf("four guesses of a stranger ban %v", bans)
			}
		}
		if bans := failed(j, host(1), "alice", 1); bans != nil {
			t.Errorf("one slip of alice's bans %v", bans)
		}
		if bans := failed(j, host(10), "root", 1); len(bans) != 1 || bans[0] != netip.PrefixFrom(host(10), host(10).BitLen()) {
			t.Errorf("the fifth guess bans %v", bans)
		}
	})
}

// A login from a neighbour, with a key or a password, buys nobody else a guess.
func TestStrangersLoginsAreTheirOwn(t *testing.T) {
	t.Parallel()
	eachStranger(t, func(t *testing.T, j strangeJail, host func(byte) netip.Addr) {
		for _, method := range []string{"publickey", "password"} {
			j.ObserveAttempt(jail.Attempt{Time: noon, Addr: host(1), User: "alice", Method: method, Success: true})
		}
		if bans := failed(j, host(2), "root", 5); len(bans) != 1 {
			t.Errorf("five guesses beside a login ban %v", bans)
		}
		if lines := explained(j, host(2)); len(lines) > 0 {
			t.Errorf("the stranger is known: %q", lines)
		}
		if lines := explained(j, host(1)); j.detector != nil && len(lines) != 2 {
			t.Errorf("alice is not known by address and region: %q", lines)
		}
	})
}

// explained are the lines that say that somebody logged in at an address or around it.
func explained(j strangeJail, a netip.Addr) []string {
	if j.detector == nil {
		return nil
	}
	return slices.DeleteFunc(j.detector.Explain(a, noon), func(line string) bool {
		return !strings.HasPrefix(line, "known: ") && !strings.HasPrefix(line, "region: ")
	})
}

// However many neighbours are banned, none is banned with them.
func TestStrangersAreNeverBannedTogether(t *testing.T) {
	t.Parallel()
	eachStranger(t, func(t *testing.T, j strangeJail, host func(byte) netip.Addr) {
		for i := range byte(20) {
			for _, p := range failed(j, host(i), "root", 5) {
				if p != netip.PrefixFrom(host(i), host(i).BitLen()) {
					t.Errorf("the ban of %v is one of %v", host(i), p)
				}
			}
		}
		if n := j.Failing(); n != 0 {
			t.Errorf("%d are still counted", n)
		}
	})
}

// A name that only attackers try counts neighbours as the many that they are.
func TestStrangersAreManyToAName(t *testing.T) {
	t.Parallel()
	for name, host := range strangeRanges() {
		d := New(strangeAdaptive())
		for i := range byte(3) {
			d.Observe(jail.Attempt{Time: noon, Addr: host(i), User: "oracle", Unknown: true, Guesses: 1}, nil)
		}
		if names := d.Names(noon); len(names) != 1 || names[0].Hosts != 3 {
			t.Errorf("%s: the names are %v", name, names)
		}
	}
}

// A snapshot of before strangers were told apart is read; what it says of all behind NAT64 is said of nobody.
func TestRestoreOlderSnapshot(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/snapshot-3")
	if err != nil {
		t.Fatal(err)
	}
	d := New(Default())
	if err := d.Restore(3, data); err != nil {
		t.Fatal(err)
	}
	if d.scores.Len() < 20 || d.hosts.Len() < 20 || d.known.nets.Len() == 0 {
		t.Errorf("%d addresses, %d offenders and %d networks were read", d.scores.Len(), d.hosts.Len(), d.known.nets.Len())
	}
	at := adaptiveStart.Add(day)
	if lines := d.Explain(netip.MustParseAddr("64:ff9b::192.0.2.1"), at); lines != nil {
		t.Errorf("somebody behind NAT64 is charged with %q", lines)
	}
	if d.Restore(2, data) == nil {
		t.Error("a snapshot of another form was read")
	}
}

// FuzzHost sees that a host is found by its key and written and read as what it is, and that its number is no network's.
func FuzzHost(f *testing.F) {
	for _, host := range strangeRanges() {
		b := host(1).As16()
		f.Add(b[:])
	}
	for _, addr := range []string{"192.0.2.1", "2001:db8::1", "::1", "ff02::1", "0:ffff::1"} {
		f.Add(netip.MustParseAddr(addr).AsSlice())
	}
	d := New(strangeAdaptive())
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if a = a.Unmap(); !ok || !netkey.Counted(a) {
			return
		}
		host := d.host(a)
		if host.Addr().Is6() && host == netip.PrefixFrom(netip.PrefixFrom(a, 64).Masked().Addr(), 128) {
			return // no host has that address: a key of it is that of the /64
		}
		if got := hostOf(netkey.Of(d.host(a))); got != host || !host.Contains(a) {
			t.Fatalf("%v is counted as %v and found as %v", a, host, got)
		}
		var w snapshotWriter
		w.host(host)
		r := snapshotReader{data: w}
		if k := r.host(); r.bad || len(r.data) > 0 || k != netkey.Of(d.host(a)) {
			t.Fatalf("%v is read as %v", host, hostOf(k))
		}
		id := d.hostID(a)
		if single := host.Bits() > 64; single != (id>>56 == 0xff) {
			t.Fatalf("%v has the number %x", host, uint64(id))
		}
		if host.Bits() <= 64 && id.Addr() != host.Addr() {
			t.Fatalf("%v has the number of %v", host, id.Addr())
		}
		unit := func(bits4, bits6 int) netkey.ID { return d.names.secret.ID(d.cfg.Strangers.Unit(a, bits4, bits6)) }
		want := place{netkey.Of(d.host(a)), id, unit(24, 64), unit(16, 48), d.around(a)}
		if got := d.place(a); got != want || got.region != got.id.Region() {
			t.Fatalf("%v is at %+v, want %+v", a, got, want)
		}
	})
}

func TestSnapshotKeepsStrangers(t *testing.T) {
	t.Parallel()
	before, after := New(strangeAdaptive()), New(strangeAdaptive())
	var want []jail.Host
	for _, host := range strangeRanges() {
		before.Observe(jail.Attempt{Time: noon, Addr: host(1), User: "alice", Success: true}, nil)
		for range 5 {
			before.Observe(jail.Attempt{Time: noon, Addr: host(2), User: "root", Guesses: 1}, nil)
		}
		before.Observe(jail.Attempt{Time: noon, Addr: host(3), User: "root", Guesses: 1}, nil)
		want = append(want, jail.Host{Prefix: netip.PrefixFrom(host(3), host(3).BitLen()), Failures: 1, First: noon.UTC(), Last: noon.UTC()})
	}
	slices.SortFunc(want, func(a, b jail.Host) int { return a.Prefix.Compare(b.Prefix) })
	if err := after.Restore(snapshotVersion, snapshotOf(t, before)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, hostsOf(after), cmpPrefix); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	for name, host := range strangeRanges() {
		two, four := after.place(host(2)), after.place(host(4))
		if !after.banned(&two, after.hosts.Slot(two.host), stampOf(noon)) || after.banned(&four, after.hosts.Slot(four.host), stampOf(noon)) {
			t.Errorf("%s: another one than the banned one is banned", name)
		}
		one := after.place(host(1))
		if at := stampOf(noon); !after.known.company(&one, at, day).neighbour || after.known.company(&four, at, day).neighbour {
			t.Errorf("%s: another one than the known one is known", name)
		}
	}
}
