package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"exile/internal/replay"
)

// load reads a report of testdata.
func load(t *testing.T) *Report {
	t.Helper()
	text, err := os.ReadFile("testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	r := new(Report)
	if err := json.Unmarshal(text, r); err != nil {
		t.Fatal(err)
	}
	return r
}

func written(t *testing.T, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.HTML(&b, time.UTC); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// golden compares with a file, or writes it with UPDATE_GOLDEN=1. The browser's test of e2e/browser shows the page.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got), UPDATE_GOLDEN=1 writes it:\n%s", name, diff)
	}
}

func TestHTML(t *testing.T) {
	t.Parallel()
	text := written(t, load(t))
	golden(t, "testdata/report.html", text)
	wellFormed(t, text)
}

func TestSummary(t *testing.T) {
	t.Parallel()
	r := load(t)
	golden(t, "testdata/summary.txt", r.Summary(time.UTC))
	if got, want := r.Subject(), "58,775 attempts, 1,494 bans, "+count(len(r.False), "false alarms"); got != want {
		t.Errorf("the subject is %q, want %q", got, want)
	}
	empty := &Report{Host: "web1", Version: "1"}
	if got := empty.Summary(time.UTC) + empty.Subject(); !strings.Contains(got, "no entry in this time") || strings.Contains(got, "---") {
		t.Errorf("of an empty log: %s", got)
	}
}

// void are elements without an end.
var void = []string{"meta"}

// wellFormed checks that each element is closed where it was opened, loads nothing and runs nothing, that each chart says what it shows, and that
// identifiers are unique.
func wellFormed(t *testing.T, text string) {
	t.Helper()
	var open []string
	ids := make(map[string]bool)
	charts, tables, described := 0, 0, 0
	for z := html.NewTokenizer(strings.NewReader(text)); ; {
		kind := z.Next()
		token := z.Token()
		switch kind {
		case html.ErrorToken:
			if !errors.Is(z.Err(), io.EOF) || len(open) > 0 {
				t.Errorf("it ends with %q open: %v", open, z.Err())
			}
			if charts == 0 && tables > 0 || described != 2*charts {
				t.Errorf("%d charts have %d titles and descriptions", charts, described)
			}
			return
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != token.Data {
				t.Fatalf("</%s> closes %q", token.Data, open)
			}
			open = open[:len(open)-1]
		case html.StartTagToken, html.SelfClosingTagToken:
			harmlessTag(t, token, ids)
			if kind == html.StartTagToken && !slices.Contains(void, token.Data) {
				open = append(open, token.Data)
			}
			for _, a := range token.Attr {
				if a.Key == "role" && a.Val == "img" {
					charts++
				}
			}
			if token.Data == "table" {
				tables++
			}
			if (token.Data == "title" || token.Data == "desc") && len(open) > 1 && open[len(open)-2] == "svg" {
				described++
			}
		}
	}
}

// allowed are all attributes of a page.
var allowed = strings.Fields("lang charset http-equiv content name class id role width height rx x y x1 x2 y1 y2 aria-labelledby aria-label " +
	"aria-hidden tabindex scope")

func harmlessTag(t *testing.T, token html.Token, ids map[string]bool) {
	t.Helper()
	if slices.Contains([]string{"script", "img", "link", "iframe", "object", "embed", "a", "use", "image", "base", "form", "foreignobject", "b"}, token.Data) {
		t.Errorf("there is an element %v", token)
	}
	for _, a := range token.Attr {
		if !slices.Contains(allowed, a.Key) {
			t.Errorf("%v has the attribute %q", token, a.Key)
		}
		if a.Key == "id" && ids[a.Val] {
			t.Errorf("two elements have the id %q", a.Val)
		}
		if a.Key == "id" {
			ids[a.Val] = true
		}
		if strings.Contains(a.Val, "NaN") || strings.Contains(a.Val, "Inf") || strings.Contains(a.Val, "%!") {
			t.Errorf("%v has the value %q", token, a.Val)
		}
	}
}

// TestEmpty: a log without an entry, without attempts, or with one, is a page, too.
func TestEmpty(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)
	one := &Report{First: at, Last: at, Attempts: 1, Passed: 1, Top: replay.Top{Names: []replay.Tally{{Name: "", Attempts: 1}}}}
	one.Over([]replay.Hour{{At: at, Passed: 1}}, time.UTC)
	for name, r := range map[string]*Report{"nothing": {}, "one": one, "bans alone": {First: at, Last: at, Bans: 1, Latency: replay.Latency{Bans: 1, Counts: make([]int, 13)}}} {
		text := written(t, r)
		wellFormed(t, text)
		if strings.Contains(text, "NaN") {
			t.Errorf("%s: the page has NaN", name)
		}
	}
}

// TestHostile: whatever was typed is text, is in one piece, and is short.
func TestHostile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/hostile.json")
	if err != nil {
		t.Fatal(err)
	}
	var names []struct{ Name, Shown string }
	if err := json.Unmarshal(text, &names); err != nil {
		t.Fatal(err)
	}
	names = append(names, struct{ Name, Shown string }{"\xff\xfe\x80", `"\xff\xfe\x80"`}) // JSON cannot say that
	for _, n := range names {
		if got := quoted(n.Name, 40); got != n.Shown {
			t.Errorf("%q is shown as %s, want %s", n.Name, got, n.Shown)
		}
		r := load(t)
		before := strings.Count(written(t, r), "<")
		r.Top.Names = []replay.Tally{{Name: n.Name, Attempts: 1}}
		plain := strings.Count(written(t, r), "<")
		r.Top.Names[0].Name = "root"
		r.Host, r.Jails, r.Troubles = n.Name, []string{n.Name}, []string{n.Name}
		r.False[0].Users, r.False[0].Jail, r.Detectors[0].Name = []string{n.Name}, n.Name, n.Name
		text := written(t, r)
		wellFormed(t, text)
		if got := strings.Count(text, "<"); got != plain || got >= before {
			t.Errorf("%q: the page has %d tags, want %d", n.Name, got, plain)
		}
		summary := r.Summary(time.UTC)
		for line := range strings.Lines(summary) {
			if length := utf8.RuneCountInString(line); length > 200 || length > 80 && utf8.RuneCountInString(n.Name) < 14 {
				t.Errorf("%q: a line of the summary has %d characters: %s", n.Name, length, line)
			}
		}
		text += summary + r.Subject()
		if i := strings.IndexFunc(text, func(r rune) bool {
			return r < ' ' && r != '\n' || r == 0xfffd || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
		}); i >= 0 {
			t.Errorf("%q: the page has a character %q", n.Name, text[i:i+4])
		}
	}
}

// TestLargest: a page stays below a megabyte, whatever is in it.
func TestLargest(t *testing.T) {
	t.Parallel()
	r := load(t)
	long := strings.Repeat("\x00", 4096)
	r.First = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	var hours []replay.Hour
	for i := range 1 << 16 {
		hours = append(hours, replay.Hour{At: r.First.Add(time.Duration(i*5) * time.Hour), Passed: 1 << 50, Prevented: 1 << 50, Bans: 1 << 50})
	}
	r.Over(hours, time.UTC)
	for len(r.False) < 10_000 {
		f := r.False[0]
		f.Users = slices.Repeat([]string{long}, 8)
		r.False = append(r.False, f)
	}
	for i := range r.Top.Names {
		r.Top.Names[i].Name = long
	}
	r.Troubles = slices.Repeat([]string{long}, 20)
	text := written(t, r)
	wellFormed(t, text)
	if len(text) > 1_000_000 {
		t.Errorf("the page has %d bytes", len(text))
	}
	if summary := r.Summary(time.UTC); len(summary) > 100_000 {
		t.Errorf("the summary has %d bytes", len(summary))
	}
}

// TestOver: bins have no gap, begin at midnight, on Mondays or on the first of a month, and hold all that happened.
func TestOver(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Europe/Berlin") // 25 October 2026 has 25 hours
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2026, 10, 24, 9, 30, 0, 0, zone)
	for _, c := range []struct {
		last time.Duration
		step Step
		bins int
		head string
	}{
		{0, Hour, 1, "2026-10-24T09:00:00+02:00"},
		{72 * time.Hour, Hour, 73, "2026-10-24T09:00:00+02:00"},
		{73 * time.Hour, Day, 4, "2026-10-24T00:00:00+02:00"},
		{98 * day, Day, 99, "2026-10-24T00:00:00+02:00"},
		{99 * day, Week, 15, "2026-10-19T00:00:00+02:00"},
		{2 * 365 * day, Month, 25, "2026-10-01T00:00:00+02:00"},
		{100 * 365 * day, Month, maxRange, "2106-10-01T00:00:00+02:00"},
	} {
		r := &Report{First: from, Last: from.Add(c.last)}
		var hours []replay.Hour
		for _, at := range []time.Duration{0, c.last / 3, c.last / 2, c.last} {
			hours = append(hours, replay.Hour{At: from.Add(at).UTC().Truncate(time.Hour), Passed: 1, Prevented: 2, Bans: 3})
		}
		r.Over(hours, zone)
		var sum Bin
		for _, b := range r.Bins {
			sum.Passed, sum.Prevented, sum.Bans = sum.Passed+b.Passed, sum.Prevented+b.Prevented, sum.Bans+b.Bans
		}
		if r.Step != c.step || len(r.Bins) != c.bins || r.Bins[0].At.Format(time.RFC3339) != c.head || sum != (Bin{Passed: 4, Prevented: 8, Bans: 12}) {
			t.Errorf("%s: %s, %d bins from %s with %v", c.last, r.Step, len(r.Bins), r.Bins[0].At.Format(time.RFC3339), sum)
		}
		if last := r.Bins[len(r.Bins)-1]; last.Passed == 0 {
			t.Errorf("%s: nothing in the last bin", c.last)
		}
		if early := len(r.Troubles) > 0; early != (c.bins == maxRange) {
			t.Errorf("%s: said to have come earlier: %q", c.last, r.Troubles)
		}
		var week uint64
		for _, d := range r.Hours {
			for _, n := range d {
				week += n
			}
		}
		if week != 12 {
			t.Errorf("%s: %d attempts in the hours of the week", c.last, week)
		}
	}
}
