package firewalltest

import (
	"net"
	"testing"
)

// Lab is the lab of the conformance suite, for tests of what is no Backend.
type Lab struct {
	Attacker, Host NetNS
	lab            lab
}

// NewLab makes the namespaces. It skips the test where that is not allowed.
func NewLab(t testing.TB) *Lab {
	t.Helper()
	l := newLab(t)
	return &Lab{l.attacker, l.host, l}
}

// Open asserts that each source, of 10.9.0.0/16 or fd09::/32, can connect to the host.
func (l *Lab) Open(t *testing.T, sources ...string) {
	t.Helper()
	for _, src := range sources {
		l.lab.open(t, src, single)
	}
}

// Shut asserts that each source cannot connect to the host.
func (l *Lab) Shut(t *testing.T, sources ...string) {
	t.Helper()
	for _, src := range sources {
		l.lab.shut(t, src, single)
	}
}

// Passes reports whether the source can connect to the container behind the host.
func (l *Lab) Passes(t *testing.T, src string) bool {
	t.Helper()
	return l.lab.tcp(t, src, target(src, container4, container6), single, impatience)
}

// Connect opens a connection of the source to the host, and returns whether a line that is sent on it comes back.
func (l *Lab) Connect(t *testing.T, src string) (says func(line string) bool) {
	t.Helper()
	conn, err := l.lab.dial(t, src, target(src, host4, host6), single, patience)
	if err != nil {
		t.Fatal(err)
	}
	return func(line string) bool { return answers(conn, line) }
}

func answers(conn net.Conn, line string) bool { return says(conn, line, patience) }
