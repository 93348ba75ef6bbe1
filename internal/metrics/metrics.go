// Package metrics serves the daemon's counters over HTTP to Prometheus and similar scrapers. They contain no address and no
// name chosen by an attacker, so nobody outside can make labels grow.
package metrics

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"exile/internal/control"
)

// Config is what a Collector needs.
type Config struct {
	Reader  control.Reader
	Version string
	// Dropped counts the announcements lost to slow listeners, by listener; it may be nil.
	Dropped map[string]func() uint64
}

// Collector makes the page. It is safe for concurrent use, except Announce: call it from one goroutine at a time.
type Collector struct {
	cfg  Config
	bans latency
}

// New returns a Collector without any announcements yet.
func New(cfg Config) *Collector { return &Collector{cfg: cfg} }

// Announce records the latency of a ban. It never blocks.
func (c *Collector) Announce(e control.Event) {
	if e.Kind == control.BanNew && e.Latency > 0 {
		c.bans.observe(e.Latency)
	}
}

// askTime is how long the daemon may take to answer. Every scraper waits longer.
const askTime = 5 * time.Second

// The formats that scrapers ask for.
const (
	typeText = "text/plain; version=0.0.4; charset=utf-8"
	typeOpen = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

// page makes the page in the format that an Accept header asks for.
func (c *Collector) page(ctx context.Context, accept string) (kind string, page []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	t := &text{open: strings.Contains(accept, "application/openmetrics-text")}
	if err := c.write(ctx, t); err != nil {
		return "", nil, err
	}
	kind = typeText
	if t.open {
		kind = typeOpen
	}
	return kind, t.Bytes(), nil
}

// write queries the daemon and writes the page.
func (c *Collector) write(ctx context.Context, t *text) error {
	s, err := c.cfg.Reader.Status(ctx)
	if err != nil {
		return fmt.Errorf("ask for the status: %w", err)
	}
	jails, err := c.cfg.Reader.Jails(ctx)
	if err != nil {
		return fmt.Errorf("ask for the jails: %w", err)
	}
	t.one("exile_build_info", gauge, "", "The running build: always 1.", 1,
		"version", c.cfg.Version, "goversion", runtime.Version(), "backend", s.Backend)
	s = s.Public() // whoever gets the page
	writeState(t, &s)
	writeLog(t, &s)
	writeBans(t, &s)
	writeTroubles(t, &s)
	writeJails(t, jails)
	c.writeDropped(t)
	c.bans.write(t)
	t.end()
	return nil
}

func writeState(t *text, s *control.Status) {
	t.family("exile_state", gauge, "", "The state of the daemon: 1 for the current one.")
	states := []string{"starting", "catching-up", "running", "degraded", "paused"}
	if !slices.Contains(states, s.State) && s.State != "" {
		states = append(states, s.State)
	}
	for _, state := range states {
		t.put(truth(state == s.State), "state", state)
	}
	t.family("exile_degraded", gauge, "", "1 for each reason why the daemon is degraded.")
	for _, reason := range s.Degraded {
		t.put(1, "reason", reason)
	}
	t.one("exile_start_time_seconds", gauge, "seconds", "When the daemon was started, in seconds since 1970.", seconds(s.Started))
	t.one("exile_jails", gauge, "", "Enabled jails.", float64(s.Jails))
}

func writeLog(t *text, s *control.Status) {
	t.one("exile_entries_read", counter, "", "Log entries read from the sources.", float64(s.Entries))
	t.one("exile_last_entry_timestamp_seconds", gauge, "seconds",
		"Time of the last log entry read, in seconds since 1970; 0 before the first.", seconds(s.LastEntry))
	t.one("exile_lag_seconds", gauge, "seconds",
		"Time between logging and handling of the last log entry.", max(s.Lag, 0).Seconds())
	t.one("exile_gaps", counter, "", "Stretches of the log that could not be read.", float64(s.Gaps))
	t.one("exile_entries_suppressed", counter, "", "Log entries that journald dropped because of its rate limit.", float64(s.Suppressed))
	t.one("exile_files_skipped", counter, "", "Log files that could not be read, in whole or in part.", float64(s.Skipped))
	t.one("exile_lines_undated", counter, "", "Lines of text logs whose time could not be read.", float64(s.Undated))
}

func writeBans(t *text, s *control.Status) {
	t.one("exile_bans_wanted", gauge, "", "Bans in force.", float64(s.Banned))
	t.one("exile_bans_enforced", gauge, "", "Bans in force that the kernel has.", float64(s.Enforced))
	t.family("exile_dropped_packets", counter, "", "Packets that the kernel dropped, by the set with their senders; one attempt to connect is 1 to 7 packets.")
	for _, set := range slices.Sorted(maps.Keys(s.Dropped)) {
		t.put(float64(s.Dropped[set]), "set", set)
	}
	writeBlocklists(t, s.Blocklists)
	t.one("exile_unbans", counter, "", "Bans that ended.", float64(s.Unbans))
	t.one("exile_bans_evicted", counter, "", "Bans lifted early because there were more than max_bans.", float64(s.Evicted))
	t.one("exile_repairs", counter, "", "Entries in the kernel that somebody else changed and exiled restored.", float64(s.Repairs))
	t.one("exile_last_repair_timestamp_seconds", gauge, "seconds",
		"When exiled last restored something in the kernel, in seconds since 1970; 0 before the first.", seconds(s.LastRepair))
}

func writeBlocklists(t *text, lists []control.Blocklist) {
	each := func(name string, k kind, unit, help string, value func(l *control.Blocklist) float64) {
		t.family(name, k, unit, help)
		for i := range lists {
			t.put(value(&lists[i]), "list", lists[i].Name)
		}
	}
	each("exile_blocklist_ranges", gauge, "", "Ranges of addresses of a block list that the kernel has.", func(l *control.Blocklist) float64 {
		if !l.Enforced {
			return 0
		}
		return float64(l.Ranges)
	})
	each("exile_blocklist_updated_timestamp_seconds", gauge, "seconds", "When the file of a block list was last written, in seconds since 1970; 0 if it was never read.",
		func(l *control.Blocklist) float64 { return seconds(l.Updated) })
	each("exile_blocklist_dropped_packets", counter, "", "Packets that opened a connection from an address of a block list and were dropped.",
		func(l *control.Blocklist) float64 { return float64(l.Dropped) })
}

func writeTroubles(t *text, s *control.Status) {
	t.one("exile_kernel_errors", counter, "", "Changes that the kernel refused.", float64(s.KernelErrors))
	t.one("exile_disk_errors", counter, "", "Transactions that the disk refused.", float64(s.DiskErrors))
	t.one("exile_reload_failures", counter, "", "Configurations that were rejected.", float64(s.ReloadFailures))
}

func writeJails(t *text, jails []control.JailStatus) {
	each := func(name string, k kind, help string, value func(j *control.JailStatus) float64) {
		t.family(name, k, "", help)
		for i := range jails {
			t.put(value(&jails[i]), "jail", jails[i].Name)
		}
	}
	each("exile_jail_banned", gauge, "Bans in force by jail.",
		func(j *control.JailStatus) float64 { return float64(j.Banned) })
	each("exile_jail_tracked", gauge, "Addresses with counted attempts and no ban, by jail.",
		func(j *control.JailStatus) float64 { return float64(j.Failing) })
	each("exile_jail_failures", counter, "Login attempts counted by jail.",
		func(j *control.JailStatus) float64 { return float64(j.Failures) })
	each("exile_jail_protected", counter, "Bans not made because the address is protected, by jail.",
		func(j *control.JailStatus) float64 { return float64(j.Spared) })
	each("exile_jail_logins_denied", counter, "Bans of addresses that logged in later: they kept an owner out, by jail.",
		func(j *control.JailStatus) float64 { return float64(j.Denied) })
	each("exile_jail_leaked", counter, "Log entries of addresses that had been banned before, by jail.",
		func(j *control.JailStatus) float64 { return float64(j.Leaked) })
	each("exile_jail_evicted", counter, "Addresses and connections forgotten early because there were too many, by jail.",
		func(j *control.JailStatus) float64 { return float64(j.Evicted) })
	t.family("exile_jail_lines", counter, "", "Log lines read, by jail and kind.")
	for i := range jails {
		for _, kind := range slices.Sorted(maps.Keys(jails[i].Lines)) {
			t.put(float64(jails[i].Lines[kind]), "jail", jails[i].Name, "kind", kind)
		}
	}
	t.family("exile_jail_bans", counter, "", "Bans made, by jail and origin.")
	for i := range jails {
		for _, origin := range slices.Sorted(slices.Values(control.Origins())) { // present from the start: the first ban of each is an increase, not a new series
			t.put(float64(jails[i].Origins[origin]), "jail", jails[i].Name, "origin", string(origin))
		}
	}
}

func (c *Collector) writeDropped(t *text) {
	t.family("exile_announcements_dropped", counter, "", "Announcements lost to slow listeners.")
	for _, to := range slices.Sorted(maps.Keys(c.cfg.Dropped)) {
		t.put(float64(c.cfg.Dropped[to]()), "to", to)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMicro()) / 1e6
}
