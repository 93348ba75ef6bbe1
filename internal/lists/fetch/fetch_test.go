package fetch

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// site is a server, and what it is asked.
type site struct {
	*httptest.Server
	t     *testing.T
	dir   string
	serve http.HandlerFunc
	asked []*http.Request
}

func newSite(t *testing.T) *site {
	s := &site{t: t, dir: t.TempDir()}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked = append(s.asked, r)
		s.serve(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *site) config() Config {
	return Config{Name: "bad", Dir: s.dir, URL: s.URL + "/list", Agent: "exile/test", Client: NewClient(false)}
}

func (s *site) file() string {
	data, err := os.ReadFile(filepath.Join(s.dir, "bad"))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// says has the server answer all requests alike.
func (s *site) says(status int, text string) {
	s.serve = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, "192.0.2.1\n198.51.100.0/24 ; x\n")
		_ = z.Close()
	}
	r, err := Get(t.Context(), s.config())
	if err != nil || r.Entries != 2 || s.file() != "192.0.2.1\n198.51.100.0/24 ; x\n" {
		t.Fatalf("%+v, %v: %q", r, err, s.file())
	}
	if info, err := os.Stat(filepath.Join(s.dir, "bad")); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the file has mode %v (%v)", info.Mode(), err)
	}
	if r, err := Get(t.Context(), s.config()); err != nil || !r.Unchanged {
		t.Errorf("%+v, %v for a list that has not changed", r, err)
	}
	c := s.config()
	c.URL += "?other" // another list, whose tag means something else
	if r, err := Get(t.Context(), c); err != nil || r.Unchanged {
		t.Errorf("%+v, %v for another list", r, err)
	}
	if err := os.Remove(filepath.Join(s.dir, "bad")); err != nil {
		t.Fatal(err)
	}
	if r, err := Get(t.Context(), c); err != nil || r.Unchanged {
		t.Errorf("%+v, %v after the file was removed", r, err)
	}
}

// TestBad has the server answer badly: the file stays as it was.
func TestBad(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.says(200, "192.0.2.1\n")
	if _, err := Get(t.Context(), s.config()); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct {
		status int
		text   string
		want   string
	}{
		{404, "192.0.2.9", "404"},
		{200, "<html>192.example</html>", "no address"},
		{200, "", "no address"},
		{200, strings.Repeat("x", 1<<20), "longer than"},
		{200, strings.Repeat("1.2.3.4\n", 1_000_001), "more than 1000000 entries"},
	} {
		s.says(bad.status, bad.text)
		if _, err := Get(t.Context(), s.config()); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%d %.20q: %v, want %q", bad.status, bad.text, err, bad.want)
		}
	}
	s.serve = func(w http.ResponseWriter, _ *http.Request) { // ends early
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "192.0.2.9\n")
	}
	if _, err := Get(t.Context(), s.config()); err == nil {
		t.Error("a list that is cut short is taken")
	}
	if got := s.file(); got != "192.0.2.1\n" {
		t.Errorf("the file is now %q", got)
	}
	if left, _ := filepath.Glob(filepath.Join(s.dir, ".*.new")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.URL = "http://lists.example/bad" }, "PLAIN=yes"},
		{func(c *Config) { c.URL = "file:///etc/shadow" }, "https://"},
		{func(c *Config) { c.URL = "https://" }, "https://"},
		{func(c *Config) { c.Name = "../bad" }, "no name"},
		{func(c *Config) { c.Format = "xml" }, "FORMAT"},
		{func(c *Config) { c.Format = CrowdSec }, "key"},
	} {
		cfg := Config{Name: "bad", Dir: t.TempDir(), URL: "https://lists.example/bad"}
		c.change(&cfg)
		if _, err := Get(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", cfg, err, c.want)
		}
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	s, other := newSite(t), newSite(t)
	other.says(200, "192.0.2.1\n")
	s.serve = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) }
	if _, err := Get(t.Context(), s.config()); err != nil {
		t.Errorf("a redirect of a list without a key: %v", err)
	}
	c := s.config()
	c.Key, c.Client = "secret", NewClient(true)
	if _, err := Get(t.Context(), c); err == nil || !strings.Contains(err.Error(), "must not get the key") {
		t.Errorf("a redirect of a list with a key: %v", err)
	}
	s.serve = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, s.URL, http.StatusFound) }
	if _, err := Get(t.Context(), s.config()); err == nil || !strings.Contains(err.Error(), "five redirects") {
		t.Errorf("redirects without end: %v", err)
	}
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) }))
	defer secure.Close()
	c = s.config()
	c.URL = secure.URL
	check := c.Client.CheckRedirect
	c.Client = secure.Client()
	c.Client.CheckRedirect = check
	if _, err := Get(t.Context(), c); err == nil || !strings.Contains(err.Error(), "not encrypted") {
		t.Errorf("a redirect from HTTPS to HTTP: %v", err)
	}
}

// lapi is CrowdSec's local API with decisions of the test.
type lapi struct {
	*site
	fresh, gone []decision
	began       []string // startup of each request
}

func newLAPI(t *testing.T) *lapi {
	l := &lapi{site: newSite(t)}
	l.serve = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/decisions/stream" || r.Header.Get("X-Api-Key") != "secret" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		l.began = append(l.began, r.URL.Query().Get("startup"))
		_ = json.NewEncoder(w).Encode(map[string]any{"deleted": l.gone, "new": l.fresh, "links": map[string]any{"x": []int{1}}})
	}
	return l
}

func (l *lapi) get(now time.Time, fresh, gone []decision) error {
	l.fresh, l.gone = fresh, gone
	c := l.config()
	c.URL, c.Format, c.Key, c.Client = l.URL, CrowdSec, "secret", NewClient(true)
	_, err := c.decisions(context.Background(), now)
	return err
}

func ban(value string) decision { return decision{"4h", "Ip", "ban", value} }

// has compares the addresses in the file.
func (l *lapi) has(want ...string) {
	l.t.Helper()
	var got []string
	for line := range strings.Lines(l.file()) {
		got = append(got, strings.Fields(line)[0])
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		l.t.Errorf("the file has %v, want %v", got, want)
	}
}

func TestCrowdSec(t *testing.T) {
	t.Parallel()
	l, now := newLAPI(t), time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(l.get(now, []decision{
		ban("192.0.2.1"), ban("2001:db8::1"),
		{"1h", "Range", "ban", "198.51.100.0/24"},
		{"4h", "Ip", "captcha", "192.0.2.66"},
		{"4h", "Country", "ban", "XX"},
		{"-1h", "Ip", "ban", "192.0.2.67"},
		{"4h", "Ip", "ban", "not an address"},
		ban("192.0.2.2"),
	}, nil))
	l.has("192.0.2.1/32", "192.0.2.2/32", "198.51.100.0/24", "2001:db8::1/128")
	must(l.get(now.Add(time.Minute), []decision{ban("192.0.2.3")}, []decision{ban("192.0.2.2"), ban("192.0.2.3")}))
	l.has("192.0.2.1/32", "192.0.2.3/32", "198.51.100.0/24", "2001:db8::1/128")
	must(l.get(now.Add(2*time.Hour), nil, nil)) // the hour of the network is over
	l.has("192.0.2.1/32", "192.0.2.3/32", "2001:db8::1/128")

	// A run that fails takes out what is over, and the next gets everything.
	l.says(http.StatusInternalServerError, "")
	broken := l.serve
	if err := l.get(now.Add(4*time.Hour), nil, nil); err == nil {
		t.Error("Get hides an error of the server")
	}
	l.has("192.0.2.3/32")
	l.serve = newLAPI(t).serve
	if err := l.get(now.Add(4*time.Hour), nil, nil); err != nil { // of the other, which has nothing
		t.Error(err)
	}
	l.has()
	l.serve = broken
	for _, text := range []string{"", "[]", `{"new": {}}`, `{"new": [`, `{"new": [{"value": 1}]}`, `{"new": null, "deleted": null`, "<html>"} {
		l.says(200, text)
		if err := l.get(now.Add(4*time.Hour), nil, nil); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	l.says(http.StatusForbidden, "")
	if err := l.get(now, nil, nil); err == nil || !strings.Contains(err.Error(), "cscli bouncers list") {
		t.Errorf("a key that is not known: %v", err)
	}
	if want := []string{"true", "false", "false"}; fmt.Sprint(l.began) != fmt.Sprint(want) {
		t.Errorf("asked with startup %v, want %v", l.began, want)
	}
}

func TestCrowdSecWhole(t *testing.T) {
	t.Parallel()
	l, now := newLAPI(t), time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	spoil := []func(){
		func() {},
		func() { now = now.Add(wholeEvery + time.Second) },
		func() { now = now.Add(-24 * time.Hour) },
		func() { _ = os.WriteFile(filepath.Join(l.dir, "bad"), []byte("192.0.2.1\n"), 0o644) },
		func() { _ = os.Remove(filepath.Join(l.dir, "bad")) },
		func() { _ = os.WriteFile(filepath.Join(l.dir, ".bad.json"), []byte("{"), 0o644) },
	}
	for i, f := range spoil {
		f()
		for range 2 {
			if err := l.get(now, []decision{ban("192.0.2.1")}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if got := fmt.Sprint(l.began[len(l.began)-2:]); got != "[true false]" {
			t.Errorf("case %d: asked with startup %v", i, got)
		}
	}
}
