package main

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/tally"
)

// The sums as people see them: names are quoted, bars are blocks or plain characters.
func TestPrintSums(t *testing.T) {
	t.Parallel()
	d := tally.NewDay("sshd", time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	for i, user := range []string{"root", "\x1b[2J", "root", "root"} {
		d.Attempt(&tally.Attempt{Time: d.Date.Add(12 * time.Hour), Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i/3)}), User: user, Rule: "failed", Guesses: 1 + i})
	}
	d.Ban(d.Date.Add(12*time.Hour), "rate: many")
	var h tally.History
	h.Add(d)
	for _, tt := range []struct {
		by            string
		graph, blocks bool
		want          string
	}{
		{"name", false, false, "NAME      ATTEMPTS\n\"root\"           8\n\"\\x1b[2J\"        2\n"},
		{"jail", false, false, "JAIL ATTEMPTS BANS PROTECTED DENIED\nsshd       10    1         0      0\n\n1 jail listed.\n"},
		{"reason", false, false, "REASON BANS\n\"rate\"    1\n"},
		{"address", true, false, "ADDRESS ATTEMPTS\n192.0.2.1 6 ##################\n192.0.2.2 4 ############\n"},
		{"address", true, true, "ADDRESS ATTEMPTS\n192.0.2.1 6 ██████████████████\n192.0.2.2 4 ████████████\n"},
	} {
		var out bytes.Buffer
		c := (&options{json: jsonOff}).newConsole(&out)
		c.width, c.legend, c.blocks, c.color = 40, true, tt.blocks, false
		if tt.graph {
			c.width = 30
		}
		s := pastSums{past: &h, most: 20, graph: tt.graph}
		if err := s.print(c, tt.by); err != nil {
			t.Fatal(err)
		}
		_ = c.Flush()
		if diff := cmp.Diff(tt.want, out.String()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.by, diff)
		}
	}
}
