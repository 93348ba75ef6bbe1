package setup

import (
	"exile/internal/config"
	"exile/jail"
	"exile/jail/filter/services"
	"exile/journal"
	"exile/journal/textlog"
)

// This file says whose lines a jail believes. sshd's are root's; those of other services are the lines of their units, whichever user these
// run as.

// Accepts returns what reports whether a line is the service's own.
func Accepts(c *config.Jail) func(*journal.Entry) bool {
	if c.Service == nil {
		return func(e *journal.Entry) bool { return jail.Trusted(e, c.Units, c.Identifiers, c.TrustStdout) }
	}
	if c.Service.Sender == services.Root {
		return func(e *journal.Entry) bool {
			return jail.FromRoot(e, c.Identifiers) || jail.Trusted(e, c.Units, c.Identifiers, c.TrustStdout)
		}
	}
	if c.Service.Sender == services.Kernel {
		return func(e *journal.Entry) bool {
			return e.Transport == "kernel" || jail.FromLog(e, c.Identifiers, OwnLog(c))
		}
	}
	return func(e *journal.Entry) bool {
		return jail.FromUnit(e, c.Units, c.TrustStdout) || jail.FromLog(e, c.Identifiers, OwnLog(c))
	}
}

// Unwatched returns what tells the units of root's that log like the service and that nobody watches.
func Unwatched(c *config.Jail, f jail.Filter) func(*journal.Entry) string {
	if c.Service != nil {
		return func(*journal.Entry) string { return "" }
	}
	return func(e *journal.Entry) string {
		unit := jail.Elsewhere(e, c.Units, c.Identifiers)
		if unit == "" || !f.Parse(e.Message).Addr.IsValid() {
			return ""
		}
		return unit
	}
}

// Selector returns the coarse match for the lines of a jail.
func Selector(c *config.Jail) journal.Selector {
	switch {
	case c.Service == nil || c.Service.Sender == services.Root:
		return jail.Selector(c.Units, c.Identifiers)
	case c.Service.Sender == services.Kernel:
		return jail.KernelSelector()
	default:
		return jail.UnitSelector(c.Units)
	}
}

// InJournal reports whether a jail knows whose lines in the journal are its service's.
func InJournal(c *config.Jail) bool {
	return len(c.Units) > 0 || c.Service != nil && c.Service.Sender != services.Unit
}

// OwnLog reports whether the logs of a jail are those of its service, to which no syslog daemon writes for others.
func OwnLog(c *config.Jail) bool {
	return c.Service != nil && c.Service.Form == services.Line && len(c.LogPath) > 0
}

// FormOf is what the lines of a jail's logs look like.
func FormOf(c *config.Jail) textlog.Form {
	if c.Service == nil {
		return textlog.FormSyslog
	}
	return textlog.Form(c.Service.Form)
}
