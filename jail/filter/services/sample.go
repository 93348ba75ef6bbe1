package services

import (
	"fmt"

	"exile/jail"
	"exile/journal"
)

// nothing is the pattern of a sample that no pattern may match.
const nothing = "none"

// try reports what f makes of the sample, if that is not what the sample says.
func (s *sample) try(f jail.Filter) error {
	for _, line := range s.before {
		jail.Parse(f, &journal.Entry{Message: []byte(line)})
	}
	ev := jail.Parse(f, &journal.Entry{Message: []byte(s.Line)})
	rule, addr := ev.Rule, ""
	if rule == "" {
		rule = nothing
	}
	if ev.Addr.IsValid() {
		addr = ev.Addr.String()
	}
	switch {
	case rule != s.Pattern:
		return fmt.Errorf("it is %s and not %s", rule, s.Pattern)
	case addr != s.Address:
		return fmt.Errorf("its address is %q and not %q", addr, s.Address)
	case rule != nothing && ev.Count != max(s.Count, 1):
		return fmt.Errorf("it stands for %d attempts and not %d", ev.Count, max(s.Count, 1))
	case string(ev.User) != s.User:
		return fmt.Errorf("its user is %q and not %q", ev.User, s.User)
	}
	return nil
}
