package jail

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
)

// Ignore is one entry of an ignoreip list. Exactly one of its fields is set.
type Ignore struct {
	Prefix netip.Prefix // masked; IPv4 never in its IPv6-mapped form
	File   string       // absolute path of a file with more entries, but no further files
	Host   string       // DNS name, which somebody else resolves
}

// String is the form that ParseIgnore reads.
func (g Ignore) String() string {
	switch {
	case g.File != "":
		return "file:" + g.File
	case g.Host != "":
		return g.Host
	default:
		return g.Prefix.String()
	}
}

// ErrIgnore is the error for text that is not an entry of an ignoreip list.
var ErrIgnore = errors.New("not an address, prefix, host name or file:/PATH")

// ParseIgnore reads an address, a prefix ("192.0.2.0/24", "192.0.2.0/255.255.255.0", "2001:db8::/32"; it drops the bits after
// the prefix), "file:/PATH" or a host name.
func ParseIgnore(s string) (Ignore, error) {
	if path, ok := strings.CutPrefix(s, "file:"); ok {
		if !filepath.IsAbs(path) {
			return Ignore{}, fmt.Errorf("%w: %q: the path must begin with /", ErrIgnore, s)
		}
		return Ignore{File: filepath.Clean(path)}, nil
	}
	if p, err := parsePrefix(s); err == nil {
		return Ignore{Prefix: p}, nil
	}
	if host := strings.ToLower(strings.TrimSuffix(s, ".")); isHost(host) {
		return Ignore{Host: host}, nil
	}
	return Ignore{}, fmt.Errorf("%w: %q", ErrIgnore, s)
}

func parsePrefix(s string) (netip.Prefix, error) {
	text, mask, masked := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	if addr.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%w: %q: without the zone", ErrIgnore, s)
	}
	if !masked {
		addr = addr.Unmap()
		return addr.Prefix(addr.BitLen())
	}
	if netmask, err := netip.ParseAddr(mask); err == nil && addr.Is4() && netmask.Is4() {
		return prefixOf(addr, netmask)
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return unmap(p)
}

// unmap turns ::ffff:192.0.2.0/120 into 192.0.2.0/24.
func unmap(p netip.Prefix) (netip.Prefix, error) {
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return p, fmt.Errorf("%w: %q: a prefix of mapped addresses has at least 96 bits", ErrIgnore, p)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// prefixOf reads an IPv4 netmask. All its ones must come before its zeros.
func prefixOf(addr, netmask netip.Addr) (netip.Prefix, error) {
	m := netmask.As4()
	bits := 0
	for bits < 32 && m[bits/8]&(0x80>>(bits%8)) != 0 {
		bits++
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return p, err
	}
	if want, _ := netip.AddrFrom4([4]byte{255, 255, 255, 255}).Prefix(bits); want.Addr() != netmask {
		return netip.Prefix{}, fmt.Errorf("%w: netmask %q has a gap", ErrIgnore, netmask)
	}
	return p, nil
}

// isHost reports whether s looks like a host name and not like a mistyped address.
func isHost(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" ||
			strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}
