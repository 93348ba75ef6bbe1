package jail

import (
	"math"
	"net/netip"
	"time"
)

// Weight is what the place of an address makes of its failures. Without one they weigh 1, and their bans are as long as others.
type Weight struct {
	Points  float64 // factor of a failure's points; above 1 fewer failures make a ban, below 1 more; MinWeight to MaxWeight
	BanTime float64 // factor of the ban time; likewise
	First   bool    // the first failure makes a ban
}

// Plain is the weight of an address of which nothing is known.
var Plain = Weight{Points: 1, BanTime: 1}

// The range of factors. With less, an address would have more failures than a detector remembers.
const (
	MinWeight = 0.1
	MaxWeight = 10
)

// Weigher weighs addresses. It is asked for those that are not protected in any way, with each of their failures. It must be fast.
type Weigher interface {
	Weigh(a netip.Addr) Weight
	// Least returns the smallest factor of points that Weigh may return; 1 if that is larger.
	Least() float64
}

// Weigh returns the weight of an address. A nil Weigher finds all equal.
func Weigh(w Weigher, a netip.Addr) Weight {
	if w == nil {
		return Plain
	}
	return w.Weigh(a.Unmap())
}

// Stretch returns the ban time that becomes of t: at least a second, and permanent stays permanent.
func (w Weight) Stretch(t time.Duration) time.Duration {
	if w.BanTime == 1 || t == Permanent {
		return t
	}
	return time.Duration(min(max(math.Round(t.Seconds()*w.BanTime), 1), longest.Seconds())) * time.Second
}

// enough returns how many failures of that weight make a ban where otherwise retry do. The result is rounded up, in favour of the address.
func (w Weight) enough(retry int) int {
	switch {
	case w.First:
		return 1
	case w.Points == 1:
		return retry
	}
	return int(math.Ceil(float64(retry)/w.Points - 1e-9)) // 3/0.1 is a little more than 30
}

// most returns how many failures of one address the configuration can ask for.
func (c *Config) most() int {
	if c.Weigher == nil {
		return c.MaxRetry
	}
	return Weight{Points: c.Weigher.Least()}.enough(c.MaxRetry)
}
