package jail

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"exile/jail/internal/netkey"
)

// Permanent is the ban time that never ends.
const Permanent = time.Duration(-1)

// Config has the settings of one jail. Package internal/config makes it from the file.
type Config struct {
	Name       string
	Detection  Detection
	MaxRetry   int           // attempts within FindTime that make a ban; at least 1
	FindTime   time.Duration // the sliding window
	BanTime    time.Duration // of a first offence, or Permanent
	IPv4Prefix int           // bits that are counted and banned together, 24..32; 32 by default
	IPv6Prefix int           // likewise, 48..128; 64 by default
	MaxTracked int           // prefixes remembered at most; 1,000,000 by default
	Escalation Escalation
	Aggregate  Aggregate
	// TrustLogins is how long an address may guess more than others after a login with a key; 0: not at all.
	TrustLogins time.Duration
	Weigher     Weigher    // weighs failures by where an address is; nil: all weigh the same
	Strangers   *Strangers // addresses that count alone, whatever the prefixes say; nil: those that standards set aside
}

// Detection is the name of a detector.
type Detection string

// The detectors.
const (
	Threshold Detection = "threshold"
	Adaptive  Detection = "adaptive"
)

// check reports the first value that is out of range.
func (c *Config) check() error {
	switch {
	case c.MaxRetry < 1 || c.MaxRetry > MaxMaxRetry:
		return fmt.Errorf("maxretry %d: must be 1 to %d", c.MaxRetry, MaxMaxRetry)
	case c.FindTime <= 0:
		return fmt.Errorf("findtime %v: must be positive", c.FindTime)
	case c.BanTime <= 0 && c.BanTime != Permanent:
		return fmt.Errorf("bantime %v: must be positive, or permanent", c.BanTime)
	case c.IPv4Prefix < 24 || c.IPv4Prefix > 32:
		return fmt.Errorf("ipv4_prefix %d: must be 24 to 32", c.IPv4Prefix)
	case c.IPv6Prefix < 48 || c.IPv6Prefix > 128:
		return fmt.Errorf("ipv6_prefix %d: must be 48 to 128", c.IPv6Prefix)
	case c.MaxTracked < 1:
		return errors.New("max_tracked: must be at least 1")
	}
	return nil
}

// MaxMaxRetry is the highest MaxRetry.
const MaxMaxRetry = 1000

// prefix is what is counted and banned as one with addr.
func (c *Config) prefix(addr netip.Addr) netip.Prefix {
	return c.Strangers.Unit(addr, c.IPv4Prefix, c.IPv6Prefix)
}

// prefixOf is the prefix of a key.
func (c *Config) prefixOf(k netkey.Key) netip.Prefix { return k.Prefix(c.IPv4Prefix, c.IPv6Prefix) }

// windows are those of the detector, if it has its own, or that of the configuration.
func (c *Config) windows(d Detector) (fast, slow Window) {
	fast = Window{c.MaxRetry, c.FindTime}
	w, ok := d.(Windowed)
	if !ok {
		return fast, slow
	}
	own, longer := w.Windows()
	if own.MaxRetry >= 1 && own.FindTime > 0 {
		fast = own
	}
	if longer.MaxRetry >= 1 && longer.FindTime > fast.FindTime {
		slow = longer
	}
	return fast, slow
}

// counting is the configuration of a threshold with that window, for few prefixes.
func (c *Config) counting(w Window) Config {
	counter := *c
	counter.MaxRetry, counter.FindTime = w.MaxRetry, w.FindTime
	counter.Weigher = nil // who may guess more than others, or as often as they like, is not judged by where they are
	counter.MaxTracked = min(c.MaxTracked, maxProtected)
	return counter
}
