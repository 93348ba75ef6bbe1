package deliver

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"exile/internal/actions"
	"exile/internal/control"
)

// event is a ban with texts of an attacker.
func event(reason string) actions.Event {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return actions.NewEvent("0123", "host", control.Event{Kind: control.BanNew, Time: since, Ban: control.Ban{
		Jail: "sshd", Prefix: netip.MustParsePrefix("8.8.8.8/32"), Since: since, Until: since.Add(time.Hour), Failures: 5, Offence: 1,
		Origin: control.OriginJournal, Reason: reason,
	}})
}

// host has actions and secrets in a folder.
type host struct{ dir string }

func newHost(t *testing.T, files map[string]string) host {
	t.Helper()
	h := host{t.TempDir()}
	for name, text := range files {
		h.write(t, "etc/exile/actions.d/"+name+".yaml", text, 0o644)
	}
	return h
}

func (h host) write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// ask has a helper of a kind answer a request, as it would on a socket.
func (h host) ask(t *testing.T, helper *Helper, r actions.Request) actions.Reply {
	t.Helper()
	helper.Root, helper.Credentials = h.dir, filepath.Join(h.dir, "secrets")
	in, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	open, writer := io.Pipe() // the engine waits for the answer
	defer writer.Close()
	if err := helper.Serve(t.Context(), io.MultiReader(bytes.NewReader(append(in, '\n')), open), &out); err != nil {
		t.Fatal(err)
	}
	var reply actions.Reply
	if err := json.Unmarshal(out.Bytes(), &reply); err != nil {
		t.Fatal(err)
	}
	return reply
}

// TestProgram: a program gets the event in its environment and on its standard input, and nothing else; its failure has what it said, a hang
// ends with the timeout.
func TestProgram(t *testing.T) {
	t.Parallel()
	h := newHost(t, nil)
	good := h.write(t, "good", "#!/bin/sh\ncat >"+h.dir+"/in; env | sort >"+h.dir+"/env; printf '%s|' \"$@\" >"+h.dir+"/argv\n", 0o755)
	bad := h.write(t, "bad", "#!/bin/sh\nprintf 'no \\033[2J such thing\\n' >&2; exit 3\n", 0o755)
	for name, text := range map[string]string{
		"good": fmt.Sprintf("program: [%s, '$(id)', '; rm', '']", good), "bad": "program: " + bad, "missing": "program: /nonexistent/hook",
		"hangs": "timeout: 1s\nprogram: [/bin/sleep, 600]", "locked": "program: " + h.write(t, "locked", "#!/bin/sh\n", 0o600),
		"text": "program: " + h.write(t, "text", "true\n", 0o755),
	} {
		h.write(t, "etc/exile/actions.d/"+name+".yaml", text, 0o644)
	}
	helper := &Helper{Does: actions.ForProgram}
	e := event("user \"\n\x1b$(id)\"")
	if got := h.ask(t, helper, actions.Request{Action: "good", Events: []actions.Event{e}}); got.Text != "" {
		t.Fatal(got)
	}
	var told actions.Event
	if err := json.Unmarshal(h.read(t, "in"), &told); err != nil || told.Address() != "8.8.8.8" || told.Event.Ban.Failures != 5 {
		t.Errorf("%+v, %v", told, err)
	}
	env := string(h.read(t, "env"))
	for _, want := range []string{"EXILE_ACTION=good\n", "EXILE_ADDRESS=8.8.8.8\n", "EXILE_RULE=user \"\\n\\x1b$(id)\"\n", "LANG=C.UTF-8\n"} {
		if !strings.Contains(env, want) {
			t.Errorf("the environment has no %q:\n%s", want, env)
		}
	}
	if strings.Contains(env, "HOME=") || string(h.read(t, "argv")) != "$(id)|; rm||" {
		t.Errorf("environment %s, arguments %q", env, h.read(t, "argv"))
	}
	for name, want := range map[string]string{
		"bad": bad + `: exit status 3: no \x1b[2J such thing`, "missing": "fork/exec /nonexistent/hook: no such file or directory: install it, or what its first line names; programs of actions do not see /home, /root and /tmp", "hangs": "it took longer than 1s",
		"locked": "fork/exec " + h.dir + "/locked: permission denied: run chmod a+rx on it; programs of actions do not see /home, /root and /tmp",
		"text":   "fork/exec " + h.dir + "/text: exec format error: begin a script with a line such as #!/bin/sh",
	} {
		if got := h.ask(t, helper, actions.Request{Action: name, Events: []actions.Event{e}}); got.Text != want || got.Permanent {
			t.Errorf("%s: %+v, want %s", name, got, want)
		}
	}
}

func (h host) read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(h.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestHelperRefuses: a helper does only what root's configuration has for its kind.
func TestHelperRefuses(t *testing.T) {
	t.Parallel()
	h := newHost(t, map[string]string{"hook": "program: /bin/true", "list": "deny_list: {format: nginx, reload: nginx.service}", "off": "enabled: no\nprogram: /bin/true"})
	var reloaded string
	helpers := map[string]*Helper{}
	for _, does := range []string{actions.ForProgram, actions.ForNetwork, actions.ForMail, actions.ForReload} {
		helpers[does] = &Helper{Does: does}
	}
	for _, c := range []struct{ does, action, want string }{
		{actions.ForProgram, "../../../etc/passwd", "there is no action"},
		{actions.ForProgram, "off", "not enabled"},
		{actions.ForProgram, "list", "is now deny_list"},
		{actions.ForReload, "hook", "is now program"},
		{actions.ForMail, "hook", "is now program"},
	} {
		if got := h.ask(t, helpers[c.does], actions.Request{Action: c.action, Events: []actions.Event{event("")}}); !strings.Contains(got.Text, c.want) {
			t.Errorf("%+v: %+v", c, got)
		}
	}
	if got := h.ask(t, helpers[actions.ForProgram], actions.Request{Action: "hook"}); !got.Permanent {
		t.Errorf("no event: %+v", got)
	}
	helpers[actions.ForReload].Reload = func(_ context.Context, unit string) error { reloaded = unit; return nil }
	if got := h.ask(t, helpers[actions.ForReload], actions.Request{Action: "list"}); got.Text != "" || reloaded != "nginx.service" {
		t.Errorf("%+v, reloaded %q", got, reloaded)
	}
	if err := helpers[actions.ForProgram].Serve(t.Context(), strings.NewReader("{"), io.Discard); err == nil {
		t.Error("half a request is answered")
	}
}

// TestHangs: what a program has started ends with it at the timeout.
func TestHangs(t *testing.T) {
	t.Parallel()
	h := newHost(t, nil)
	pipe := filepath.Join(h.dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	hangs := h.write(t, "sendmail", "#!/bin/sh\nsleep 600 >"+pipe+" 2>&1 &\nwait\n", 0o755)
	h.write(t, "etc/exile/actions.d/hangs.yaml", "timeout: 1s\nmail: {to: root, sendmail: "+hangs+"}", 0o644)
	ended := make(chan error, 1)
	go func() {
		_, err := os.ReadFile(pipe) // until nobody has it open
		ended <- err
	}()
	if got := h.ask(t, &Helper{Does: actions.ForMail}, actions.Request{Action: "hangs", Events: []actions.Event{event("")}}); got.Text != "it took longer than 1s" {
		t.Errorf("%+v", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestGone: a run ends when nobody waits for it any more.
func TestGone(t *testing.T) {
	t.Parallel()
	h := newHost(t, map[string]string{"hangs": "timeout: 10m\nprogram: [/bin/sleep, 600]"})
	helper := &Helper{Does: actions.ForProgram, Root: h.dir}
	in, err := json.Marshal(actions.Request{Action: "hangs", Events: []actions.Event{event("")}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := helper.Serve(t.Context(), bytes.NewReader(append(in, '\n')), &out); err != nil || !strings.Contains(out.String(), "exiled-actions has ended") {
		t.Errorf("%s, %v", out.String(), err)
	}
}

// TestMail: sendmail gets a message whose header has only what the administrator wrote.
func TestMail(t *testing.T) {
	t.Parallel()
	h := newHost(t, nil)
	sendmail := h.write(t, "sendmail", "#!/bin/sh\necho \"$@\" >"+h.dir+"/argv; cat >"+h.dir+"/mail\n", 0o755)
	h.write(t, "etc/exile/actions.d/one.yaml", "mail: {to: [root, admin@example.org], from: exile@example.org, sendmail: "+sendmail+"}", 0o644)
	h.write(t, "etc/exile/actions.d/many.yaml", "mail: {to: root, digest: daily, sendmail: "+sendmail+"}", 0o644)
	helper := &Helper{Does: actions.ForMail}
	hostile := event("\"\r\nBcc: all@example.org\r\n\r\n.\r\n\u202egnp.exe\"")
	if got := h.ask(t, helper, actions.Request{Action: "one", Events: []actions.Event{hostile}}); got.Text != "" {
		t.Fatal(got)
	}
	m := h.letter(t)
	want := mail.Header{
		"From": {"exile@example.org"}, "To": {"root, admin@example.org"}, "Subject": {"host: 8.8.8.8 banned in jail sshd"}, "Auto-Submitted": {"auto-generated"},
		"Precedence": {"bulk"}, "Mime-Version": {"1.0"}, "Content-Type": {"text/plain; charset=utf-8"}, "Content-Transfer-Encoding": {"quoted-printable"},
	}
	if id := m.Header.Get("Message-ID"); !strings.HasSuffix(id, "@example.org>") || len(id) < 40 {
		t.Errorf("Message-ID %q", id)
	}
	delete(m.Header, "Message-Id")
	delete(m.Header, "Date")
	if diff := cmp.Diff(want, m.Header); diff != "" {
		t.Error(diff)
	}
	body, err := io.ReadAll(m.Body)
	if err != nil || !strings.Contains(string(body), `\r\nBcc: all@example.org`) || strings.Contains(string(body), "\n.\n") {
		t.Errorf("%s, %v", body, err)
	}
	if got := string(h.read(t, "argv")); got != "-t -oi\n" {
		t.Errorf("arguments %q", got)
	}
	if got := h.ask(t, helper, actions.Request{Action: "many", Events: []actions.Event{event("a"), event("b"), hostile}}); got.Text != "" {
		t.Fatal(got)
	}
	m = h.letter(t)
	body, err = io.ReadAll(m.Body)
	if got := m.Header.Get("Subject"); err != nil || got != "host: 3 events" || strings.Count(string(body), "2026-01-02 03:04:05  8.8.8.8 banned") != 3 {
		t.Errorf("%s\n%s, %v", got, body, err)
	}
}

// TestReview: a report is a letter with a text to read and a page to open, and is sent only by actions of the kind mail.
func TestReview(t *testing.T) {
	t.Parallel()
	h := newHost(t, map[string]string{"hook": "program: /bin/true", "complain": "x-arf: {to: root, from: exile@example.org}"})
	sendmail := h.write(t, "sendmail", "#!/bin/sh\ncat >"+h.dir+"/mail\n", 0o755)
	h.write(t, "etc/exile/actions.d/weekly.yaml", "on: [report]\nmail: {to: root, sendmail: "+sendmail+"}", 0o644)
	r := &actions.Report{
		Subject: "7 attempts\r\nBcc: all@example.org", Text: "exile on web1\n\n  \"\x1b[31m\u202e\"\rBcc: a\n.\nü\n", Page: "<p>" + strings.Repeat("x", 200) + "\n.\n",
	}
	helper := &Helper{Does: actions.ForMail, Host: "web1"}
	if got := h.ask(t, helper, actions.Request{Action: "weekly", Report: r}); got.Text != "" {
		t.Fatal(got)
	}
	m := h.letter(t)
	if got := m.Header.Get("Subject"); got != `web1: 7 attempts\r\nBcc: all@example.org` || m.Header.Get("Bcc") != "" || m.Header.Get("To") != "root" {
		t.Errorf("%q", m.Header)
	}
	want := []partOf{
		{"text/plain; charset=utf-8", "", "exile on web1\n\n  \"\\x1b[31m\\u202e\"\\rBcc: a\n.\nü\n"},
		{"text/html; charset=utf-8", "report.html", r.Page},
	}
	if diff := cmp.Diff(want, partsOf(t, m), cmp.AllowUnexported(partOf{})); diff != "" {
		t.Error(diff)
	}
	for line := range strings.Lines(string(h.read(t, "mail"))) {
		if len(line) > 120 {
			t.Errorf("a line is %q", line)
		}
	}
	if got := h.ask(t, helper, actions.Request{Action: "complain", Report: r}); !got.Permanent {
		t.Errorf("a complaint: %+v", got)
	}
	if got := h.ask(t, &Helper{Does: actions.ForProgram}, actions.Request{Action: "hook", Report: r}); !got.Permanent {
		t.Errorf("a program: %+v", got)
	}
}

// partOf is a part of a letter as a mail reader finds it.
type partOf struct{ kind, file, text string }

func partsOf(t *testing.T, m *mail.Message) (all []partOf) {
	t.Helper()
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextPart() // it decodes what is quoted-printable
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		var in io.Reader = p
		if p.Header.Get("Content-Transfer-Encoding") == "base64" {
			in = base64.NewDecoder(base64.StdEncoding, p)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, partOf{p.Header.Get("Content-Type"), p.FileName(), string(text)})
	}
}

func (h host) letter(t *testing.T) *mail.Message {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(h.read(t, "mail")))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestWebhook: what is posted in each form, what proves the sender, and what becomes of answers.
func TestWebhook(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body []byte
	answer := func(w http.ResponseWriter) {}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		answer(w)
	}))
	defer server.Close()
	h := newHost(t, map[string]string{
		"json":    "webhook: {url: " + server.URL + "/hook, token: t, signature: key}",
		"ntfy":    "webhook: {url: " + server.URL + "/topic/, form: ntfy}",
		"slack":   "webhook: {url_credential: slack, form: slack}",
		"discord": "webhook: {url: " + server.URL + "/d, form: discord}",
		"secret":  "webhook: {url: " + server.URL + "/d, token: missing}",
		"gone":    "webhook: {url_credential: gone}",
		"plain":   "webhook: {url_credential: plain, token: t}",
		"nowhere": "webhook: {url_credential: nowhere, form: ntfy}",
	})
	h.write(t, "secrets/actions_t", "s3cret\n", 0o600)
	h.write(t, "secrets/key", "k3y-of-hook", 0o600)
	h.write(t, "secrets/slack", server.URL+"/T0/B0/x", 0o600)
	h.write(t, "secrets/plain", "http://example.org/hidden", 0o600)
	h.write(t, "secrets/nowhere", "https://ntfy.sh", 0o600)
	h.write(t, "secrets/gone", "https://127.0.0.1:1/hidden", 0o600)
	helper := &Helper{Does: actions.ForNetwork, Client: server.Client()}
	helper.Client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	ask := func(action string) actions.Reply {
		return h.ask(t, helper, actions.Request{Action: action, Events: []actions.Event{event("<!channel> @everyone [x](http://x) ` \"\n\"")}})
	}
	text := `8.8.8.8 banned in jail sshd for 1h after 5 attempts: <!channel> @everyone [x](http://x) MARK \"\\n\".`
	code := "host: `" + strings.ReplaceAll(text, "MARK", "'") + "`" // in which chats see no link and mention nobody
	text = strings.ReplaceAll(text, "MARK", "`")
	for action, want := range map[string]string{
		"ntfy":    `{"message":"` + strings.ReplaceAll(text, "<!channel>", `\u003c!channel\u003e`) + `","tags":["no_entry"],"title":"host: 8.8.8.8 banned in jail sshd","topic":"topic"}`,
		"slack":   `{"text":"` + strings.ReplaceAll(code, "<!channel>", `\u0026lt;!channel\u0026gt;`) + `"}`,
		"discord": `{"allowed_mentions":{"parse":[]},"content":"` + strings.ReplaceAll(code, "<!channel>", `\u003c!channel\u003e`) + `"}`,
	} {
		if reply := ask(action); reply.Text != "" || string(body) != want {
			t.Errorf("%s: %s\nwant %s\n%+v", action, body, want, reply)
		}
	}
	if reply := ask("json"); reply.Text != "" {
		t.Fatal(reply)
	}
	var e actions.Event
	if err := json.Unmarshal(body, &e); err != nil || e.Address() != "8.8.8.8" {
		t.Errorf("%s, %v", body, err)
	}
	if got.URL.Path != "/hook" || got.Header.Get("Authorization") != "Bearer s3cret" || got.Header.Get("Idempotency-Key") != "0123" ||
		!strings.HasPrefix(got.Header.Get("X-Exile-Signature"), "sha256=") {
		t.Errorf("%s %v", got.URL, got.Header)
	}
	for _, c := range []struct {
		code int
		want actions.Reply
	}{
		{500, actions.Reply{}}, {503, actions.Reply{RetryAfter: 77}}, {429, actions.Reply{RetryAfter: 77}}, {404, actions.Reply{}}, {400, actions.Reply{Permanent: true}}, {302, actions.Reply{}},
	} {
		answer = func(w http.ResponseWriter) {
			if c.want.RetryAfter > 0 {
				w.Header().Set("Retry-After", "77")
			}
			w.Header().Set("Location", server.URL+"/other")
			w.WriteHeader(c.code)
			_, _ = io.WriteString(w, "no\x1b[2J")
		}
		reply := ask("json")
		if !strings.HasSuffix(reply.Text, `: no\x1b[2J`) || reply.Permanent != c.want.Permanent || reply.RetryAfter != c.want.RetryAfter || got.URL.Path != "/hook" {
			t.Errorf("%d: %+v", c.code, reply)
		}
	}
	if reply := ask("secret"); !strings.Contains(reply.Text, "/etc/exile/credentials/missing") {
		t.Errorf("%+v", reply)
	}
	answer = func(w http.ResponseWriter) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprintf(w, "%s %s is not here", got.URL, got.Header.Get("Authorization"))
	}
	for action, want := range map[string]string{"json": "/hook Bearer [secret] is not here", "slack": "/[secret] is not here"} {
		if reply := ask(action); !strings.HasSuffix(reply.Text, want) {
			t.Errorf("%s: %+v, want %s", action, reply, want)
		}
	}
	for action, want := range map[string]string{
		"plain": `credential "plain": a token is sent only to https://, or to this host`, "nowhere": `credential "nowhere": the URL names no topic: write https://ntfy.sh/TOPIC`,
	} {
		if reply := ask(action); reply.Text != want || reply.Permanent {
			t.Errorf("%s: %+v, want %s", action, reply, want)
		}
	}
	if reply := ask("gone"); reply.Text == "" || strings.Contains(reply.Text, "hidden") {
		t.Errorf("%+v", reply)
	}
}

// TestCertificates: a server whose certificate the host does not trust is not told anything, unless the action names it.
func TestCertificates(t *testing.T) {
	t.Parallel()
	called := false
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	server.Config.ErrorLog = nil
	defer server.Close()
	h := newHost(t, map[string]string{"hook": "webhook: {url: " + server.URL + "}"})
	helper := &Helper{Does: actions.ForNetwork}
	if got := h.ask(t, helper, actions.Request{Action: "hook", Events: []actions.Event{event("")}}); !strings.Contains(got.Text, "certificate") || called {
		t.Errorf("%+v", got)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	ca := h.write(t, "ca.pem", string(cert), 0o644)
	h.write(t, "etc/exile/actions.d/hook.yaml", "webhook: {url: "+server.URL+", ca: "+ca+"}", 0o644)
	if got := h.ask(t, helper, actions.Request{Action: "hook", Events: []actions.Event{event("")}}); got.Text != "" || !called {
		t.Errorf("%+v", got)
	}
}

// FuzzMessages: whatever an attacker chose, a mail has one header, which is ours, and what is posted is JSON.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{"plain", "\r\nBcc: x@example.org\r\n\r\nbody", "\u202e\x00\xff", "=?utf-8?q?x?=", strings.Repeat("x", 5000), "\n.\n"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, reason, jail string) {
		e := event(reason)
		e.Event.Ban.Jail = jail // exiled's own name, but nothing depends on that
		e = actions.NewEvent(jail, reason, e.Event)
		to := &actions.MailTo{To: []string{"root"}, From: "exile@example.org"}
		for _, events := range [][]actions.Event{{e}, {e, e}} {
			m, err := mail.ReadMessage(bytes.NewReader(notice(&actions.Action{}, events).write(to, time.Unix(0, 0))))
			if err != nil || len(m.Header) != 10 || m.Header.Get("To") != "root" || strings.ContainsAny(m.Header.Get("Subject"), "\r\n") {
				t.Fatalf("%v, %q", err, m)
			}
		}
		if m, err := mail.ReadMessage(bytes.NewReader(complaint(&actions.Action{Mail: *to}, &e).write(to, time.Unix(0, 0)))); err != nil || len(m.Header) != 10 {
			t.Fatalf("%v, %q", err, m)
		}
		r := &actions.Report{Subject: reason, Text: jail, Page: reason}
		m, err := mail.ReadMessage(bytes.NewReader(review(jail, r).write(to, time.Unix(0, 0))))
		if err != nil || len(m.Header) != 9 || strings.ContainsAny(m.Header.Get("Subject"), "\r\n") {
			t.Fatalf("%v, %q", err, m)
		}
		if parts := partsOf(t, m); len(parts) != 2 || parts[1].text != reason {
			t.Errorf("%q", parts)
		}
		for _, form := range []actions.Form{actions.JSON, actions.NTFY, actions.Slack, actions.Discord} {
			where, body, err := message(&actions.Hook{Form: form}, "https://example.org/topic", &e)
			if err != nil || !json.Valid(body) || len(body) > 16<<10 || !strings.HasPrefix(where, "https://example.org/") {
				t.Errorf("%s: %s, %v", form, body, err)
			}
		}
		for _, v := range e.Environment() {
			if strings.ContainsAny(v, "\x00\n") {
				t.Errorf("%q", v)
			}
		}
	})
}
