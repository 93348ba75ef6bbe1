package accounts

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Startups is what sshd says about connections that have not logged in. The zero value: sshd was not asked.
type Startups struct {
	Ports []uint16 `json:"ports,omitempty"` // that it listens on
	Begin int      `json:"begin,omitempty"` // number of connections without a login at which sshd starts to refuse some
	Full  int      `json:"full,omitempty"`  // and at which it refuses all
	Grace int      `json:"grace,omitempty"` // seconds that a client has to log in; 0: no limit
}

// maxPorts is the maximum number of ports.
const maxPorts = 16

// Known reports whether sshd gave its limits.
func (s *Startups) Known() bool {
	return len(s.Ports) > 0 && len(s.Ports) <= maxPorts && s.Begin > 0 && s.Full >= s.Begin && s.Grace >= 0
}

// line reads a line of "sshd -T".
func (s *Startups) line(key, value string) {
	switch key {
	case "listenaddress":
		s.listen(value)
	case "maxstartups":
		rate := 0
		_, _ = fmt.Sscanf(value, "%d:%d:%d", &s.Begin, &rate, &s.Full) // the rest stays zero
	case "logingracetime":
		s.Grace, _ = strconv.Atoi(value)
	}
}

// listen reads "[::]:22" or "[::]:22 rdomain NAME".
func (s *Startups) listen(value string) {
	value, _, _ = strings.Cut(value, " ")
	at, err := netip.ParseAddrPort(value)
	if err != nil || len(s.Ports) == maxPorts {
		return
	}
	for _, port := range s.Ports {
		if port == at.Port() {
			return
		}
	}
	s.Ports = append(s.Ports, at.Port())
}
