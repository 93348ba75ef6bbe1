package controltest

import (
	"context"
	"time"

	"exile/internal/control"
)

// This file has a configuration on trial.

// Main sets the main file of the configuration.
func (f *Fake) Main(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trial.File = path
}

// Try implements control.Configurer.
func (f *Fake) Try(_ context.Context, text string, d time.Duration) error {
	if err := f.command("try %q %s", text, d); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	f.trial.Text, f.trial.Since, f.trial.Until = text, now, now.Add(d)
	return nil
}

// Trial implements control.Configurer.
func (f *Fake) Trial(context.Context) (control.Trial, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.trial, nil
}
