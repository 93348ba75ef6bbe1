package deliver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"exile/internal/actions"
)

// secrets of this host that no report may hold.
const private = "user \"alice\" from gate.example.net on 10.1.2.3"

// TestAbuseIPDB: what is reported, and that a limit of the server is passed on; a jail without categories is not reported.
func TestAbuseIPDB(t *testing.T) {
	t.Parallel()
	var form url.Values
	var key string
	code := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/api/v2/report" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		body, _ := io.ReadAll(r.Body)
		form, _ = url.ParseQuery(string(body))
		key = r.Header.Get("Key")
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, `{"errors":[{"detail":"Daily rate limit of 1000 requests exceeded"}]}`)
	}))
	defer server.Close()
	h := newHost(t, map[string]string{
		"all":  "abuseipdb: {key: k, url: " + server.URL + "/api/v2, categories: {default: [18], sshd: [18, 22]}}",
		"some": "abuseipdb: {key: k, url: " + server.URL + "/api/v2, categories: {web: 21}}",
	})
	h.write(t, "secrets/actions_k", "apikey\n", 0o600)
	helper := &Helper{Does: actions.ForNetwork, Client: server.Client()}
	e := event(private)
	ask := func(action string) actions.Reply {
		return h.ask(t, helper, actions.Request{Action: action, Events: []actions.Event{e}})
	}
	if reply := ask("all"); reply.Text != "" || key != "apikey" {
		t.Fatalf("%+v, key %q", reply, key)
	}
	want := url.Values{
		"ip": {"8.8.8.8"}, "categories": {"18,22"}, "timestamp": {"2026-01-02T03:04:05Z"},
		"comment": {"5 attempts to log in or to break in, seen by the jail sshd."},
	}
	if diff := cmp.Diff(want, form); diff != "" {
		t.Error(diff)
	}
	e.Event.Ban.Prefix = netip.MustParsePrefix("2600:1:2:3::/64")
	if reply := ask("all"); reply.Text != "" || form.Get("ip") != "2600:1:2:3::" || !strings.HasSuffix(form.Get("comment"), ", from addresses in 2600:1:2:3::/64.") {
		t.Errorf("%+v, %v", reply, form)
	}
	form = nil
	if reply := ask("some"); reply.Text != "" || form != nil {
		t.Errorf("%+v, reported %v", reply, form)
	}
	code = http.StatusTooManyRequests
	if reply := ask("all"); reply.RetryAfter != 3600 || reply.Permanent || !strings.Contains(reply.Text, "Daily rate limit") {
		t.Errorf("%+v", reply)
	}
	code = http.StatusUnprocessableEntity
	if reply := ask("all"); !reply.Permanent {
		t.Errorf("%+v", reply)
	}
}

// TestXARF: the report is a mail with parts for people and for programs, and says nothing about this host.
func TestXARF(t *testing.T) {
	t.Parallel()
	h := newHost(t, nil)
	sendmail := h.write(t, "sendmail", "#!/bin/sh\ncat >"+h.dir+"/mail\n", 0o755)
	h.write(t, "etc/exile/actions.d/abuse.yaml", "x-arf: {to: abuse@isp.example, from: soc@example.org, sendmail: "+sendmail+"}", 0o644)
	e := event(private)
	e.ID = "00112233445566778899aabbccddeeff"
	if reply := h.ask(t, &Helper{Does: actions.ForMail}, actions.Request{Action: "abuse", Events: []actions.Event{e}}); reply.Text != "" {
		t.Fatal(reply)
	}
	for _, word := range []string{"alice", "gate", "10.1.2.3", "host:"} {
		if bytes.Contains(h.read(t, "mail"), []byte(word)) {
			t.Errorf("the report holds %q:\n%s", word, h.read(t, "mail"))
		}
	}
	m := h.letter(t)
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "feedback-report" || m.Header.Get("X-XARF") != "PLAIN" || m.Header.Get("To") != "abuse@isp.example" {
		t.Errorf("%v, %v", err, m.Header)
	}
	var kinds []string
	var report map[string]any
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := r.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
		kinds = append(kinds, kind)
		if kind == "application/json" {
			if err := json.NewDecoder(part).Decode(&report); err != nil {
				t.Fatal(err)
			}
		}
	}
	if want := []string{"text/plain", "message/feedback-report", "application/json"}; !slices.Equal(kinds, want) {
		t.Errorf("parts %q", kinds)
	}
	us := map[string]any{"org": "example.org", "contact": "soc@example.org", "domain": "example.org"}
	want := map[string]any{
		"xarf_version": "4.0.0", "report_id": "00112233-4455-4677-8899-aabbccddeeff", "timestamp": "2026-01-02T03:04:05Z", "reporter": us, "sender": us,
		"source_identifier": "8.8.8.8", "category": "connection", "type": "login_attack", "evidence_source": "automated_filter", "attempt_count": 5.0,
		"description": "5 attempts to log in or to break in, seen by the jail sshd.", "first_seen": "2026-01-02T03:04:05Z", "protocol": "tcp",
	}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Error(diff)
	}
}

// flare is Cloudflare's list of rules.
type flare struct {
	rules []rule
	calls int
	made  int
	fail  string // the value of a rule at which it fails

	refuse string // the value of a rule that it does not accept
}

func (f *flare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.calls++
	id, one := strings.CutPrefix(r.URL.Path, "/zones/0123456789abcdef0123456789abcdef/firewall/access_rules/rules/")
	switch {
	case r.Header.Get("Authorization") != "Bearer token":
		w.WriteHeader(http.StatusForbidden)
	case r.Method == http.MethodGet:
		f.list(w, r)
	case r.Method == http.MethodPost:
		var made rule
		_ = json.NewDecoder(r.Body).Decode(&made)
		taken := func(r rule) bool { return shortValue(r.Configuration.Value) == made.Configuration.Value }
		switch {
		case made.Configuration.Value == f.fail:
			w.WriteHeader(http.StatusInternalServerError)
			return
		case made.Configuration.Value == f.refuse:
			w.WriteHeader(http.StatusBadRequest)
			return
		case slices.ContainsFunc(f.rules, taken):
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"success":false,"errors":[{"code":10009,"message":"firewallaccessrules.api.duplicate_of_existing"}]}`)
			return
		}
		f.made++
		made.ID = fmt.Sprint("new", f.made)
		f.rules = append(f.rules, made)
	case r.Method == http.MethodDelete && one:
		f.rules = slices.DeleteFunc(f.rules, func(r rule) bool { return r.ID == id })
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (f *flare) list(w http.ResponseWriter, r *http.Request) {
	var found []rule
	for _, rule := range f.rules {
		if strings.Contains(rule.Notes, r.URL.Query().Get("notes")) {
			found = append(found, rule)
		}
	}
	var page int
	_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
	pages := (len(found) + rulesPage - 1) / rulesPage
	from, to := min((page-1)*rulesPage, len(found)), min(page*rulesPage, len(found))
	_ = json.NewEncoder(w).Encode(map[string]any{"success": true, "result": found[from:to], "result_info": map[string]int{"page": page, "total_pages": pages}})
}

func (f *flare) values(note string) (all []string) {
	for _, r := range f.rules {
		if r.Notes == note {
			all = append(all, r.Configuration.Target+" "+r.Configuration.Value)
		}
	}
	slices.Sort(all)
	return all
}

// TestKeepRules: our rules become what is banned, those of others stay; one run changes so many and says whether there is more.
func TestKeepRules(t *testing.T) {
	t.Parallel()
	const ours = "exile action cf on web1"
	f := &flare{rules: []rule{
		{"other", "block", "by hand", configuration{"ip", "192.0.2.1"}},
		{"longer", "block", ours + "2", configuration{"ip", "192.0.2.2"}},
		{"stricter", "challenge", ours, configuration{"ip", "192.0.2.4"}},
		{"old", "block", ours, configuration{"ip", "192.0.2.3"}},
		{"kept", "block", ours, configuration{"ip_range", "2001:0db8:0000:0000:0000:0000:0000:0000/64"}},
	}}
	server := httptest.NewServer(f)
	defer server.Close()
	h := newHost(t, map[string]string{"cf": "cloudflare: {token: t, zone: 0123456789abcdef0123456789abcdef, url: " + server.URL + "}"})
	h.write(t, "secrets/t", "token", 0o600)
	ask := func(texts ...string) actions.Reply {
		var wanted []netip.Prefix
		for _, text := range texts {
			wanted = append(wanted, netip.MustParsePrefix(text))
		}
		return h.ask(t, &Helper{Does: actions.ForNetwork, Host: "web1", Client: server.Client()}, actions.Request{Action: "cf", Wanted: wanted})
	}
	wanted := []string{"192.0.2.4/32", "198.51.100.0/24", "198.51.0.0/20", "2001:db8::/64", "2001:db8:1::1/128"}
	if reply := ask(wanted...); reply.Text != "" || reply.More {
		t.Fatalf("%+v", reply)
	}
	if blocked := slices.ContainsFunc(f.rules, func(r rule) bool { return r.Configuration.Value == "192.0.2.4" && r.Mode == "block" }); !blocked {
		t.Errorf("a rule with another mode stays: %+v", f.rules)
	}
	if diff := cmp.Diff([]string{"ip 192.0.2.4", "ip6 2001:db8:1::1", "ip_range 198.51.100.0/24", "ip_range 2001:0db8:0000:0000:0000:0000:0000:0000/64"}, f.values(ours)); diff != "" {
		t.Error(diff)
	}
	if len(f.values("by hand")) != 1 || len(f.values(ours+"2")) != 1 {
		t.Errorf("rules of others: %+v", f.rules)
	}
	if f.calls = 0; ask(wanted...).Text != "" || f.calls != 1 {
		t.Errorf("%d calls although nothing has changed", f.calls)
	}
	f.fail = "198.51.100.9"
	if reply := ask("198.51.100.9/32"); !strings.Contains(reply.Text, "500") || reply.Permanent {
		t.Errorf("%+v", reply)
	}
	f.fail = ""
	f.refuse = "198.51.100.9"
	if reply := ask("198.51.100.9/32", "203.0.113.1/32"); !strings.Contains(reply.Text, "400") || !slices.Contains(f.values(ours), "ip 203.0.113.1") {
		t.Errorf("%+v, rules %q", reply, f.values(ours))
	}
	f.refuse = ""
	wanted = nil
	for i := range 250 {
		wanted = append(wanted, fmt.Sprintf("192.0.2.%d/32", i))
	}
	runs := 0
	for more := true; more && runs < 10; runs++ {
		reply := ask(wanted...)
		if more = reply.More; reply.Text != "" {
			t.Fatal(reply)
		}
	}
	if got := f.values(ours); len(got) != 248 || runs < 3 || runs > 4 { // those of others are no mistake
		t.Errorf("%d rules after %d runs", len(got), runs)
	}
	for runs := range 10 {
		if reply := ask(); !reply.More {
			if got := f.values(ours); reply.Text != "" || len(got) != 0 || runs != 2 {
				t.Errorf("%d rules after %d more runs: %+v", len(got), runs, reply)
			}
			break
		}
	}
}
