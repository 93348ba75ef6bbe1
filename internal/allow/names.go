package allow

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"exile/jail"
)

// answer is what is known about a host name.
type answer struct {
	host  string
	addrs []netip.Addr
	err   error // why there was no answer
}

// friends are the addresses.
func (a answer) friends() (list []jail.Friend) {
	for _, addr := range a.addrs {
		list = append(list, friend(addr, "ignoreip "+a.host))
	}
	return list
}

// String writes the name and its addresses for people.
func (a answer) String() string {
	if len(a.addrs) == 0 {
		return ""
	}
	words := make([]string, len(a.addrs))
	for i, addr := range a.addrs {
		words[i] = addr.String()
	}
	return " (" + strings.Join(words, ", ") + ")"
}

// trouble says why the name protects no address. A name that was not looked up yet is no trouble, nor is one whose last answer is still
// valid.
func (a answer) trouble() error {
	switch {
	case a.host == "" || len(a.addrs) > 0:
		return nil
	case a.err != nil:
		return fmt.Errorf("host name %s: %w", a.host, a.err)
	default:
		return fmt.Errorf("host name %s has no address", a.host)
	}
}

// learn stores an answer, and reports whether it has changed. Without an answer the last one stays valid.
func (l *List) learn(a answer) bool {
	last := l.known.names[a.host]
	if a.err != nil {
		a.addrs = last.addrs
	}
	l.known.names[a.host] = a
	return last.host == "" || !slices.Equal(last.addrs, a.addrs) || text(last.err) != text(a.err)
}

// text returns the text of an error, or nothing for nil.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

const (
	resolveTimeout = 10 * time.Second // for one name
	retrySoon      = time.Second      // at first, because the network may be coming up; doubled each time
	retryAfter     = time.Minute      // at most, while there is no answer
	minTTL         = time.Minute
	maxTTL         = 24 * time.Hour
	maxAddrs       = 64 // of one name; more cannot be meant
)

// pending is when to look up a host name.
type pending struct {
	at    time.Time
	retry time.Duration // after an error
}

// resolve looks up each host name when its last answer has expired, and passes on the answers.
func (l *List) resolve(ctx context.Context, tell func(answer)) {
	due := map[string]pending{}
	for _, g := range l.cfg.Ignore {
		if g.Host != "" {
			due[g.Host] = pending{time.Now(), retrySoon}
		}
	}
	for len(due) > 0 {
		host := earliest(due)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due[host].at)):
		}
		addrs, ttl, err := l.ask(ctx, host)
		if ctx.Err() != nil {
			return
		}
		tell(answer{host, addrs, err})
		if err != nil {
			retry := due[host].retry
			due[host] = pending{time.Now().Add(retry), min(2*retry, retryAfter)}
		} else {
			due[host] = pending{time.Now().Add(min(max(ttl, minTTL), maxTTL)), retryAfter}
		}
	}
}

func (l *List) ask(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addrs, ttl, err := l.cfg.Resolver.Resolve(ctx, host)
	if err == nil && len(addrs) > maxAddrs {
		err = fmt.Errorf("%d addresses are more than %d", len(addrs), maxAddrs)
	}
	clean := make([]netip.Addr, 0, len(addrs))
	for _, a := range addrs {
		if a.IsValid() && !a.IsUnspecified() {
			clean = append(clean, a.Unmap().WithZone(""))
		}
	}
	slices.SortFunc(clean, netip.Addr.Compare)
	return clean, ttl, err
}

// earliest returns the host name to look up next.
func earliest(due map[string]pending) string {
	first := ""
	for host, p := range due {
		if first == "" || p.at.Before(due[first].at) || p.at.Equal(due[first].at) && host < first {
			first = host
		}
	}
	return first
}
