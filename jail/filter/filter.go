// Package filter reads the lines of services: what a line says about a login, and which address it names. Text that the
// remote end chose (a user name, a banner, a reason to disconnect) never names the address.
package filter

import (
	"fmt"
	"slices"
	"strings"

	"exile/jail"
)

// Options say which lines count.
type Options struct {
	// Mode is normal (failed logins), ddos (also probes), extra (also failed negotiations) or aggressive (all); empty stands
	// for normal.
	Mode string
	// Publickey says whether refused keys count: invalid (only for users that do not exist), any or ignore. Empty stands for
	// invalid: in a login that succeeds a client may try several keys.
	Publickey string
}

// Modes and Publickeys are the values of Options.
var (
	modes      = []string{"normal", "ddos", "extra", "aggressive"}
	publickeys = []string{"invalid", "any", "ignore"}
)

// New returns the filter of that name.
func New(name string, o Options) (jail.Filter, error) {
	if o.Mode == "" {
		o.Mode = modes[0]
	}
	if o.Publickey == "" {
		o.Publickey = publickeys[0]
	}
	if !slices.Contains(modes, o.Mode) {
		return nil, fmt.Errorf("mode %q: must be one of %s", o.Mode, strings.Join(modes, ", "))
	}
	if !slices.Contains(publickeys, o.Publickey) {
		return nil, fmt.Errorf("publickey %q: must be one of %s", o.Publickey, strings.Join(publickeys, ", "))
	}
	if name != "sshd" {
		return nil, fmt.Errorf("filter %q: there is no such filter; \"exilectl list-filters\" shows those there are; is it misspelt, or filter: missing?", name)
	}
	return newSSHD(o), nil
}

// Identifiers are the syslog identifiers of the service of a filter; none for a filter that is not built in.
func Identifiers(name string) []string {
	if name == "sshd" {
		return []string{"sshd", "sshd-session", "sshd-auth"}
	}
	return nil
}
