// Package setup turns the settings of a jail into its parts: its filter, whose lines it believes, and what it reads of a log.
package setup

import (
	"fmt"
	"time"

	"exile/internal/config"
	"exile/jail"
	"exile/jail/filter"
)

// Filter returns the filter of a jail. The error names the place in the configuration.
func Filter(cfg *config.Config, c *config.Jail) (jail.Filter, error) {
	if c.ByHand {
		return Mute{}, nil
	}
	if c.Service != nil {
		return c.Service.Filter(c.Mode), nil
	}
	f, err := filter.New(c.Filter, filter.Options{Mode: c.Mode, Publickey: c.Publickey})
	if err != nil {
		return nil, fmt.Errorf("%s: jail %q: %w", cfg.Origin(c.Name, "filter"), c.Name, err)
	}
	return f, nil
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
