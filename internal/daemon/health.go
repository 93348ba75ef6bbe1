package daemon

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"exile/internal/control"
	"exile/internal/human"
)

// The reasons for being degraded, and what to do about each.
const (
	reasonBackend    = control.BackendFailed
	reasonState      = "state-failed"
	reasonSource     = "source-failed"
	reasonSuppressed = "journal-suppressed"
	reasonGap        = "journal-gap"
	reasonAside      = "state-set-aside"
	reasonTrial      = "trial-stuck"
	reasonConfig     = "config-invalid"
	reasonFormat     = "journal-format"
	reasonKill       = "connections-not-cut"
	reasonSpare      = "sessions-not-spared"
	reasonFull       = "bans-full"
)

var remedies = map[string]string{
	reasonBackend: "The kernel refused a change; see journalctl -u exiled, or choose another backend: in exile.yaml.",
	reasonState:   "The state cannot be written: free space in, or make writable, the state directory; banning goes on.",
	reasonSuppressed: "journald dropped lines of a watched unit: raise its limit with systemctl edit (LogRateLimitIntervalSec=30s and " +
		"LogRateLimitBurst=1000000 below [Service]; exile brings that for ssh and sshd), and restart it.",
	reasonGap: "Log entries were gone or unreadable before they were read; see journalctl -u exiled and journalctl --verify.",
	reasonFormat: "journald writes files in a format newer than this exiled, which reads them through journalctl, slower and later: " +
		"install a newer exile.",
	reasonSpare: "Open sessions could not be kept alive while their address is banned; see journalctl -u exiled.",
	reasonKill:  "Open connections of banned addresses could not be cut; the bans hold. See journalctl -u exiled, or set kill_connections: no.",
	reasonFull: "There are as many bans as max_bans allows: for each new ban the one that ends soonest is lifted. Raise max_bans:, " +
		"or ban fewer by hand.",
	reasonTrial: "A configuration on trial cannot be taken back because the files are bad: mend them, see exilectl check-config, " +
		"or keep the one on trial with exilectl confirm.",
	reasonAside: "The state file was damaged and has been set aside. Bans were taken from the kernel, and others made again from the log: " +
		"bans that had been lifted may be back, lift them again with exilectl unban or flush. Look at the file, then remove it.",
}

// transient is how long a reason stays if no event ends it.
const transient = 10 * time.Minute

// health knows what is wrong. It logs and announces each change.
type health struct {
	log       *slog.Logger
	announce  func(control.Event)
	reasons   map[string]trouble
	notice    notice
	announced stance
}

// trouble is one reason.
type trouble struct {
	remedy  string
	until   time.Time       // zero: until it is withdrawn
	instead *control.Reason // what everybody may see in its place; nil: all of it
}

// stance is the state as it is announced.
type stance struct {
	state  string
	paused time.Time
}

func newHealth(log *slog.Logger, announce func(control.Event)) *health {
	return &health{log: log, announce: announce, reasons: make(map[string]trouble)}
}

// degrade adds a reason, and logs and announces it once. It stays until recovered is called or, if until is not zero, until then.
func (h *health) degrade(reason string, until time.Time, err error) {
	h.degradeWith(reason, remedies[reason], until, err)
}

// degradeWith is degrade for a reason whose remedy varies.
func (h *health) degradeWith(reason, remedy string, until time.Time, err error) {
	known := h.has(reason)
	h.reasons[reason] = trouble{remedy: remedy, until: until}
	if known {
		return
	}
	h.log.Warn("Degraded", "reason", reason, "error", err, "remedy", remedy)
	h.announce(control.Event{Kind: control.Degraded, Time: time.Now(), Reason: reason})
}

// restrict has everybody see something else in place of a reason, if that is known: it names addresses, accounts or hosts.
func (h *health) restrict(reason, word, remedy string) {
	if t, known := h.reasons[reason]; known {
		t.instead = &control.Reason{Word: word, Remedy: remedy}
		h.reasons[reason] = t
	}
}

// recovered withdraws a reason.
func (h *health) recovered(reason string) {
	if !h.has(reason) {
		return
	}
	delete(h.reasons, reason)
	h.log.Info("Recovered", "reason", reason)
	h.announce(control.Event{Kind: control.Recovered, Time: time.Now(), Reason: reason})
}

// concern adds a reason if it holds, and withdraws it otherwise.
func (h *health) concern(holds bool, reason, remedy string) {
	if holds {
		h.degradeWith(reason, remedy, time.Time{}, nil)
	} else {
		h.recovered(reason)
	}
}

// recoverIf withdraws the reasons that over selects, in order.
func (h *health) recoverIf(over func(reason string, t trouble) bool) {
	for _, reason := range slices.Sorted(maps.Keys(h.reasons)) {
		if over(reason, h.reasons[reason]) {
			h.recovered(reason)
		}
	}
}

// expire withdraws the reasons whose time is over.
func (h *health) expire(now time.Time) {
	h.recoverIf(func(_ string, t trouble) bool { return !t.until.IsZero() && !t.until.After(now) })
}

// announceState announces the state if it has changed, and reports whether it has.
func (h *health) announceState(now stance) bool {
	if now.state == h.announced.state && now.paused.Equal(h.announced.paused) {
		return false
	}
	h.announced = now
	h.announce(control.Event{Kind: control.StateChanged, Time: time.Now(), Reason: now.state})
	return true
}

// degraded reports whether there is any reason.
func (h *health) degraded() bool { return len(h.reasons) > 0 }

// has reports whether the reason is known.
func (h *health) has(reason string) bool {
	_, known := h.reasons[reason]
	return known
}

// room reports whether the reason is known already, or fewer than most reasons have the prefix.
func (h *health) room(reason, prefix string, most int) bool {
	return h.has(reason) || h.count(prefix) < most
}

// count returns how many reasons have the prefix.
func (h *health) count(prefix string) (n int) {
	for reason := range h.reasons {
		if strings.HasPrefix(reason, prefix) {
			n++
		}
	}
	return n
}

// list returns the reasons in order, and the remedy of each.
func (h *health) list() (reasons, remedy []string) {
	reasons = slices.Sorted(maps.Keys(h.reasons))
	for _, reason := range reasons {
		remedy = append(remedy, h.reasons[reason].remedy)
	}
	return reasons, remedy
}

// instead returns what everybody may see in place of reasons, by these.
func (h *health) instead() map[string]control.Reason {
	shown := make(map[string]control.Reason)
	for reason, t := range h.reasons {
		if t.instead != nil {
			shown[reason] = *t.instead
		}
	}
	return shown
}

// public returns the reasons as everybody may see them.
func (h *health) public() control.Status {
	reasons, remedies := h.list()
	return control.Status{Degraded: reasons, Remedies: remedies, Instead: h.instead()}.Public()
}

// announceState announces the state if it has changed.
func (d *Daemon) announceState() {
	if d.health.announceState(stance{d.state(), d.kernel.paused}) {
		d.notify()
	}
}

// notify sends STATUS=, which systemctl shows everybody, and the watchdog message to systemd.
func (d *Daemon) notify() {
	s := d.state()
	var text strings.Builder
	fmt.Fprintf(&text, "STATUS=%s: %s, %s, backend %s%s", strings.ToUpper(s[:1])+s[1:], human.Count(len(d.plan.Jails), "jails"),
		human.Count(d.ledger.bans.len(), "bans"), d.plan.Name, d.sources.progress())
	shown := d.health.public()
	for i, reason := range shown.Degraded {
		text.WriteString("; " + reason + ": " + shown.Remedies[i])
	}
	d.cfg.Notify(text.String())
	if d.cfg.Watchdog > 0 {
		d.cfg.Notify("WATCHDOG=1")
	}
}

// announce announces an event at once.
func (d *Daemon) announce(e control.Event) {
	if e.Ban.Jail != "" { // before there is a plan there is no ban
		e.Ban = d.asShown(e.Ban)
	}
	d.cfg.Announce(e)
}
