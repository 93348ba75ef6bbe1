package fail2ban

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode"

	"exile/internal/control"
)

// Whatever stands in a row, it becomes an offender that exile could have made, or a line of the report without control characters.
func FuzzRow(f *testing.F) {
	f.Add("sshd", "192.0.2.1", int64(1), int64(600), int64(1))
	f.Add("sshd", "::ffff:192.0.2.1/100", int64(-1), int64(-1), int64(1<<40))
	f.Add("\x1b[31m", "fe80::1%eth0", int64(1<<62), int64(1<<62), int64(-5))
	s, err := Read(fstest.MapFS{"etc/fail2ban/jail.local": {Data: []byte("[sshd]\nenabled = true\n")}}, "etc/fail2ban")
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(2_000_000_000, 0)
	f.Fuzz(func(t *testing.T, jail, who string, since, length, count int64) {
		r := reader{
			offenders: make(map[offenderKey]*Offender), counted: make(map[offenderKey]int),
			history: History{Others: make(map[string][]string), NOthers: make(map[string]int)},
		}
		if err := r.last([]any{jail, who, since, length, count}); err != nil {
			t.Fatal(err)
		}
		for _, o := range r.offenders {
			r.history.Offenders = append(r.history.Offenders, *o)
		}
		moved, err := Move(s, Options{})
		if err != nil {
			t.Fatal(err)
		}
		bans, _ := moved.Carry(&r.history, "/db", now)
		for _, b := range bans {
			if b.Jail != "sshd" || b.Prefix != b.Prefix.Masked() || b.Prefix.Addr().Is4In6() || b.Offence < 1 || b.Offence > control.MaxOffences || b.Since.After(now) || b.Until.Year() > 2200 {
				t.Errorf("a ban %+v", b)
			}
		}
		for _, n := range moved.Notes {
			if strings.ContainsFunc(n.Text+strings.Join(n.Jails, ""), unicode.IsControl) {
				t.Errorf("a line of the report: %q", n)
			}
		}
		if len(r.offenders)+len(r.history.NOthers) != 1 {
			t.Errorf("%d offenders, %d others", len(r.offenders), len(r.history.NOthers))
		}
	})
}
