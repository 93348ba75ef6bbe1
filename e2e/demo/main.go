// Command demo boots a real systemd host in namespaces, installs exile into it, lets a real ssh client guess passwords, and
// reports what happens. It exits with 0 only if everything happened.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"exile/e2e/host"
	"exile/e2e/target"
)

const (
	maxRetry = 4
	config   = "jails:\n  sshd:\n    maxretry: 4\n    findtime: 10m\n    bantime: 1h\n"
	user     = "alice"
	password = "the right one"
)

func main() {
	host.Main()
	svg := flag.String("svg", "", "a `file` for a picture of the last act")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 150*time.Second)
	defer cancel()
	var said bytes.Buffer
	s := newStory(os.Stdout, &said)
	err := play(ctx, s)
	if err == nil && *svg != "" {
		_, act, _ := strings.Cut(said.String(), lastAct)
		act, _, _ = strings.Cut(act, "\n\n  "+paint(bold, theEnd+":"))
		err = os.WriteFile(*svg, picture(paint(bold, "# make demo")+"\n\n  "+paint(bold, lastAct)+act), 0o644)
	}
	if err != nil {
		s.failed(err)
		os.Exit(1)
	}
}

// The name of the last act, and what comes after it.
const (
	lastAct = "Act 3, no configuration"
	theEnd  = "The end"
)

// play is the whole demo.
func play(ctx context.Context, s *story) (err error) {
	s.title("exile", "a real systemd host, a real sshd, a real attacker; nothing of it leaves this process")
	t, end, err := boot(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	for _, act := range []struct{ title, attacker, bystander string }{
		{"Act 1, IPv4", "198.51.100.7", "198.51.100.8"},
		{"Act 2, IPv6", "2001:db8:bad::7", "2001:db8:600d::8"},
	} {
		s.title(act.title, act.attacker+" guesses "+user+"'s password")
		if err := attack(ctx, s, t, act.attacker, act.bystander); err != nil {
			return fmt.Errorf("%w\n\nexiled said:\n%s", err, t.Log(context.WithoutCancel(ctx)))
		}
	}
	s.title(lastAct, "strangers guess a password of "+stranger+", a user whom this host does not have")
	if err := learning(ctx, s, t); err != nil {
		return fmt.Errorf("%w\n\nexiled said:\n%s", err, t.Log(context.WithoutCancel(ctx)))
	}
	s.title(theEnd, "every line above was seen, not assumed: sshd's answers, the journal, the kernel's silence")
	return nil
}

// boot installs and boots; end removes everything again.
func boot(ctx context.Context, s *story) (t *target.Target, end func() error, err error) {
	tree, err := target.Install(ctx)
	if err != nil {
		return nil, nil, err
	}
	s.note("make install", "put exile's files in place")
	s.start = time.Now()
	if t, err = target.Boot(ctx, "/", tree, config); err != nil {
		return nil, nil, errors.Join(err, tree.Remove())
	}
	end = func() error { return errors.Join(t.Close(), tree.Remove()) }
	version, err := t.Run(ctx, "systemctl", "--version")
	if err == nil {
		s.note("host", "booted "+firstLine(version)+" in namespaces")
		err = errors.Join(t.AddUser(ctx, user, password), t.Activate(ctx))
	}
	if err != nil {
		return nil, nil, errors.Join(err, end())
	}
	s.note("exiled", fmt.Sprintf("runs: maxretry %d within 10 minutes, banned for an hour", maxRetry))
	return t, end, nil
}

// attack is one act.
func attack(ctx context.Context, s *story, t *target.Target, attacker, bystander string) error {
	a, err := t.Attacker(netip.MustParseAddr(attacker))
	if err != nil {
		return err
	}
	b, err := t.Attacker(netip.MustParseAddr(bystander))
	if err != nil {
		return err
	}
	for _, scene := range []func() error{
		func() error { return guess(ctx, s, t, a) },
		func() error { return silence(ctx, s, a) },
		func() error { return others(ctx, s, b) },
		func() error { return s.command(ctx, t, "exilectl", "status") },
		func() error { return s.command(ctx, t, "exilectl", "list-bans") },
		func() error { return s.command(ctx, t, "exilectl", "unban", attacker) },
		func() error { return forgiven(ctx, s, a) },
	} {
		if err := scene(); err != nil {
			return err
		}
	}
	return nil
}

// cutAfter is how long a guess waits for an answer, which does not come if the ban is faster.
const cutAfter = 13 * time.Second

// guess guesses until the ban.
func guess(ctx context.Context, s *story, t *target.Target, a *host.Attacker) error {
	for n := 1; n <= maxRetry; n++ {
		soon, cancel := context.WithTimeout(ctx, cutAfter)
		err := a.Guess(soon, user, 1)
		cancel()
		switch who := fmt.Sprintf("guess %d", n); {
		case errors.Is(err, host.ErrDenied):
			s.bad(who, "ssh: Permission denied")
		case errors.Is(err, host.ErrCut) && n == maxRetry:
			s.bad(who, "ssh: cut off: the ban was faster than sshd's answer")
		default:
			return fmt.Errorf("guess %d of %s should have been denied, but: %w", n, a.Addr, notNil(err))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ban, err := t.WaitBan(ctx, a.Addr, 1)
	if err != nil {
		return err
	}
	if ban.Failures != maxRetry || ban.Latency <= 0 {
		return fmt.Errorf("%s was banned after %d attempts with latency %s", a.Addr, ban.Failures, ban.Latency)
	}
	s.ban(fmt.Sprintf("%s by jail %s, after %d attempts", short(ban.Prefix), ban.Jail, ban.Failures),
		fmt.Sprintf("%.1f ms", float64(ban.Latency.Microseconds())/1000), "from sshd's log entry to the ban in the kernel")
	return nil
}

// silence checks that the banned client gets no answer.
func silence(ctx context.Context, s *story, a *host.Attacker) error {
	_, err := a.SSH(ctx, []string{"-F", "none", "-l", user, "-o", "ConnectTimeout=" + strconv.Itoa(int(host.Silence/time.Second))}, "wrong", "true")
	if !errors.Is(err, host.ErrUnreachable) {
		return fmt.Errorf("guess %d of %s should have had no answer, but: %w", maxRetry+1, a.Addr, notNil(err))
	}
	s.bad(fmt.Sprintf("guess %d", maxRetry+1), "ssh: Connection timed out. Nobody is there any more")
	return nil
}

// others checks that everybody else is served.
func others(ctx context.Context, s *story, b *host.Attacker) error {
	banner, err := b.Banner(ctx)
	if err != nil {
		return fmt.Errorf("bystander %s: %w", b.Addr, err)
	}
	s.good("bystander", fmt.Sprintf("%s is still greeted: %q", b.Addr, banner))
	return nil
}

// forgiven checks that the client can log in after the unban.
func forgiven(ctx context.Context, s *story, a *host.Attacker) error {
	out, err := a.Login(ctx, user, password, "echo", "hello from", a.Addr.String())
	if err != nil {
		return fmt.Errorf("%s cannot log in after the unban: %w", a.Addr, err)
	}
	s.good("forgiven", "knows the password now and logs in: "+firstLine(out))
	return nil
}

// notNil turns a success that should have failed into an error.
func notNil(err error) error {
	if err == nil {
		return errors.New("it succeeded")
	}
	return err
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func short(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
