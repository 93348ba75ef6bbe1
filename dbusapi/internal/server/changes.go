package server

import (
	"context"
	"reflect"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/bus"
)

// changeInterval is the least time between two PropertiesChanged of an object.
const changeInterval = time.Second

// retryInterval is how long to wait when the service did not answer.
const retryInterval = 5 * time.Second

// changes is what was last announced of the objects' properties. It belongs to the session's goroutine.
type changes struct {
	cfg     *Config
	emit    func(path dbus.ObjectPath, name string, values ...any)
	timer   *time.Timer
	armed   bool   // the timer runs, or an answer is awaited
	again   bool   // something happened since the question was asked
	asked   uint64 // questions so far
	told    uint64 // the last question whose answer was announced
	objects map[dbus.ObjectPath]view
}

// view is the properties of an object whose changes are announced.
type view struct {
	iface  string
	name   string
	values map[string]dbus.Variant
}

func newChanges(cfg *Config, emit func(dbus.ObjectPath, string, ...any)) *changes {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &changes{cfg: cfg, emit: emit, timer: t}
}

func (c *changes) stop() { c.timer.Stop() }

// soon asks for a look at the properties, at most one each interval.
func (c *changes) soon() {
	if c.armed {
		c.again = true
		return
	}
	c.armed = true
	c.timer.Reset(changeInterval)
}

// begin notes that a look begins, and returns its number.
func (c *changes) begin() uint64 {
	c.armed, c.again = true, false
	return c.next()
}

// next numbers a question.
func (c *changes) next() uint64 {
	c.asked++
	return c.asked
}

// end notes the answer to question n, or why there is no answer.
func (c *changes) end(n uint64, all []Snapshot, err error) {
	c.armed = false
	if err != nil { // the service is busy or ending
		c.timer.Reset(retryInterval)
		return
	}
	c.answer(n, all)
	if c.again {
		c.soon()
	}
}

// look asks for the present values.
func (c *changes) look(ctx context.Context) ([]Snapshot, error) { return c.cfg.Snapshots(ctx) }

// answer announces what is new in the answer to the n-th question, unless a later answer was announced already. The first
// answer is what the others are compared with.
func (c *changes) answer(n uint64, all []Snapshot) {
	if n > c.told {
		c.told = n
		c.update(views(all))
	}
}

func views(all []Snapshot) map[dbus.ObjectPath]view {
	out := map[dbus.ObjectPath]view{}
	for _, s := range all {
		out[s.Path] = view{s.Interface.Name, s.Name, emitted(s)}
	}
	return out
}

// emitted is the values of those properties whose changes are announced.
func emitted(s Snapshot) map[string]dbus.Variant {
	out := map[string]dbus.Variant{}
	for _, p := range s.Interface.Properties {
		if p.Emits == EmitsTrue {
			out[p.Name] = p.value(s.Facts)
		}
	}
	return out
}

// update announces the difference: first objects that came and went, then values.
func (c *changes) update(now map[dbus.ObjectPath]view) {
	before := c.objects
	c.objects = now
	if before == nil {
		return
	}
	root, signals := c.cfg.Root, c.cfg.Interface+"."
	for path, v := range before {
		if _, ok := now[path]; !ok {
			c.emit(root, bus.ObjectManager+".InterfacesRemoved", path, []string{v.iface})
			c.emit(root, signals+c.cfg.Removed, v.name, path)
		}
	}
	for path, v := range now {
		old, ok := before[path]
		if !ok {
			c.emit(root, bus.ObjectManager+".InterfacesAdded", path, map[string]map[string]dbus.Variant{v.iface: v.values})
			c.emit(root, signals+c.cfg.Added, v.name, path)
			continue
		}
		if diff := changed(old.values, v.values); len(diff) > 0 {
			c.emit(path, bus.Properties+".PropertiesChanged", v.iface, diff, []string{})
		}
	}
}

func changed(before, now map[string]dbus.Variant) map[string]dbus.Variant {
	out := map[string]dbus.Variant{}
	for name, v := range now {
		if !reflect.DeepEqual(before[name], v) {
			out[name] = v
		}
	}
	return out
}
