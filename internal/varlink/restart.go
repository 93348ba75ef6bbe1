package varlink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"exile/internal/control"
)

// When exiled restarts, its connections end, even those that it has not accepted yet, and for a moment nobody listens. A
// Client repeats a call where that is safe.

const (
	restartTime = 10 * time.Second       // a little longer than RestartSec= and a start
	rebindTime  = 500 * time.Millisecond // for systemd to listen again; a stopped exiled looks the same
	askAgain    = 50 * time.Millisecond
)

// errUnanswered means that the connection ended where a reply should begin.
var errUnanswered = errors.New("exiled ended the connection before it answered")

// ask calls a method and reads the first reply. Close the replies.
func (c *Client) ask(ctx context.Context, name string, parameters any, wantMore bool, out any) (r *replies, more bool, err error) {
	p := patience{restart: c.restart}
	for {
		r, more, err = c.askOnce(ctx, name, parameters, wantMore, out)
		if err == nil || !p.again(ctx, name, err) {
			return r, more, because(ctx, err)
		}
	}
}

func (c *Client) askOnce(ctx context.Context, name string, parameters any, wantMore bool, out any) (*replies, bool, error) {
	r, err := c.start(ctx, name, parameters, wantMore)
	if err != nil {
		return nil, false, err
	}
	more, err := r.next(out)
	if err != nil {
		r.close()
		return nil, false, err
	}
	return r, more, nil
}

// patience is how long one call waits for a restarting daemon.
type patience struct {
	restart time.Duration
	lost    bool      // a connection has ended
	end     time.Time // zero: nothing to wait for yet
}

// again waits a moment and returns true if the failed call should be repeated.
func (p *patience) again(ctx context.Context, name string, err error) bool {
	lost := isUnread(err) || errors.Is(err, errUnanswered) && isQuestion(name)
	away := errors.Is(err, syscall.ECONNREFUSED) || p.lost && errors.Is(err, syscall.ENOENT)
	switch {
	case !lost && !away:
		return false
	case lost && !p.lost:
		p.lost, p.end = true, time.Now().Add(p.restart)
	case p.end.IsZero():
		p.end = time.Now().Add(min(p.restart, rebindTime))
	}
	if !time.Now().Before(p.end) {
		return false
	}
	select {
	case <-time.After(askAgain):
		return true
	case <-ctx.Done():
		return false
	}
}

// isUnread reports whether the daemon has certainly not read the call: closing a connection with unread data resets it, and a
// call is complete only with its last byte, a NUL.
func isUnread(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// isQuestion reports whether a method may be called again although the daemon may have read the call before it ended.
func isQuestion(method string) bool {
	return strings.HasPrefix(method, service+".") || control.IsQuestion(strings.TrimPrefix(method, Interface+"."))
}

// unanswered is the error of a call without a reply.
func unanswered(method string) error {
	if isQuestion(method) {
		return errUnanswered
	}
	return fmt.Errorf("%w: the command may have been carried out", errUnanswered)
}
