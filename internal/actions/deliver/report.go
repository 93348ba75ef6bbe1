package deliver

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"exile/internal/actions"
	"exile/internal/control"
	"exile/internal/human"
)

// What strangers are told holds nothing of this host and nothing that was typed at it: no name of a user or a host, no address of ours, no
// line of a log, and not why exile banned. It is made of the address, the time, the count and the jail, whose name is what was attacked.

// comment says in one sentence what an address did.
func comment(e *actions.Event) string {
	b := &e.Event.Ban
	text := human.Count(b.Failures, "attempts") + " to log in or to break in, seen by the jail " + b.Jail
	if !b.Prefix.IsSingleIP() {
		text += ", from addresses in " + control.FormatPrefix(b.Prefix)
	}
	return text + "."
}

// report tells AbuseIPDB of an address, see https://docs.abuseipdb.com/#report-endpoint.
func (h *Helper) report(ctx context.Context, a *actions.Action, e *actions.Event) error {
	key, err := h.secret(a.AbuseIPDB.Key)
	if err != nil {
		return err
	}
	b := &e.Event.Ban
	list := a.AbuseIPDB.Categories[b.Jail]
	if list == nil {
		list = a.AbuseIPDB.Categories["default"]
	}
	if list == nil {
		return nil // the administrator wants other jails to be reported
	}
	var categories []string
	for _, c := range list {
		categories = append(categories, strconv.Itoa(c))
	}
	form := url.Values{
		"ip": {b.Prefix.Addr().String()}, "categories": {strings.Join(categories, ",")}, "comment": {comment(e)}, "timestamp": {b.Since.UTC().Format(time.RFC3339)},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.AbuseIPDB.URL+"/report", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Key", key)
	client, err := h.client("")
	if err != nil {
		return err
	}
	_, err = h.ask(client, req)
	return err
}

// client is what asks servers.
func (h *Helper) client(certificates string) (*http.Client, error) {
	if h.Client != nil && certificates == "" {
		return h.Client, nil
	}
	return NewClient(certificates)
}

// xarf is a report in the format of XARF 4: what schemas/v4/types/connection-login-attack.json of https://github.com/xarf/xarf-spec requires,
// and a count. The times are that of the ban; when the attempts began exile does not say.
type xarf struct {
	Version     string    `json:"xarf_version"`
	ID          string    `json:"report_id"`
	Time        time.Time `json:"timestamp"`
	Reporter    contact   `json:"reporter"`
	Sender      contact   `json:"sender"`
	Source      string    `json:"source_identifier"`
	Category    string    `json:"category"`
	Type        string    `json:"type"`
	Evidence    string    `json:"evidence_source"`
	Description string    `json:"description"`
	Attempts    int       `json:"attempt_count"`
	FirstSeen   time.Time `json:"first_seen"`
	Protocol    string    `json:"protocol"`
}

type contact struct {
	Org     string `json:"org"`
	Contact string `json:"contact"`
	Domain  string `json:"domain"`
}

// complaint is the mail with a report, for people and for programs.
func complaint(a *actions.Action, e *actions.Event) letter {
	b := &e.Event.Ban
	_, domain, _ := strings.Cut(a.Mail.From, "@")
	us := contact{Org: domain, Contact: a.Mail.From, Domain: domain}
	data, _ := json.MarshalIndent(xarf{ // of strings and times: it never fails
		Version: "4.0.0", ID: uuid(e.ID), Time: b.Since.UTC(), Reporter: us, Sender: us, Source: b.Prefix.Addr().String(), Category: "connection",
		Type: "login_attack", Evidence: "automated_filter", Description: comment(e), Attempts: b.Failures, FirstSeen: b.Since.UTC(), Protocol: "tcp",
	}, "", "  ")
	text := fmt.Sprintf("%s: %s\n\nSince %s. A machine wrote this report; the attachment is for machines, see https://xarf.org.\n",
		control.FormatPrefix(b.Prefix), comment(e), b.Since.UTC().Format(time.RFC3339))
	l := several("multipart/report; report-type=feedback-report",
		part{"text/plain; charset=utf-8", text},
		part{"message/feedback-report", "Feedback-Type: xarf\nUser-Agent: exile\nVersion: 1\nSource-IP: " + b.Prefix.Addr().String() + "\n"},
		part{"application/json; charset=utf-8; name=\"xarf.json\"", string(data) + "\n"})
	l.subject, l.extra = "Abuse from "+control.FormatPrefix(b.Prefix)+": login attempts", []string{"X-XARF: PLAIN"}
	return l
}

// uuid writes an event's ID in the form of RFC 9562, version 4, which XARF wants: the same event is the same report.
func uuid(id string) string {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != 16 {
		raw = make([]byte, 16)
		copy(raw, id)
	}
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:])
}

func randomText() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
