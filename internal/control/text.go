package control

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxText bounds every string that a caller hands in, in bytes.
const MaxText = 256

// FormatPrefix writes a prefix as callers see it: an address alone without its length.
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
		return netip.Prefix{}, fmt.Errorf("parse address: %d bytes are too many: %w", len(s), ErrInvalid)
	}
	p, err := parsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("parse address %q: neither an address nor a network: %w", s, ErrInvalid)
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("parse address %q: larger than IPv4: %w", s, ErrInvalid)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// Widest is how few bits a ban may have: nobody exiles a /7 by a slip of the finger.
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

// CheckText refuses text that is too long or that could move a cursor; what names it. Its errors are ErrInvalid.
func CheckText(what, s string) error {
	if len(s) > MaxText {
		return fmt.Errorf("%s of %d bytes: at most %d: %w", what, len(s), MaxText, ErrInvalid)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%s %q: has unprintable characters: %w", what, s, ErrInvalid)
	}
	return nil
}

// QuoteName writes a user name, which may be of any bytes, as printable text that ParseName reads: as it is where that is
// harmless, else quoted as Go does.
func QuoteName(name string) string {
	if !strings.HasPrefix(name, `"`) && name != "" && CheckText("name", name) == nil {
		return name
	}
	return strconv.QuoteToASCII(name)
}

// ParseName reads what QuoteName wrote. Its errors are ErrInvalid.
func ParseName(text string) (string, error) {
	if !strings.HasPrefix(text, `"`) {
		return text, CheckText("name", text)
	}
	if len(text) > 4*MaxText {
		return "", fmt.Errorf("name of %d bytes: %w", len(text), ErrInvalid)
	}
	name, err := strconv.Unquote(text)
	if err != nil {
		return "", fmt.Errorf("name %q: a quoted name ends with a quote: %w", text, ErrInvalid)
	}
	return name, nil
}
