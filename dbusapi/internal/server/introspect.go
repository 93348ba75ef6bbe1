package server

import (
	"encoding/xml"

	"github.com/godbus/dbus/v5/introspect"
)

const doctype = `<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
`

// XML writes a description as Introspect returns it.
func XML(n introspect.Node) string {
	text, err := xml.MarshalIndent(n, "", "  ")
	if err != nil {
		panic("introspection cannot be printed: " + err.Error()) // strings in structs always can
	}
	return doctype + string(text) + "\n"
}

// describe prints an object's tables.
func describe(o *Object) string {
	n := introspect.Node{}
	for _, i := range o.Interfaces {
		n.Interfaces = append(n.Interfaces, describeInterface(i))
	}
	for _, c := range o.Children {
		n.Children = append(n.Children, introspect.Node{Name: c})
	}
	return XML(n)
}

func describeInterface(i *Interface) introspect.Interface {
	out := introspect.Interface{Name: i.Name}
	for _, m := range i.Methods {
		out.Methods = append(out.Methods, introspect.Method{
			Name: m.Name, Args: append(describeArgs(m.In, "in"), describeArgs(m.Out, "out")...),
		})
	}
	for _, s := range i.Signals {
		out.Signals = append(out.Signals, introspect.Signal{Name: s.Name, Args: describeArgs(s.Args, "")})
	}
	for _, p := range i.Properties {
		access := "read"
		if p.Set != nil {
			access = "readwrite"
		}
		out.Properties = append(out.Properties, introspect.Property{
			Name: p.Name, Type: p.Sig, Access: access,
			Annotations: []introspect.Annotation{{
				Name: "org.freedesktop.DBus.Property.EmitsChangedSignal", Value: string(p.Emits),
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
