package dbusapi

import (
	"context"
	"maps"
	"slices"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
)

func properties() *iface {
	return &iface{
		name: propertiesInterface,
		methods: []method{
			{name: "Get", in: "s interface_name, s property_name", out: "v value", do: getProperty},
			{name: "GetAll", in: "s interface_name", out: "a{sv} props", do: getProperties},
			{name: "Set", in: "s interface_name, s property_name, v value", do: setProperty},
		},
		signals: []signal{{
			"PropertiesChanged", "s interface_name, a{sv} changed_properties, as invalidated_properties",
		}},
	}
}

// findProperty takes an empty interface for any, as sd-bus does.
func (o *object) findProperty(ifaceName, name string) (*property, error) {
	if ifaceName != "" && o.iface(ifaceName) == nil {
		return nil, fail(errUnknownInterface, "Unknown interface %q.", ifaceName)
	}
	for _, i := range o.interfaces {
		if ifaceName != "" && i.name != ifaceName {
			continue
		}
		if p := i.property(name); p != nil {
			return p, nil
		}
	}
	return nil, fail(errUnknownProperty, "Unknown property %q.", name)
}

func getProperty(c *call) ([]any, error) {
	p, err := c.object.findProperty(c.str(0), c.str(1))
	if err != nil {
		return nil, err
	}
	f, err := c.facts()
	if err != nil {
		return nil, err
	}
	return []any{dbus.MakeVariantWithSignature(p.get(f), dbus.ParseSignatureMust(p.sig))}, nil
}

func getProperties(c *call) ([]any, error) {
	name := c.str(0)
	if name != "" && c.object.iface(name) == nil {
		return nil, fail(errUnknownInterface, "Unknown interface %q.", name)
	}
	f, err := c.facts()
	if err != nil {
		return nil, err
	}
	if name != "" {
		return []any{values(c.object.iface(name), f)}, nil
	}
	out := map[string]dbus.Variant{}
	for _, i := range c.object.interfaces {
		maps.Copy(out, values(i, f))
	}
	return []any{out}, nil
}

func setProperty(c *call) ([]any, error) {
	p, err := c.object.findProperty(c.str(0), c.str(1))
	if err != nil {
		return nil, err
	}
	if p.set == nil {
		return nil, fail(errReadOnly, "Property %q is read-only.", p.name)
	}
	v, _ := c.body[2].(dbus.Variant)
	if v.Signature().String() != p.sig {
		return nil, fail(errInvalidArgs, "Property %q is of type %q, not %q.", p.name, p.sig, v.Signature().String())
	}
	if err := c.authorize(control.MayManage); err != nil {
		return nil, err
	}
	return nil, p.set(c, v.Value())
}

// facts asks the daemon for what the properties of the call's object need.
func (c *call) facts() (facts, error) {
	f := facts{service: c.session.service}
	if c.path == logPath {
		return f, nil
	}
	var err error
	if f.status, err = c.session.service.cfg.Reader.Status(c.ctx); err != nil || c.object.jail == "" {
		return f, err
	}
	jails, err := c.session.service.cfg.Reader.Jails(c.ctx)
	if err != nil {
		return f, err
	}
	i := slices.IndexFunc(jails, func(j control.JailStatus) bool { return j.Name == c.object.jail })
	if i < 0 {
		return f, fail(errUnknownObject, "Unknown object %q.", string(c.path))
	}
	f.jail = jails[i]
	return f, nil
}

// values makes the values of all properties of an interface.
func values(i *iface, f facts) map[string]dbus.Variant {
	out := make(map[string]dbus.Variant, len(i.properties))
	for _, p := range i.properties {
		out[p.name] = dbus.MakeVariantWithSignature(p.get(f), dbus.ParseSignatureMust(p.sig))
	}
	return out
}

// refreshed is what the daemon said of itself for PropertiesChanged.
type refreshed struct {
	status control.Status
	jails  []control.JailStatus
	err    error
}

// fetch asks in a goroutine of its own, so that a busy daemon does not hold up the session; the answer comes to use.
func (s *session) fetch(use func(refreshed)) {
	go func() {
		ctx, cancel := context.WithTimeout(s.ctx, workTime)
		defer cancel()
		var r refreshed
		r.status, r.jails, r.err = s.service.ask(ctx)
		_ = s.own(s.ctx, func() { use(r) })
	}()
}
