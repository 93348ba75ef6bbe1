package dbusapi

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"exile/dbusapi/internal/bus"
	"exile/dbusapi/internal/exile1"
	"exile/dbusapi/internal/server"
	"exile/internal/control"
)

// Config is what a Service needs.
type Config struct {
	Address   string         // of the bus; empty: the system bus
	Daemon    control.Daemon // what callers hand in is checked before it gets there
	Gate      control.Gate   // says for whom polkit need not be asked
	Version   string
	LogLevel  *slog.LevelVar // read and set by org.freedesktop.LogControl1
	LogTarget string         // "journal", "console": where the program logs
	// Connected is told of the bus: nil when the name was acquired, the reason when the bus was lost or could not be
	// reached. It is called from one goroutine and must not block. It may be nil.
	Connected func(error)
}

// rows has what the functions of the tables use. Each table is a file with methods of rows.
type rows struct {
	Config

	started monotonic
	dropped func() uint64 // announcements that were lost
}

// facts is what property values are made from.
type facts struct {
	status control.Status
	jail   control.JailStatus // of the object, when it is a jail
}

// method returns the row of the table for one method of the daemon. The table of internal/control says who may call it.
func (r *rows) method(name, in, out string, do func(*server.Call) ([]any, error)) server.Method {
	a, ok := control.ActionOf(name)
	if !ok {
		a = control.MayConfigure // internal/control does not know it: only for administrators
	}
	commands := a != control.Public && a != control.MayInspect
	return server.Method{Name: name, In: in, Out: out, Do: do, Action: r.action(a), Waits: commands}
}

// action is what a caller must be allowed to do, as the server asks for it.
func (r *rows) action(a control.Action) server.Action {
	if a == control.Public {
		return nil
	}
	return action{a, r.Gate}
}

type action struct {
	control.Action
	gate control.Gate
}

func (a action) Opens(c server.Credentials) bool {
	return a.gate.Opens(control.Peer{UID: c.UID, Groups: c.Groups}, a.Action)
}

func (a action) Denied() string { return control.Denied(a.Action) }

// property is a read-only row whose value is made from facts.
func property(name, sig string, emits server.Emits, get func(facts) any) server.Property {
	return server.Property{Name: name, Sig: sig, Emits: emits, Get: func(f any) any { return get(f.(facts)) }}
}

// ask asks for everything that properties are made from.
func (r *rows) ask(ctx context.Context) (control.Status, []control.JailStatus, error) {
	status, err := r.Daemon.Status(ctx)
	if err != nil {
		return status, nil, err
	}
	jails, err := r.Daemon.Jails(ctx)
	return status, jails, err
}

// thisJail is the jail that the call's object stands for.
func (r *rows) thisJail(ctx context.Context, o *server.Object) (control.JailStatus, error) {
	jails, err := r.Daemon.Jails(ctx)
	if err != nil {
		return control.JailStatus{}, err
	}
	i := slices.IndexFunc(jails, func(j control.JailStatus) bool { return j.Name == o.Name })
	if i < 0 {
		return control.JailStatus{}, unknownObject(exile1.JailPath(o.Name))
	}
	return jails[i], nil
}

func unknownObject(path dbus.ObjectPath) error {
	return bus.Errorf(bus.UnknownObject, "Unknown object %q.", string(path))
}

// page is a page that is asked for, without flags so far.
func page(p control.Page, flags uint64) (control.Page, error) {
	if flags != 0 {
		return p, bus.Errorf(bus.InvalidArgs, "Unknown flags 0x%x.", flags)
	}
	return p, nil
}

func number(n int) uint64 { return uint64(max(n, 0)) }

// toRequest reads a ban that somebody asks for.
func toRequest(jail, address string, durationUSec uint64, reason string, flags uint64) (control.BanRequest, error) {
	p, err := control.ParsePrefix(address)
	r := control.BanRequest{Jail: jail, Prefix: p, Reason: reason, Force: flags&exile1.FlagForce != 0}
	r.Permanent = flags&exile1.FlagPermanent != 0 || durationUSec == exile1.Infinity
	if !r.Permanent {
		r.Duration = exile1.FromDurationUSec(durationUSec)
	}
	return r, err
}

// monotonic is a moment on both clocks, in microseconds.
type monotonic struct{ realtime, monotonic uint64 }

func newMonotonic() monotonic {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock
	return monotonic{exile1.USec(time.Now()), uint64(ts.Nano() / 1000)}
}
