package varlink

import (
	"context"
	"net/netip"

	"exile/internal/control"
)

// learnedMethods are the methods for what detectors have learned.
func learnedMethods() map[string]method {
	return map[string]method{
		"ListNames":     {serve: listNames},
		"ForgetName":    {serve: forgetName},
		"ForgetAddress": {serve: forgetAddress},
	}
}

func listNames(c *call) (any, error) {
	var in jailCall
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	names, err := c.server.cfg.Daemon.Names(c.ctx, in.Jail)
	if err != nil {
		return nil, err
	}
	for c.message.More && len(names) > maxPage {
		if err := c.more(namesReply{names[:maxPage]}); err != nil {
			return nil, err
		}
		names = names[maxPage:]
	}
	return namesReply{list(names)}, nil
}

func forgetName(c *call) (any, error) {
	var in nameCall
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	known, err := c.server.cfg.Daemon.ForgetName(c.ctx, in.Jail, string(in.Name))
	return knownReply{known}, err
}

func forgetAddress(c *call) (any, error) {
	var in unbanCall
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	p, err := control.ParsePrefix(in.Address)
	if err != nil {
		return nil, err
	}
	known, err := c.server.cfg.Daemon.ForgetAddress(c.ctx, in.Jail, p)
	return knownReply{known}, err
}

// Names implements control.Learner.
func (c *Client) Names(ctx context.Context, jail string) (all []control.Name, err error) {
	var out namesReply
	r, more, err := c.ask(ctx, Interface+".ListNames", jailCall{jail}, true, &out)
	if err != nil {
		return nil, err
	}
	defer r.close()
	for {
		if all = append(all, out.Names...); !more {
			return all, nil
		}
		out = namesReply{}
		if more, err = r.next(&out); err != nil {
			return nil, because(ctx, err)
		}
	}
}

// ForgetName implements control.Learner.
func (c *Client) ForgetName(ctx context.Context, jail, name string) (bool, error) {
	var out knownReply
	err := c.call(ctx, Interface+".ForgetName", nameCall{jail, control.AnyText(name)}, &out)
	return out.Known, err
}

// ForgetAddress implements control.Learner.
func (c *Client) ForgetAddress(ctx context.Context, jail string, p netip.Prefix) (bool, error) {
	var out knownReply
	err := c.call(ctx, Interface+".ForgetAddress", unbanCall{jail, control.FormatPrefix(p)}, &out)
	return out.Known, err
}
