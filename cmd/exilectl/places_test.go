package main

import (
	"bufio"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exile/internal/control"
	"exile/internal/geoip"
	"exile/internal/geoip/geoiptest"
)

// TestBansWithPlaces: with databases a list of bans says where addresses are. Whatever a file says is inert.
func TestBansWithPlaces(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	path := geoiptest.Write(t, filepath.Join(t.TempDir(), "asn.mmdb"), geoiptest.Database{Built: now, Entries: []geoiptest.Entry{
		{Prefix: "192.0.2.0/24", Value: geoiptest.Map{{Key: "asn", Value: "AS64496"}, {Key: "as_name", Value: "A \x1b[31m\"B\""}, {Key: "country", Value: "DE"}}},
	}})
	at := &places{geoip.Open([]string{path}, now)}
	defer at.close()
	bans := []control.Ban{
		{Jail: "sshd", Prefix: netip.MustParsePrefix("192.0.2.1/32"), Reason: "why"},
		{Jail: "sshd", Prefix: netip.MustParsePrefix("10.0.0.1/32")},
	}
	if got, want := at.of(bans[0].Prefix).String(), `DE, AS64496 (A \x1b[31m"B")`; got != want || at.of(bans[1].Prefix) != nil {
		t.Errorf("%s, want %s, and nothing of a private address", got, want)
	}
	for _, c := range []struct {
		json string
		at   *places
		want []string
		not  []string
	}{
		{jsonOff, at, []string{"COUNTRY", "DE", "AS64496", `A \x1b[31m"B"`, "why"}, []string{"\x1b"}},
		{jsonOff, nil, []string{"why"}, []string{"COUNTRY", "AS64496"}},
		{jsonShort, at, []string{`"country":"DE"`, `"asn":64496`, `"asn":0`, `"reason":"why"`}, []string{"\x1b"}},
		{jsonShort, nil, []string{`"reason":"why"`}, []string{"country"}},
	} {
		var out strings.Builder
		console := &console{Writer: bufio.NewWriter(&out), legend: true, json: c.json, now: now}
		if err := printBans(console, bans, c.at); err != nil {
			t.Fatal(err)
		}
		if err := console.Flush(); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("--json=%s: no %q in\n%s", c.json, want, &out)
			}
		}
		for _, not := range c.not {
			if strings.Contains(out.String(), not) {
				t.Errorf("--json=%s: %q in\n%q", c.json, not, out.String())
			}
		}
	}
}

// TestExplainPlace: with databases an explanation says where an address is, for people and programs, and without them nothing.
func TestExplainPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		json, want string
		at         *location
	}{
		{jsonOff, "Place: DE, AS64496 (A \\x1b[31m)\n", &location{"DE", 64496, "A \x1b[31m"}},
		{jsonShort, `"place":{"country":"DE","asn":64496,"as_organization":"A \u001b[31m"}`, &location{"DE", 64496, "A \x1b[31m"}},
		{jsonShort, `"place":null`, nil},
		{jsonOff, "", nil},
	} {
		var out strings.Builder
		console := &console{Writer: bufio.NewWriter(&out), json: c.json, now: time.Unix(1e9, 0)}
		x := &explanation{Address: control.Address{Prefix: netip.MustParsePrefix("192.0.2.7/32")}, Place: c.at}
		if err := x.print(console); err != nil {
			t.Fatal(err)
		}
		if err := console.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); !strings.Contains(got, c.want) || c.at == nil && strings.Contains(got, "Place") || strings.Contains(got, "\x1b") {
			t.Errorf("--json=%s: no %q in\n%q", c.json, c.want, got)
		}
	}
}
