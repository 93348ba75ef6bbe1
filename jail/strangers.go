package jail

import "net/netip"

// Strangers knows the networks in which even the nearest neighbours are strangers to each other: there, each address counts
// alone. A nil *Strangers knows those that standards set aside. It has no lock: one goroutine owns it, together with the
// jails and rules that share it.
type Strangers struct {
	nat64 []netip.Prefix
}

// setAside are the networks of strangers that standards name. Elsewhere the first 64 bits of an IPv6 address belong to one
// customer.
var setAside = [...]struct {
	prefix netip.Prefix
	who    string
}{
	{netip.MustParsePrefix("64:ff9b::/96"), viaNAT64},        // RFC 6052, 2.1
	{netip.MustParsePrefix("64:ff9b:1::/48"), viaNAT64},      // RFC 8215; its translators divide it as they like
	{netip.MustParsePrefix("::ffff:0:0:0/96"), viaNAT64},     // RFC 2765, 2.1: the translators before
	{netip.MustParsePrefix("2001::/32"), "all of Teredo"},    // RFC 4380, 4: the server comes first, the client last
	{netip.MustParsePrefix("2001:20::/28"), "all of ORCHID"}, // RFC 7343, 2: a hash, of which no part is a network
	{netip.MustParsePrefix("fe80::/10"), onTheLink},          // RFC 4291, 2.5.6: the router is among them
	{netip.MustParsePrefix("169.254.0.0/16"), onTheLink},     // RFC 3927, 2.1: chosen at random
}

const (
	viaNAT64  = "all of IPv4, by NAT64"
	onTheLink = "the link's neighbours"
)

// TranslatorBits are the possible lengths of a translator's prefix, RFC 6052, 2.2.
func TranslatorBits() [6]int { return [...]int{32, 40, 48, 56, 64, 96} }

// SetNAT64 replaces the prefixes under which translators of this host's network put IPv4, besides the standard ones. It
// skips IPv4 prefixes.
func (s *Strangers) SetNAT64(prefixes []netip.Prefix) {
	s.nat64 = nil
	for _, p := range prefixes {
		if p.IsValid() && p.Addr().Is6() {
			s.nat64 = append(s.nat64, p.Masked())
		}
	}
}

// own are the prefixes of SetNAT64.
func (s *Strangers) own() []netip.Prefix {
	if s == nil {
		return nil
	}
	return s.nat64
}

// Hold reports whether the neighbours of a are strangers. a is unmapped and has no zone.
func (s *Strangers) Hold(a netip.Addr) bool {
	if a.Is4() {
		return a.IsLinkLocalUnicast()
	}
	for i := range setAside {
		if setAside[i].prefix.Contains(a) {
			return true
		}
	}
	for _, p := range s.own() {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Unit is what counts as one with a: so many bits of it by its family or, among strangers, a alone. Counting, names, logins,
// offences and bans all ask here. An invalid address has an invalid unit.
func (s *Strangers) Unit(a netip.Addr, bits4, bits6 int) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := bits6
	if a.Is4() {
		bits = bits4
	}
	if s.Hold(a) {
		bits = a.BitLen()
	}
	p, _ := a.Prefix(bits)
	return p
}

// Touches reports whether a ban of p would also hit strangers, and which.
func (s *Strangers) Touches(p netip.Prefix) (who string, ok bool) {
	if p.IsSingleIP() {
		return "", false
	}
	for i := range setAside {
		if setAside[i].prefix.Overlaps(p) {
			return setAside[i].who, true
		}
	}
	for _, own := range s.own() {
		if own.Overlaps(p) {
			return viaNAT64, true
		}
	}
	return "", false
}
