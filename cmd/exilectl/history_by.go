package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"exile/internal/human"
	"exile/internal/tally"
)

// This file prints the sums of history --by.

// pastSums is what history --by prints.
type pastSums struct {
	past   *tally.History
	during period
	most   int // rows of a ranking; 0: all
	graph  bool
}

// byWords are the values of --by.
func byWords() []string {
	return []string{"address", "network", "name", "rule", "reason", "hour", "day", "jail"}
}

func (s *pastSums) print(c *console, by string) error {
	h := s.past
	switch by {
	case "address":
		return s.ranking(c, "ADDRESS", "ATTEMPTS", h.Addresses)
	case "network":
		return s.ranking(c, "NETWORK", "ATTEMPTS", h.Networks)
	case "name":
		return s.ranking(c, "NAME", "ATTEMPTS", quoted(h.Names))
	case "rule":
		return s.ranking(c, "RULE", "ATTEMPTS", quoted(h.Rules))
	case "reason":
		return s.ranking(c, "REASON", "BANS", quoted(h.Reasons))
	case "hour":
		return s.byHour(c)
	case "day":
		return s.byDay(c)
	default:
		return s.byJail(c)
	}
}

// quoted is a ranking of texts from outside. In JSON they are as they are.
func quoted(r tally.Ranking) tally.Ranking {
	list := slices.Clone(r.List)
	for i := range list {
		list[i].Name = quoteAll([]string{list[i].Name})
	}
	return tally.Ranking{List: list, Others: r.Others}
}

// ranking prints who has most.
func (s *pastSums) ranking(c *console, what, count string, r tally.Ranking) error {
	list := r.List
	if s.most > 0 {
		list = list[:min(len(list), s.most)]
	}
	if c.wantJSON() {
		return printArray(c, len(list), func(i int) any { return list[i] })
	}
	if s.graph {
		g := graph{heading: what + " " + count}
		for _, e := range list {
			g.names, g.numbers, g.texts = append(g.names, clean(e.Name)), append(g.numbers, e.AtLeast), append(g.texts, e.Range())
		}
		g.print(c)
		return nil
	}
	t := table{
		columns: []column{{what, false}, {count, true}}, rows: len(list),
		row: func(i int) []cell { return []cell{{list[i].Name, red}, text(list[i].Range())} },
	}
	t.print(c)
	if others := max(r.Others, most(r.List[len(list):])); c.legend && others > 0 {
		c.line("")
		c.line(fmt.Sprintf("Anybody else has at most %s.", human.Count(others, strings.ToLower(count))))
	}
	return nil
}

func most(list []tally.Ranked) (n uint64) {
	for _, e := range list {
		n = max(n, e.AtMost)
	}
	return n
}

// slotRow is a row of the table by day or hour.
type slotRow struct {
	Date      *int64 `json:"date_usec,omitempty"`
	Hour      *int   `json:"hour,omitempty"` // of the day, local time
	Attempts  uint64 `json:"attempts"`
	Prevented uint64 `json:"prevented"`
	Bans      uint64 `json:"bans"`
	name      string
}

// byDay prints what happened on each day of this place.
func (s *pastSums) byDay(c *console) error {
	var rows []slotRow
	for _, d := range s.past.ByDay(time.Local) {
		if !d.At.AddDate(0, 0, 1).After(s.during.since) || !s.during.until.IsZero() && !d.At.Before(s.during.until) {
			continue
		}
		rows = append(rows, slotRow{new(d.At.UnixMicro()), nil, d.Attempts, d.Prevented, d.Bans, d.At.Format("Mon 2006-01-02")})
	}
	return s.slots(c, "DAY", "days", rows)
}

// byHour prints what happened at each hour of the day and, as a picture, of the week.
func (s *pastSums) byHour(c *console) error {
	var rows []slotRow
	for hour, n := range s.past.ByClock(time.Local) {
		rows = append(rows, slotRow{nil, new(hour), n.Attempts, n.Prevented, n.Bans, fmt.Sprintf("%02d:00", hour)})
	}
	if err := s.slots(c, "HOUR", "", rows); err != nil || c.wantJSON() || !s.graph {
		return err
	}
	c.line("")
	s.week(c)
	return nil
}

// week draws a line for each day of the week, with a shade for each hour.
func (s *pastSums) week(c *console) {
	if c.legend {
		c.line(c.paint(underline, "WEEK 0     3     6     9     12    15    18    21   "))
	}
	week, most := s.past.ByWeekday(time.Local), uint64(0)
	for _, day := range week {
		for _, hour := range day {
			most = max(most, hour.Attempts)
		}
	}
	for i := range week {
		day := time.Weekday((i + 1) % 7) // from Monday on
		var twice []uint64
		for _, hour := range week[day] {
			twice = append(twice, hour.Attempts, hour.Attempts)
		}
		c.line(strings.TrimRight(day.String()[:3]+"  "+c.paint(red, c.shade(twice, most)), " "))
	}
}

func (s *pastSums) slots(c *console, what, noun string, rows []slotRow) error {
	if c.wantJSON() {
		return printArray(c, len(rows), func(i int) any { return rows[i] })
	}
	if s.graph {
		g := graph{heading: what + " ATTEMPTS"}
		for _, r := range rows {
			g.names, g.numbers, g.texts = append(g.names, r.name), append(g.numbers, r.Attempts), append(g.texts, decimal(r.Attempts))
		}
		g.print(c)
		return nil
	}
	t := table{
		columns: []column{{what, false}, {"ATTEMPTS", true}, {"BANS", true}}, rows: len(rows), noun: noun,
		row: func(i int) []cell {
			return []cell{text(rows[i].name), text(decimal(rows[i].Attempts)), text(decimal(rows[i].Bans))}
		},
	}
	t.print(c)
	return nil
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// byJail prints the sums of each jail.
func (s *pastSums) byJail(c *console) error {
	list := slices.DeleteFunc(s.past.ByJail(), func(j tally.Jail) bool { return j.Name == "" })
	if c.wantJSON() {
		return printArray(c, len(list), func(i int) any { return list[i] })
	}
	if s.graph {
		g := graph{heading: "JAIL ATTEMPTS"}
		for _, j := range list {
			g.names, g.numbers, g.texts = append(g.names, clean(j.Name)), append(g.numbers, j.Attempts), append(g.texts, decimal(j.Attempts))
		}
		g.print(c)
		return nil
	}
	t := table{
		columns: []column{{"JAIL", false}, {"ATTEMPTS", true}, {"BANS", true}, {"PROTECTED", true}, {"DENIED", true}}, rows: len(list), noun: "jails",
		row: func(i int) []cell {
			j := &list[i]
			return []cell{text(j.Name), text(decimal(j.Attempts)), text(decimal(j.Bans)), text(decimal(j.Protected)), text(decimal(j.Denied))}
		},
	}
	t.print(c)
	return nil
}
