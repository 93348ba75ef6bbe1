package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"exile/dbusapi/client"
	"exile/internal/control"
	"exile/internal/varlink"
)

// The verbs use the daemon through one interface. This file has its implementation over the Varlink socket; the one over the
// bus is dbusapi/client.

// daemon is exiled as the verbs see it, over the bus or the socket.
type daemon interface {
	control.Reader
	control.Writer
	control.Learner
	control.Historian
	control.Archiver
	control.Configurer
	settings
	stream
}

// settings are what programs read and an admin changes while the daemon runs. Only the bus has them.
type settings interface {
	Properties(ctx context.Context, jail string) ([]client.Property, error)
	LogLevel(ctx context.Context) (string, error)
	SetLogLevel(ctx context.Context, name string) error
	// Running returns those of the units that systemd has started.
	Running(ctx context.Context, units []string) ([]string, error)
}

// stream has what is too long for one answer.
type stream interface {
	// EachBan calls f with every ban of a jail, or of all (""), until f fails.
	EachBan(ctx context.Context, jail string, f func(control.Ban) error) error
	// Watch calls emit with each ban and unban until ctx ends, also across restarts of the daemon or of the local bus.
	Watch(ctx context.Context, emit func(control.Event)) error
	Close() error
}

var (
	_ daemon = (*client.Client)(nil)
	_ daemon = socket{}
)

// socketPath is the path of the daemon's Varlink socket.
func socketPath() string {
	if path := os.Getenv("EXILE_VARLINK_SOCKET"); path != "" {
		return path
	}
	return varlink.Path
}

// socket is the daemon behind its Varlink socket, for hosts and times without a bus.
type socket struct {
	*varlink.Client
	noBus error // why there is no bus
	lost  func(error)
}

// dialSocket looks for the daemon where there is no bus.
func dialSocket(ctx context.Context, noBus error, lost func(error)) (daemon, error) {
	c, err := varlink.Dial(ctx, socketPath())
	if err != nil {
		err = fmt.Errorf("failed to reach exiled: %w; without a bus: %w", noBus, err)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			err = &exitError{exitNotRunning, fmt.Errorf("%w (start it with: systemctl start exiled)", err)}
		}
		return nil, err
	}
	return socket{c, noBus, lost}, nil
}

// Close implements stream: each call has its own connection.
func (s socket) Close() error { return nil }

// EachBan implements stream.
func (s socket) EachBan(ctx context.Context, jail string, f func(control.Ban) error) error {
	return control.EachBan(ctx, s, control.Page{Jail: jail, Max: pageSize}, f)
}

// watchAgain is the pause before asking a restarting daemon again.
const watchAgain = time.Second

// Watch implements stream. After hearing from the daemon once, it waits for it to come back.
func (s socket) Watch(ctx context.Context, emit func(control.Event)) error {
	heard, away := false, false
	for {
		err := s.Monitor(ctx, func() { heard, away = true, false }, func(e control.Event) error {
			if e.Kind == control.BanNew || e.Kind == control.BanRemoved {
				emit(e)
			}
			return nil
		})
		if err == nil || !heard {
			return err
		}
		if !away && ctx.Err() == nil {
			s.lost(errors.New("exiled has ended"))
		}
		away = true
		select {
		case <-time.After(watchAgain):
		case <-ctx.Done():
			return nil
		}
	}
}

// onlyBus is the error of what only the bus can do: properties and the log level are D-Bus interfaces, for which other
// programs have clients; a configuration or a state is too large for the socket.
func (s socket) onlyBus() error { return fmt.Errorf("this needs the bus: %w", s.noBus) }

// Try implements control.Configurer.
func (s socket) Try(context.Context, string, time.Duration) error { return s.onlyBus() }

// Trial implements control.Configurer.
func (s socket) Trial(context.Context) (control.Trial, error) { return control.Trial{}, s.onlyBus() }

// ExportState implements control.Archiver.
func (s socket) ExportState(context.Context, io.Writer) error { return s.onlyBus() }

// Properties implements settings.
func (s socket) Properties(context.Context, string) ([]client.Property, error) {
	return nil, s.onlyBus()
}

// Running implements settings.
func (s socket) Running(context.Context, []string) ([]string, error) { return nil, s.onlyBus() }

// LogLevel implements settings.
func (s socket) LogLevel(context.Context) (string, error) { return "", s.onlyBus() }

// SetLogLevel implements settings.
func (s socket) SetLogLevel(context.Context, string) error { return s.onlyBus() }
