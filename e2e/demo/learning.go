package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"exile/e2e/host"
	"exile/e2e/target"
)

// stranger is the name that strangers try, each from a network of its own. This host has no such user.
const stranger = "oracle"

// learning is the act without a configuration: the shipped detector learns a name from two networks, bans the third for it,
// and bans the fourth for a month.
func learning(ctx context.Context, s *story, t *target.Target) error {
	if _, err := t.Run(ctx, "sh", "-c", "rm /etc/exile/exile.yaml && exilectl -q reload"); err != nil {
		return err
	}
	s.note("exiled", "runs without a configuration file, by the detector that is shipped")
	for _, addr := range []string{"203.0.113.61", "192.0.2.63"} {
		if err := s.try(ctx, t, addr); err != nil {
			return err
		}
	}
	for _, banned := range []struct {
		addr string
		why  string
		time time.Duration
	}{
		{"198.18.7.64", "three networks tried it: a name that only attackers use", time.Hour},
		{"198.19.7.65", "four networks tried it: no doubt is left", 30 * 24 * time.Hour},
	} {
		if err := s.tryLast(ctx, t, banned.addr, banned.why, banned.time); err != nil {
			return err
		}
	}
	return errors.Join(s.command(ctx, t, "exilectl", "list-names"), s.command(ctx, t, "exilectl", "list-bans"))
}

// guessOnce makes the address guess a password of the name.
func guessOnce(ctx context.Context, t *target.Target, addr string) (*host.Attacker, error) {
	a, err := t.Attacker(netip.MustParseAddr(addr))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, cutAfter)
	defer cancel()
	return a, a.Guess(ctx, stranger, 1)
}

// try makes a guess that is denied.
func (s *story) try(ctx context.Context, t *target.Target, addr string) error {
	if _, err := guessOnce(ctx, t, addr); !errors.Is(err, host.ErrDenied) {
		return fmt.Errorf("the guess of %s should have been denied, but: %w", addr, notNil(err))
	}
	s.bad(addr, fmt.Sprintf("guesses a password of %q: Permission denied", stranger))
	return nil
}

// tryLast makes a guess that is banned at once, for that long.
func (s *story) tryLast(ctx context.Context, t *target.Target, addr, why string, want time.Duration) error {
	a, err := guessOnce(ctx, t, addr)
	if !errors.Is(err, host.ErrDenied) && !errors.Is(err, host.ErrCut) {
		return fmt.Errorf("the guess of %s should have been denied, but: %w", addr, notNil(err))
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ban, err := t.WaitBan(ctx, a.Addr, 1)
	if err != nil {
		return err
	}
	if got := ban.Lasts.Round(time.Minute); got != want {
		return fmt.Errorf("%s was banned for %s, not %s", addr, got, want)
	}
	s.bad(addr, fmt.Sprintf("guesses a password of %q, once", stranger))
	s.ban(fmt.Sprintf("%s for %s, after one guess", short(ban.Prefix), inWords(want)), why, "")
	return nil
}

func inWords(d time.Duration) string {
	if days := d.Hours() / 24; days > 1 {
		return fmt.Sprintf("%.0f days", days)
	}
	return "an hour"
}
