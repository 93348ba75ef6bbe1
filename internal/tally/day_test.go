package tally

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// first is the first day of the tests, a Sunday.
var first = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// attempts returns random attempts over some days, in the order of time.
func attempts(r *rand.Rand, n, days int) []Attempt {
	list := make([]Attempt, n)
	for i := range list {
		x := r.Float64()
		source := uint32(x * x * x * 3000)
		a := netip.AddrFrom4([4]byte{192, 0, byte(source >> 8), byte(source)})
		if source%5 == 0 {
			a = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, byte(source >> 8), 0, byte(source)})
		}
		list[i] = Attempt{
			Time: first.Add(time.Duration(i) * time.Duration(days) * Length / time.Duration(n)), Addr: a, Guesses: 1 + r.IntN(3),
			User: fmt.Sprintf("user%d", source%700), Rule: []string{"failed", "invalid-user", ""}[source%3], Prevented: r.IntN(3) == 0,
		}
	}
	return list
}

// The sums over days are the sums over attempts, and the rankings hold the truth; so they do after days were written and read.
func TestSumsOverDays(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for run := range 20 {
		b := NewBook(1000)
		want, jails := Numbers{}, []string{"sshd", "dovecot"}
		sources, networks, names, hours := map[string]uint64{}, map[string]uint64{}, map[string]uint64{}, map[int64]uint64{}
		for _, a := range attempts(r, 2000+r.IntN(4000), 1+r.IntN(9)) {
			if r.IntN(100) == 0 {
				a.Time = a.Time.Add(-time.Hour) // not all logs are in order
			}
			n := uint64(a.Guesses)
			b.Day(jails[r.IntN(2)], a.Time).Attempt(&a)
			want.Attempts += n
			if a.Prevented {
				want.Prevented += n
			} else {
				want.Passed += n
			}
			k := addr(a.Addr.As16())
			sources[a.Addr.String()] += n
			networks[k.around().String()] += n
			names[a.User] += n
			hours[a.Time.Unix()/3600] += n
			if r.IntN(1000) == 0 {
				again := NewBook(1000)
				again.Restore(b.All())
				b = again
			}
		}
		var h, some History
		days := b.Days()
		half := r.IntN(len(days) + 1)
		h.Add(days[:half]...)
		some.Add(days[half:]...)
		if run%2 == 0 {
			h.Unite(&some)
		} else {
			h.Unite(reread(t, &some))
		}
		if diff := cmp.Diff(want, h.Total()); diff != "" {
			t.Fatalf("total (-want +got)\n%s", diff)
		}
		checkRanking(t, "sources", h.Addresses, sources)
		checkRanking(t, "networks", h.Networks, networks)
		checkRanking(t, "names", h.Names, names)
		for _, s := range h.ByHour() {
			if s.Attempts != hours[s.At.Unix()/3600] {
				t.Fatalf("%s has %d attempts, want %d", s.At, s.Attempts, hours[s.At.Unix()/3600])
			}
		}
		if got := float64(h.Sources.Estimate()); math.Abs(got-float64(len(sources))) > 0.15*float64(len(sources))+1 {
			t.Errorf("%v sources, want about %d", got, len(sources))
		}
	}
}

// reread returns what a program reads of a history.
func reread(t *testing.T, h *History) *History {
	t.Helper()
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	again := new(History)
	if err := json.Unmarshal(text, again); err != nil {
		t.Fatal(err)
	}
	return again
}

func checkRanking(t *testing.T, what string, r Ranking, truth map[string]uint64) {
	t.Helper()
	listed := make(map[string]bool)
	for i, e := range r.List {
		listed[e.Name] = true
		if n := truth[e.Name]; n < e.AtLeast || n > e.AtMost {
			t.Fatalf("%s: %s has %d, said to be %d to %d", what, e.Name, n, e.AtLeast, e.AtMost)
		}
		if i > 0 && e.AtLeast > r.List[i-1].AtLeast {
			t.Fatalf("%s: %s has more than the one before it", what, e.Name)
		}
	}
	for name, n := range truth {
		if !listed[name] && n > r.Others {
			t.Fatalf("%s: %s has %d and is not listed, others are said to have at most %d", what, name, n, r.Others)
		}
	}
}

func TestDistinct(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 10, 100, 1000, 10_000, 1_000_000} {
		var d Distinct
		for i := range n {
			k := addr{15: byte(i), 14: byte(i >> 8), 13: byte(i >> 16), 0: 0x20}
			d.Add(k.hash(0))
			d.Add(k.hash(0))
		}
		if got := float64(d.Estimate()); math.Abs(got-float64(n)) > 0.1*float64(n) {
			t.Errorf("%d different ones are estimated to be %v", n, got)
		}
	}
}

// A day is what it was after it was written, and of one that is kept the numbers are.
func TestCodec(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	d := NewDay("sshd", first)
	for _, a := range attempts(r, 3000, 1) {
		d.Attempt(&a)
	}
	d.Ban(first.Add(time.Hour), "rate: 5 points")
	d.Latency.Add(3 * time.Millisecond)
	d.Denied = 7
	whole, err := Decode(d.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(historyOf(d), historyOf(whole)); diff != "" {
		t.Errorf("after a day was written and read (-want +got)\n%s", diff)
	}
	text := d.AppendKept(nil)
	kept, err := Decode(text)
	if err != nil || len(text) > 2048 {
		t.Fatalf("%d bytes: %v", len(text), err)
	}
	if diff := cmp.Diff(historyOf(d).Days, historyOf(kept).Days); diff != "" {
		t.Errorf("after a day was kept (-want +got)\n%s", diff)
	}
	for n := range text {
		if _, err := Decode(text[:n]); err == nil {
			t.Fatalf("read %d of %d bytes", n, len(text))
		}
	}
	if _, err := Decode(append(text, 0)); err == nil {
		t.Error("read a byte too many")
	}
}

func historyOf(days ...*Day) *History {
	h := new(History)
	h.Add(days...)
	return h
}

func FuzzDecode(f *testing.F) {
	d := NewDay("sshd", first)
	for _, a := range attempts(rand.New(rand.NewPCG(9, 10)), 300, 1) {
		d.Attempt(&a)
	}
	f.Add(d.Append(nil))
	f.Add(NewDay("", first).Append(nil))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := Decode(text)
		if err != nil {
			return
		}
		again, err := Decode(d.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(historyOf(d), historyOf(again)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestLatency(t *testing.T) {
	t.Parallel()
	var l Latency
	for _, d := range []time.Duration{-1, 0, time.Millisecond - 1, time.Millisecond, 3 * time.Millisecond, time.Minute, time.Hour} {
		l.Add(d)
	}
	want := Latency{0: 3, 1: 1, 2: 1, 16: 1, 17: 1}
	if diff := cmp.Diff(want, l); diff != "" || l.Bans() != 7 {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if LatencyBound(1) != 2*time.Millisecond {
		t.Errorf("bound 1 is %s", LatencyBound(1))
	}
}

// Days, hours of the day and of the week are those of a place; no attempt is lost or counted twice when clocks change there.
func TestPlaces(t *testing.T) {
	t.Parallel()
	d := NewDay("sshd", time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC)) // a Sunday; at 01:00 UTC it is 03:00 in Berlin, an hour before 01:00
	next := NewDay("sshd", d.Date.Add(Length))
	for _, day := range []*Day{d, next} {
		for hour := range 24 {
			day.Attempt(&Attempt{Time: day.Date.Add(time.Duration(hour) * time.Hour), Addr: netip.MustParseAddr("192.0.2.1"), Guesses: 1})
		}
	}
	h := historyOf(d, next)
	berlin := time.FixedZone("CEST", 2*3600)
	var counts []uint64
	for _, s := range h.ByDay(berlin) {
		counts = append(counts, s.Attempts)
		if s.At.Hour() != 0 {
			t.Errorf("a day begins at %s", s.At)
		}
	}
	if diff := cmp.Diff([]uint64{22, 24, 2}, counts); diff != "" {
		t.Errorf("attempts by day (-want +got)\n%s", diff)
	}
	week := h.ByWeekday(berlin)
	if week[time.Sunday][1].Attempts != 0 || week[time.Sunday][2].Attempts != 1 || week[time.Tuesday][1].Attempts != 1 {
		t.Errorf("by weekday: %v", week)
	}
	clock := h.ByClock(time.UTC)
	if clock[0].Attempts != 2 || clock[23].Attempts != 2 {
		t.Errorf("by hour: %v", clock)
	}
	if list := h.ByJail(); len(list) != 1 || list[0].Name != "sshd" || list[0].Attempts != 48 {
		t.Errorf("by jail: %v", list)
	}
}

func TestBookIsBounded(t *testing.T) {
	t.Parallel()
	b := NewBook(10)
	for n := range 30 {
		b.Day("sshd", first.Add(time.Duration(n)*Length)).Attempts++
		b.Day("dovecot", first.Add(time.Duration(n)*Length)).Attempts++
		if b.Len() > 10 || len(b.All()) != b.Len() {
			t.Fatalf("%d days, %d as texts; want at most 10", b.Len(), len(b.All()))
		}
	}
	b.Unwritten()
	if d := b.Day("sshd", first); d != b.Nowhere() {
		t.Errorf("a day that is older than those that are kept is %+v", d)
	}
	if len(b.Unwritten()) != 0 {
		t.Error("what is nowhere is to be written")
	}
	b.Prune(first.Add(28*Length), first.Add(40*Length))
	gone := 0
	for k, text := range b.Unwritten() {
		if text == nil {
			gone++
		} else {
			t.Errorf("%v was written, and has not changed", k)
		}
	}
	if got := b.Newest(first.Add(28*Length + 1)); !got.Equal(first.Add(28 * Length)) {
		t.Errorf("the newest is %s", got)
	}
	if b.Len() != 4 || gone != 6 {
		t.Errorf("%d days, and %d to be deleted; want 4 and 6", b.Len(), gone)
	}
}

// What Unwritten returned over time is the book.
func TestUnwritten(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(11, 12))
	b, disk := NewBook(8), make(map[Key][]byte)
	for _, a := range attempts(r, 3000, 20) {
		b.Day([]string{"sshd", "web"}[r.IntN(2)], a.Time.Add(-time.Duration(r.IntN(3))*Length)).Attempt(&a)
		if r.IntN(20) == 0 {
			for k, text := range b.Unwritten() {
				if disk[k] = text; text == nil {
					delete(disk, k)
				}
			}
		}
	}
	for k, text := range b.Unwritten() {
		if disk[k] = text; text == nil {
			delete(disk, k)
		}
	}
	again := NewBook(8)
	again.Restore(disk)
	want, got := historyOf(b.Days()...), historyOf(again.Days()...)
	if diff := cmp.Diff(want.Days, got.Days); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestNoGarbage(t *testing.T) {
	b := NewBook(400)
	a := Attempt{Time: first.Add(time.Hour), Rule: "failed", Guesses: 1}
	names := make([]string, 4096)
	for i := range names {
		names[i] = fmt.Sprintf("name-%d", i)
	}
	i := 0
	count := func() {
		i++
		a.Addr, a.User = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), names[i%len(names)]
		b.Day("sshd", a.Time).Attempt(&a)
	}
	for range 1000 {
		count()
	}
	if n := testing.AllocsPerRun(5000, count); n != 0 {
		t.Errorf("%v allocations for an attempt", n)
	}
}

func BenchmarkAttempt(b *testing.B) {
	for name, sources := range map[string]int{"hundred": 100, "distinct": 1 << 24} {
		b.Run(name, func(b *testing.B) {
			book := NewBook(400)
			a := Attempt{Time: first.Add(time.Hour), Rule: "failed", User: "root", Guesses: 1}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				n := i % sources
				a.Addr = netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
				book.Day("sshd", a.Time).Attempt(&a)
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	d := NewDay("sshd", first)
	for _, a := range attempts(rand.New(rand.NewPCG(1, 1)), 10000, 1) {
		d.Attempt(&a)
	}
	b.ReportAllocs()
	for b.Loop() {
		b.SetBytes(int64(len(d.Append(nil))))
	}
}
