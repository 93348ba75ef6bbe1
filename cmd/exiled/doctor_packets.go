package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"exile/dbusapi/client"
	"exile/firewall"
	"exile/firewall/auto"
	"exile/firewall/probe"
	"exile/internal/config"
	"exile/internal/control"
	"exile/internal/varlink"
)

const (
	// testBan is how long the test address is banned if nobody lifts that: the daemon lifts it then, also when we are killed.
	testBan = time.Minute
	// maxAsked is how many ports of a jail are tried.
	maxAsked = 16
	// askedAtOnce is how many questions wait for their answers at the same time.
	askedAtOnce = 16
	// talkTime is how long the daemon may take.
	talkTime = 30 * time.Second
)

// banner is the running daemon.
type banner interface {
	Status(ctx context.Context) (control.Status, error)
	Ban(ctx context.Context, r control.BanRequest) (control.Ban, error)
	Unban(ctx context.Context, jail string, p netip.Prefix) (int, error)
	ForgetAddress(ctx context.Context, jail string, p netip.Prefix) (bool, error)
}

// reach connects to the daemon over the bus, or over its socket.
func reach(ctx context.Context, bus string) (banner, error) {
	c, err := client.Dial(ctx, client.Config{Address: bus, Wait: talkTime})
	if err == nil {
		return c, nil
	}
	v, failed := varlink.Dial(ctx, varlink.Path)
	if failed != nil {
		return nil, errors.Join(err, failed)
	}
	return v, nil
}

// examinePackets bans a test address and shows what of its packets reaches the host.
func examinePackets(ctx context.Context, f *findings, o options, cfg *config.Config) {
	f.title("Daemon")
	d, err := reach(ctx, o.bus)
	var s control.Status
	if err == nil {
		s, err = d.Status(ctx)
	}
	if err != nil {
		f.add(wrong, "exiled cannot be asked, so that no ban can be tried: %v (start it with: systemctl start exiled)", err)
		return
	}
	f.add(fact, "exile %s, %s, backend %s (%s), %d banned, %d in the kernel", s.Version, s.State, s.Backend, s.Why, s.Banned, s.Enforced)
	for i := range s.Degraded {
		p := s.Public() // without what attackers and owners are called
		f.add(wrong, "%s: %s", p.Degraded[i], p.Remedies[i])
	}
	if s.State == control.Paused || s.Backend == auto.DryRun {
		f.add(unclear, "nobody is banned now: no ban can be tried")
		return
	}
	lab, err := probe.New(0)
	if err != nil {
		f.add(unclear, "packets cannot be sent from a network of our own: %v", err)
		return
	}
	defer lab.Close()
	e := &examiner{findings: f, daemon: d, lab: lab}
	e.all(ctx, cfg)
}

// examiner tries bans.
type examiner struct {
	*findings
	daemon banner
	lab    *probe.Lab
}

// all tries the bans of all jails.
func (e *examiner) all(ctx context.Context, cfg *config.Config) {
	e.title("Packets of a banned address, and of its neighbour")
	for _, six := range []bool{false, true} {
		if six && e.lab.WithoutIPv6() != nil {
			e.add(unclear, "there is no IPv6 here: %v", e.lab.WithoutIPv6())
		} else if !e.lab.Forwards(six) {
			e.add(fact, "this host forwards no %s: nothing behind it is tried", familyName(six))
		}
	}
	for i := range cfg.Jails {
		c := &cfg.Jails[i]
		switch {
		case !c.Enabled || ctx.Err() != nil:
		case c.Simulate:
			e.add(fact, "jail %s only simulates", c.Name)
		default:
			e.jail(ctx, c.Name, c.Ports, false)
			if e.lab.WithoutIPv6() == nil {
				e.jail(ctx, c.Name, c.Ports, true)
			}
		}
	}
}

func familyName(six bool) string {
	if six {
		return "IPv6"
	}
	return "IPv4"
}

// asked are the ports to ask: those that the jail closes or, of one that closes all, some that are likely to answer.
func asked(ports []firewall.Port) (all []firewall.Port, left int) {
	if len(ports) == 0 {
		return []firewall.Port{{Proto: protoTCP, Number: 22}, {Proto: protoTCP, Number: 9}}, 0
	}
	all = slices.DeleteFunc(slices.Clone(ports), func(p firewall.Port) bool { return p.Proto != protoTCP && p.Proto != protoUDP })
	left = max(0, len(all)-maxAsked)
	return all[:len(all)-left], left + len(ports) - len(all)
}

const protoUDP = 17

// jail bans the test address in a jail, and asks.
func (e *examiner) jail(ctx context.Context, name string, ports []firewall.Port, six bool) {
	place := probe.IPv4()
	if six {
		place = probe.IPv6()
	}
	one := netip.PrefixFrom(place.Offender, place.Offender.BitLen())
	_, err := e.daemon.Ban(ctx, control.BanRequest{Jail: name, Prefix: one, Duration: testBan, Reason: "exilectl doctor"})
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), talkTime)
		defer cancel()
		_, lifted := e.daemon.Unban(ctx, name, one)
		_, forgotten := e.daemon.ForgetAddress(ctx, name, one)
		if err == nil && lifted != nil {
			e.add(unclear, "jail %s: the test address stays banned for a minute: %v", name, lifted)
		}
		_ = forgotten // only that it was banned once: nobody has the address
	}()
	if err != nil {
		e.add(wrong, "jail %s: the test address cannot be banned: %v", name, err)
		return
	}
	wanted, left := asked(ports)
	if left > 0 {
		e.add(fact, "jail %s: %d more ports are not tried", name, left)
	}
	e.ask(ctx, name, place, wanted, six)
}

// reply is what came of a port.
type reply struct {
	to                  netip.Addr
	port                firewall.Port
	offender, neighbour bool
	err                 error
}

// ask asks all ports, of the host and of what is behind it, and says what came of that.
func (e *examiner) ask(ctx context.Context, name string, place probe.Place, ports []firewall.Port, six bool) {
	var replies []*reply
	for _, p := range ports {
		replies = append(replies, &reply{to: place.Host, port: p})
		if e.lab.Forwards(six) {
			replies = append(replies, &reply{to: place.Guest, port: p})
		}
	}
	var group errgroup.Group
	group.SetLimit(askedAtOnce)
	for _, r := range replies {
		group.Go(func() error {
			var failed error
			r.offender, r.err = e.lab.Answers(ctx, place.Offender, r.to, r.port)
			r.neighbour, failed = e.lab.Answers(ctx, place.Neighbour, r.to, r.port)
			r.err = errors.Join(r.err, failed)
			return nil
		})
	}
	_ = group.Wait() // each has its own error
	said := map[verdict][]string{}
	for _, r := range replies {
		v := r.verdict(place.Host)
		said[v] = append(said[v], fmt.Sprintf("%d/%s", r.port.Number, protoName(r.port.Proto)))
	}
	for _, v := range verdicts {
		if list := said[v]; len(list) > 0 {
			e.add(v.grade, "jail %s, %s: %s: %s", name, familyName(six), strings.Join(list, " "), v.text)
		}
	}
}

func protoName(p uint8) string {
	if p == protoUDP {
		return "udp"
	}
	return "tcp"
}

// verdict is what replies mean.
type verdict struct {
	grade grade
	text  string
}

// The verdicts, in the order in which they are told.
var (
	closedHere   = verdict{good, "closed to the banned address and open to its neighbour"}
	closedBehind = verdict{good, "forwarded, closed to the banned address and open to its neighbour"}
	openHere     = verdict{wrong, "NOT closed to the banned address. Something lets packets pass before exile's rules, or the rules are gone: see nft list ruleset"}
	openBehind   = verdict{wrong, "forwarded, NOT closed to the banned address: see nft list ruleset, and the flow tables in it"}
	silent       = verdict{unclear, "nobody gets an answer: another firewall drops it, too, or a service of UDP does not answer"}
	silentBehind = verdict{unclear, "forwarded, nobody gets an answer: another firewall lets nothing of strangers through"}
	unasked      = verdict{unclear, "could not be asked"}
	verdicts     = []verdict{openHere, openBehind, closedHere, closedBehind, silent, silentBehind, unasked}
)

func (r *reply) verdict(host netip.Addr) verdict {
	here := r.to == host
	pick := func(ours, behind verdict) verdict {
		if here {
			return ours
		}
		return behind
	}
	switch {
	case r.offender:
		return pick(openHere, openBehind)
	case r.err != nil:
		return unasked
	case r.neighbour:
		return pick(closedHere, closedBehind)
	}
	return pick(silent, silentBehind)
}
