package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"exile/internal/config"
	"exile/internal/daemon"
	"exile/internal/state"
)

// A mistake in the configuration must not keep the service down: a ban daemon that does not start is an open gate, and nobody reads why it
// restarts again and again.

// keptIn returns the folder in which a service keeps the last configuration that worked. It is empty for a daemon that is started by hand: the caller
// sees at once what is wrong.
func keptIn() string {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return ""
	}
	first, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	return first
}

// substitute is a configuration that can replace the files.
type substitute struct {
	*config.Config
	which string // for people
}

// substitutes returns the configurations that can replace the files, the best first.
func (p *planner) substitutes() []substitute {
	if p.kept == "" {
		return nil
	}
	var list []substitute
	if last, err := lastGood(p.kept); err == nil {
		list = append(list, substitute{last, "the last configuration that worked"})
	} else {
		p.log.Debug("No configuration that worked is kept", "reason", err)
	}
	packaged, err := config.Load(config.Sources{Packaged: true})
	if err != nil {
		packaged, err = config.Parse("", nil)
	}
	if err == nil {
		list = append(list, substitute{packaged, "the packaged configuration"})
	}
	return list
}

func lastGood(dir string) (*config.Config, error) {
	packed, err := state.Kept(dir)
	if err != nil {
		return nil, err
	}
	return config.Unpack(packed)
}

// fallback builds the first of them that works here, and returns its description. If none works there is no plan.
func (p *planner) fallback(ctx context.Context) (*daemon.Plan, string, error) {
	var failed error
	for _, s := range p.substitutes() {
		plan, err := p.planFor(ctx, s.Config, false)
		if err == nil {
			plan.Shelter = true // a mistake lifts no bans
			plan.Better = nil   // only the start gives shelter
			return plan, s.which, nil
		}
		failed = errors.Join(failed, fmt.Errorf("%s: %w", s.which, err))
	}
	return nil, "", failed
}

// begin opens the state at the place that the files name, or else a configuration that can replace them.
func (p *planner) begin() (*state.Store, error) {
	cfg, mistake := config.Load(p.sources(""))
	if mistake == nil {
		mistake = makeState(cfg)
	}
	if mistake == nil {
		p.loaded = cfg
		return openStore(cfg.StateDir, p.log)
	}
	for _, s := range p.substitutes() {
		if makeState(s.Config) == nil {
			return openStore(s.StateDir, p.log)
		}
	}
	return nil, mistake
}

// makeState creates the folder of the state.
func makeState(cfg *config.Config) error {
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		return fmt.Errorf("%s: state: %w", cfg.Origin("", "state"), err)
	}
	return nil
}

// keepAgain is how long to wait after the configuration could not be written.
const keepAgain = time.Minute

// keep stores the configuration that is in force for later starts.
func (b *builder) keep(ctx context.Context) {
	packed, err := b.cfg.Pack()
	if err == nil {
		err = state.Keep(b.kept, packed)
	}
	if err == nil {
		return
	}
	b.log.Warn("Failed to keep the configuration; a start with a mistake in it takes an older one", "error", err)
	for err != nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(keepAgain):
		}
		err = state.Keep(b.kept, packed)
	}
}
