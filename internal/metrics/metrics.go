// Package metrics shows the daemon's counters to Prometheus and its kin over HTTP: no address and no name that an attacker
// chooses is in them, so that no label can be grown from outside.
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
	// Dropped are the announcements that were lost because those who hear them are slow, by who that is; it may be nil.
	Dropped map[string]func() uint64
}

// Collector makes the page. It is safe for concurrent use; Announce alone is to be called from one goroutine at a time.
type Collector struct {
	cfg  Config
	bans latency
}

// New returns a Collector that has heard nothing yet.
func New(cfg Config) *Collector { return &Collector{cfg: cfg} }

// Announce notes how fast a ban was. It never blocks.
func (c *Collector) Announce(e control.Event) {
	if e.Kind == control.BanNew && e.Latency > 0 {
		c.bans.observe(e.Latency)
	}
}

// askTime is how long the daemon may take to answer. It is shorter than any scraper's patience.
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

// write asks the daemon and writes the page.
func (c *Collector) write(ctx context.Context, t *text) error {
	s, err := c.cfg.Reader.Status(ctx)
	if err != nil {
		return fmt.Errorf("ask for the status: %w", err)
	}
	jails, err := c.cfg.Reader.Jails(ctx)
	if err != nil {
		return fmt.Errorf("ask for the jails: %w", err)
	}
	t.one("exile_build_info", gauge, "", "What runs: always 1.", 1,
		"version", c.cfg.Version, "goversion", runtime.Version(), "backend", s.Backend)
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
	t.family("exile_state", gauge, "", "The state of the daemon: 1 for the one that it is in.")
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
		"Time of the last log entry that was read, in seconds since 1970; 0 before the first.", seconds(s.LastEntry))
	t.one("exile_lag_seconds", gauge, "seconds",
		"Time from when the last log entry was logged to when it was handled.", max(s.Lag, 0).Seconds())
	t.one("exile_gaps", counter, "", "Stretches of the log that could not be read.", float64(s.Gaps))
	t.one("exile_entries_suppressed", counter, "", "Log entries that journald dropped by its rate limit.", float64(s.Suppressed))
	t.one("exile_files_skipped", counter, "", "Log files, or the rest of them, that could not be read.", float64(s.Skipped))
	t.one("exile_lines_undated", counter, "", "Lines of text logs whose time could not be read.", float64(s.Undated))
}

func writeBans(t *text, s *control.Status) {
	t.one("exile_bans_wanted", gauge, "", "Bans in force.", float64(s.Banned))
	t.one("exile_bans_enforced", gauge, "", "Bans in force that the kernel has.", float64(s.Enforced))
	t.family("exile_dropped_packets", counter, "", "Packets that the kernel dropped, by the set that has their senders; an attempt to connect is one to seven.")
	for _, set := range slices.Sorted(maps.Keys(s.Dropped)) {
		t.put(float64(s.Dropped[set]), "set", set)
	}
	t.one("exile_unbans", counter, "", "Bans that ended.", float64(s.Unbans))
	t.one("exile_bans_evicted", counter, "", "Bans lifted early because there were more than max_bans.", float64(s.Evicted))
	t.one("exile_repairs", counter, "", "Entries in the kernel that somebody else had changed and that were put right.", float64(s.Repairs))
	t.one("exile_last_repair_timestamp_seconds", gauge, "seconds",
		"When something was last put right in the kernel, in seconds since 1970; 0 before the first.", seconds(s.LastRepair))
}

func writeTroubles(t *text, s *control.Status) {
	t.one("exile_kernel_errors", counter, "", "Changes that the kernel refused.", float64(s.KernelErrors))
	t.one("exile_disk_errors", counter, "", "Transactions that the disk refused.", float64(s.DiskErrors))
	t.one("exile_reload_failures", counter, "", "Configurations that were not taken.", float64(s.ReloadFailures))
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
	each("exile_jail_tracked", gauge, "Addresses that are counted and not banned, by jail.",
		func(j *control.JailStatus) float64 { return float64(j.Failing) })
	each("exile_jail_failures", counter, "Login attempts counted by jail.",
		func(j *control.JailStatus) float64 { return float64(j.Failures) })
	each("exile_jail_protected", counter, "Bans not made because the address is protected, by jail.",
		func(j *control.JailStatus) float64 { return float64(j.Spared) })
	each("exile_jail_logins_denied", counter, "Bans behind which somebody logged in later, so that it kept an owner out, by jail.",
		func(j *control.JailStatus) float64 { return float64(j.Denied) })
	each("exile_jail_evicted", counter, "Addresses and connections forgotten early because there were too many, by jail.",
		func(j *control.JailStatus) float64 { return float64(j.Evicted) })
	t.family("exile_jail_lines", counter, "", "Log lines read by jail and what they say.")
	for i := range jails {
		for _, kind := range slices.Sorted(maps.Keys(jails[i].Lines)) {
			t.put(float64(jails[i].Lines[kind]), "jail", jails[i].Name, "kind", kind)
		}
	}
	t.family("exile_jail_bans", counter, "", "Bans made by jail and where they came from.")
	for i := range jails {
		for _, origin := range origins() {
			t.put(float64(jails[i].Origins[origin]), "jail", jails[i].Name, "origin", string(origin))
		}
	}
}

// origins are there from the start, so that the first ban of each is a rise and not a new line.
func origins() []control.Origin {
	return []control.Origin{control.OriginFile, control.OriginGroup, control.OriginJournal, control.OriginManual, control.OriginReport}
}

func (c *Collector) writeDropped(t *text) {
	t.family("exile_announcements_dropped", counter, "", "Announcements that were lost because those who hear them are slow.")
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
