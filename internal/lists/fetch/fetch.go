// Package fetch gets block lists from where others publish them, and writes each into a file for exiled, which has no network.
package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"exile/firewall"
	"exile/internal/lists"
)

// The forms in which a list is published.
const (
	Text     = "text"     // what lists.Parse reads
	CrowdSec = "crowdsec" // a stream of decisions of CrowdSec's local API
)

// Config says what to get, and where to put it.
type Config struct {
	Name      string // of the list, and of its file
	Dir       string // of the file, and of what is remembered of it
	URL       string
	Format    string // Text or CrowdSec; empty: Text
	Key       string // a secret that is sent; empty: none
	KeyHeader string // in which it is sent; empty: X-Api-Key
	Plain     bool   // it may be got, or the key be sent, without encryption
	Agent     string // who asks
	Client    *http.Client
}

const (
	patience = 5 * time.Minute // for all of a list
	maxMeta  = 4 << 10         // bytes of a header that is remembered
)

// NewClient returns a client that follows up to five redirects, none of which leaves HTTPS or, with a key, the host.
func NewClient(key bool) *http.Client {
	return &http.Client{
		Timeout: patience,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 20 * time.Second, ResponseHeaderTimeout: time.Minute,
			MaxResponseHeaderBytes: 64 << 10, DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			first := via[0].URL
			switch {
			case len(via) > 5:
				return errors.New("more than five redirects")
			case next.URL.Scheme != first.Scheme && next.URL.Scheme != "https":
				return fmt.Errorf("redirected to %s, which is not encrypted", next.URL.Redacted())
			case key && next.URL.Host != first.Host:
				return fmt.Errorf("redirected to %s, which must not get the key", next.URL.Host)
			}
			return nil
		},
	}
}

// Get gets the list, if it has changed, and writes it. The file is replaced as a whole, or stays as it is after an error.
func Get(ctx context.Context, c Config) (Result, error) {
	if err := c.check(); err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if c.Format == CrowdSec {
		return c.decisions(ctx, time.Now())
	}
	return c.text(ctx)
}

// Result is what came.
type Result struct {
	Entries   int
	Unchanged bool
}

func (c *Config) check() error {
	u, err := url.Parse(c.URL)
	switch {
	case !firewall.ValidBlocklistName(c.Name):
		return fmt.Errorf("%q is no name for a list: at most %d small letters, digits, and .-_ inside", c.Name, firewall.MaxBlocklistName)
	case err != nil:
		return fmt.Errorf("URL: %w", err)
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return errors.New("URL: an address that begins with https:// is wanted")
	case u.Scheme == "http" && !c.Plain && !loopback(u.Hostname()):
		return errors.New("URL: others on the way could change the list: write https://, or PLAIN=yes if you accept that")
	case c.Format != "" && c.Format != Text && c.Format != CrowdSec:
		return fmt.Errorf("FORMAT: %q is neither %s nor %s", c.Format, Text, CrowdSec)
	case c.Format == CrowdSec && c.Key == "":
		return fmt.Errorf("CrowdSec's API wants a key: make one with cscli bouncers add exile, and put it into /etc/exile/lists.d/%s.key", c.Name)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// text gets a list of text.
func (c *Config) text(ctx context.Context) (r Result, err error) {
	was := c.recall()
	req, err := c.request(ctx, c.URL)
	if err != nil {
		return r, err
	}
	if was.URL == c.URL && c.there() {
		set(req, "If-None-Match", was.ETag)
		set(req, "If-Modified-Since", was.Modified)
	}
	resp, err := c.Client.Do(req)
	if err != nil {
		return r, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified {
		return Result{Unchanged: true}, nil
	}
	if resp.StatusCode != http.StatusOK {
		return r, fmt.Errorf("%s: the server says %s", c.shown(), resp.Status)
	}
	err = c.replace(func(w io.Writer) error {
		p, err := lists.Parse(io.TeeReader(resp.Body, w))
		if err == nil && p.Entries == 0 {
			err = errors.New("what came has no address")
		}
		r.Entries = p.Entries
		return err
	})
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", c.shown(), err)
	}
	return r, c.remember(memory{URL: c.URL, ETag: short(resp.Header.Get("ETag")), Modified: short(resp.Header.Get("Last-Modified"))})
}

// request makes a request with the key.
func (c *Config) request(ctx context.Context, address string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	set(req, "User-Agent", c.Agent)
	header := c.KeyHeader
	if header == "" {
		header = "X-Api-Key"
	}
	set(req, header, c.Key)
	return req, nil
}

func set(req *http.Request, header, value string) {
	if value != "" {
		req.Header.Set(header, value)
	}
}

// shown is the URL without what may be secret in it.
func (c *Config) shown() string {
	u, err := url.Parse(c.URL)
	if err != nil {
		return "the URL"
	}
	return u.Scheme + "://" + u.Host + u.Path
}

func short(header string) string {
	if len(header) > maxMeta {
		return ""
	}
	return strings.ToValidUTF8(header, "")
}

func (c *Config) path() string { return filepath.Join(c.Dir, c.Name) }

// there reports whether the file exists.
func (c *Config) there() bool {
	_, err := os.Stat(c.path())
	return err == nil
}
