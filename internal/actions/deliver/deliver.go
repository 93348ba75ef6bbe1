// Package deliver does what an action asks for, in the sandbox that systemd made for that one run: it runs a program, sends mail, posts over
// the network or has a service reloaded.
package deliver

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"exile/internal/actions"
)

// Helper answers one request.
type Helper struct {
	Does        string // one of actions.ForProgram, ForNetwork, ForMail, ForReload: requests of other kinds are refused
	Host        string // name of this host
	Root        string // before the paths of the configuration; empty: /
	Credentials string // the folder with the secrets that systemd passed
	Client      *http.Client
	Reload      func(ctx context.Context, unit string) error

	known []string // secrets that were read: no answer holds one
}

// Serve reads a request, which is a line, does what it asks for, and answers. The error says why there is no answer. If in ends meanwhile,
// nobody waits for the answer any more, and the run ends, too: the engine will ask again.
func (h *Helper) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	var r actions.Request
	line, err := bufio.NewReader(io.LimitReader(in, actions.MaxRequest)).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	ctx, gone := context.WithCancelCause(ctx)
	defer gone(nil)
	go func() {
		_, _ = io.Copy(io.Discard, in)
		gone(errors.New("exiled-actions has ended"))
	}()
	reply := &actions.Reply{}
	more, err := h.do(ctx, r)
	if err != nil {
		if !errors.As(err, &reply) {
			reply = &actions.Reply{Text: err.Error()}
		}
	}
	reply.More = more
	reply.Text = actions.Clean(reply.Text)
	return json.NewEncoder(out).Encode(reply)
}

func (h *Helper) do(ctx context.Context, r actions.Request) (more bool, err error) {
	a, err := actions.LoadOne(h.Root, r.Action)
	if err != nil {
		return false, err
	}
	if a.Kind.Helper() != h.Does {
		return false, fmt.Errorf("action %q is now %s: restart exiled-actions.service", a.Name, a.Kind)
	}
	if len(r.Events) == 0 && !a.Kind.Mirrors() && (a.Kind != actions.Mail || r.Report == nil) {
		return false, permanent(errors.New("a request without an event"))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, a.Timeout, fmt.Errorf("it took longer than %s", a.Timeout))
	defer cancel()
	switch a.Kind {
	case actions.Program:
		err = runProgram(ctx, a, &r.Events[0])
	case actions.Mail:
		if r.Report != nil {
			return false, sendMail(ctx, a, review(h.Host, r.Report))
		}
		err = sendMail(ctx, a, notice(a, r.Events))
	case actions.Webhook:
		err = h.post(ctx, a, &r.Events[0])
	case actions.AbuseIPDB:
		err = h.report(ctx, a, &r.Events[0])
	case actions.XARF:
		err = sendMail(ctx, a, complaint(a, &r.Events[0]))
	case actions.Cloudflare:
		more, err = h.keepRules(ctx, a, r.Wanted)
	case actions.DenyList:
		err = h.reload(ctx, a)
	default:
		err = fmt.Errorf("%s: this kind of action is not known", a.Kind)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return more, err
}

// permanent is an error that is the event's fault, and would come again. What the administrator can mend is tried again.
func permanent(err error) error { return &actions.Reply{Text: err.Error(), Permanent: true} }

// maxSecret is the largest secret, in bytes.
const maxSecret = 4 << 10

// secret returns a credential: a file of /etc/exile/credentials, or one that a drop-in of the unit passes.
func (h *Helper) secret(name string) (string, error) {
	for _, file := range []string{"actions_" + name, name} {
		f, err := os.Open(filepath.Join(h.Credentials, file))
		if err != nil {
			continue
		}
		data, err := io.ReadAll(io.LimitReader(f, maxSecret))
		_ = f.Close()
		if text := strings.TrimSpace(string(data)); err == nil && text != "" {
			h.known = append(h.known, text)
			return text, nil
		}
	}
	return "", fmt.Errorf("there is no credential %q: write it into /etc/exile/credentials/%[1]s, with mode 0600", name)
}

func (h *Helper) reload(ctx context.Context, a *actions.Action) error {
	if a.DenyList.Reload == "" {
		return errors.New("there is nothing to reload any more")
	}
	return h.Reload(ctx, a.DenyList.Reload)
}
