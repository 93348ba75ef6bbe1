// Package setup turns the settings of a jail into its parts: its filters, whose lines they believe, and what they read of a log.
package setup

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"exile/internal/config"
	"exile/jail"
	"exile/jail/filter"
	"exile/journal"
)

// Filter returns the filter of a jail, made of those that are chosen for it, and what reports whether an entry is for one of them. Both are for
// one goroutine. The error names the place in the configuration.
func Filter(cfg *config.Config, c *config.Jail, chosen []*Reading) (f jail.Filter, accepts func(*journal.Entry) bool, err error) {
	if c.ByHand {
		return Mute{}, func(*journal.Entry) bool { return false }, nil
	}
	var several jail.Several
	for _, r := range chosen {
		one, err := r.filter(c)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: jail %q: %w", cfg.Origin(c.Name, "filter"), c.Name, err)
		}
		// Also sshd's: an update of it is as likely to change its lines.
		var whole jail.Filter = jail.NewScrutiny(r.Part.Filter, one)
		if r.Named() {
			whole = unended{jail.NewScrutiny(r.Part.Filter, one)}
		}
		several = append(several, jail.Part{Filter: whole, Accepts: r.Accepts(chosen)})
	}
	if len(several) == 1 {
		return several[0].Filter, several[0].Accepts, nil
	}
	return several, several.Accepts, nil
}

// filter returns what parses the lines.
func (r *Reading) filter(c *config.Jail) (jail.Filter, error) {
	if r.Service != nil {
		return r.Service.Filter(c.Mode), nil
	}
	return filter.New(r.Part.Filter, filter.Options{Mode: c.Mode, Publickey: c.Publickey})
}

// LookBack returns how far back a jail needs the log if its memory is not stored: for failures that count, connections that were open, and
// logins that are trusted.
func LookBack(cfg *config.Config, c *config.Jail) time.Duration {
	d := max(c.FindTime, c.TrustLogins, cfg.LookBack)
	if c.Detection == jail.Adaptive {
		d = max(d, c.Adaptive.SlowTime)
	}
	return d + 3*jail.LoginGrace
}

// Length returns how long the bans of a jail last. The random part is the same for the same ban, so that a log that is read twice leads to the
// same end. It cannot be guessed without the confidential ID of the machine.
func Length(c *config.Jail, machine string, w jail.Weigher) func(int, netip.Prefix) time.Duration {
	return func(offence int, p netip.Prefix) time.Duration {
		first := jail.Weigh(w, p.Addr()).Stretch(c.BanTime)
		return c.Escalation.BanTime(first, offence, jail.Chance([]byte(machine), p, offence))
	}
}

// Recidive returns the jail of the rule about repeat offenders, which reads nothing.
func Recidive(rule jail.Recidive, strangers *jail.Strangers) (*jail.Jail, error) {
	return jail.New(jail.Config{
		Name: "recidive", Detection: jail.Threshold, MaxRetry: rule.MaxRetry, FindTime: rule.FindTime, BanTime: rule.BanTime,
		IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 1, Strangers: strangers,
	}, Mute{}, nil, nil)
}

// Mute is the filter of a jail without a log.
type Mute struct{}

// Parse implements jail.Filter.
func (Mute) Parse([]byte) jail.Event { return jail.Event{} }

// unended takes the line end off what a container printed, which conmon leaves, and the carriage return of a terminal before it.
type unended struct{ *jail.Scrutiny }

// Parse implements jail.Filter.
func (f unended) Parse(message []byte) jail.Event {
	return f.Scrutiny.Parse(bytes.TrimRight(message, "\r\n"))
}

// ParseEntry implements jail.EntryFilter.
func (f unended) ParseEntry(e *journal.Entry) jail.Event {
	whole := *e
	whole.Message = bytes.TrimRight(e.Message, "\r\n")
	return f.Scrutiny.ParseEntry(&whole)
}
