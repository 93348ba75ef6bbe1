package jail

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Permanent as a ban time is for ever.
const Permanent = time.Duration(-1)

// Config is what the arithmetic of one jail needs to know. Package internal/config makes it from the file.
type Config struct {
	Name       string
	Detection  Detection
	MaxRetry   int           // attempts within FindTime that make a ban; at least 1
	FindTime   time.Duration // the sliding window
	BanTime    time.Duration // of a first offence; Permanent is for ever
	IPv4Prefix int           // bits that are counted and banned together, 24..32; 32 by default
	IPv6Prefix int           // likewise, 48..128; 64 by default
	MaxTracked int           // prefixes remembered at most; 1,000,000 by default
	Escalation Escalation
	Aggregate  Aggregate
	// TrustLogins is how long a login with a key lets its address guess more than others; 0: not at all.
	TrustLogins time.Duration
	Adaptive    AdaptiveConfig
	Strangers   *Strangers // whose neighbours are not one with them, whatever the prefixes say; nil: as standards say
}

// Detection is the name of a detector.
type Detection string

// The detectors.
const (
	Threshold Detection = "threshold"
	Adaptive  Detection = "adaptive"
)

// check reports the first value that is out of its range.
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

// prefix is what is counted and banned together with addr.
func (c *Config) prefix(addr netip.Addr) netip.Prefix {
	return c.Strangers.Unit(addr, c.IPv4Prefix, c.IPv6Prefix)
}

// prefixOf is the prefix of a key.
func (c *Config) prefixOf(k key) netip.Prefix { return k.prefix(c.IPv4Prefix, c.IPv6Prefix) }

// Limit is how many attempts within what time make a ban: of an adaptive jail, in its fast window.
func (c *Config) Limit() (maxRetry int, findTime time.Duration) {
	if c.Detection == Adaptive && c.Adaptive.MaxRetry >= 1 && c.Adaptive.FindTime > 0 {
		return int(c.Adaptive.MaxRetry), c.Adaptive.FindTime
	}
	return c.MaxRetry, c.FindTime
}
