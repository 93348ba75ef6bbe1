package dbusapi

import (
	"slices"
	"strings"

	"exile/internal/control"
)

// arg is a named value of a message: D-Bus type and name.
type arg struct{ sig, name string }

// args reads "s jail, s address".
func args(list string) []arg {
	var out []arg
	for a := range strings.SplitSeq(list, ",") {
		if sig, name, ok := strings.Cut(strings.TrimSpace(a), " "); ok {
			out = append(out, arg{sig, name})
		}
	}
	return out
}

func signature(as []arg) string {
	var b strings.Builder
	for _, a := range as {
		b.WriteString(a.sig)
	}
	return b.String()
}

// method is a row of an interface: what it takes and gives, and the function that does it. Who may call it says
// control.ActionOf, for the interfaces of the daemon; the others are everybody's.
type method struct {
	name string
	in   string
	out  string
	do   func(*call) ([]any, error)
}

// signal is a row of an interface.
type signal struct{ name, args string }

// emits is the value of the annotation org.freedesktop.DBus.Property.EmitsChangedSignal.
type emits string

const (
	emitsConst emits = "const"
	emitsTrue  emits = "true"
	emitsFalse emits = "false"
)

// property is a row of an interface. Its value is made from facts that were asked for once per message.
type property struct {
	name  string
	sig   string
	emits emits
	get   func(facts) any
	set   func(*call, any) error // nil: read-only
}

// facts is what property values are made from.
type facts struct {
	service *Service
	status  control.Status
	jail    control.JailStatus // of the object, when it is a jail
}

// iface is an interface: a table.
type iface struct {
	name       string
	methods    []method
	signals    []signal
	properties []property
}

func (i *iface) method(name string) *method {
	k := slices.IndexFunc(i.methods, func(m method) bool { return m.name == name })
	if k < 0 {
		return nil
	}
	return &i.methods[k]
}

func (i *iface) property(name string) *property {
	k := slices.IndexFunc(i.properties, func(p property) bool { return p.name == name })
	if k < 0 {
		return nil
	}
	return &i.properties[k]
}

// object is what a path stands for.
type object struct {
	interfaces []*iface
	jail       string // of jail objects
	children   []string
	xml        func() string // that describes it
}

func (o *object) iface(name string) *iface {
	for _, i := range o.interfaces {
		if i.name == name {
			return i
		}
	}
	return nil
}

// needs is what a caller of a method of the interface has to be let do. A method that is not in the table is nobody's.
func (i *iface) needs(method string) control.Action {
	if i.name != ManagerInterface && i.name != JailInterface {
		return control.Public
	}
	a, ok := control.ActionOf(method)
	if !ok {
		return control.MayConfigure
	}
	return a
}

// find returns the method, what a caller has to be let do, or the error that the specification wants. An empty interface
// means any.
func (o *object) find(ifaceName, member string) (*method, control.Action, error) {
	if ifaceName != "" {
		i := o.iface(ifaceName)
		if i == nil {
			return nil, "", fail(errUnknownInterface, "Unknown interface %q.", ifaceName)
		}
		if m := i.method(member); m != nil {
			return m, i.needs(member), nil
		}
		return nil, "", fail(errUnknownMethod, "Unknown method %q or interface %q.", member, ifaceName)
	}
	for _, i := range o.interfaces {
		if m := i.method(member); m != nil {
			return m, i.needs(member), nil
		}
	}
	return nil, "", fail(errUnknownMethod, "Unknown method %q.", member)
}
