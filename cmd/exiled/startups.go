package main

import (
	"context"
	"time"

	"exile/firewall/sockdiag"
	"exile/internal/accounts"
	"exile/internal/config"
	"exile/internal/control"
)

const protoTCP = 6

// startups looks who is connected to the sshd of a jail, by the helper's list or, without it, where sshd usually is.
func startups(helper string, c *config.Jail) func(context.Context) (*control.Startups, error) {
	return func(ctx context.Context) (*control.Startups, error) {
		list, err := accounts.Read(helper)
		told := list.SSHD
		known := err == nil && told.Known()
		if !known {
			told = usualOf(c)
		}
		from, err := sockdiag.Remotes(ctx, told.Ports)
		if err != nil {
			return nil, err
		}
		return &control.Startups{
			From: from, Begin: told.Begin, Full: told.Full, Grace: time.Duration(told.Grace) * time.Second, Known: known,
		}, nil
	}
}

// portsOf is where sshd listens: as it says itself, or where it usually does.
func portsOf(s accounts.Startups) []uint16 {
	if !s.Known() {
		return []uint16{22}
	}
	return s.Ports
}

// usualOf is an sshd that nobody configured, at the ports that the jail closes if it does not close all. How long it lets a
// client try is not guessed: a connection that is taken for a session would not count.
func usualOf(c *config.Jail) accounts.Startups {
	s := accounts.Startups{Ports: portsOf(accounts.Startups{}), Begin: 10, Full: 100}
	var ports []uint16
	for _, port := range c.Ports {
		if port.Proto == protoTCP {
			ports = append(ports, port.Number)
		}
	}
	if len(ports) > 0 {
		s.Ports = ports
	}
	return s
}
