package main

import (
	"strings"
	"testing"

	"exile/firewall"
	"exile/firewall/auto"
	"exile/internal/config"
)

func TestReloadKeepsTheBackend(t *testing.T) {
	t.Parallel()
	p := &planner{backend: opened{Backend: firewall.NewDryRun(), wanted: auto.DryRun}}
	for text, want := range map[string]string{
		"backend: dry-run": "",
		"backend: route":   "exile.yaml:1: backend route: dry-run is in use, and a reload cannot exchange it: restart exiled",
	} {
		cfg, err := config.Parse("exile.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := p.open(t.Context(), cfg); err != nil {
			got = err.Error()
		}
		if !strings.HasSuffix(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
