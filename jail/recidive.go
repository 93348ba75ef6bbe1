package jail

import (
	"fmt"
	"net/netip"
	"time"
)

// Recidive is the rule for those who are banned again and again, by whichever jails.
type Recidive struct {
	Enabled  bool
	MaxRetry int           // bans
	FindTime time.Duration // within this
	BanTime  time.Duration // then: this long, from all ports
}

// maxRecidivists bounds the memory of the rule; who was banned longest ago is forgotten first.
const maxRecidivists = 100_000

// Recidivists applies the rule. It counts bans as a jail counts guesses.
type Recidivists struct {
	rule  Recidive
	count *threshold
}

// NewRecidivists returns a rule that has seen no bans.
func NewRecidivists(rule Recidive) *Recidivists {
	return &Recidivists{rule: rule, count: newThreshold(Config{
		MaxRetry: rule.MaxRetry, FindTime: rule.FindTime, IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: maxRecidivists,
	})}
}

// Observe takes a ban of p, in order of time, and reports whether p is to be banned by the rule now.
func (r *Recidivists) Observe(p netip.Prefix, at time.Time) (Verdict, bool) {
	verdicts := r.count.Observe(Attempt{Time: at, Addr: p.Addr(), Guesses: 1, Rule: "ban"}, nil)
	if !r.rule.Enabled || len(verdicts) == 0 {
		return Verdict{}, false
	}
	v := verdicts[0]
	v.Prefix, v.Duration = p, r.rule.BanTime
	v.Reason = fmt.Sprintf("recidive: %d bans within %v", v.Failures, r.rule.FindTime)
	return v, true
}

// Forget drops the bans of the addresses in p.
func (r *Recidivists) Forget(p netip.Prefix) { r.count.Forget(p) }
