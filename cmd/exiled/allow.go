package main

import (
	"net/netip"
	"time"

	"exile/internal/config"
	"exile/jail"
)

type allow []jail.Ignore

func newAllow(c *config.Jail) allow { return c.IgnoreIP }

func (a allow) list() (l []string) {
	for _, i := range a {
		l = append(l, i.String())
	}
	return l
}

// Allowed implements jail.Allow.
func (a allow) Allowed(addr netip.Addr, _ time.Time) (string, bool) {
	for _, i := range a {
		if i.Prefix.IsValid() && i.Prefix.Contains(addr) {
			return "ignoreip " + i.String(), true
		}
	}
	return "", false
}
