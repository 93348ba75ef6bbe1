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

// startups lists the connections to the sshd of a jail, at the ports in the list of the helper or, without it, the usual ones.
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

// portsOf returns the ports of sshd: those that sshd reports, or the usual ones.
func portsOf(s accounts.Startups) []uint16 {
	if !s.Known() {
		return []uint16{22}
	}
	return s.Ports
}

// usualOf returns the limits of an unconfigured sshd, at the ports that the jail closes if it does not close all. Its login grace time is not
// guessed, because a connection that is taken for a session would not count.
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
