package daemon

import (
	"context"
	"fmt"
	"strings"
	"time"

	"exile/internal/control"
)

// When a jail counts as blind. Nothing of this is done for one entry: sshd is silent for as long as LoginGraceTime lets a
// client be, two minutes.
const (
	attendEvery  = time.Minute
	blindAfter   = 5 * time.Minute        // without a line, and after
	blindWork    = 500 * time.Millisecond // of CPU time of the service, which is some twenty connections of sshd's,
	blindAccepts = 3                      // or that many connections which its socket accepted
	hiddenMany   = 3                      // connections that the service refused by itself, since the last look
)

// The reasons for being degraded that concern one jail: its name follows.
const (
	reasonNoUnit = "no-unit:"
	reasonBlind  = "blind:"
	reasonHidden = "failures-hidden:"
)

// sight is what a jail and its service had done when they last agreed.
type sight struct {
	lines    uint64 // read by the jail
	hidden   uint64
	worked   time.Duration
	accepted uint64
	since    time.Time // when the service had not yet worked more than that; zero: nobody has looked
}

// attend asks what the services of the jails do, and has the loop compare it with what their jails read.
func (d *Daemon) attend(ctx context.Context) error {
	for ctx.Err() == nil {
		for _, j := range d.plan.Jails {
			if len(j.Watched) == 0 {
				continue
			}
			if err := d.attendTo(ctx, j); err != nil {
				return nil // ctx ended, or the daemon did
			}
		}
		sleep(ctx, attendEvery)
	}
	return nil
}

// attendTo looks at the service of one jail.
func (d *Daemon) attendTo(ctx context.Context, j *Jail) error {
	s, err := d.plan.Service(ctx, j.Watched)
	if err != nil {
		d.log.Debug("Whether a jail sees its service is not known", "jail", j.Info.Name, "reason", err)
		return nil
	}
	var waiting *control.Startups
	if j.Startups != nil && s.Accepted == 0 { // an instance for each connection has no limit of its own
		if waiting, err = j.Startups(ctx); err != nil {
			d.log.Debug("Whether a service refuses connections is not known", "jail", j.Info.Name, "reason", err)
		}
	}
	return d.ask(ctx, func(context.Context) {
		now := time.Now()
		d.judge(j, s, now)
		if waiting != nil && d.allCaughtUp() { // the sessions are known
			d.checkStartups(j, waiting, now)
		}
	})
}

// judge degrades the daemon while a jail cannot see what it is there to see.
func (d *Daemon) judge(j *Jail, s control.Service, now time.Time) {
	name := j.Info.Name
	if j.hidden() {
		d.degradeWith(reasonHidden+name, fmt.Sprintf("The service of jail %s refuses connections before they become "+
			"failures: set mode: ddos, which counts them, in exile.yaml, or PerSourcePenalties no in sshd_config.", name),
			now.Add(transient), nil)
	}
	d.concern(!s.Exists, reasonNoUnit+name, fmt.Sprintf("No unit of jail %s exists (%s): name the service's with units:, "+
		"or set enabled: false, in exile.yaml.", name, strings.Join(j.Watched, " ")))
	d.concern(j.blind(s, now), reasonBlind+name, fmt.Sprintf("The service of jail %s works, but nothing of it is in the log: "+
		"set LogLevel INFO and SyslogFacility AUTH in sshd_config, and see journalctl -u %s.", name, j.Watched[0]))
}

// concern degrades for a reason as long as it holds.
func (d *Daemon) concern(holds bool, reason, remedy string) {
	if holds {
		d.degradeWith(reason, remedy, time.Time{}, nil)
	} else {
		d.recovered(reason)
	}
}

// blind reports whether the service has worked for a while, and not a line of it was read.
func (j *Jail) blind(s control.Service, now time.Time) bool {
	var lines uint64
	for _, n := range j.Counters().Lines {
		lines += n
	}
	last := &j.sight
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

// hidden reports whether the service refused connections that do not count, more than now and then. It is asked before
// blind, which notes that there was a first time.
func (j *Jail) hidden() bool {
	n := j.Counters().Refused
	many := !j.sight.since.IsZero() && n-j.sight.hidden >= hiddenMany
	j.sight.hidden = n
	return many
}

// forget takes back what concerned jails that are not looked at any more.
func (d *Daemon) forget() {
	for reason := range d.health.reasons {
		if _, name, ok := strings.Cut(reason, ":"); ok {
			if j := d.plan.jail(name); j == nil || len(j.Watched) == 0 || d.plan.Service == nil {
				d.recovered(reason)
			}
		}
	}
}
