package deliver

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"

	"exile/internal/actions"
	"exile/internal/human"
)

// letter is a mail before it is written.
type letter struct {
	subject string
	extra   []string // more lines of the header
	kind    string   // of the content
	body    []byte
}

// notice is the mail about events: one, or those of a digest.
func notice(a *actions.Action, events []actions.Event) letter {
	l := letter{kind: "text/plain; charset=utf-8"}
	first := &events[0]
	if a.Mail.Digest == 0 && len(events) == 1 {
		l.subject = first.Host + ": " + first.Title()
		l.body = fmt.Appendf(nil, "%s\n\n%s", first.Text(), details(first))
		return l
	}
	l.subject = fmt.Sprintf("%s: %s", first.Host, human.Count(len(events), "events"))
	var b bytes.Buffer
	for i := range events {
		fmt.Fprintf(&b, "%s  %s\n", events[i].Event.Time.UTC().Format(time.DateTime), events[i].Text())
	}
	l.body = b.Bytes()
	return l
}

// review is the mail with a report: a summary to read, and the page as an attachment. Mail programs would show neither its charts nor its style.
func review(host string, r *actions.Report) letter {
	var text strings.Builder
	for line := range strings.Lines(r.Text) {
		text.WriteString(actions.Clean(strings.TrimRight(line, "\r\n")) + "\n")
	}
	l := several("multipart/mixed",
		part{"text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable", quotedText(text.String())},
		part{"text/html; charset=utf-8\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=\"report.html\"", folded(r.Page)})
	l.subject = host + ": " + actions.Clean(r.Subject)
	return l
}

// part is a part of a letter. Its text is lines that a mail may have.
type part struct{ header, text string }

// several is a letter of parts. No text can guess what is between them.
func several(kind string, parts ...part) letter {
	boundary := randomText()
	var body bytes.Buffer
	for _, p := range parts {
		fmt.Fprintf(&body, "--%s\nContent-Type: %s\n\n%s\n", boundary, p.header, p.text)
	}
	fmt.Fprintf(&body, "--%s--\n", boundary)
	return letter{kind: kind + "; boundary=\"" + boundary + "\"", body: body.Bytes()}
}

// quotedText is text as RFC 2045 has it in lines of at most 76 bytes, with the ends of lines that sendmail wants.
func quotedText(text string) string {
	var b strings.Builder
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(text)) // it goes to memory
	_ = w.Close()
	return strings.ReplaceAll(b.String(), "\r\n", "\n")
}

// folded is the same in base64.
func folded(text string) string {
	const width = 76
	var b strings.Builder
	for code := base64.StdEncoding.EncodeToString([]byte(text)); code != ""; {
		line := code[:min(width, len(code))]
		b.WriteString(line + "\n")
		code = code[len(line):]
	}
	return b.String()
}

// details are the facts of an event, a line each.
func details(e *actions.Event) string {
	var b strings.Builder
	for _, line := range e.Environment() {
		name, value, _ := strings.Cut(strings.TrimPrefix(line, "EXILE_"), "=")
		fmt.Fprintf(&b, "%-14s %s\n", strings.ToLower(name)+":", value)
	}
	return b.String()
}

// sendMail gives a letter to sendmail, which reads the recipients in it.
func sendMail(ctx context.Context, a *actions.Action, l letter) error {
	return run(ctx, []string{a.Mail.Sendmail, "-t", "-oi"}, nil, l.write(&a.Mail, time.Now()))
}

// write returns the message. Its header holds only what the administrator wrote, and texts encoded as RFC 2047 says, in which no line can
// begin.
func (l letter) write(to *actions.MailTo, now time.Time) []byte {
	var b bytes.Buffer
	field := func(name, value string) { fmt.Fprintf(&b, "%s: %s\n", name, oneLine(value)) }
	if to.From != "" {
		field("From", to.From)
	}
	field("To", strings.Join(to.To, ", "))
	field("Subject", mime.QEncoding.Encode("utf-8", shorten(oneLine(l.subject))))
	field("Date", now.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	field("Message-ID", messageID(to.From))
	field("Auto-Submitted", "auto-generated")
	field("Precedence", "bulk")
	for _, line := range l.extra {
		b.WriteString(oneLine(line) + "\n")
	}
	field("MIME-Version", "1.0")
	field("Content-Type", l.kind)
	if !strings.HasPrefix(l.kind, "multipart/") {
		field("Content-Transfer-Encoding", "quoted-printable")
		b.WriteString("\n" + quotedText(string(l.body)))
		return b.Bytes()
	}
	b.WriteString("\n")
	b.Write(l.body)
	return b.Bytes()
}

// oneLine replaces what could end a line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// maxSubject is how long a subject may be, in bytes.
const maxSubject = 200

func shorten(s string) string {
	if len(s) <= maxSubject {
		return s
	}
	return strings.ToValidUTF8(s[:maxSubject], "") + "..."
}

func messageID(from string) string {
	_, domain, remote := strings.Cut(from, "@")
	if !remote {
		domain = "exile.invalid"
	}
	return "<" + randomText() + "@" + domain + ">"
}
