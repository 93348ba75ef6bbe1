package allow

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// answer is what a resolver said of a host.
type answer struct {
	host  string
	addrs []netip.Addr
}

const (
	resolveTimeout = 10 * time.Second // for one name
	retryAfter     = time.Minute      // when nobody answered
	minTTL         = time.Minute
	maxTTL         = 24 * time.Hour
	maxAddrs       = 64 // of one name: more is an answer for somebody else
)

// resolve asks for each host when its last answer has run out, and tells what it hears. While nobody answers, what was
// last told stays true.
func (l *List) resolve(ctx context.Context, tell func(answer)) {
	due := map[string]time.Time{}
	for _, g := range l.cfg.Ignore {
		if g.Host != "" {
			due[g.Host] = time.Now()
		}
	}
	for len(due) > 0 {
		host := earliest(due)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due[host])):
		}
		addrs, ttl, err := l.ask(ctx, host)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			l.cfg.Report(fmt.Errorf("resolve ignoreip %s: %w; the last answer holds", host, err))
			due[host] = time.Now().Add(retryAfter)
			continue
		}
		tell(answer{host, addrs})
		due[host] = time.Now().Add(min(max(ttl, minTTL), maxTTL))
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

// earliest is the host to ask first.
func earliest(due map[string]time.Time) string {
	first := ""
	for host, at := range due {
		if first == "" || at.Before(due[first]) || at.Equal(due[first]) && host < first {
			first = host
		}
	}
	return first
}
