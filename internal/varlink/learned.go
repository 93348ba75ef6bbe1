package varlink

import (
	"context"
	"net/netip"
	"slices"

	"exile/internal/control"
)

// learnedMethods are the methods about what detectors have learned.
func learnedMethods() map[string]method {
	return map[string]method{
		"ListNames":     {serve: listNames},
		"ForgetName":    {serve: forgetName},
		"ForgetAddress": {serve: forgetAddress},
	}
}

// nameRecord is a learned name. It may be of any bytes, which JSON may not: it is quoted.
type nameRecord struct {
	Jail  string `json:"jail"`
	Name  string `json:"name"`
	Hosts int    `json:"hosts"`
	Last  int64  `json:"lastUSec"`
}

type (
	jailCall struct {
		Jail string `json:"jail,omitempty"`
	}
	nameCall struct {
		Jail string `json:"jail,omitempty"`
		Name string `json:"name"`
	}
	namesReply struct {
		Names []nameRecord `json:"names"`
	}
	knownReply struct {
		Known bool `json:"known"`
	}
)

func toName(n control.Name) nameRecord {
	return nameRecord{n.Jail, control.QuoteName(n.Name), n.Hosts, micros(n.Last)}
}

func (r nameRecord) name() (control.Name, error) {
	name, err := control.ParseName(r.Name)
	return control.Name{Jail: r.Jail, Name: name, Hosts: r.Hosts, Last: fromMicros(&r.Last)}, err
}

func listNames(c *call) (any, error) {
	var in jailCall
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if err := control.CheckText("jail", in.Jail); err != nil {
		return nil, err
	}
	names, err := c.server.cfg.Learner.Names(c.ctx, in.Jail)
	if err != nil {
		return nil, err
	}
	for c.message.More && len(names) > maxPage {
		if err := c.more(namesReply{each(names[:maxPage], toName)}); err != nil {
			return nil, err
		}
		names = names[maxPage:]
	}
	return namesReply{each(names, toName)}, nil
}

func forgetName(c *call) (any, error) {
	var in nameCall
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if err := control.CheckText("jail", in.Jail); err != nil {
		return nil, err
	}
	name, err := control.ParseName(in.Name)
	if err != nil {
		return nil, err
	}
	known, err := c.server.cfg.Learner.ForgetName(c.ctx, in.Jail, name)
	return knownReply{known}, err
}

func forgetAddress(c *call) (any, error) {
	var in unbanCall
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	p, err := target(in.Address, in.Jail, "")
	if err != nil {
		return nil, err
	}
	known, err := c.server.cfg.Learner.ForgetAddress(c.ctx, in.Jail, p)
	return knownReply{known}, err
}

// Names implements control.Learner.
func (c *Client) Names(ctx context.Context, jail string) (all []control.Name, err error) {
	r, err := c.start(ctx, Interface+".ListNames", jailCall{jail}, true)
	if err != nil {
		return nil, err
	}
	defer r.close()
	for more := true; more; {
		var out namesReply
		if more, err = r.next(&out); err != nil {
			return nil, because(ctx, err)
		}
		names, err := parse(out.Names, nameRecord.name)
		if err != nil {
			return nil, err
		}
		all = slices.Concat(all, names)
	}
	return all, nil
}

// ForgetName implements control.Learner.
func (c *Client) ForgetName(ctx context.Context, jail, name string) (bool, error) {
	var out knownReply
	err := c.call(ctx, Interface+".ForgetName", nameCall{jail, control.QuoteName(name)}, &out)
	return out.Known, err
}

// ForgetAddress implements control.Learner.
func (c *Client) ForgetAddress(ctx context.Context, jail string, p netip.Prefix) (bool, error) {
	var out knownReply
	err := c.call(ctx, Interface+".ForgetAddress", unbanCall{jail, control.FormatPrefix(p)}, &out)
	return out.Known, err
}
