package deliver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"

	"exile/internal/actions"
)

// Limits on what is asked of Cloudflare, which allows 1200 requests in five minutes.
const (
	rulesPage   = 100 // rules of an answer; Cloudflare gives no more
	maxRulePage = 500
	maxChanges  = 100 // rules that one run makes or removes
)

// rule is an IP access rule, see https://developers.cloudflare.com/api/resources/firewall/subresources/access_rules/.
type rule struct {
	ID            string        `json:"id,omitempty"`
	Mode          string        `json:"mode"`
	Notes         string        `json:"notes"`
	Configuration configuration `json:"configuration"`
}

type configuration struct {
	Target string `json:"target"` // ip, ip_range
	Value  string `json:"value"`
}

// cloud is the access rules of one zone or account.
type cloud struct {
	*http.Client
	action *actions.Action
	token  string
	note   string // of our rules: those of others are never touched
}

// keepRules makes Cloudflare's rules like the bans, and reports whether there is more to do. They are compared and not remembered, so that
// rules that somebody else removed, or that we made and did not hear of, are right in the end.
func (h *Helper) keepRules(ctx context.Context, a *actions.Action, wanted []string) (more bool, err error) {
	token, err := h.secret(a.Cloudflare.Token)
	if err != nil {
		return false, err
	}
	client, err := h.client("")
	if err != nil {
		return false, err
	}
	c := cloud{client, a, token, "exile action " + a.Name}
	have, err := c.list(ctx)
	if err != nil {
		return false, err
	}
	return c.change(ctx, have, rulesFor(wanted, a.Cloudflare.Max))
}

// rulesFor returns what rules block: single addresses, and networks of the sizes that Cloudflare has rules for. Of too many the first are
// taken.
func rulesFor(wanted []string, most int) (values []string) {
	for _, text := range wanted {
		p, err := netip.ParsePrefix(text)
		bits := []int{16, 24, 32}
		if p.Addr().Is6() {
			bits = []int{32, 48, 64, 128}
		}
		switch {
		case err != nil || !slices.Contains(bits, p.Bits()) || len(values) == most:
		case p.IsSingleIP():
			values = append(values, p.Addr().String())
		default:
			values = append(values, p.Masked().String())
		}
	}
	return values
}

// change makes the rules that are missing and removes those that nobody wants, at most maxChanges.
func (c *cloud) change(ctx context.Context, have map[string]string, wanted []string) (more bool, err error) {
	changes := 0
	for _, value := range wanted {
		if _, has := have[value]; has {
			delete(have, value)
			continue
		}
		if changes++; changes > maxChanges {
			more = true
			continue
		}
		if err := c.add(ctx, value); err != nil {
			return false, err
		}
	}
	for _, id := range have {
		if changes++; changes > maxChanges {
			return true, nil
		}
		if _, err := c.ask(ctx, http.MethodDelete, "/"+url.PathEscape(id), nil); err != nil {
			return false, err
		}
	}
	return more, nil
}

// list returns our rules: their IDs by address or network.
func (c *cloud) list(ctx context.Context) (map[string]string, error) {
	have := map[string]string{}
	for page := 1; page <= maxRulePage; page++ {
		q := url.Values{"notes": {c.note}, "page": {strconv.Itoa(page)}, "per_page": {strconv.Itoa(rulesPage)}}
		body, err := c.ask(ctx, http.MethodGet, "?"+q.Encode(), nil)
		if err != nil {
			return nil, err
		}
		var answer struct {
			Result []rule `json:"result"`
			Info   struct {
				Pages int `json:"total_pages"`
			} `json:"result_info"`
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			return nil, fmt.Errorf("read the rules: %w", err)
		}
		for _, r := range answer.Result {
			if r.Notes != c.note { // Cloudflare finds parts of notes, too
				continue
			}
			have[shortValue(r.Configuration.Value)] = r.ID
		}
		if page >= answer.Info.Pages {
			return have, nil
		}
	}
	return nil, fmt.Errorf("there are more than %d rules", maxRulePage*rulesPage)
}

// shortValue writes an address or network as we do: Cloudflare writes IPv6 in full.
func shortValue(s string) string {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked().String()
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.String()
	}
	return s
}

// add makes a rule.
func (c *cloud) add(ctx context.Context, value string) error {
	target := "ip"
	if _, err := netip.ParsePrefix(value); err == nil {
		target = "ip_range"
	} else if addr, err := netip.ParseAddr(value); err == nil && addr.Is6() {
		target = "ip6"
	}
	body, err := json.Marshal(rule{Mode: c.action.Cloudflare.Mode, Notes: c.note, Configuration: configuration{target, value}})
	if err != nil {
		return err
	}
	_, err = c.ask(ctx, http.MethodPost, "", body)
	return err
}

// ask calls the API.
func (c *cloud) ask(ctx context.Context, method, rest string, body []byte) ([]byte, error) {
	r := &c.action.Cloudflare
	base := r.URL + "/zones/" + r.Zone
	if r.Account != "" {
		base = r.URL + "/accounts/" + r.Account
	}
	req, err := http.NewRequestWithContext(ctx, method, base+"/firewall/access_rules/rules"+rest, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	return ask(c.Client, req)
}
