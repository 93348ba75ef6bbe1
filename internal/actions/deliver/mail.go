package deliver

import (
	"bytes"
	"context"
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
		b.WriteString("\n")
		w := quotedprintable.NewWriter(&b)
		_, _ = w.Write(l.body) // a buffer
		_ = w.Close()
		return bytes.ReplaceAll(b.Bytes(), []byte("\r\n"), []byte("\n"))
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
