package firewall

import "net/netip"

// Range is the addresses from one to another, both included, of one family.
type Range struct{ From, To netip.Addr }

// Blocklist is a list of addresses to keep away: ranges in ascending order that neither overlap nor touch, IPv4 never in its IPv6-mapped form.
type Blocklist struct {
	Name   string // see ValidBlocklistName
	Ranges []Range
}

// MaxBlocklistName is how long the name of a list may be, in bytes.
const MaxBlocklistName = 32

// ValidBlocklistName reports whether a list may have the name: small letters, digits, and .-_ after the first.
func ValidBlocklistName(name string) bool {
	if name == "" || len(name) > MaxBlocklistName {
		return false
	}
	for i, c := range []byte(name) {
		inside := i > 0 && (c == '-' || c == '_' || c == '.')
		if !inside && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
