package dbusapi

import (
	"encoding/xml"

	"github.com/godbus/dbus/v5/introspect"
)

const doctype = `<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
`

// introspect prints the object's tables.
func (o *object) introspect() string {
	n := introspect.Node{}
	for _, i := range o.interfaces {
		n.Interfaces = append(n.Interfaces, describe(i))
	}
	for _, c := range o.children {
		n.Children = append(n.Children, introspect.Node{Name: c})
	}
	text, err := xml.MarshalIndent(n, "", "  ")
	if err != nil {
		panic("dbusapi: introspection cannot be printed: " + err.Error()) // strings in structs always can
	}
	return doctype + string(text) + "\n"
}

func describe(i *iface) introspect.Interface {
	out := introspect.Interface{Name: i.name}
	for _, m := range i.methods {
		out.Methods = append(out.Methods, introspect.Method{
			Name: m.name, Args: append(describeArgs(m.in, "in"), describeArgs(m.out, "out")...),
		})
	}
	for _, s := range i.signals {
		out.Signals = append(out.Signals, introspect.Signal{Name: s.name, Args: describeArgs(s.args, "")})
	}
	for _, p := range i.properties {
		access := "read"
		if p.set != nil {
			access = "readwrite"
		}
		out.Properties = append(out.Properties, introspect.Property{
			Name: p.name, Type: p.sig, Access: access,
			Annotations: []introspect.Annotation{{
				Name: "org.freedesktop.DBus.Property.EmitsChangedSignal", Value: string(p.emits),
			}},
		})
	}
	return out
}

func describeArgs(list, direction string) []introspect.Arg {
	var out []introspect.Arg
	for _, a := range args(list) {
		out = append(out, introspect.Arg{Name: a.name, Type: a.sig, Direction: direction})
	}
	return out
}
