package accounts

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Startups is what sshd says of connections that have not logged in. The zero value: it was not asked.
type Startups struct {
	Ports []uint16 `json:"ports,omitempty"` // that it listens at
	Begin int      `json:"begin,omitempty"` // connections without a login from which on sshd refuses some
	Full  int      `json:"full,omitempty"`  // and from which on it refuses all
	Grace int      `json:"grace,omitempty"` // seconds that a connection has for its login; 0: no limit
}

// maxPorts bounds the ports.
const maxPorts = 16

// Known reports whether sshd said it.
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
		_, _ = fmt.Sscanf(value, "%d:%d:%d", &s.Begin, &rate, &s.Full) // what is not understood is not Known
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
