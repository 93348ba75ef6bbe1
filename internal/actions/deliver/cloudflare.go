package deliver

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"exile/internal/actions"
	"exile/internal/control"
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
	*Helper
	client *http.Client
	action *actions.Action
	token  string
	note   string // of our rules: those of others are never touched
}

// keepRules makes Cloudflare's rules like the bans, and reports whether there is more to do. They are compared and not remembered, so that
// rules that somebody else removed, or that we made and did not hear of, are right in the end.
func (h *Helper) keepRules(ctx context.Context, a *actions.Action, wanted []netip.Prefix) (more bool, err error) {
	token, err := h.secret(a.Cloudflare.Token)
	if err != nil {
		return false, err
	}
	client, err := h.client("")
	if err != nil {
		return false, err
	}
	c := cloud{h, client, a, token, "exile action " + a.Name + " on " + h.Host}
	have, err := c.list(ctx)
	if err != nil {
		return false, err
	}
	return c.change(ctx, have, a.Cloudflare.Fitting(wanted))
}

// change removes the rules that nobody wants, which makes room, and makes those that are missing, at most maxChanges. A rule that Cloudflare
// does not accept does not keep it from the others.
func (c *cloud) change(ctx context.Context, have map[string]rule, wanted []netip.Prefix) (more bool, err error) {
	var missing []string
	for _, p := range wanted {
		value := control.FormatPrefix(p)
		if r, has := have[value]; has && r.Mode == c.action.Cloudflare.Mode {
			delete(have, value)
		} else {
			missing = append(missing, value)
		}
	}
	changes := 0
	for _, r := range have {
		if changes++; changes > maxChanges {
			return true, nil
		}
		if _, err := c.call(ctx, http.MethodDelete, "/"+url.PathEscape(r.ID), nil); err != nil {
			return false, err
		}
	}
	var refused error
	for _, value := range missing {
		if changes++; changes > maxChanges {
			return true, refused
		}
		err := c.add(ctx, value)
		if reply, is := errors.AsType[*actions.Reply](err); err != nil && (!is || !reply.Permanent) {
			return false, err
		}
		refused = cmp.Or(refused, err)
	}
	return false, refused
}

// list returns our rules, by address or network.
func (c *cloud) list(ctx context.Context) (map[string]rule, error) {
	have := map[string]rule{}
	for page := 1; page <= maxRulePage; page++ {
		q := url.Values{"notes": {c.note}, "page": {strconv.Itoa(page)}, "per_page": {strconv.Itoa(rulesPage)}}
		body, err := c.call(ctx, http.MethodGet, "?"+q.Encode(), nil)
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
			have[shortValue(r.Configuration.Value)] = r
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

// duplicate is how Cloudflare refuses a rule because there is one for that address already, be it by hand or by another host.
const duplicate = "duplicate_of_existing"

// add makes a rule, unless there is one of somebody else. The rule of another host may go before the ban here ends; then the next comparison
// makes ours.
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
	_, err = c.call(ctx, http.MethodPost, "", body)
	if reply, is := errors.AsType[*actions.Reply](err); is && strings.Contains(reply.Text, duplicate) {
		return nil
	}
	return err
}

// call calls the API.
func (c *cloud) call(ctx context.Context, method, rest string, body []byte) ([]byte, error) {
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
	return c.ask(c.client, req)
}
