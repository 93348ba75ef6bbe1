package actions

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"exile/internal/config"
)

// Suffix is that of the files of actions.
const Suffix = ".yaml"

// Parse reads the action in a file of that name, and checks it. The error joins all that is wrong, each with the line.
func Parse(file string, data []byte) (*Action, error) {
	a := &Action{
		Name: strings.TrimSuffix(path.Base(file), Suffix), File: file, On: []Occasion{OnBan},
		PerMinute: 60, Attempts: 6, MaxAge: 24 * time.Hour,
		Mail:       MailTo{Sendmail: "/usr/sbin/sendmail"},
		Webhook:    Hook{Form: JSON},
		AbuseIPDB:  Reports{URL: "https://api.abuseipdb.com/api/v2", Categories: map[string][]int{}},
		Cloudflare: Rules{URL: "https://api.cloudflare.com/client/v4", Mode: "block", Max: 10_000},
		DenyList:   List{Every: 5 * time.Second},
	}
	doc, err := document(string(data))
	if err == nil {
		err = a.read(doc)
	}
	if err != nil {
		return nil, inFile(file, err)
	}
	return a, nil
}

// inFile puts the name of the file before each error, whose text begins with a line.
func inFile(file string, err error) error {
	var errs []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		errs = append(errs, errors.New(file+":"+line))
	}
	return errors.Join(errs...)
}

func (a *Action) read(doc *yaml.Node) error {
	if !config.IsJail(a.Name) {
		return at(doc, "the name of the file, without %s, is that of the action: at most 64 small letters, digits, and .-_ inside", Suffix)
	}
	enabled, kinds := true, map[Kind]*yaml.Node{}
	of := func(k Kind, read func(*yaml.Node) error) func(*yaml.Node) error {
		return func(n *yaml.Node) error { kinds[k] = n; return read(n) }
	}
	all := keys{
		"enabled": yes(&enabled), "on": a.readOn, "jails": a.readJails, "simulated": yes(&a.Simulated),
		"rate": whole(&a.PerMinute, 1, 600), "timeout": span(&a.Timeout, time.Second, 10*time.Minute), "attempts": whole(&a.Attempts, 1, 20),
		"max_age": span(&a.MaxAge, time.Minute, 30*24*time.Hour), "once": span(&a.Once, 0, 30*24*time.Hour),
		string(Program):    of(Program, a.readCommand),
		string(Mail):       of(Mail, a.Mail.keys(true).read),
		string(XARF):       of(XARF, a.Mail.keys(false).read),
		string(Webhook):    of(Webhook, a.Webhook.keys().read),
		string(AbuseIPDB):  of(AbuseIPDB, a.AbuseIPDB.keys().read),
		string(Cloudflare): of(Cloudflare, a.Cloudflare.keys().read),
		string(DenyList):   of(DenyList, a.DenyList.keys().read),
	}
	if err := all.read(doc); err != nil {
		return err
	}
	if len(kinds) != 1 {
		return at(doc, "an action does one thing: write exactly one of %s, and a file for each action", joined(Kinds()))
	}
	for kind, n := range kinds {
		a.Kind = kind
		if err := a.unused(doc); err != nil {
			return err
		}
		if err := a.check(); err != nil {
			return named(string(kind), at(n, "%s", err))
		}
	}
	a.Disabled = !enabled
	return nil
}

// readOn reads the occasions.
func (a *Action) readOn(n *yaml.Node) error {
	var words []string
	err := texts(&words, func(s string) error {
		if all := []Occasion{OnBan, OnFirst, OnAgain, OnUnban, OnReport}; !slices.Contains(all, Occasion(s)) {
			return fmt.Errorf("%q is not one of %s", s, joined(all))
		}
		return nil
	})(n)
	a.On = nil
	for _, w := range words {
		a.On = append(a.On, Occasion(w))
	}
	if err == nil && len(words) == 0 {
		return at(n, "an empty list: set enabled: no to turn the action off")
	}
	return err
}

func (a *Action) readJails(n *yaml.Node) error {
	a.jailsLine = n.Line
	err := texts(&a.Jails, isJail)(n)
	if err == nil && len(a.Jails) == 0 {
		return at(n, "an empty list: without this line all jails count; set enabled: no to turn the action off")
	}
	return err
}

// unused refuses keys that mean nothing for the kind.
func (a *Action) unused(doc *yaml.Node) error {
	var errs []error
	for i := 0; i+1 < len(doc.Content); i += 2 {
		key := doc.Content[i]
		if a.Kind.Mirrors() && slices.Contains([]string{"on", "simulated", "rate", "attempts", "max_age", "once"}, key.Value) {
			errs = append(errs, at(key, "%q means nothing here: %s always holds who is banned", key.Value, a.Kind))
		}
		if (a.Kind == AbuseIPDB || a.Kind == XARF) && key.Value == "on" && slices.Contains(a.On, OnUnban) {
			errs = append(errs, at(key, "the end of a ban cannot be reported: write ban, first or again"))
		}
		if a.Kind != Mail && key.Value == "on" && slices.Contains(a.On, OnReport) {
			errs = append(errs, at(key, "report is only for mail: exilectl report writes the file for anything else"))
		}
	}
	return errors.Join(errs...)
}

func (a *Action) readCommand(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && strings.ContainsAny(n.Value, " \t") {
		return at(n, "write a list of the path of the program and its arguments, such as [/usr/local/bin/hook, --ban]: no shell takes a line apart")
	}
	return texts(&a.Command, noNUL)(n)
}

func (m *MailTo) keys(digest bool) keys {
	all := keys{"to": texts(&m.To, isMailbox), "from": checked(&m.From, isMailbox), "sendmail": checked(&m.Sendmail, isPath)}
	if digest {
		all["digest"] = m.readDigest
	}
	return all
}

func (m *MailTo) readDigest(n *yaml.Node) error {
	switch n.Value {
	case "hourly":
		m.Digest = time.Hour
	case "daily":
		m.Digest = 24 * time.Hour
	case "no", "false":
		m.Digest = 0
	default:
		return span(&m.Digest, time.Minute, 7*24*time.Hour)(n)
	}
	return nil
}

func (h *Hook) keys() keys {
	return keys{
		"url": checked(&h.URL, isURL), "url_credential": checked(&h.URLSecret, isCredential),
		"form": one(&h.Form, JSON, NTFY, Slack, Discord), "token": checked(&h.Token, isCredential),
		"signature": checked(&h.Signature, isCredential), "ca": checked(&h.Certifying, isPath),
	}
}

func (r *Reports) keys() keys {
	return keys{"key": checked(&r.Key, isCredential), "url": checked(&r.URL, isURL), "categories": r.readCategories}
}

func (r *Rules) keys() keys {
	return keys{
		"token": checked(&r.Token, isCredential), "zone": checked(&r.Zone, isID), "account": checked(&r.Account, isID),
		"mode": one(&r.Mode, "block", "challenge", "js_challenge", "managed_challenge"), "max": whole(&r.Max, 1, 50_000),
		"url": checked(&r.URL, isURL),
	}
}

func (l *List) keys() keys {
	return keys{
		"format": one(&l.Format, Plain, Nginx, NginxGeo, HAProxy, HAProxyMap, Apache, Caddy),
		"reload": checked(&l.Reload, isUnit), "every": span(&l.Every, time.Second, time.Hour),
	}
}

// readCategories reads the categories of each jail, and of "default".
func (r *Reports) readCategories(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return at(n, "a mapping is wanted here, from jails and default to lists of numbers")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		jail, list := n.Content[i], n.Content[i+1]
		var words []string
		if err := texts(&words, isCategory)(list); err != nil {
			return err
		}
		if err := isJail(jail.Value); err != nil || len(words) == 0 {
			return at(jail, "%q needs categories, and must be default or a jail", jail.Value)
		}
		r.Categories[jail.Value] = nil
		for _, w := range words {
			number, _ := strconv.Atoi(w) // isCategory has looked
			r.Categories[jail.Value] = append(r.Categories[jail.Value], number)
		}
	}
	return nil
}

// check checks what an action of its kind needs.
func (a *Action) check() error {
	missing := func(key string) error { return fmt.Errorf("%s: is missing", key) }
	switch {
	case a.Kind == Program && (len(a.Command) == 0 || isPath(a.Command[0]) != nil):
		return errors.New("write the path of the program, or a list of it and its arguments: no shell reads them")
	case (a.Kind == Mail || a.Kind == XARF) && len(a.Mail.To) == 0:
		return missing("to")
	case a.Kind == XARF && !strings.Contains(a.Mail.From, "@"):
		return fmt.Errorf("%w: an address that answers can reach", missing("from"))
	case a.Kind == Webhook && (a.Webhook.URL == "") == (a.Webhook.URLSecret == ""):
		return errors.New("write url, or url_credential, and not both")
	case a.Kind == Webhook && a.Webhook.URL != "" && a.Webhook.Check(a.Webhook.URL) != nil:
		return a.Webhook.Check(a.Webhook.URL)
	case a.Kind == AbuseIPDB && a.AbuseIPDB.Key == "":
		return missing("key")
	case a.Kind == AbuseIPDB && len(a.AbuseIPDB.Categories) == 0:
		return fmt.Errorf("%w; 18 is brute force, 22 SSH: see https://www.abuseipdb.com/categories", missing("categories"))
	case a.Kind == Cloudflare && a.Cloudflare.Token == "":
		return missing("token")
	case a.Kind == Cloudflare && (a.Cloudflare.Zone == "") == (a.Cloudflare.Account == ""):
		return errors.New("write the ID of a zone in zone, or of an account in account, and not both")
	case a.Kind == DenyList && a.DenyList.Format == "":
		return missing("format")
	}
	if a.Timeout == 0 {
		a.Timeout = 30 * time.Second
		if a.Kind == Cloudflare {
			a.Timeout = 2 * time.Minute // a run makes up to a hundred rules
		}
	}
	if a.Kind == AbuseIPDB {
		a.Once = max(a.Once, abuseIPDBPause)
	}
	return nil
}

// abuseIPDBPause is how often AbuseIPDB takes a report of an address, see https://docs.abuseipdb.com.
const abuseIPDBPause = 15 * time.Minute

func isJail(s string) error {
	if !config.IsJail(s) {
		return fmt.Errorf("%q is not the name of a jail", s)
	}
	return nil
}

func noNUL(s string) error {
	if strings.ContainsRune(s, 0) {
		return errors.New("an argument holds a NUL byte")
	}
	return nil
}

func isPath(s string) error {
	if !filepath.IsAbs(s) || strings.ContainsRune(s, 0) {
		return fmt.Errorf("%q is not a path that begins with /", s)
	}
	return nil
}

// isMailbox takes a plain address, or the name of a local user. What RFC 5322 allows beyond that, nobody's mailbox needs.
func isMailbox(s string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"
	local, domain, remote := strings.Cut(s, "@")
	if local == "" || len(s) > 254 || local[0] == '-' || strings.Trim(local, letters+"_+=~!#$%&'*/?^{}|") != "" || remote && domain == "" ||
		strings.Trim(domain, letters) != "" {
		return fmt.Errorf("%q is neither the address of a mailbox nor the name of a user", s)
	}
	return nil
}

func isURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return fmt.Errorf("%q is not a URL that begins with https:// or http://", s)
	}
	if u.User != nil {
		return errors.New("the file can be read by everybody: write a password into a credential, and name that in url_credential")
	}
	return nil
}

// Check checks the URL, be it that of the file or of the credential, and does not repeat it: it may be a secret.
func (h *Hook) Check(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return errors.New("this is not a URL that begins with https:// or http://")
	case h.Token != "" && !private(u):
		return errors.New("a token is sent only to https://, or to this host")
	case h.Form == NTFY && strings.Trim(u.Path, "/") == "":
		return errors.New("the URL names no topic: write https://ntfy.sh/TOPIC")
	}
	return nil
}

// private reports whether only the server of a URL, or this host, reads what is sent there.
func private(u *url.URL) bool {
	addr, _ := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || addr.IsLoopback() || u.Hostname() == "localhost"
}

// isCredential takes the name of a credential, which is also one of a file.
func isCredential(s string) error {
	if s == "" || len(s) > 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" || s[0] == '.' {
		return errors.New("this is no name of a credential: write the secret into /etc/exile/credentials/NAME, and NAME here")
	}
	return nil
}

func isID(s string) error {
	if len(s) != 32 || strings.Trim(s, "0123456789abcdef") != "" {
		return errors.New("an ID of Cloudflare has 32 hexadecimal digits")
	}
	return nil
}

func isUnit(s string) error {
	if len(s) > 255 || !strings.Contains(s, ".") || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@") != "" {
		return fmt.Errorf("%q is not the name of a unit, such as nginx.service", s)
	}
	return nil
}

func isCategory(s string) error {
	if n, err := strconv.Atoi(s); err != nil || n < 1 || n > 99 {
		return fmt.Errorf("%q is not a category of AbuseIPDB", s)
	}
	return nil
}
