package server

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/bus"
)

// Config says what a service is: its name, its objects, and what to do where D-Bus leaves it open.
type Config struct {
	Address   string          // of the bus; empty: the system bus
	Name      string          // of the service on the bus
	Root      dbus.ObjectPath // the object that announcements come from and that manages all others
	Interface string          // the interface of Root that has the signals

	// Lookup returns the object at a path, or an error with a name.
	Lookup func(context.Context, dbus.ObjectPath) (*Object, error)
	// Snapshots returns all objects that have properties, as they are now.
	Snapshots func(context.Context) ([]Snapshot, error)
	// ErrorName returns the D-Bus name for an error, or nothing if the error has none; the caller then gets org.freedesktop.DBus.Error.Failed.
	ErrorName func(error) string

	Added, Removed string // signals of Interface for an object that came or went; their arguments are its name and its path
	Rationed       string // the method of which each peer may make only a few calls per second

	// Connected is told of the bus: nil when the name was acquired, the reason when the bus was lost or could not be
	// reached. It is called from one goroutine and must not block. It may be nil.
	Connected func(error)
}

// Announcement makes the signal of Root for subscribers, as late as possible; without a member there is none. In either case
// properties may have changed.
type Announcement func() (member string, values []any)

// WorkTime is how long the service may take for one call, a little less than callers wait.
const WorkTime = 20 * time.Second

// Snapshot is an object at one moment. Two of them show which properties have changed.
type Snapshot struct {
	Path      dbus.ObjectPath
	Name      string // empty for Root
	Interface *Interface
	Facts     any // what the values are made from
}

// Method is a row of an interface.
type Method struct {
	Name    string
	In, Out string // arguments, as "s jail, s address"
	Do      func(*Call) ([]any, error)
	Action  Action // what the caller must be allowed to do; nil: everybody may call it
	Waits   bool   // for the disk; other calls are worked on meanwhile
}

// Signal is a row of an interface.
type Signal struct{ Name, Args string }

// Emits is the value of the annotation org.freedesktop.DBus.Property.EmitsChangedSignal.
type Emits string

// How changes of a property are announced.
const (
	EmitsConst Emits = "const"
	EmitsTrue  Emits = "true"
	EmitsFalse Emits = "false"
)

// Property is a row of an interface. Its value is made from facts, which are asked for once per message.
type Property struct {
	Name  string
	Sig   string
	Emits Emits
	Get   func(facts any) any
	Set   func(*Call, any) error // authorizes the caller; nil: the property is read-only
}

// Interface is a table of rows.
type Interface struct {
	Name       string
	Methods    []Method
	Signals    []Signal
	Properties []Property
}

// Object is what a path stands for. NewObject makes one; a copy with another Name shares its description.
type Object struct {
	Name       string // tells apart objects that share their tables
	Interfaces []*Interface
	Children   []string
	// Facts asks for what the values of the properties are made from. It may be nil.
	Facts func(context.Context, *Object) (any, error)
	xml   func() string
}

// Action is what a caller must be allowed to do.
type Action interface {
	ID() string             // polkit's name of it
	Opens(Credentials) bool // without a question to polkit
	Denied() string         // why somebody may not, and what to do about it
}

// Credentials is what the bus knows of a peer.
type Credentials struct {
	UID    uint32
	Groups []uint32
}

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

func (i *Interface) method(name string) *Method {
	k := slices.IndexFunc(i.Methods, func(m Method) bool { return m.Name == name })
	if k < 0 {
		return nil
	}
	return &i.Methods[k]
}

func (i *Interface) property(name string) *Property {
	k := slices.IndexFunc(i.Properties, func(p Property) bool { return p.Name == name })
	if k < 0 {
		return nil
	}
	return &i.Properties[k]
}

// values makes the values of all properties of an interface.
func (i *Interface) values(facts any) map[string]dbus.Variant {
	out := make(map[string]dbus.Variant, len(i.Properties))
	for _, p := range i.Properties {
		out[p.Name] = p.value(facts)
	}
	return out
}

func (p *Property) value(facts any) dbus.Variant {
	return dbus.MakeVariantWithSignature(p.Get(facts), dbus.ParseSignatureMust(p.Sig))
}

// Introspect returns the object's description.
func (o *Object) Introspect() string { return o.xml() }

func (o *Object) iface(name string) *Interface {
	for _, i := range o.Interfaces {
		if i.Name == name {
			return i
		}
	}
	return nil
}

// find returns the method, or the error that the specification asks for. An empty interface means any.
func (o *Object) find(ifaceName, member string) (*Method, error) {
	if ifaceName != "" {
		i := o.iface(ifaceName)
		if i == nil {
			return nil, bus.Errorf(bus.UnknownInterface, "Unknown interface %q.", ifaceName)
		}
		if m := i.method(member); m != nil {
			return m, nil
		}
		return nil, bus.Errorf(bus.UnknownMethod, "Unknown method %q or interface %q.", member, ifaceName)
	}
	for _, i := range o.Interfaces {
		if m := i.method(member); m != nil {
			return m, nil
		}
	}
	return nil, bus.Errorf(bus.UnknownMethod, "Unknown method %q.", member)
}

// findProperty takes an empty interface for any, as sd-bus does.
func (o *Object) findProperty(ifaceName, name string) (*Property, error) {
	if ifaceName != "" && o.iface(ifaceName) == nil {
		return nil, bus.Errorf(bus.UnknownInterface, "Unknown interface %q.", ifaceName)
	}
	for _, i := range o.Interfaces {
		if ifaceName != "" && i.Name != ifaceName {
			continue
		}
		if p := i.property(name); p != nil {
			return p, nil
		}
	}
	return nil, bus.Errorf(bus.UnknownProperty, "Unknown property %q.", name)
}
