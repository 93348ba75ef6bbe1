package actions

import (
	"bytes"
	"fmt"
	"net/netip"
)

// Render writes a list of addresses and networks. They are sorted and each is there once.
func (f Format) Render(banned []netip.Prefix) []byte {
	var b bytes.Buffer
	if f == Caddy {
		return caddy(banned)
	}
	b.WriteString("# Who is banned, written by exiled-actions: changes are lost.\n")
	for _, p := range banned {
		fmt.Fprintf(&b, f.line(), shown(p))
	}
	return b.Bytes()
}

func (f Format) line() string {
	switch f {
	case Nginx:
		return "deny %s;\n"
	case NginxGeo:
		return "%s 1;\n"
	case HAProxyMap:
		return "%s 1\n"
	case Apache:
		return "Require not ip %s\n"
	}
	return "%s\n"
}

// caddy is a matcher of all; without addresses it would be one of nobody, which Caddy does not accept.
func caddy(banned []netip.Prefix) []byte {
	b := bytes.NewBufferString("# Who is banned, written by exiled-actions: changes are lost.\n")
	if len(banned) == 0 {
		return b.Bytes()
	}
	b.WriteString("@exile client_ip")
	for _, p := range banned {
		b.WriteString(" " + shown(p))
	}
	b.WriteString("\nabort @exile\n")
	return b.Bytes()
}

func shown(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
