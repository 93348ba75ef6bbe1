package actions

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"exile/internal/control"
)

// head begins each list, in all formats as a comment.
const head = "# Who is banned, written by exiled-actions: changes are lost.\n"

// EmptyLists empties the lists in dir of all other actions than these, and returns their paths: nobody would take a ban out of them any more.
// They are not removed: a server whose configuration includes one would not start.
func EmptyLists(dir string, names []string) (emptied []string, err error) {
	found, err := filepath.Glob(ListPath(dir, "*"))
	for _, path := range found {
		owned := func(name string) bool { return ListPath(dir, name) == path }
		if old, unread := os.ReadFile(path); slices.ContainsFunc(names, owned) || unread == nil && string(old) == head {
			continue
		}
		if err := WriteFile(path, []byte(head), 0o644); err != nil {
			return emptied, err
		}
		emptied = append(emptied, path)
	}
	return emptied, err
}

// Render writes a list of addresses and networks. They are sorted and each is there once.
func (f Format) Render(banned []netip.Prefix) []byte {
	var b bytes.Buffer
	if f == Caddy {
		return caddy(banned)
	}
	b.WriteString(head)
	for _, p := range banned {
		fmt.Fprintf(&b, f.line(), control.FormatPrefix(p))
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
	b := bytes.NewBufferString(head)
	if len(banned) == 0 {
		return b.Bytes()
	}
	b.WriteString("@exile client_ip")
	for _, p := range banned {
		b.WriteString(" " + control.FormatPrefix(p))
	}
	b.WriteString("\nabort @exile\n")
	return b.Bytes()
}
