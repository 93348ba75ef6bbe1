package dbusapi

import (
	"context"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/bus"
	"exile/dbusapi/internal/exile1"
	"exile/dbusapi/internal/server"
	"exile/internal/control"
)

// Service is the daemon on the bus. Its methods may be called at any time, by any goroutine.
type Service struct {
	bus  *server.Server
	rows rows
	// The tables of fixed objects and of jails are made once: garbage made by each call would delay everything else.
	fixed map[dbus.ObjectPath]*server.Object
	jail  *server.Object // each jail is a copy with its name
}

// New makes a Service that does nothing until Serve.
func New(cfg Config) *Service {
	cfg.Daemon = control.Checked(cfg.Daemon)
	s := &Service{rows: rows{Config: cfg, started: newMonotonic()}}
	s.bus = server.New(server.Config{
		Address: cfg.Address, Name: exile1.BusName, Root: exile1.ManagerPath, Interface: exile1.ManagerInterface,
		Lookup: s.lookup, Snapshots: s.snapshots, ErrorName: exile1.NameOf,
		Added: "JailNew", Removed: "JailRemoved", Rationed: "Report", Connected: cfg.Connected,
	})
	s.rows.dropped = s.bus.Dropped
	s.makeObjects()
	return s
}

func (s *Service) makeObjects() {
	r := &s.rows
	manager := server.NewObject([]*server.Interface{server.ObjectManager(), r.manager()}, "jail")
	manager.Facts = func(ctx context.Context, _ *server.Object) (any, error) {
		status, err := r.Daemon.Status(ctx)
		return facts{status: status.Public()}, err
	}
	s.jail = server.NewObject([]*server.Interface{r.jail()})
	s.jail.Facts = func(ctx context.Context, o *server.Object) (any, error) {
		status, err := r.Daemon.Status(ctx)
		if err != nil {
			return nil, err
		}
		j, err := r.thisJail(ctx, o)
		return facts{status.Public(), j}, err
	}
	s.fixed = map[dbus.ObjectPath]*server.Object{
		"/":                server.NewObject(nil, "org"),
		"/org":             server.NewObject(nil, "exile1", "freedesktop"),
		"/org/freedesktop": server.NewObject(nil, "LogControl1"),
		bus.LogControlPath: server.NewObject([]*server.Interface{r.logControl()}),
		exile1.ManagerPath: manager,
	}
}

// lookup finds the object at a path. Jails are asked for each time: they come and go with the configuration.
func (s *Service) lookup(ctx context.Context, path dbus.ObjectPath) (*server.Object, error) {
	if o := s.fixed[path]; o != nil {
		return o, nil
	}
	ctx, cancel := context.WithTimeout(ctx, server.WorkTime)
	defer cancel()
	jails, err := s.rows.Daemon.Jails(ctx)
	if err != nil {
		return nil, err
	}
	if path == exile1.JailsPath {
		return server.NewObject(nil, labels(jails)...), nil
	}
	for _, j := range jails {
		if exile1.JailPath(j.Name) == path {
			o := *s.jail
			o.Name = j.Name
			return &o, nil
		}
	}
	return nil, unknownObject(path)
}

func labels(jails []control.JailStatus) []string {
	var out []string
	for _, j := range jails {
		out = append(out, exile1.Label(j.Name))
	}
	return out
}

// snapshots is the manager and the jails as they are now.
func (s *Service) snapshots(ctx context.Context) ([]server.Snapshot, error) {
	status, jails, err := s.rows.ask(ctx)
	if err != nil {
		return nil, err
	}
	out := []server.Snapshot{{Path: exile1.ManagerPath, Interface: s.own(s.fixed[exile1.ManagerPath]), Facts: facts{status: status.Public()}}}
	for _, j := range jails {
		out = append(out, server.Snapshot{Path: exile1.JailPath(j.Name), Name: j.Name, Interface: s.own(s.jail), Facts: facts{status.Public(), j}})
	}
	return out, nil
}

// own is the interface of ours that an object has.
func (s *Service) own(o *server.Object) *server.Interface { return o.Interfaces[len(o.Interfaces)-1] }

// Announce tells the bus what happened. It never blocks: when the bus is slow, announcements are lost and counted.
func (s *Service) Announce(e control.Event) {
	s.bus.Announce(func() (string, []any) { return signal(e) })
}

// Dropped returns how many announcements were lost since the start.
func (s *Service) Dropped() uint64 { return s.bus.Dropped() }

// Serve answers on the bus until ctx ends. A bus that is absent, restarts or disconnects us is tried again for ever: nothing
// that happens on the bus is a reason to stop banning. It may be called once.
func (s *Service) Serve(ctx context.Context) error { return s.bus.Serve(ctx) }

// signal is what those who were allowed to see addresses are told of an event; an empty name: nothing.
func signal(e control.Event) (string, []any) {
	addr := ""
	if e.Ban.Prefix.IsValid() {
		addr = control.FormatPrefix(e.Ban.Prefix)
	}
	switch e.Kind {
	case control.BanNew:
		return "BanNew", []any{e.Ban.Jail, addr, exile1.UntilUSec(e.Ban.Until), exile1.Count(e.Ban.Failures), string(e.Ban.Origin), exile1.Text(e.Ban.Reason), e.Ban.Simulated}
	case control.BanRemoved:
		return "BanRemoved", []any{e.Ban.Jail, addr, e.Reason, e.Ban.Simulated}
	}
	return "", nil
}

// Authorize asks polkit whether a peer that has not come over the bus may do something; nobody is asked for a password. The
// error is why not.
func (s *Service) Authorize(ctx context.Context, p control.Peer, a control.Action) error {
	return s.bus.AuthorizeProcess(ctx, p.PID, p.UID, s.rows.action(a))
}
