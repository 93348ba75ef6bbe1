package tally

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// History is what is known of several days: the numbers of each, and who attacked most in all of them together. It is what the daemon answers
// and what exilectl shows; its JSON is that of DescribeHistory, see org.exile1(5). The zero History is empty.
type History struct {
	Days      []Sums   `json:"days"`      // by date, and within a date by jail
	Sources   Distinct `json:"sources"`   // addresses with attempts
	Latency   Latency  `json:"latency"`   // bans, by the time from the log entry to the kernel
	Addresses Ranking  `json:"addresses"` // by attempts, as are the next three
	Networks  Ranking  `json:"networks"`
	Names     Ranking  `json:"names"`   // as they were typed: any text, to be quoted
	Rules     Ranking  `json:"rules"`   // of filters
	Reasons   Ranking  `json:"reasons"` // bans, by the first word of their reason
}

// Sums are the numbers of a jail on a day.
type Sums struct {
	Jail string `json:"jail"`      // empty: what is known only of the host
	Date int64  `json:"date_usec"` // its beginning, midnight UTC, in µs since 1970
	Numbers
	Sources uint64   `json:"sources"` // addresses with attempts, within about 5 %
	Hours   [24]Hour `json:"hours"`   // UTC
}

// Start returns the beginning of the day.
func (s *Sums) Start() time.Time { return time.UnixMicro(s.Date).UTC() }

// Happened takes back that bans of a replay would have prevented something: what a log has was not.
func (s *Sums) Happened() {
	s.Passed, s.Prevented = s.Attempts, 0
	for i := range s.Hours {
		s.Hours[i].Prevented = 0
	}
}

// Ranking lists who has most, first those who certainly have most.
type Ranking struct {
	List   []Ranked `json:"list"`
	Others uint64   `json:"others_at_most"` // the most that anybody has who is not in the list; 0: the list is complete
}

// Ranked is one of a ranking.
type Ranked struct {
	Name    string `json:"name"`
	AtLeast uint64 `json:"at_least"`
	AtMost  uint64 `json:"at_most"` // the same where the count is exact
}

// Range writes how many there are: a number, or two if only that is known.
func (e Ranked) Range() string {
	if e.AtLeast == e.AtMost {
		return strconv.FormatUint(e.AtLeast, 10)
	}
	return fmt.Sprintf("%d to %d", e.AtLeast, e.AtMost)
}

// maxRanked is how many a Ranking lists at most.
const maxRanked = 100

// Add adds days. What a day has only counts once: no two days of all that were ever added may have the same jail and date, unless they
// counted different things.
func (h *History) Add(days ...*Day) {
	if h.Days == nil {
		h.Days = make([]Sums, 0, len(days))
	}
	for _, d := range days {
		h.Days = append(h.Days, Sums{d.Jail, d.Date.UnixMicro(), d.Numbers, d.Sources.Estimate(), d.Hours})
		h.Sources.Unite(&d.Sources)
		h.Latency.add(&d.Latency)
	}
	h.sort()
	h.Addresses.add(rankings(days, func(d *Day) Ranking {
		return ranking(d.addresses, compareAddr, func(k addr) string { return k.addr().String() })
	}))
	h.Networks.add(rankings(days, func(d *Day) Ranking {
		return ranking(d.networks, compareAddr, func(k addr) string { return k.around().String() })
	}))
	h.Names.add(rankings(days, func(d *Day) Ranking { return ranking(d.names, compareWord, word.String) }))
	h.Rules.add(rankings(days, func(d *Day) Ranking { return ranking(d.rules, compareWord, word.String) }))
	h.Reasons.add(rankings(days, func(d *Day) Ranking { return ranking(d.reasons, compareWord, word.String) }))
}

// Read returns the history of days that were written by Append or AppendKept. Damaged ones are left out.
func Read(texts [][]byte) (h History) {
	days := make([]*Day, 0, len(texts))
	for _, text := range texts {
		if d, err := Decode(text); err == nil {
			days = append(days, d)
		}
	}
	h.Add(days...)
	return h
}

// Unite adds another history, of other days.
func (h *History) Unite(other *History) {
	h.Days = append(h.Days, other.Days...)
	h.sort()
	h.Sources.Unite(&other.Sources)
	h.Latency.add(&other.Latency)
	h.Addresses.add([]Ranking{other.Addresses})
	h.Networks.add([]Ranking{other.Networks})
	h.Names.add([]Ranking{other.Names})
	h.Rules.add([]Ranking{other.Rules})
	h.Reasons.add([]Ranking{other.Reasons})
}

func (h *History) sort() {
	slices.SortStableFunc(h.Days, func(a, b Sums) int { return cmp.Or(cmp.Compare(a.Date, b.Date), strings.Compare(a.Jail, b.Jail)) })
}

func rankings(days []*Day, of func(*Day) Ranking) []Ranking {
	list := make([]Ranking, len(days))
	for i, d := range days {
		list[i] = of(d)
	}
	return list
}

func ranking[K any](t *top[K], compare func(a, b K) int, name func(K) string) (r Ranking) {
	list, others := t.first(t.size, compare)
	for _, c := range list {
		r.List = append(r.List, Ranked{name(c.key), c.atLeast, c.atMost})
	}
	r.Others = others
	return r
}

// add merges rankings. Whoever is not in one of them may have as much there as Others says.
func (r *Ranking) add(others []Ranking) {
	all := append([]Ranking{*r}, others...)
	sums, floor := make(map[string]Ranked), uint64(0)
	for _, one := range all {
		floor += one.Others
	}
	for _, one := range all {
		for _, e := range one.List {
			sum, known := sums[e.Name]
			if !known {
				sum.AtMost = floor
			}
			sum.Name = e.Name
			sum.AtLeast += e.AtLeast
			sum.AtMost += e.AtMost - one.Others // below 0 is possible in between, and wraps around and back
			sums[e.Name] = sum
		}
	}
	r.List = slices.AppendSeq(make([]Ranked, 0, len(sums)), maps.Values(sums))
	slices.SortFunc(r.List, Ranked.compare)
	r.Others = floor
	if len(r.List) > maxRanked {
		for _, e := range r.List[maxRanked:] {
			r.Others = max(r.Others, e.AtMost)
		}
		r.List = r.List[:maxRanked]
	}
}

func (e Ranked) compare(other Ranked) int {
	return cmp.Or(cmp.Compare(other.AtLeast, e.AtLeast), cmp.Compare(other.AtMost, e.AtMost), strings.Compare(e.Name, other.Name))
}

// Total returns the sums of all days.
func (h *History) Total() (sum Numbers) {
	for i := range h.Days {
		sum.Add(&h.Days[i].Numbers)
	}
	return sum
}

// Slot is what happened from a time on: in an hour or in a day.
type Slot struct {
	At time.Time
	Hour
}

// ByHour returns each hour from the first with anything to the last, in UTC, without gaps.
func (h *History) ByHour() []Slot {
	at := make(map[int64]*Hour)
	for i := range h.Days {
		for n := range h.Days[i].Hours {
			hour := &h.Days[i].Hours[n]
			if *hour == (Hour{}) {
				continue
			}
			k := h.Days[i].Start().Unix()/3600 + int64(n)
			if at[k] == nil {
				at[k] = new(Hour)
			}
			at[k].Add(hour)
		}
	}
	if len(at) == 0 {
		return nil
	}
	hours := slices.Sorted(maps.Keys(at))
	last := hours[len(hours)-1]
	first := max(hours[0], last-maxHours)
	slots := make([]Slot, 0, last-first+1)
	for k := first; k <= last; k++ {
		slot := Slot{At: time.Unix(k*3600, 0).UTC()}
		if hour := at[k]; hour != nil {
			slot.Hour = *hour
		}
		slots = append(slots, slot)
	}
	return slots
}

// maxHours is how many hours a series has at most: ten years.
const maxHours = 10 * 366 * 24

// ByDay returns each day of a place from the first with anything to the last, without gaps. An hour counts for the day in which it begins.
func (h *History) ByDay(place *time.Location) (slots []Slot) {
	for _, hour := range h.ByHour() {
		y, m, d := hour.At.In(place).Date()
		at := time.Date(y, m, d, 0, 0, 0, 0, place)
		if n := len(slots); n == 0 || !slots[n-1].At.Equal(at) {
			slots = append(slots, Slot{At: at})
		}
		slots[len(slots)-1].Add(&hour.Hour)
	}
	return slots
}

// ByWeekday returns the sums of each hour of the week in a place, Sunday first, as time.Weekday has it.
func (h *History) ByWeekday(place *time.Location) (week [7][24]Hour) {
	for _, hour := range h.ByHour() {
		at := hour.At.In(place)
		week[at.Weekday()][at.Hour()].Add(&hour.Hour)
	}
	return week
}

// ByClock returns the sums of each hour of the day in a place.
func (h *History) ByClock(place *time.Location) (clock [24]Hour) {
	for _, hours := range h.ByWeekday(place) {
		for i := range hours {
			clock[i].Add(&hours[i])
		}
	}
	return clock
}

// Jail is the sum of a jail.
type Jail struct {
	Name string `json:"jail"` // empty: what is known only of the host
	Numbers
}

// ByJail returns the sums of each jail, by name.
func (h *History) ByJail() (list []Jail) {
	sums := make(map[string]*Numbers)
	for i := range h.Days {
		s := &h.Days[i]
		if sums[s.Jail] == nil {
			sums[s.Jail] = new(Numbers)
		}
		sums[s.Jail].Add(&s.Numbers)
	}
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		list = append(list, Jail{name, *sums[name]})
	}
	return list
}
