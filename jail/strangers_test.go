package jail

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// translating knows a prefix of the host's own translator, as DNS64 shows it.
func translating() *Strangers {
	s := new(Strangers)
	s.SetNAT64([]netip.Prefix{netip.MustParsePrefix("2001:db8:64::/96"), netip.MustParsePrefix("192.0.2.0/24")})
	return s
}

func TestUnit(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string][2]string{ // by the standards, and with a translator of one's own
		"192.0.2.1":              {"192.0.2.0/24"},
		"::ffff:192.0.2.1":       {"192.0.2.0/24"},
		"169.254.7.8":            {"169.254.7.8/32"},
		"2001:db8::1":            {"2001:db8::/64"},
		"2001:db8:64::192.0.2.1": {"2001:db8:64::/64", "2001:db8:64::c000:201/128"},
		"2001:db8:64:0:1::1":     {"2001:db8:64::/64"},
		"64:ff9b::192.0.2.1":     {"64:ff9b::c000:201/128"},
		"64:ff9b:0:0:1::1":       {"64:ff9b::/64"},
		"64:ff9b:1:2::192.0.2.1": {"64:ff9b:1:2::c000:201/128"},
		"64:ff9b:2::1":           {"64:ff9b:2::/64"},
		"::ffff:0:192.0.2.1":     {"::ffff:0:c000:201/128"},
		"2001:0:4137:9e76::1":    {"2001:0:4137:9e76::1/128"},
		"2001:1::1":              {"2001:1::/64"},
		"2001:20::1":             {"2001:20::1/128"},
		"2001:30::1":             {"2001:30::/64"},
		"fe80::1%eth0":           {"fe80::1/128"},
		"febf::1":                {"febf::1/128"},
		"fec0::1":                {"fec0::/64"},
		"2002:c000:201::1":       {"2002:c000:201::/64"}, // 6to4: a /48 is one IPv4 address
	} {
		if want[1] == "" {
			want[1] = want[0]
		}
		a := netip.MustParseAddr(addr)
		for i, s := range []*Strangers{nil, translating()} {
			if got := s.Unit(a, 24, 64); got != netip.MustParsePrefix(want[i]) {
				t.Errorf("%s: the unit is %v, want %v", addr, got, want[i])
			}
		}
	}
	if p := (*Strangers)(nil).Unit(netip.Addr{}, 32, 64); p.IsValid() {
		t.Errorf("no address has the unit %v", p)
	}
}

func TestStrangersAreTouched(t *testing.T) {
	t.Parallel()
	for p, want := range map[string]string{
		"64:ff9b::/64":          viaNAT64,
		"64:ff9b::c000:201/128": "",
		"64:ff9b::/32":          viaNAT64,
		"2001::/24":             "all of Teredo",
		"2001:db8::/56":         "",
		"2001:db8:64::/56":      viaNAT64,
		"fe80::/64":             onTheLink,
		"169.254.1.0/24":        onTheLink,
		"192.0.2.0/24":          "",
	} {
		if who, _ := translating().Touches(netip.MustParsePrefix(p)); who != want {
			t.Errorf("a ban of %s hits %q, want %q", p, who, want)
		}
	}
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

// strangeJails are a jail with each detector, that know the same strangers.
func strangeJails(t *testing.T) map[string]*Jail {
	t.Helper()
	jails := make(map[string]*Jail)
	for detection, d := range map[Detection]*AdaptiveDetector{Threshold: nil, Adaptive: NewAdaptive(strangeAdaptive())} {
		cfg := protecting(t, nil).cfg
		cfg.Detection, cfg.MaxRetry, cfg.IPv4Prefix, cfg.IPv6Prefix, cfg.Strangers = detection, 5, 24, 48, translating()
		var detector Detector
		if d != nil {
			d.SetAccounts([]string{"root", "alice"}, nil)
			detector = d
		}
		j, err := New(cfg, silent{}, nil, detector)
		if err != nil {
			t.Fatal(err)
		}
		jails[string(detection)] = j
	}
	return jails
}

func strangeAdaptive() AdaptiveConfig {
	cfg := DefaultAdaptive()
	cfg.Strangers = translating()
	return cfg
}

// eachStranger runs a test with each detector in each range.
func eachStranger(t *testing.T, test func(t *testing.T, j *Jail, host func(byte) netip.Addr)) {
	for name, host := range strangeRanges() {
		for detection, j := range strangeJails(t) {
			t.Run(detection+" "+name, func(t *testing.T) {
				t.Parallel()
				test(t, j, host)
			})
		}
	}
}

func failed(j *Jail, a netip.Addr, user string, n int) (bans []netip.Prefix) {
	for range n {
		for _, d := range j.ObserveAttempt(Attempt{Time: noon, Addr: a, User: user, Guesses: 1}) {
			bans = append(bans, d.Prefix)
		}
	}
	return bans
}

// Four neighbours guess as often as they may, and alice mistypes once.
func TestStrangersGuessesAreTheirOwn(t *testing.T) {
	t.Parallel()
	eachStranger(t, func(t *testing.T, j *Jail, host func(byte) netip.Addr) {
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
	eachStranger(t, func(t *testing.T, j *Jail, host func(byte) netip.Addr) {
		for _, method := range []string{"publickey", "password"} {
			j.ObserveAttempt(Attempt{Time: noon, Addr: host(1), User: "alice", Method: method, Success: true})
		}
		if bans := failed(j, host(2), "root", 5); len(bans) != 1 {
			t.Errorf("five guesses beside a login ban %v", bans)
		}
		if lines := explained(j, host(2)); len(lines) > 0 {
			t.Errorf("the stranger is known: %q", lines)
		}
		if lines := explained(j, host(1)); j.cfg.Detection == Adaptive && len(lines) != 2 {
			t.Errorf("alice is not known by address and region: %q", lines)
		}
	})
}

// explained are the lines that say that somebody logged in at an address or around it.
func explained(j *Jail, a netip.Addr) []string {
	d, ok := j.detector.(*AdaptiveDetector)
	if !ok {
		return nil
	}
	return slices.DeleteFunc(d.Explain(a, noon), func(line string) bool {
		return !strings.HasPrefix(line, "known: ") && !strings.HasPrefix(line, "region: ")
	})
}

// However many neighbours are banned, none is banned with them.
func TestStrangersAreNeverBannedTogether(t *testing.T) {
	t.Parallel()
	eachStranger(t, func(t *testing.T, j *Jail, host func(byte) netip.Addr) {
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
		d := NewAdaptive(strangeAdaptive())
		for i := range byte(3) {
			d.Observe(Attempt{Time: noon, Addr: host(i), User: "oracle", Unknown: true, Guesses: 1}, nil)
		}
		if names := d.Names(noon); len(names) != 1 || names[0].Hosts != 3 {
			t.Errorf("%s: the names are %v", name, names)
		}
	}
}

func TestStrangersOffencesAreTheirOwn(t *testing.T) {
	t.Parallel()
	for name, host := range strangeRanges() {
		r := NewRecidivists(Recidive{Enabled: true, MaxRetry: 3, FindTime: day, BanTime: day}, translating())
		g := NewAggregator(Aggregate{IPv4: 3, IPv6: 3}, translating(), func(netip.Prefix) bool { return false })
		for i := range byte(20) {
			p := netip.PrefixFrom(host(i), host(i).BitLen())
			if _, ok := r.Observe(p, noon); ok {
				t.Errorf("%s: the bans of others make %v a recidivist", name, p)
			}
			if w, ok := g.Add(p); ok {
				t.Errorf("%s: a ban of %v becomes one of %v", name, p, w.Prefix)
			}
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
	d := NewAdaptive(DefaultAdaptive())
	if err := d.Restore(3, data); err != nil {
		t.Fatal(err)
	}
	if d.scores.len() < 20 || d.hosts.len() < 20 || d.known.nets.len() == 0 {
		t.Errorf("%d addresses, %d offenders and %d networks were read", d.scores.len(), d.hosts.len(), d.known.nets.len())
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
	d := NewAdaptive(strangeAdaptive())
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if a = a.Unmap(); !ok || !counted(a) {
			return
		}
		host := d.host(a)
		if host.Addr().Is6() && host == netip.PrefixFrom(netip.PrefixFrom(a, 64).Masked().Addr(), 128) {
			return // no host has that address: a key of it is that of the /64
		}
		if got := d.hostOf(a).host(); got != host || !host.Contains(a) {
			t.Fatalf("%v is counted as %v and found as %v", a, host, got)
		}
		var w snapshotWriter
		w.host(host)
		r := snapshotReader{data: w}
		if k := r.host(); r.bad || len(r.data) > 0 || k != d.hostOf(a) {
			t.Fatalf("%v is read as %v", host, k.host())
		}
		id := d.hostID(a)
		if single := host.Bits() > 64; single != (id>>56 == 0xff) {
			t.Fatalf("%v has the number %x", host, uint64(id))
		}
		if host.Bits() <= 64 && id.addr() != host.Addr() {
			t.Fatalf("%v has the number of %v", host, id.addr())
		}
		unit := func(bits4, bits6 int) netID { return d.names.key.netID(d.cfg.Strangers.Unit(a, bits4, bits6)) }
		want := place{d.hostOf(a), id, unit(24, 64), unit(16, 48), d.around(a)}
		if got := d.place(a); got != want || got.region != got.id.region() {
			t.Fatalf("%v is at %+v, want %+v", a, got, want)
		}
	})
}

func TestSnapshotKeepsStrangers(t *testing.T) {
	t.Parallel()
	before, after := NewAdaptive(strangeAdaptive()), NewAdaptive(strangeAdaptive())
	var want []Host
	for _, host := range strangeRanges() {
		before.Observe(Attempt{Time: noon, Addr: host(1), User: "alice", Success: true}, nil)
		for range 5 {
			before.Observe(Attempt{Time: noon, Addr: host(2), User: "root", Guesses: 1}, nil)
		}
		before.Observe(Attempt{Time: noon, Addr: host(3), User: "root", Guesses: 1}, nil)
		want = append(want, Host{Prefix: netip.PrefixFrom(host(3), host(3).BitLen()), Failures: 1, First: noon.UTC(), Last: noon.UTC()})
	}
	if err := after.Restore(snapshotVersion, snapshotOf(t, before)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(firstHosts(want, 100), after.Hosts(netip.Prefix{}, 100), cmpPrefix); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	for name, host := range strangeRanges() {
		two, four := after.place(host(2)), after.place(host(4))
		if !after.banned(&two, stampOf(noon)) || after.banned(&four, stampOf(noon)) {
			t.Errorf("%s: another one than the banned one is banned", name)
		}
		if at := stampOf(noon); !after.known.neighbour(after.place(host(1)).net, at, day) || after.known.neighbour(after.place(host(4)).net, at, day) {
			t.Errorf("%s: another one than the known one is known", name)
		}
	}
}
