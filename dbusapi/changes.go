package dbusapi

import (
	"context"
	"reflect"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
)

// changeInterval is the least time between two PropertiesChanged of an object.
const changeInterval = time.Second

// retryInterval is how long to wait when the daemon did not answer.
const retryInterval = 5 * time.Second

// changes is what was last told to the world of the objects' properties. It belongs to the session's goroutine.
type changes struct {
	timer   *time.Timer
	armed   bool   // the timer runs, or an answer is awaited
	again   bool   // something happened since the question was asked
	asked   uint64 // questions so far
	told    uint64 // the last of them whose answer was told
	objects map[dbus.ObjectPath]view
}

// view is the emitted properties of an object.
type view struct {
	iface  string
	jail   string
	values map[string]dbus.Variant
}

func newChanges() changes {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return changes{timer: t}
}

func (c *changes) stop() { c.timer.Stop() }

// start learns the present state without telling it: who has just come reads it.
func (c *changes) start(s *session) { c.refresh(s) }

// soon asks for a look at the properties, at most one each interval.
func (c *changes) soon() {
	if c.armed {
		c.again = true
		return
	}
	c.armed = true
	c.timer.Reset(changeInterval)
}

func (c *changes) refresh(s *session) {
	c.armed, c.again = true, false
	n := c.ask()
	s.fetch(func(r refreshed) {
		c.armed = false
		if r.err != nil { // the daemon is busy or ending
			c.timer.Reset(retryInterval)
			return
		}
		c.answer(s, n, r)
		if c.again {
			c.soon()
		}
	})
}

// ask numbers a question.
func (c *changes) ask() uint64 {
	c.asked++
	return c.asked
}

// answer tells what the n-th answer has of news, unless a later one was told already.
func (c *changes) answer(s *session, n uint64, r refreshed) {
	if n > c.told {
		c.told = n
		c.update(s, views(s.service, r))
	}
}

// refreshNow tells changes before it returns, unless the daemon does not answer.
func (s *session) refreshNow(ctx context.Context) {
	var n uint64
	if s.own(ctx, func() { n = s.changes.ask() }) != nil {
		return
	}
	var r refreshed
	if r.status, r.jails, r.err = s.service.ask(ctx); r.err != nil {
		return
	}
	_ = s.own(ctx, func() { s.changes.answer(s, n, r) })
}

func views(s *Service, r refreshed) map[dbus.ObjectPath]view {
	out := map[dbus.ObjectPath]view{
		managerPath: {ManagerInterface, "", emitted(manager(), facts{s, r.status, control.JailStatus{}})},
	}
	for _, j := range r.jails {
		out[jailPath(j.Name)] = view{JailInterface, j.Name, emitted(jailIface(), facts{s, r.status, j})}
	}
	return out
}

// emitted is the values of those properties whose changes are announced.
func emitted(i *iface, f facts) map[string]dbus.Variant {
	all := values(i, f)
	for _, p := range i.properties {
		if p.emits != emitsTrue {
			delete(all, p.name)
		}
	}
	return all
}

// update announces the difference: objects that came and went before anything names them, then values.
func (c *changes) update(s *session, now map[dbus.ObjectPath]view) {
	before := c.objects
	c.objects = now
	if before == nil {
		return
	}
	for path, v := range before {
		if _, ok := now[path]; !ok {
			s.emit(managerPath, objectsInterface+".InterfacesRemoved", path, []string{v.iface})
			s.emit(managerPath, ManagerInterface+".JailRemoved", v.jail, path)
		}
	}
	for path, v := range now {
		old, ok := before[path]
		if !ok {
			s.emit(managerPath, objectsInterface+".InterfacesAdded", path, map[string]map[string]dbus.Variant{v.iface: v.values})
			s.emit(managerPath, ManagerInterface+".JailNew", v.jail, path)
			continue
		}
		if diff := changed(old.values, v.values); len(diff) > 0 {
			s.emit(path, propertiesInterface+".PropertiesChanged", v.iface, diff, []string{})
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
