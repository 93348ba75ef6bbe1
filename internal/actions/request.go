package actions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"time"
)

// The engine, which reads the journal and keeps the queues, does nothing itself but write lists. For each run it connects to one of these
// sockets of systemd, which starts a helper with just the rights that runs of that kind need. The helper reads the action from root's
// configuration: whoever took over the engine could only have those actions done.
const (
	ForProgram = "program" // without network
	ForNetwork = "network" // with network and credentials
	ForMail    = "mail"    // may run programs that gain rights
	ForReload  = "reload"  // as root, on the bus
)

// Helper names the helper that does what an action of the kind asks for.
func (k Kind) Helper() string {
	switch k {
	case Program:
		return ForProgram
	case Mail, XARF:
		return ForMail
	case DenyList:
		return ForReload
	}
	return ForNetwork
}

// Request is what a helper is asked for.
type Request struct {
	Action string         `json:"action"`
	Events []Event        `json:"events,omitempty"` // several only for a digest
	Wanted []netip.Prefix `json:"wanted,omitempty"` // Cloudflare: the addresses and networks that are banned
	Report *Report        `json:"report,omitempty"` // to mail in place of events
}

// Report is what exilectl report --mail sends.
type Report struct {
	Subject string `json:"subject"` // without the host
	Text    string `json:"text"`    // for mail readers, of many lines
	Page    string `json:"page"`    // the same with charts, in HTML
}

// Reply is what it answers. It is an error unless Text is empty.
type Reply struct {
	Text       string `json:"error,omitempty"`
	Permanent  bool   `json:"permanent,omitempty"`   // it would fail again
	RetryAfter int    `json:"retry_after,omitempty"` // seconds; 0: the engine decides
	More       bool   `json:"more,omitempty"`        // there is more to do: ask again
}

// Error implements error.
func (r *Reply) Error() string { return r.Text }

// Limits on both, in bytes.
const (
	MaxRequest = 8 << 20
	maxReply   = 64 << 10
)

// patience is what a helper gets on top of an action's timeout: to start, and to end.
const patience = 15 * time.Second

// Asker asks helpers.
type Asker struct{ Dir string } // the folder of the sockets

// Sockets is the usual folder of the sockets.
const Sockets = "/run/exile-actions"

// Ask has a helper do something, and waits for that. The error of the helper is a *Reply.
func (a Asker) Ask(ctx context.Context, action *Action, r Request) (more bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, action.Timeout+patience, fmt.Errorf("no answer within %s", action.Timeout+patience))
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", filepath.Join(a.Dir, action.Kind.Helper()))
	if err != nil {
		return false, fmt.Errorf("reach the helper: %w; start exiled-actions-%s.socket", err, action.Kind.Helper())
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	reply, err := exchange(conn, r)
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case err != nil:
		return false, fmt.Errorf("%w; see journalctl -u 'exiled-actions-%s@*'", err, action.Kind.Helper())
	case reply.Text != "":
		reply.Text = Clean(reply.Text)
		return false, reply
	}
	return reply.More, nil
}

// exchange sends a request and reads the answer.
func exchange(conn net.Conn, r Request) (*Reply, error) {
	if err := json.NewEncoder(conn).Encode(r); err != nil {
		return nil, fmt.Errorf("ask the helper: %w", err)
	}
	reply := &Reply{}
	err := json.NewDecoder(io.LimitReader(conn, maxReply)).Decode(reply)
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the helper ended without an answer")
	}
	if err != nil {
		return nil, fmt.Errorf("read the answer of the helper: %w", err)
	}
	return reply, nil
}
