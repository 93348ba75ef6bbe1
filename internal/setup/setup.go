// Package setup turns the settings of a jail into its parts: its filters, whose lines they believe, and what they read of a log.
package setup

import (
	"fmt"
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
		several = append(several, jail.Part{Filter: one, Accepts: r.Accepts()})
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

// Mute is the filter of a jail without a log.
type Mute struct{}

// Parse implements jail.Filter.
func (Mute) Parse([]byte) jail.Event { return jail.Event{} }
