package filter

import (
	"bytes"
	"net/netip"
	"unsafe"

	"exile/jail"
)

// after reports whether b begins with prefix, and returns the rest. It is bytes.CutPrefix with a string, without a copy.
func after(b []byte, prefix string) ([]byte, bool) {
	if len(b) < len(prefix) || string(b[:len(prefix)]) != prefix {
		return b, false
	}
	return b[len(prefix):], true
}

// before reports whether b ends with suffix, and returns the rest.
func before(b []byte, suffix string) ([]byte, bool) {
	n := len(b) - len(suffix)
	if n < 0 || string(b[n:]) != suffix {
		return b, false
	}
	return b[:n], true
}

// trimRight drops blanks and ends of lines.
func trimRight(b []byte) []byte {
	n := len(b)
	for n > 0 && (b[n-1] == ' ' || b[n-1] == '\n' || b[n-1] == '\r') {
		n--
	}
	return b[:n]
}

// word cuts b at its first blank.
func word(b []byte) (first, rest []byte) {
	first, rest, _ = bytes.Cut(b, []byte(" "))
	return first, rest
}

// lastWord cuts b at its last blank.
func lastWord(b []byte) (rest, last []byte, ok bool) {
	i := bytes.LastIndexByte(b, ' ')
	if i < 0 {
		return nil, b, false
	}
	return b[:i], b[i+1:], true
}

// number reads a decimal number of at most nine digits.
func number(b []byte) (n int, ok bool) {
	if len(b) == 0 || len(b) > 9 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// leadingNumber reads the digits that b begins with.
func leadingNumber(b []byte) (n int, rest []byte, ok bool) {
	i := 0
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	n, ok = number(b[:i])
	return n, b[i:], ok
}

func portNumber(b []byte) (uint16, bool) {
	n, ok := number(b)
	return uint16(n), ok && n <= 65535
}

// address reads an address. A mapped one becomes IPv4, and a zone is dropped. Anything but an address, say a host name, is
// refused.
func address(b []byte) (netip.Addr, bool) {
	if addr, ok := ipv4(b); ok {
		return addr, true
	}
	if i := bytes.IndexByte(b, '%'); i > 0 {
		b = b[:i]
	}
	if len(b) < 2 || len(b) > 45 || bytes.IndexByte(b, ':') < 0 {
		return netip.Addr{}, false
	}
	for _, c := range b {
		if !isHex(c) && c != ':' && c != '.' {
			return netip.Addr{}, false
		}
	}
	if _, ok := before(b, ":"); ok && !bytes.HasSuffix(b, []byte("::")) {
		return netip.Addr{}, false // punctuation: netip would allocate an error
	}
	// Nobody keeps this string: an address without a zone has none of its text. A copy would cost an allocation per line.
	addr, err := netip.ParseAddr(unsafe.String(unsafe.SliceData(b), len(b)))
	return addr.Unmap(), err == nil
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

// ipv4 reads what netip.ParseAddr reads as IPv4.
func ipv4(b []byte) (netip.Addr, bool) {
	var a [4]byte
	if len(b) < 7 || len(b) > 15 {
		return netip.Addr{}, false
	}
	part, n, digits := 0, 0, 0
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			if digits > 0 && n == 0 {
				return netip.Addr{}, false // a leading zero
			}
			n = n*10 + int(c-'0')
			digits++
			if n > 255 {
				return netip.Addr{}, false
			}
		case c == '.' && digits > 0 && part < 3:
			a[part] = byte(n)
			part, n, digits = part+1, 0, 0
		default:
			return netip.Addr{}, false
		}
	}
	a[3] = byte(n)
	return netip.AddrFrom4(a), part == 3 && digits > 0
}

// remote is the remote end of a connection.
type remote struct {
	addr netip.Addr
	port uint16
}

func (r remote) to(ev *jail.Event) { ev.Addr, ev.Port = r.addr, r.port }

// tailRemote reads "H port P" at the end of b and returns what precedes it, without the blank in between.
func tailRemote(b []byte) (head []byte, r remote, ok bool) {
	head, p, ok := lastWord(b)
	if !ok {
		return nil, r, false
	}
	if r.port, ok = portNumber(p); !ok {
		return nil, r, false
	}
	if head, ok = before(head, " port"); !ok {
		return nil, r, false
	}
	head, h, _ := lastWord(head)
	r.addr, ok = address(h)
	return head, r, ok
}

// headRemote reads "H port P" or "H" at the beginning of b and returns the rest.
func headRemote(b []byte) (r remote, rest []byte, ok bool) {
	h, rest := word(b)
	if p, is := after(rest, "port "); is {
		n, tail, is := leadingNumber(p)
		if is && n <= 65535 {
			r.port, rest = uint16(n), tail
		}
	}
	r.addr, ok = address(h)
	return r, rest, ok
}
