package server

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/bus"
)

// NewObject makes an object that has the interfaces of every object, and those of its own. It is described once.
func NewObject(own []*Interface, children ...string) *Object {
	o := &Object{Interfaces: append([]*Interface{peerInterface(), introspectable(), properties()}, own...), Children: children}
	o.xml = sync.OnceValue(func() string { return describe(o) })
	return o
}

func peerInterface() *Interface {
	return &Interface{Name: bus.Peer, Methods: []Method{
		{Name: "Ping", Do: func(*Call) ([]any, error) { return nil, nil }},
		{Name: "GetMachineId", Out: "s machine_uuid", Do: getMachineID},
	}}
}

func getMachineID(*Call) ([]any, error) {
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return nil, fmt.Errorf("read machine id: %w", err)
	}
	return []any{strings.TrimSpace(string(id))}, nil
}

func introspectable() *Interface {
	return &Interface{Name: bus.Introspectable, Methods: []Method{
		{Name: "Introspect", Out: "s xml_data", Do: func(c *Call) ([]any, error) { return []any{c.object.Introspect()}, nil }},
	}}
}

// ObjectManager is the interface of Config.Root.
func ObjectManager() *Interface {
	return &Interface{
		Name: bus.ObjectManager,
		Methods: []Method{{
			Name: "GetManagedObjects", Out: "a{oa{sa{sv}}} object_paths_interfaces_and_properties", Do: getManagedObjects,
		}},
		Signals: []Signal{
			{"InterfacesAdded", "o object_path, a{sa{sv}} interfaces_and_properties"},
			{"InterfacesRemoved", "o object_path, as interfaces"},
		},
	}
}

// getManagedObjects lists the objects below the root, which is not below itself.
func getManagedObjects(c *Call) ([]any, error) {
	all, err := c.session.cfg.Snapshots(c.ctx)
	if err != nil {
		return nil, err
	}
	out := map[dbus.ObjectPath]map[string]map[string]dbus.Variant{} // by path, interface, property
	for _, s := range all {
		if s.Path != c.session.cfg.Root {
			out[s.Path] = map[string]map[string]dbus.Variant{s.Interface.Name: s.Interface.values(s.Facts)}
		}
	}
	return []any{out}, nil
}

func properties() *Interface {
	return &Interface{
		Name: bus.Properties,
		Methods: []Method{
			{Name: "Get", In: "s interface_name, s property_name", Out: "v value", Do: getProperty},
			{Name: "GetAll", In: "s interface_name", Out: "a{sv} props", Do: getProperties},
			{Name: "Set", In: "s interface_name, s property_name, v value", Do: setProperty},
		},
		Signals: []Signal{{
			"PropertiesChanged", "s interface_name, a{sv} changed_properties, as invalidated_properties",
		}},
	}
}

func getProperty(c *Call) ([]any, error) {
	p, err := c.object.findProperty(c.Str(0), c.Str(1))
	if err != nil {
		return nil, err
	}
	facts, err := c.facts()
	if err != nil {
		return nil, err
	}
	return []any{p.value(facts)}, nil
}

func getProperties(c *Call) ([]any, error) {
	name := c.Str(0)
	if name != "" && c.object.iface(name) == nil {
		return nil, bus.Errorf(bus.UnknownInterface, "Unknown interface %q.", name)
	}
	facts, err := c.facts()
	if err != nil {
		return nil, err
	}
	if name != "" {
		return []any{c.object.iface(name).values(facts)}, nil
	}
	out := map[string]dbus.Variant{}
	for _, i := range c.object.Interfaces {
		maps.Copy(out, i.values(facts))
	}
	return []any{out}, nil
}

func setProperty(c *Call) ([]any, error) {
	p, err := c.object.findProperty(c.Str(0), c.Str(1))
	if err != nil {
		return nil, err
	}
	if p.Set == nil {
		return nil, bus.Errorf(bus.ReadOnly, "Property %q is read-only.", p.Name)
	}
	v, _ := c.body[2].(dbus.Variant)
	if v.Signature().String() != p.Sig {
		return nil, bus.Errorf(bus.InvalidArgs, "Property %q is of type %q, not %q.", p.Name, p.Sig, v.Signature().String())
	}
	return nil, p.Set(c, v.Value())
}

// facts asks for what the properties of the call's object are made from.
func (c *Call) facts() (any, error) {
	if c.object.Facts == nil {
		return nil, nil
	}
	return c.object.Facts(c.ctx, c.object)
}
