package varlink

import (
	"cmp"
	"context"
	_ "embed" // the texts of the interfaces
	"errors"
	"maps"
	"net/netip"
	"strings"
	"time"

	"exile/internal/control"
)

// This file has the methods of org.exile1 and org.varlink.service, and the permissions that their callers need.

//go:embed org.exile1.varlink
var description string

//go:embed service.varlink
var serviceDescription string

// service is the interface that every Varlink service has.
const service = "org.varlink.service"

// method is how a call is carried out. control.ActionOf says who may make it; everybody may use the interface of every
// service.
type method struct {
	endless bool // has no time limit
	serve   func(c *call) (any, error)
}

// methods is the table of the interface.
func methods() map[string]method {
	all := learnedMethods()
	maps.Copy(all, map[string]method{
		"GetStatus":       {serve: getStatus},
		"ListJails":       {serve: listJails},
		"ListBans":        {serve: listBans},
		"ListHosts":       {serve: listHosts},
		"DescribeAddress": {serve: describeAddress},
		"DescribeHistory": {serve: describeHistory},
		"DescribeKernel":  {serve: describeKernel},
		"Monitor":         {serve: watch, endless: true},
		"Ban":             {serve: ban},
		"Unban":           {serve: unban},
		"Flush":           {serve: flush},
		"Report":          {serve: report},
		"Remember":        {serve: remember},
		"Pause":           {serve: pause},
		"Reload":          {serve: command(control.Writer.Reload)},
		"ResetStatistics": {serve: command(control.Writer.ResetStatistics)},
		"ResetFirewall":   {serve: command(control.Writer.ResetFirewall)},
	})
	return all
}

// find finds a method by its full name, and the action that its caller needs.
func find(name string) (m method, needs control.Action, err error) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return m, needs, invalidParameter("method")
	}
	ok := false
	switch in := name[:dot]; in {
	case Interface:
		m, ok = methods()[name[dot+1:]]
		needs = needed(name)
	case service:
		m, ok = serviceMethods()[name[dot+1:]]
	default:
		return m, needs, &failure{service + ".InterfaceNotFound", map[string]string{"interface": in}}
	}
	if !ok {
		return m, needs, &failure{service + ".MethodNotFound", map[string]string{"method": name}}
	}
	return m, needs, nil
}

// needed is the action that a caller of our interface needs. Only root may call a method that is not listed.
func needed(name string) control.Action {
	needs, ok := control.ActionOf(name[strings.LastIndexByte(name, '.')+1:])
	if !ok {
		return control.MayConfigure
	}
	return needs
}

func serviceMethods() map[string]method {
	return map[string]method{"GetInfo": {serve: getInfo}, "GetInterfaceDescription": {serve: getDescription}}
}

func getInfo(c *call) (any, error) {
	return serviceInfo{
		Vendor: "exile", Product: "exiled", Version: c.server.cfg.Version, URL: "man:exiled.service(8)",
		Interfaces: []string{service, Interface},
	}, c.decode(&none{})
}

func getDescription(c *call) (any, error) {
	var in struct {
		Interface string `json:"interface"`
	}
	err := c.decode(&in)
	switch {
	case err != nil:
		return nil, err
	case in.Interface == Interface:
		return serviceText{description}, nil
	case in.Interface == service:
		return serviceText{serviceDescription}, nil
	}
	return nil, &failure{service + ".InterfaceNotFound", map[string]string{"interface": in.Interface}}
}

func getStatus(c *call) (any, error) {
	if err := c.decode(&none{}); err != nil {
		return nil, err
	}
	s, err := c.server.cfg.Daemon.Status(c.ctx)
	if !c.inspects(c.ctx) {
		s = s.Public()
	}
	return statusReply{s}, err
}

func listJails(c *call) (any, error) {
	if err := c.decode(&none{}); err != nil {
		return nil, err
	}
	jails, err := c.server.cfg.Daemon.Jails(c.ctx)
	if !c.inspects(c.ctx) {
		for i, j := range jails {
			jails[i] = j.Public()
		}
	}
	return jailsReply{list(jails)}, err
}

// maxPage is the largest number of records in a reply: it fits into the kernel's buffer for a slow reader.
const maxPage = 500

// page reads the parameters of a list.
func (c *call) page() (control.Page, error) {
	var in pageCall
	if err := c.decode(&in); err != nil {
		return control.Page{}, err
	}
	if in.Max < 0 {
		return control.Page{}, invalidParameter("max")
	}
	return control.Page{Jail: in.Jail, After: in.After, Max: min(cmp.Or(in.Max, maxPage), maxPage)}, nil
}

func listBans(c *call) (any, error) {
	return pages(c, c.server.cfg.Daemon.Bans, func(bans []control.Ban, next string) any {
		return bansReply{list(bans), next}
	})
}

func listHosts(c *call) (any, error) {
	return pages(c, c.server.cfg.Daemon.Hosts, func(hosts []control.Host, next string) any {
		return hostsReply{list(hosts), next}
	})
}

// pages answers with one page, or with all of them if the caller wants more.
func pages[T any](c *call, get func(context.Context, control.Page) ([]T, string, error), out func([]T, string) any) (any, error) {
	p, err := c.page()
	if err != nil {
		return nil, err
	}
	for {
		list, next, err := get(c.ctx, p)
		if err != nil {
			return nil, err
		}
		if next == "" || !c.message.More {
			return out(list, next), nil
		}
		if err := c.more(out(list, "")); err != nil {
			return nil, err
		}
		p.After = next
	}
}

// prefix reads the address that a question is about.
func (c *call) prefix() (netip.Prefix, error) {
	var in addressCall
	if err := c.decode(&in); err != nil {
		return netip.Prefix{}, err
	}
	return control.ParsePrefix(in.Address)
}

func describeAddress(c *call) (any, error) {
	p, err := c.prefix()
	if err != nil {
		return nil, err
	}
	a, err := c.server.cfg.Daemon.Address(c.ctx, p)
	return addressReply{a}, err
}

func describeKernel(c *call) (any, error) {
	p, err := c.prefix()
	if err != nil {
		return nil, err
	}
	held, err := c.server.cfg.Daemon.Held(c.ctx, p)
	return heldReply{list(held)}, err
}

func describeHistory(c *call) (any, error) {
	var in historyCall
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	h, err := c.server.cfg.Daemon.History(c.ctx, in.Jail, moment(in.Since), moment(in.Until))
	return historyReply{h}, err
}

// moment reads a time; 0 is none.
func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us)
}

// watch implements Monitor.
func watch(c *call) (any, error) {
	if err := c.decode(&none{}); err != nil {
		return nil, err
	}
	if !c.message.More || c.message.Oneway {
		return nil, &failure{service + ".ExpectedMore", none{}}
	}
	m := c.server.hub.subscribe(c.ctx)
	if m == nil {
		return nil, errGone
	}
	defer c.server.hub.unsubscribe(c.ctx, m)
	if err := c.more(monitorReply{}); err != nil {
		return nil, err
	}
	return nil, c.forward(m)
}

// forward sends events from the hub until the caller hangs up or is too slow. Either ends the connection.
func (c *call) forward(m *monitor) error {
	left := c.left()
	for {
		select {
		case <-left:
			return errGone
		case message, ok := <-m.queue:
			if !ok {
				_ = c.send(errorReply(&failure{Interface + ".TooSlow", text{"too many events wait: read faster"}}))
				return errGone
			}
			if err := c.write(message); err != nil {
				return err
			}
		}
	}
}

func ban(c *call) (any, error) {
	var in banCall
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	p, err := control.ParsePrefix(in.Address)
	d, wrong := control.Micros(in.Duration)
	if err := errors.Join(err, wrong); err != nil {
		return nil, err
	}
	b, err := c.server.cfg.Daemon.Ban(c.ctx, control.BanRequest{
		Jail: in.Jail, Prefix: p, Duration: d, Permanent: in.Permanent, Reason: in.Reason, Force: in.Force,
	})
	return banReply{b}, err
}

func remember(c *call) (any, error) {
	var in rememberCall
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	p, err := control.ParsePrefix(in.Address)
	if err != nil {
		return nil, err
	}
	errs, err := c.server.cfg.Daemon.Remember(c.ctx, []control.Offender{
		{Jail: in.Jail, Prefix: p, Offences: in.Offences, Last: time.UnixMicro(in.Last)},
	})
	return none{}, errors.Join(append(errs, err)...)
}

func unban(c *call) (any, error) {
	var in unbanCall
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	p, err := control.ParsePrefix(in.Address)
	if err != nil {
		return nil, err
	}
	n, err := c.server.cfg.Daemon.Unban(c.ctx, in.Jail, p)
	return removedReply{n}, err
}

func flush(c *call) (any, error) {
	var in jailCall
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	n, err := c.server.cfg.Daemon.Unban(c.ctx, in.Jail, netip.Prefix{})
	return removedReply{n}, err
}

func report(c *call) (any, error) {
	var in reportCall
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	a, err := control.ParseAddr(in.Address)
	if err != nil {
		return nil, err
	}
	return none{}, c.server.cfg.Daemon.Report(c.ctx, control.Report{
		Jail: in.Jail, Addr: a, User: in.User, Success: in.Success,
	})
}

func pause(c *call) (any, error) {
	var in pauseCall
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.Duration == nil { // a pause requested by mistake would open the gate
		return nil, invalidParameter("duration_usec")
	}
	d, err := control.Micros(*in.Duration)
	if err != nil {
		return nil, err
	}
	return none{}, c.server.cfg.Daemon.Pause(c.ctx, d)
}

// command is a method without parameters.
func command(do func(control.Writer, context.Context) error) func(*call) (any, error) {
	return func(c *call) (any, error) {
		if err := c.decode(&none{}); err != nil {
			return nil, err
		}
		return none{}, do(c.server.cfg.Daemon, c.ctx)
	}
}
