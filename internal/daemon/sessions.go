package daemon

import "context"

// meet asks who is logged in, and has the loop tell the jails.
func (d *Daemon) meet(ctx context.Context) error {
	sessions, err := d.plan.Sessions(ctx)
	if err != nil {
		d.log.Info("Sessions that began before the log are not known, and not protected", "reason", err)
		return nil
	}
	return d.ask(ctx, func(context.Context) {
		d.sessions = sessions
		d.introduce()
	})
}

// introduce tells the jails of the sessions that began before their log, when they have read it: who logged out in it is
// not logged in any more.
func (d *Daemon) introduce() {
	if len(d.sessions) == 0 || len(d.sources) == 0 {
		return
	}
	for _, r := range d.sources {
		if !r.caughtUp {
			return
		}
	}
	for _, r := range d.sources {
		for _, j := range r.Jails {
			for _, s := range d.sessions {
				j.Sessions().Open(r.boot, s.Leader, s.User, s.From, s.Since)
			}
		}
	}
	d.sessions = nil
}
