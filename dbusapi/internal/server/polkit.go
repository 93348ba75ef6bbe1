package server

import (
	"context"
	"errors"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/bus"
)

// maxQuestions is how many questions may wait for polkit: people type slowly, and root, about whom it is not asked, must
// still get through.
const maxQuestions = 256

// polkit asks polkit, on one connection to the bus.
type polkit struct {
	conn    *dbus.Conn
	waiting chan struct{} // one element for each question that is not answered
}

func newPolkit(conn *dbus.Conn) *polkit {
	return &polkit{conn: conn, waiting: make(chan struct{}, maxQuestions)}
}

// subject is how polkit names who asks: (sa{sv}).
type subject struct {
	Kind    string
	Details map[string]dbus.Variant
}

func busName(name string) subject {
	return subject{"system-bus-name", map[string]dbus.Variant{"name": dbus.MakeVariant(name)}}
}

// process names who is not on the bus. Polkit looks up itself when the process started: we may not see the processes of
// others. The user is the one who connected, whatever became of the process.
func process(pid int32, uid uint32) subject {
	return subject{"unix-process", map[string]dbus.Variant{
		"pid": dbus.MakeVariant(uint32(pid)), "start-time": dbus.MakeVariant(uint64(0)), "uid": dbus.MakeVariant(int32(uid)),
	}}
}

// verdict is what polkit answers: (bba{ss}).
type verdict struct {
	Authorized, Challenge bool
	Details               map[string]string
}

// question is what polkit is asked.
type question struct {
	subject     subject
	action      Action
	interactive bool   // a human may be asked for a password, without a time limit
	id          string // for taking the question back
}

// ask returns why the subject may not, or nil if it may.
func (p *polkit) ask(ctx context.Context, q question) error {
	select {
	case p.waiting <- struct{}{}:
		defer func() { <-p.waiting }()
	default:
		return bus.Errorf(bus.LimitsExceeded, "%d questions to polkit are waiting already.", maxQuestions)
	}
	var flags uint32
	if q.interactive {
		flags = 1
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, WorkTime)
		defer cancel()
	}
	authority := p.conn.Object("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority")
	var v verdict
	err := authority.CallWithContext(ctx, "org.freedesktop.PolicyKit1.Authority.CheckAuthorization", 0,
		q.subject, q.action.ID(), map[string]string{}, flags, q.id).Store(&v)
	if ctx.Err() != nil && p.conn.Context().Err() == nil {
		authority.Go("org.freedesktop.PolicyKit1.Authority.CancelCheckAuthorization", dbus.FlagNoReplyExpected, nil, q.id)
	}
	switch {
	case err != nil:
		return polkitError(err, q.action)
	case v.Authorized:
		return nil
	case v.Challenge:
		return bus.Errorf(bus.Interactive, "Interactive authentication required: %s.", q.action.Denied())
	}
	return bus.Errorf(bus.AccessDenied, "Access denied: %s.", q.action.Denied())
}

// polkitError says no: without polkit, only those may who need not be asked about.
func polkitError(err error, a Action) error {
	var e dbus.Error
	if errors.As(err, &e) && (e.Name == bus.ServiceUnknown || e.Name == bus.NameHasNoOwner) {
		return bus.Errorf(bus.AccessDenied, "Access denied, and polkit is not running: %s.", a.Denied())
	}
	return bus.Errorf(bus.AccessDenied, "Access denied: polkit action %s: %q.", a.ID(), err.Error())
}
