package services

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"exile/jail"
	"exile/journal"
)

// changes are what an update may do to the lines of a service.
var changes = map[string]func(line string) string{
	"something before the line": func(line string) string { return "v2 | " + line },
	"as JSON":                   func(line string) string { return `{"message":"` + strings.ReplaceAll(line, `"`, `\"`) + `"}` },
	"a blank more":              func(line string) string { return strings.Replace(line, " ", "  ", 1) },
	"something behind the line": func(line string) string { return line + " [new]" },
}

// life is what a service logs within days: each hour some of the lines that mean nothing, and in the hours of an attack many that a pattern
// knows. From a day on they are changed.
type life struct {
	samples []sample
	days    int
	from    int
	change  func(string) string
	failing float64 // the share of hours with an attack
}

// drifts has a filter read that life, and returns in how many hours of it the lines counted as changed, and after how many hours first.
func (l *life) drifts(t *testing.T, f jail.Filter, seed uint64) (hours, first int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	s := jail.NewScrutiny("x", f)
	var none, some []string
	for _, sample := range l.samples {
		if sample.Pattern == nothing {
			none = append(none, sample.Line)
		} else {
			some = append(some, sample.Line)
		}
	}
	first = -1
	begin := time.Unix(1_700_000_000, 0)
	for h := range l.days * 24 {
		log := func(line string) {
			if l.change != nil && h >= l.from*24 {
				line = l.change(line)
			}
			s.ParseEntry(&journal.Entry{Time: begin.Add(time.Duration(h)*time.Hour + time.Duration(r.Int64N(int64(time.Hour)))), Message: []byte(line)})
		}
		for range 1 + r.IntN(20) {
			log(none[r.IntN(len(none))])
		}
		if r.Float64() < l.failing {
			for range 1 + r.IntN(50) {
				log(some[r.IntN(len(some))])
			}
		}
		if s.Drift().Filter != "" {
			if hours++; first < 0 {
				first = h
			}
		}
	}
	return hours, first
}

// TestDrift: no shipped filter takes an ordinary life of its service for one that has changed, whether it is attacked often or seldom. If its
// lines change, that is found where the filter has words or a form to go by; the figures say how often.
func TestDrift(t *testing.T) {
	t.Parallel()
	found, possible, delay := make(map[string]int), 0, 0
	calmDays, step := 20, 1 // 60 days were measured once, see docs/decisions.md
	if testing.Short() {
		calmDays, step = 10, 8
	}
	for i, name := range Names() {
		if i%step > 0 {
			continue
		}
		f, samples := load(t, name).Filter("aggressive"), read(t, name).Samples
		for _, failing := range []float64{0.9, 0.3, 0.02} {
			calm := life{samples: samples, days: calmDays, failing: failing}
			if hours, first := calm.drifts(t, f, uint64(i)); hours > 0 {
				t.Errorf("%s, attacked in %v of the hours: changed in %d hours, first in %d", name, failing, hours, first)
			}
		}
		look := f.(jail.Looker)
		if look.HasForm() || len(look.Groups()) > 0 {
			possible++
		}
		for what, change := range changes {
			update := life{samples: samples, days: 10, from: 5, change: change, failing: 0.3}
			hours, first := update.drifts(t, f, uint64(i))
			if hours > 0 && first < 5*24 {
				t.Errorf("%s: %s: changed in hour %d, before it was", name, what, first)
			}
			if hours > 0 {
				found[what]++
				delay += first - 5*24
			}
		}
	}
	sum := 0
	for _, n := range found {
		sum += n
	}
	t.Logf("of %d filters %d have something to go by; found: %v, after %d hours on average", len(Names())/step, possible, found, delay/max(sum, 1))
	if least := len(Names()) / step / 2; found["something before the line"] < least || found["as JSON"] < least {
		t.Errorf("found too seldom: %v", found)
	}
}

// BenchmarkScrutiny reads lines that match nothing, a thousand in a second, as exiled does.
func BenchmarkScrutiny(b *testing.B) {
	for _, name := range []string{"vsftpd", "nginx-http-auth", "web-probe"} {
		lines := strangeLines()
		b.Run(name, func(b *testing.B) {
			s := jail.NewScrutiny(name, load(b, name).Filter("aggressive"))
			e := journal.Entry{Time: time.Unix(1_700_000_000, 0)}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				e.Time = e.Time.Add(time.Millisecond)
				e.Message = lines[i%len(lines)]
				s.ParseEntry(&e)
			}
		})
	}
}
