package dbusapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
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

// authorize lets through whom the gate knows and asks polkit about everybody else, every time: what polkit keeps is its
// business.
func (c *call) authorize(a control.Action) error { return c.allow(a, c.interactive) }

// allow is authorize; only where it is interactive a human may be asked for a password.
func (c *call) allow(a control.Action, interactive bool) error {
	if a == control.Public {
		return nil
	}
	p, err := c.caller()
	if err != nil {
		return fail(errAccessDenied, "Cannot find out who calls: %s.", err)
	}
	c.user, c.root = p.UID, p.UID == 0
	if c.session.service.cfg.Gate.Opens(p, a) {
		return nil
	}
	c.rest()
	defer c.work()
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	if interactive {
		go func() {
			select {
			case <-c.peer.left:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return c.session.askPolkit(ctx, question{
		subject:     polkitSubject{"system-bus-name", map[string]dbus.Variant{"name": dbus.MakeVariant(c.sender)}},
		action:      a,
		interactive: interactive,
		id:          fmt.Sprintf("exile-%s-%d", c.sender, c.serial),
	})
}

// inspects reports whether the caller may inspect, without asking a human. Where that is not known it may not.
func (c *call) inspects() bool {
	return c.allow(control.MayInspect, false) == nil
}

// credentials is the part of what the bus knows of a connection that the gate asks for.
func credentials(all map[string]dbus.Variant) (control.Peer, error) {
	uid, ok := all["UnixUserID"].Value().(uint32)
	if !ok {
		return control.Peer{}, errors.New("the bus does not say which user it is")
	}
	groups, _ := all["UnixGroupIDs"].Value().([]uint32) // an old bus does not know them
	return control.Peer{UID: uid, Groups: groups}, nil
}

// caller asks the bus who calls, once for each peer.
func (c *call) caller() (control.Peer, error) {
	if known := c.peer.user.Load(); known != nil {
		return *known, nil
	}
	c.rest()
	defer c.work()
	var all map[string]dbus.Variant
	err := c.session.conn.BusObject().CallWithContext(c.ctx, "org.freedesktop.DBus.GetConnectionCredentials", 0, c.sender).Store(&all)
	if err != nil {
		return control.Peer{}, err
	}
	p, err := credentials(all)
	if err == nil {
		c.peer.user.Store(&p)
	}
	return p, err
}

// question is what polkit is asked.
type question struct {
	subject     polkitSubject
	action      control.Action
	interactive bool   // a human may be asked for a password, without a time limit
	id          string // by which it can be taken back
}

// askPolkit returns why the subject may not; nil: it may.
func (s *session) askPolkit(ctx context.Context, q question) error {
	select {
	case s.questions <- struct{}{}:
		defer func() { <-s.questions }()
	default:
		return fail(errLimitsExceeded, "%d questions to polkit wait already.", maxQuestions)
	}
	var flags uint32
	if q.interactive {
		flags = 1
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, workTime)
		defer cancel()
	}
	authority := s.conn.Object("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority")
	var result polkitResult
	err := authority.CallWithContext(ctx, "org.freedesktop.PolicyKit1.Authority.CheckAuthorization", 0,
		q.subject, q.action.ID(), map[string]string{}, flags, q.id).Store(&result)
	if ctx.Err() != nil && s.ctx.Err() == nil {
		authority.Go("org.freedesktop.PolicyKit1.Authority.CancelCheckAuthorization", dbus.FlagNoReplyExpected, nil, q.id)
	}
	switch {
	case err != nil:
		return polkitError(err, q.action)
	case result.Authorized:
		return nil
	case result.Challenge:
		return fail(errInteractive, "Interactive authentication required: %s.", control.Denied(q.action))
	}
	return fail(errAccessDenied, "Access denied: %s.", control.Denied(q.action))
}

// polkitError says no: without polkit only those may whom the gate knows.
func polkitError(err error, a control.Action) error {
	var e dbus.Error
	if errors.As(err, &e) && (e.Name == errServiceUnknown || e.Name == errNameHasNoOwner) {
		return fail(errAccessDenied, "Access denied, and polkit is not running: %s.", control.Denied(a))
	}
	return fail(errAccessDenied, "Access denied: polkit action %s: %s.", a.ID(), sentenceBody(err))
}

// sentenceBody is an error's text within a sentence.
func sentenceBody(err error) string { return fmt.Sprintf("%q", err.Error()) }

// errNoBus is that polkit cannot be asked.
var errNoBus = errors.New("there is no bus")

// Authorize asks polkit whether a peer that has not come over the bus may do something; nobody is asked for a password.
// The error is why not.
func (s *Service) Authorize(ctx context.Context, p control.Peer, a control.Action) error {
	ss := s.session.Load()
	if ss == nil {
		return errNoBus
	}
	// Polkit reads the time when the process was started itself: we do not see the processes of others. The user is the
	// one who connected, whatever became of the process.
	subject := polkitSubject{"unix-process", map[string]dbus.Variant{
		"pid": dbus.MakeVariant(uint32(p.PID)), "start-time": dbus.MakeVariant(uint64(0)), "uid": dbus.MakeVariant(int32(p.UID)),
	}}
	return ss.askPolkit(ctx, question{subject: subject, action: a, id: fmt.Sprintf("exile-varlink-%d", s.asked.Add(1))})
}
