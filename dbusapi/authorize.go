package dbusapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/godbus/dbus/v5"
)

// action is what polkit is asked about.
type action string

// The actions; units/polkit/org.exile1.policy describes them to people.
const (
	actInspect   action = BusName + ".inspect"
	actBan       action = BusName + ".ban"
	actUnban     action = BusName + ".unban"
	actUnbanAll  action = BusName + ".unban-all"
	actReload    action = BusName + ".reload"
	actManage    action = BusName + ".manage"
	actReport    action = BusName + ".report"
	actConfigure action = BusName + ".configure"
)

// polkitSubject is how polkit names who asks: (sa{sv}).
type polkitSubject struct {
	Kind    string
	Details map[string]dbus.Variant
}

// polkitResult is (bba{ss}).
type polkitResult struct {
	Authorized, Challenge bool
	Details               map[string]string
}

// authorize lets root through and asks polkit about everybody else, every time: what polkit keeps is its business.
func (c *call) authorize(a action) error {
	if a == "" {
		return nil
	}
	uid, err := c.uid()
	if err != nil {
		return fail(errAccessDenied, "Cannot find out who calls: %s.", err)
	}
	c.user, c.root = uid, uid == 0
	if c.root {
		return nil
	}
	c.rest()
	defer c.work()
	select {
	case c.session.questions <- struct{}{}:
		defer func() { <-c.session.questions }()
	default:
		return fail(errLimitsExceeded, "%d questions to polkit wait already.", maxQuestions)
	}
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	if c.interactive {
		go func() {
			select {
			case <-c.peer.left:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	result, err := c.askPolkit(ctx, a)
	if err != nil {
		return polkitError(err, a)
	}
	switch {
	case result.Authorized:
		return nil
	case result.Challenge:
		return fail(errInteractive, "Interactive authentication required.")
	}
	return fail(errAccessDenied, "Access denied: only root may, unless a rule of polkit allows %s.", a)
}

// uid asks the bus who calls, once for each peer.
func (c *call) uid() (uint32, error) {
	if known := c.peer.user.Load(); known != nil {
		return *known, nil
	}
	c.rest()
	defer c.work()
	var uid uint32
	err := c.session.conn.BusObject().CallWithContext(c.ctx, "org.freedesktop.DBus.GetConnectionUnixUser", 0, c.sender).Store(&uid)
	if err == nil {
		c.peer.user.Store(&uid)
	}
	return uid, err
}

// askPolkit has no time limit when a human may be typing.
func (c *call) askPolkit(ctx context.Context, a action) (polkitResult, error) {
	var flags uint32
	if c.interactive {
		flags = 1
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, workTime)
		defer cancel()
	}
	subject := polkitSubject{"system-bus-name", map[string]dbus.Variant{"name": dbus.MakeVariant(c.sender)}}
	cancellation := fmt.Sprintf("exile-%s-%d", c.sender, c.serial)
	authority := c.session.conn.Object("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority")
	var result polkitResult
	err := authority.CallWithContext(ctx, "org.freedesktop.PolicyKit1.Authority.CheckAuthorization", 0,
		subject, string(a), map[string]string{}, flags, cancellation).Store(&result)
	if ctx.Err() != nil && c.session.ctx.Err() == nil {
		authority.Go("org.freedesktop.PolicyKit1.Authority.CancelCheckAuthorization", dbus.FlagNoReplyExpected, nil, cancellation)
	}
	return result, err
}

// polkitError says no: without polkit only root may.
func polkitError(err error, a action) error {
	var e dbus.Error
	if errors.As(err, &e) && (e.Name == errServiceUnknown || e.Name == errNameHasNoOwner) {
		return fail(errAccessDenied, "Access denied: polkit is not running, so only root may (%s).", a)
	}
	return fail(errAccessDenied, "Access denied: polkit action %s: %s.", a, sentenceBody(err))
}

// sentenceBody is an error's text within a sentence.
func sentenceBody(err error) string { return fmt.Sprintf("%q", err.Error()) }
