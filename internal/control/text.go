package control

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// This file has the texts that callers send and read: addresses, networks, names, and the errors about them.

// MaxText limits every string from a caller, in bytes.
const MaxText = 256

// invalid is an ErrInvalid whose text says what is wrong.
type invalid string

// Error implements error.
func (e invalid) Error() string { return string(e) }

// Is implements errors.Is.
func (e invalid) Is(target error) bool { return target == ErrInvalid }

// NoSuchJail is ErrNoSuchJail for a name; it lists the existing names.
func NoSuchJail(name string, jails []string) error {
	return fmt.Errorf("%w %q: the jails are %s", ErrNoSuchJail, name, strings.Join(jails, ", "))
}

// FindJail returns the jail of a name, or NoSuchJail.
func FindJail(jails []JailStatus, name string) (JailStatus, error) {
	names := make([]string, len(jails))
	for i, j := range jails {
		if names[i] = j.Name; j.Name == name {
			return j, nil
		}
	}
	return JailStatus{}, NoSuchJail(name, names)
}

// FormatPrefix writes a prefix for callers: a single address without its length.
func FormatPrefix(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// ParsePrefix reads an address or a network. IPv4 in IPv6 becomes IPv4, host bits are cleared, zones are refused. Its
// errors are ErrInvalid.
func ParsePrefix(s string) (netip.Prefix, error) {
	if len(s) > MaxText {
		return netip.Prefix{}, invalid(fmt.Sprintf("an address of %d bytes is too long", len(s)))
	}
	p, err := parsePrefix(s)
	if err != nil {
		return netip.Prefix{}, invalid(fmt.Sprintf("%q is neither an address nor a network", s))
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, invalid(fmt.Sprintf("%q is larger than IPv4", s))
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// ParseAddr reads one address, as ParsePrefix does. Its errors are ErrInvalid.
func ParseAddr(s string) (netip.Addr, error) {
	p, err := ParsePrefix(s)
	if err == nil && !p.IsSingleIP() {
		err = invalid(fmt.Sprintf("%q is a network, not one address", s))
	}
	return p.Addr(), err
}

// Widest is how few bits a ban may have: nobody should exile a /7 by a slip of the finger.
func Widest(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 8
	}
	return 16
}

func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		return netip.ParsePrefix(s)
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	if a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("zone %q", a.Zone())
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// CheckText refuses text that is too long or could move a cursor; what is its name in the error. Its errors are ErrInvalid.
func CheckText(what, s string) error {
	if len(s) > MaxText {
		return invalid(fmt.Sprintf("%s of %d bytes: at most %d", what, len(s), MaxText))
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return invalid(fmt.Sprintf("%s %q has unprintable characters", what, s))
	}
	return nil
}

// QuoteName writes a user name, which may hold any bytes, as printable text that ParseName reads: unchanged if it is
// harmless, otherwise quoted as in Go.
func QuoteName(name string) string {
	if !strings.HasPrefix(name, `"`) && name != "" && CheckText("name", name) == nil {
		return name
	}
	return strconv.QuoteToASCII(name)
}

// AnyText is text of any bytes, as it was sent. In JSON it is written by QuoteName.
type AnyText string

// MarshalText implements encoding.TextMarshaler.
func (t AnyText) MarshalText() ([]byte, error) { return []byte(QuoteName(string(t))), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *AnyText) UnmarshalText(text []byte) error {
	name, err := ParseName(string(text))
	*t = AnyText(name)
	return err
}

// ParseName reads what QuoteName wrote. Its errors are ErrInvalid.
func ParseName(text string) (string, error) {
	if !strings.HasPrefix(text, `"`) {
		return text, CheckText("name", text)
	}
	if len(text) > 4*MaxText {
		return "", invalid(fmt.Sprintf("name of %d bytes: at most %d", len(text), 4*MaxText))
	}
	name, err := strconv.Unquote(text)
	if err != nil {
		return "", invalid(fmt.Sprintf("name %q: a quoted name ends with a quote", text))
	}
	return name, nil
}
