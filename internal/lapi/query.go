package lapi

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"exile/internal/control"
)

// origin is who decided, and kind what: exile bans.
const (
	origin = "exile"
	kind   = "ban"
)

// query is what a bouncer asks for; its zero value is all.
type query struct {
	startup  bool
	scopes   []string // "ip", "range"; none: both
	about    netip.Prefix
	contains bool // about is in what is asked for, not around it
	none     bool // another type or origin than exile has
	with     []string
	without  []string
}

// parseQuery reads the parameters of CrowdSec's API that mean something here; others are ignored, as there.
func parseQuery(v url.Values) (q query, err error) {
	q.with, q.without = list(v, "scenarios_containing"), list(v, "scenarios_not_containing")
	q.scopes = append(list(v, "scopes"), list(v, "scope")...)
	q.none = v.Get("type") != "" && !strings.EqualFold(v.Get("type"), kind)
	if origins := list(v, "origins"); len(origins) > 0 {
		q.none = q.none || !slices.Contains(origins, origin)
	}
	if q.startup, err = flag(v, "startup", false); err != nil {
		return q, err
	}
	if q.contains, err = flag(v, "contains", true); err != nil {
		return q, err
	}
	for _, name := range []string{"value", "range", "ip"} {
		if text := v.Get(name); text != "" {
			if q.about, err = control.ParsePrefix(text); err != nil {
				return q, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return q, nil
}

func flag(v url.Values, name string, otherwise bool) (bool, error) {
	text := v.Get(name)
	if text == "" {
		return otherwise, nil
	}
	is, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("%s: %q is neither true nor false", name, text)
	}
	return is, nil
}

// list reads words with commas between them.
func list(v url.Values, name string) (words []string) {
	for w := range strings.SplitSeq(v.Get(name), ",") {
		if w = strings.TrimSpace(w); w != "" {
			words = append(words, strings.ToLower(w))
		}
	}
	return words
}

// scope is what CrowdSec calls the size of a prefix.
func scope(p netip.Prefix) string {
	if p.IsSingleIP() {
		return "Ip"
	}
	return "Range"
}

// wants reports whether a decision is asked for.
func (q query) wants(d Decision) bool {
	if q.none || len(q.scopes) > 0 && !slices.Contains(q.scopes, strings.ToLower(scope(d.Prefix))) {
		return false
	}
	if q.about.IsValid() && !q.contains && (!q.about.Contains(d.Prefix.Addr()) || d.Prefix.Bits() < q.about.Bits()) {
		return false
	}
	name := strings.ToLower(scenario(d.Jail))
	in := func(words []string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(name, w) })
	}
	return (len(q.with) == 0 || in(q.with)) && !in(q.without)
}

// scenario is what a jail is for bouncers.
func scenario(jail string) string { return origin + "/" + jail }
