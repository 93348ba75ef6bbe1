package dbusapi

import (
	"context"
	"slices"
	"sync"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
)

// objects are those whose tables do not change, so that a call does not make them anew: much garbage delays everything else.
type objects struct {
	fixed map[dbus.ObjectPath]*object
	jail  *object // that each jail is like
}

func newObjects() objects {
	return objects{
		fixed: map[dbus.ObjectPath]*object{
			"/":                node(nil, "org"),
			"/org":             node(nil, "exile1", "freedesktop"),
			"/org/freedesktop": node(nil, "LogControl1"),
			logPath:            node([]*iface{logControl()}),
			managerPath:        node([]*iface{objectManager(), manager()}, "jail"),
		},
		jail: node([]*iface{jailIface()}),
	}
}

// lookup finds the object at a path. Jails are asked for each time: they come and go with the configuration.
func (s *session) lookup(ctx context.Context, path dbus.ObjectPath) (*object, error) {
	if o := s.objects.fixed[path]; o != nil {
		return o, nil
	}
	ctx, cancel := context.WithTimeout(ctx, workTime)
	defer cancel()
	jails, err := s.service.cfg.Reader.Jails(ctx)
	if err != nil {
		return nil, err
	}
	if path == jailsPath {
		return node(nil, labels(jails)...), nil
	}
	i := slices.IndexFunc(jails, func(j control.JailStatus) bool { return jailPath(j.Name) == path })
	if i < 0 {
		return nil, fail(errUnknownObject, "Unknown object %q.", string(path))
	}
	o := *s.objects.jail
	o.jail = jails[i].Name
	return &o, nil
}

func labels(jails []control.JailStatus) []string {
	var out []string
	for _, j := range jails {
		out = append(out, escapeLabel(j.Name))
	}
	return out
}

// node is an object with the interfaces that every object has.
func node(own []*iface, children ...string) *object {
	o := &object{interfaces: append([]*iface{peerIface(), introspectable(), properties()}, own...), children: children}
	o.xml = sync.OnceValue(o.introspect)
	return o
}

func peerIface() *iface {
	return &iface{name: peerInterface, methods: []method{
		{name: "Ping", do: func(*call) ([]any, error) { return nil, nil }},
		{name: "GetMachineId", out: "s machine_uuid", do: getMachineID},
	}}
}

func introspectable() *iface {
	return &iface{name: introspectInterface, methods: []method{
		{name: "Introspect", out: "s xml_data", do: func(c *call) ([]any, error) {
			return []any{c.object.xml()}, nil
		}},
	}}
}

// managed is what GetManagedObjects returns: path, interface, property, value.
type managed map[dbus.ObjectPath]map[string]map[string]dbus.Variant

func objectManager() *iface {
	return &iface{
		name: objectsInterface,
		methods: []method{{
			name: "GetManagedObjects", out: "a{oa{sa{sv}}} object_paths_interfaces_and_properties", do: getManagedObjects,
		}},
		signals: []signal{
			{"InterfacesAdded", "o object_path, a{sa{sv}} interfaces_and_properties"},
			{"InterfacesRemoved", "o object_path, as interfaces"},
		},
	}
}

// getManagedObjects lists the jails. The manager is not below itself, and stands at the path that was asked.
func getManagedObjects(c *call) ([]any, error) {
	status, jails, err := c.session.service.ask(c.ctx)
	if err != nil {
		return nil, err
	}
	out := managed{}
	for _, j := range jails {
		out[jailPath(j.Name)] = map[string]map[string]dbus.Variant{
			JailInterface: values(jailIface(), facts{c.session.service, status, j}),
		}
	}
	return []any{out}, nil
}

// ask asks for everything that properties are made from.
func (s *Service) ask(ctx context.Context) (control.Status, []control.JailStatus, error) {
	status, err := s.cfg.Reader.Status(ctx)
	if err != nil {
		return status, nil, err
	}
	jails, err := s.cfg.Reader.Jails(ctx)
	return status, jails, err
}
