package daemon

import "context"

// loadSessions asks who is logged in, and has the loop tell the jails.
func (d *Daemon) loadSessions(ctx context.Context) error {
	sessions, err := d.plan.Sessions(ctx)
	if err != nil {
		d.cfg.Log.Info("Cannot list sessions that began before the log; they are not protected", "reason", err)
		return nil
	}
	return d.ask(ctx, func(context.Context) {
		d.sources.sessions = sessions
		d.sources.announceSessions()
	})
}
