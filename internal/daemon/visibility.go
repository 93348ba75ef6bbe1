package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"exile/internal/control"
	"exile/internal/human"
)

// When a jail counts as blind. A single connection is not enough: sshd is silent as long as LoginGraceTime allows, two minutes.
const (
	pollEvery    = time.Minute
	blindAfter   = 5 * time.Minute        // without a line, after
	blindWork    = 500 * time.Millisecond // of CPU time of the service, which is some twenty connections of sshd's,
	blindAccepts = 3                      // or that many connections accepted by its socket
	hiddenMany   = 3                      // connections that the service itself refused since the last look
)

// The reasons for being degraded that concern one jail: its name follows.
const (
	reasonNoUnit = "no-unit:"
	reasonBlind  = "blind:"
	reasonHidden = "failures-hidden:"
	reasonAllow  = "allowlist:"
	reasonNoAddr = "address-unknown:"
	reasonLimit  = "journal-near-limit:"
)

// visibility is what a jail and its service had done when they last matched.
type visibility struct {
	lines    uint64 // read by the jail
	hidden   uint64
	nowhere  uint64
	read     uint64
	live     bool // its log has been read to the end: what comes now is news
	worked   time.Duration
	accepted uint64
	since    time.Time // of the last match; zero: not looked at yet
}

// pollServices asks from time to time what the services of the jails do, and has the loop compare that with what the jails read.
func (d *Daemon) pollServices(ctx context.Context) error {
	for ctx.Err() == nil {
		for _, j := range d.plan.Jails {
			if len(j.Watched) == 0 {
				continue
			}
			if err := d.pollService(ctx, j); err != nil {
				return nil // ctx ended, or the daemon did
			}
		}
		if d.pollOthers(ctx) != nil {
			return nil
		}
		sleep(ctx, pollEvery)
	}
	return nil
}

// pollService asks about the service of one jail.
func (d *Daemon) pollService(ctx context.Context, j *Jail) error {
	s, err := d.plan.Service(ctx, j.Watched)
	if err != nil {
		d.cfg.Log.Debug("Cannot tell whether a jail sees its service", "jail", j.Info.Name, "reason", err)
		return nil
	}
	var waiting *control.Startups
	if j.Startups != nil && s.Accepted == 0 { // an instance for each connection has no limit of its own
		if waiting, err = j.Startups(ctx); err != nil {
			d.cfg.Log.Debug("Cannot tell whether a service refuses connections", "jail", j.Info.Name, "reason", err)
		}
	}
	return d.ask(ctx, func(context.Context) {
		now := time.Now()
		d.checkVisible(j, s, now)
		if waiting != nil && d.sources.caughtUp() { // the sessions are known
			d.checkStartups(j, waiting, now)
		}
	})
}

// checkVisible degrades the daemon while a jail does not see what its service does.
func (d *Daemon) checkVisible(j *Jail, s control.Service, now time.Time) {
	name := j.Info.Name
	if j.hidden() {
		d.health.degradeWith(reasonHidden+name, fmt.Sprintf("The service of jail %s refuses connections before they become "+
			"failures: set mode: ddos, which counts them, in exile.yaml, or PerSourcePenalties no in sshd_config.", name),
			now.Add(transient), nil)
	}
	if j.nowhere() {
		d.health.degradeWith(reasonNoAddr+name, fmt.Sprintf("The service of jail %s logs failures without an address (UNKNOWN), as of connections "+
			"over AF_VSOCK or a unix socket; nobody can be banned for these: see journalctl -u %s.", name, j.Watched[0]), now.Add(transient), nil)
	}
	if n := j.flood(s); n > 0 {
		d.health.degradeWith(reasonLimit+name, fmt.Sprintf("The service of jail %s logged %s in a minute; journald drops what is more than "+
			"some %d. Raise LogRateLimitBurst= with systemctl edit %s, or restart it where exile brought a drop-in for it.",
			name, human.Count(n, "lines"), s.LogLines, j.Watched[0]), now.Add(transient), nil)
	}
	d.health.concern(!s.Exists, reasonNoUnit+name, fmt.Sprintf("No unit of jail %s exists (%s): name the service's with units:, "+
		"or set enabled: false, in exile.yaml.", name, strings.Join(j.Watched, " ")))
	remedy := fmt.Sprintf("set LogLevel INFO and SyslogFacility AUTH in sshd_config, and see journalctl -u %s.", j.Watched[0])
	if s.Namespace != "" && !slices.Contains(j.Namespaces, s.Namespace) {
		remedy = namespaceRemedy(j.Watched[0], s.Namespace)
	}
	d.health.concern(j.blind(s, now), reasonBlind+name,
		fmt.Sprintf("The service of jail %s works, but nothing of it is in the log: %s", name, remedy))
}

// maxTroubles is how many troubles of a list are named.
const maxTroubles = 5

// checkAllowlists degrades the daemon while a jail may ban an address that its configuration protects.
func (d *Daemon) checkAllowlists() {
	for _, j := range d.plan.Jails {
		if j.Allowlist == nil {
			continue
		}
		name, why := j.Info.Name, ""
		trouble := j.Allowlist.Trouble()
		if trouble != nil {
			lines := strings.Split(trouble.Error(), "\n")
			if more := len(lines) - maxTroubles; more > 0 {
				lines = append(lines[:maxTroubles], fmt.Sprintf("and %d more", more))
			}
			why = strings.Join(lines, "; ")
		}
		const remedy = "Jail %s may ban those whom you protect: %s. It is tried again."
		d.health.concern(trouble != nil, reasonAllow+name, fmt.Sprintf(remedy, name, why))
		d.health.restrict(reasonAllow+name, reasonAllow+name, fmt.Sprintf(remedy, name, "sudo exilectl status says why"))
	}
}

// reasonPlaces is that a database of countries and networks cannot be used, or is too old.
const reasonPlaces = "geoip"

// checkPlaces degrades the daemon while it does not know where addresses are, or no longer.
func (d *Daemon) checkPlaces() {
	if d.plan.Places == nil {
		return
	}
	wrong, why := d.plan.Places(), ""
	if wrong != nil {
		why = strings.ReplaceAll(wrong.Error(), "\n", "; ")
	}
	d.health.concern(wrong != nil, reasonPlaces, why+". Until then addresses of which no database knows weigh like others.")
}

// blind reports whether the service has worked for a while and none of its lines was read.
func (j *Jail) blind(s control.Service, now time.Time) bool {
	var lines uint64
	for _, n := range j.Counters().Lines {
		lines += n
	}
	last := &j.visibility
	// A service that was started anew begins at zero.
	if last.since.IsZero() || lines != last.lines || s.Worked < last.worked || s.Accepted < last.accepted {
		last.lines, last.worked, last.accepted, last.since = lines, s.Worked, s.Accepted, now
		return false
	}
	if s.Worked-last.worked < blindWork && s.Accepted-last.accepted < blindAccepts {
		last.since = now
	}
	return j.Talks && now.Sub(last.since) >= blindAfter
}

// goLive marks what was read up to now as no news.
func (j *Jail) goLive() {
	c := j.Counters()
	j.visibility.live, j.visibility.hidden, j.visibility.nowhere, j.visibility.read = true, c.Refused, c.Nowhere, c.Entries
}

// hidden reports whether the service refused more than a few connections that do not count.
func (j *Jail) hidden() bool {
	n := j.Counters().Refused
	many := j.visibility.live && n-j.visibility.hidden >= hiddenMany
	j.visibility.hidden = n
	return many
}

// flood returns how many lines the service logged since the last look, if that is at least half of what the journal takes. With an instance
// per connection each has its own limit.
func (j *Jail) flood(s control.Service) uint64 {
	entries := j.Counters().Entries
	n := entries - j.visibility.read
	if j.visibility.read = entries; !j.visibility.live || s.LogLines == 0 || s.Accepted > 0 || n < s.LogLines/2 {
		return 0
	}
	return n
}

// nowhere reports whether failures without an address came since the last look.
func (j *Jail) nowhere() bool {
	n := j.Counters().Nowhere
	fresh := j.visibility.live && n > j.visibility.nowhere
	j.visibility.nowhere = n
	return fresh
}

// forgetConcerns withdraws reasons about jails that are no longer looked at.
func (d *Daemon) forgetConcerns() {
	d.health.recoverIf(func(reason string, _ trouble) bool {
		kind, name, ok := strings.Cut(reason, ":")
		return ok && !d.concerns(kind+":", name)
	})
}

// concerns reports whether that jail, or unit, is looked at for reasons of that kind.
func (d *Daemon) concerns(kind, name string) bool {
	j := d.plan.jail(name)
	switch kind {
	case reasonAllow:
		return j != nil && j.Allowlist != nil
	case reasonUnwatched:
		return !d.plan.watches(name)
	case reasonDrift:
		return j != nil
	}
	return j != nil && len(j.Watched) > 0 && d.plan.Service != nil
}
