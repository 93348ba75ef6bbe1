// Package actions says what else happens when exile bans somebody or lifts a ban: which actions the configuration has, and what they are told.
package actions

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"exile/internal/control"
)

// Kind is what an action does.
type Kind string

// The kinds of actions; each is a key of the file, whose value says the rest.
const (
	Program    Kind = "program"    // runs a program
	Mail       Kind = "mail"       // sends mail with sendmail(8)
	Webhook    Kind = "webhook"    // posts to a URL
	AbuseIPDB  Kind = "abuseipdb"  // reports the address to abuseipdb.com
	XARF       Kind = "x-arf"      // mails a report that programs can read
	Cloudflare Kind = "cloudflare" // keeps Cloudflare's IP access rules like the bans
	DenyList   Kind = "deny_list"  // keeps a file of the banned addresses
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{Program, Mail, Webhook, AbuseIPDB, XARF, Cloudflare, DenyList} }

// Mirrors reports whether actions of the kind keep something like the list of bans. The others are told of events one by one.
func (k Kind) Mirrors() bool { return k == Cloudflare || k == DenyList }

// Occasion is what an action may wait for.
type Occasion string

// The occasions.
const (
	OnBan   Occasion = "ban"   // each ban
	OnFirst Occasion = "first" // the first ban of an address
	OnAgain Occasion = "again" // a later one
	OnUnban Occasion = "unban" // a ban ends; many that end together are told as one sum

	OnReport Occasion = "report" // exilectl report --mail; only for mail
)

// Action is one action, complete.
type Action struct {
	Name string // of the file, without its folder and suffix
	File string // as it was read, for messages
	Kind Kind

	Disabled  bool
	On        []Occasion
	Jails     []string      // empty: all
	Simulated bool          // also bans of jails that only simulate
	PerMinute int           // most runs within a minute; what is more waits
	Timeout   time.Duration // of a run
	Attempts  int           // most runs for an event, with longer and longer pauses
	MaxAge    time.Duration // older events are dropped
	Once      time.Duration // an address is not told of again within this time; 0: always

	jailsLine int // of the file, where Jails are named

	Command    []string // Program: the arguments, of which the first is a path
	Mail       MailTo   // Mail, XARF
	Webhook    Hook
	AbuseIPDB  Reports
	Cloudflare Rules
	DenyList   List
}

// MailTo says who gets mail.
type MailTo struct {
	To       []string      // addresses
	From     string        // an address; empty: that of the sender's account
	Sendmail string        // path of the program
	Digest   time.Duration // one mail for what happened within this time; 0: one for each event
}

// Form is what a webhook posts.
type Form string

// The forms.
const (
	JSON    Form = "json"    // the event
	NTFY    Form = "ntfy"    // a message for ntfy
	Slack   Form = "slack"   // a message for Slack, Mattermost, Rocket.Chat
	Discord Form = "discord" // a message for Discord
)

// Hook is where a webhook posts.
type Hook struct {
	URL        string // http or https; empty: Credential has it
	URLSecret  string // name of the credential that is the URL
	Form       Form
	Token      string // name of the credential that is sent as a bearer token; empty: none
	Signature  string // name of the credential that signs the body with HMAC-SHA256; empty: none
	Certifying string // path of the certificates to trust instead of the host's; empty: those
}

// Reports says how bans are reported to AbuseIPDB.
type Reports struct {
	URL        string           // of the API, without its last part
	Key        string           // name of the credential
	Categories map[string][]int // by jail; of "default" for others
}

// Rules says which rules of Cloudflare are kept.
type Rules struct {
	URL     string // of the API, without its last part
	Token   string // name of the credential
	Zone    string // ID of a zone
	Account string // or of an account
	Mode    string // block, challenge, js_challenge, managed_challenge
	Max     int    // most rules
}

// Fitting returns what rules block: single addresses, and networks of the sizes that Cloudflare has rules for. Of too many the first are taken.
func (r *Rules) Fitting(banned []netip.Prefix) (fit []netip.Prefix) {
	for _, p := range banned {
		bits := []int{16, 24, 32}
		if p.Addr().Is6() {
			bits = []int{32, 48, 64, 128}
		}
		if slices.Contains(bits, p.Bits()) && len(fit) < r.Max {
			fit = append(fit, p.Masked())
		}
	}
	return fit
}

// Format is the form of a list.
type Format string

// The formats of lists.
const (
	Plain      Format = "plain"       // an address a line
	Nginx      Format = "nginx"       // deny ADDRESS;
	NginxGeo   Format = "nginx-geo"   // ADDRESS 1; for a geo block
	HAProxy    Format = "haproxy"     // an ACL file
	HAProxyMap Format = "haproxy-map" // ADDRESS 1 for map_ip
	Apache     Format = "apache"      // Require not ip ADDRESS
	Caddy      Format = "caddy"       // a matcher, and abort
)

// List says which list is kept, and who is told.
type List struct {
	Format Format
	Reload string        // the unit to reload when the list has changed; empty: none
	Every  time.Duration // it is written at most that often
}

// Strays returns a mistake for each jail that the action names and the configuration does not have, in the form of Parse.
func (a *Action) Strays(known []string) (wrong []error) {
	for _, name := range a.Jails {
		if !slices.Contains(known, name) {
			wrong = append(wrong, fmt.Errorf("%s:%d: jails: there is no jail %q", a.File, a.jailsLine, name))
		}
	}
	return wrong
}

// Wants reports whether the action is told of an event.
func (a *Action) Wants(e *control.Event) bool {
	b := &e.Ban
	if b.IsTest() || b.Simulated && !a.Simulated || len(a.Jails) > 0 && !slices.Contains(a.Jails, b.Jail) {
		return false
	}
	if a.Kind.Mirrors() {
		return e.Kind == control.BanNew || e.Kind == control.BanRemoved || e.Kind == control.BansRemoved
	}
	if (a.Kind == AbuseIPDB || a.Kind == XARF) && !reportable(b) {
		return false
	}
	return slices.ContainsFunc(a.On, func(o Occasion) bool { return o.is(e) })
}

func (o Occasion) is(e *control.Event) bool {
	switch {
	case o == OnReport:
		return false // it is no event
	case o == OnUnban:
		return e.Kind == control.BanRemoved || e.Kind == control.BansRemoved
	case e.Kind != control.BanNew:
		return false
	case o == OnFirst:
		return e.Ban.Offence <= 1
	case o == OnAgain:
		return e.Ban.Offence > 1
	}
	return true
}

// reportable reports whether strangers may be told of a ban: it was made for what a single address of the internet did, and not by hand. In
// IPv6 that address is one of its /64.
func reportable(b *control.Ban) bool {
	addr := b.Prefix.Addr()
	whole := b.Prefix.IsSingleIP() || addr.Is6() && b.Prefix.Bits() >= 64
	return whole && (b.Origin == control.OriginJournal || b.Origin == control.OriginFile) && isPublic(addr)
}

func isPublic(addr netip.Addr) bool {
	shared := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10) // RFC 6598
	return addr.IsGlobalUnicast() && !addr.IsPrivate() && !shared.Contains(addr)
}

// Mirrored reports whether a mirror has the ban.
func (a *Action) Mirrored(b *control.Ban) bool {
	return !b.IsTest() && !b.Simulated && (len(a.Jails) == 0 || slices.Contains(a.Jails, b.Jail))
}
