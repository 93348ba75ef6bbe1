package fetch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"exile/internal/lists"
)

// CrowdSec's local API gives a bouncer all decisions first, and then only what is new and what ended since it last asked
// (https://docs.crowdsec.net/docs/local_api/bouncers, GET /v1/decisions/stream). The file is the memory of what came: each line has
// an address and when it ends. Whatever goes wrong in between, the next whole stream mends it.

// wholeEvery is how often the stream is got from its beginning.
const wholeEvery = 6 * time.Hour

const until = " # until "

// decision is a decision as the API has it.
type decision struct {
	Duration string `json:"duration"`
	Scope    string `json:"scope"`
	Type     string `json:"type"`
	Value    string `json:"value"`
}

// entries are addresses and when each ends.
type entries map[netip.Prefix]time.Time

// decisions gets what has changed and applies it to the file. If the API does not answer, those that have ended are taken out anyway.
func (c *Config) decisions(ctx context.Context, now time.Time) (r Result, err error) {
	was := c.recall()
	all, unread := c.load(now)
	whole := unread != nil || was.URL != c.URL || now.Sub(was.Whole) > wholeEvery || was.Whole.After(now)
	if err := c.remember(memory{URL: c.URL}); err != nil {
		return r, err // a change that is got and then lost would never come again
	}
	next := maps.Clone(all)
	if whole {
		next = entries{}
	}
	failed := c.stream(ctx, whole, now, next)
	if failed != nil && unread != nil {
		return r, failed
	}
	if failed != nil {
		next = all
	}
	if err := c.replace(next.write); err != nil {
		return r, errors.Join(failed, err)
	}
	if failed != nil {
		return r, failed
	}
	if whole {
		was.Whole = now
	}
	return Result{Entries: len(next)}, c.remember(memory{URL: c.URL, Whole: was.Whole})
}

// load reads the file, without what has ended.
func (c *Config) load(now time.Time) (entries, error) {
	all := entries{}
	f, err := os.Open(c.path())
	if err != nil {
		return all, err
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, lists.MaxFile))
	for lines.Scan() {
		value, end, _ := strings.Cut(lines.Text(), until)
		p, errValue := parseValue(value)
		at, errEnd := time.Parse(time.RFC3339, end)
		if err := errors.Join(errValue, errEnd); err != nil {
			return all, fmt.Errorf("%s is not as it was written: %w", c.path(), err)
		}
		if at.After(now) && len(all) < lists.MaxEntries {
			all[p] = at
		}
	}
	return all, lines.Err()
}

func (e entries) write(w io.Writer) error {
	for _, p := range slices.SortedFunc(maps.Keys(e), netip.Prefix.Compare) {
		if _, err := fmt.Fprintf(w, "%v%s%s\n", p, until, e[p].UTC().Format(time.RFC3339)); err != nil {
			return err
		}
	}
	return nil
}

// stream asks the API and changes entries as it says.
func (c *Config) stream(ctx context.Context, whole bool, now time.Time, to entries) error {
	req, err := c.request(ctx, fmt.Sprintf("%s/v1/decisions/stream?startup=%t&scopes=ip,range", strings.TrimSuffix(c.URL, "/"), whole))
	if err != nil {
		return err
	}
	resp, err := c.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusForbidden, http.StatusUnauthorized:
		return fmt.Errorf("%s: the server says %s: does it know the key? See cscli bouncers list", c.shown(), resp.Status)
	default:
		return fmt.Errorf("%s: the server says %s", c.shown(), resp.Status)
	}
	limited := &io.LimitedReader{R: resp.Body, N: 4 * lists.MaxFile} // a decision is longer than its address
	if err := to.read(json.NewDecoder(limited), now); err != nil {
		if limited.N == 0 {
			err = fmt.Errorf("more than %d bytes", 4*lists.MaxFile)
		}
		return fmt.Errorf("%s: read the decisions: %w", c.shown(), err)
	}
	return nil
}

// read reads {"new": [...], "deleted": [...]}, one decision at a time. What has ended is taken out before what is new is put in, in whatever
// order they come: the same address may be in both.
func (e entries) read(dec *json.Decoder, now time.Time) error {
	added := entries{}
	if err := opens(dec, '{'); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		switch key {
		case "new":
			err = eachDecision(dec, func(d decision) error { return added.add(d, now) })
		case "deleted":
			err = eachDecision(dec, e.remove)
		default:
			err = dec.Decode(new(json.RawMessage))
		}
		if err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil { // the end must have come
		return err
	}
	maps.Copy(e, added)
	if len(e) > lists.MaxEntries {
		return fmt.Errorf("more than %d decisions", lists.MaxEntries)
	}
	return nil
}

func opens(dec *json.Decoder, want json.Delim) error {
	t, err := dec.Token()
	if err == nil && t != want {
		err = fmt.Errorf("%v where %v was expected", t, want)
	}
	return err
}

// eachDecision reads a list of decisions, or null.
func eachDecision(dec *json.Decoder, take func(decision) error) error {
	t, err := dec.Token()
	if err != nil || t == nil {
		return err
	}
	if t != json.Delim('[') {
		return fmt.Errorf("%v where a list was expected", t)
	}
	for dec.More() {
		var d decision
		if err := dec.Decode(&d); err != nil {
			return err
		}
		if err := take(d); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// bans reports whether a decision is one that a firewall carries out.
func (d *decision) bans() bool {
	return strings.EqualFold(d.Type, "ban") && (strings.EqualFold(d.Scope, "ip") || strings.EqualFold(d.Scope, "range"))
}

func (e entries) add(d decision, now time.Time) error {
	p, err := parseValue(d.Value)
	left, errLeft := time.ParseDuration(d.Duration)
	if !d.bans() || err != nil || errLeft != nil || left <= 0 {
		return nil // nothing for a firewall, or already over
	}
	if len(e) >= lists.MaxEntries {
		return fmt.Errorf("more than %d decisions", lists.MaxEntries)
	}
	if end := now.Add(left); end.After(e[p]) { // several may be about one address
		e[p] = end
	}
	return nil
}

func (e entries) remove(d decision) error {
	if p, err := parseValue(d.Value); err == nil && d.bans() {
		delete(e, p)
	}
	return nil
}

// parseValue reads an address or a network.
func parseValue(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p.Masked(), err
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, errors.Join(err, errors.New("not an address"))
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}
