package filter

import (
	"bytes"

	"exile/jail"
)

// The lines of PAM, and of sshd about PAM.

// pamError reads "ERROR for [illegal user ]U from H", one answer in a dialog.
func (l *line) pamError(b []byte, ev *jail.Event) {
	b, _ = after(b, "Have exhausted maximum number of retries for service")
	_, who, ok := bytes.Cut(b, []byte(" for "))
	if !ok || bytes.HasPrefix(b, []byte("Conversation error")) {
		return // the user gave up at the prompt
	}
	set(ev, jail.Failure, jail.DialogPAM, "pam-error")
	ev.Method = "keyboard-interactive/pam"
	if !l.cut {
		fromAddress(who, ev)
	}
}

// pamMore reads "N more authentication failures; ..." after "PAM ".
func pamMore(b []byte, ev *jail.Event) {
	n, rest, ok := leadingNumber(b)
	if !ok || n < 1 {
		return
	}
	if rest, ok = after(rest, " more authentication failure"); !ok {
		return
	}
	if i := bytes.IndexByte(rest, ';'); i == 0 || i == 1 {
		pamFailure(rest[i+1:], n, ev)
	}
}

// pamModule reads "X(sshd:TYPE): ..." after "pam_".
func pamModule(b []byte, ev *jail.Event) {
	i := bytes.IndexByte(b, '(')
	if i < 0 || bytes.IndexByte(b[:i], ' ') >= 0 {
		return
	}
	rest, ok := after(b[i:], "(sshd:")
	if !ok {
		return
	}
	if fail, ok := after(rest, "auth): authentication failure;"); ok {
		pamFailure(fail, 1, ev)
	} else if user, ok := after(rest, "session): session opened for user "); ok {
		// The only trace of a login if LogLevel hides "Accepted". The name of an account has no blanks or brackets.
		set(ev, jail.Success, jail.Guess, "session")
		ev.User, _ = word(user)
		if i := bytes.IndexByte(ev.User, '('); i >= 0 {
			ev.User = ev.User[:i]
		}
	} else if _, ok := after(rest, "session): session closed for user "); ok {
		set(ev, jail.End, jail.Once, "session-end")
	}
}

// pamFailure reads " logname=L uid=N euid=N tty=T ruser=R rhost=H[  user=U]". The remote end chose U and, with some modules,
// L and R: a line with a second rhost names no address. No account has such a name.
func pamFailure(b []byte, n int, ev *jail.Event) {
	set(ev, jail.Failure, jail.Guess, "pam")
	ev.Weak, ev.Count = true, n
	key := []byte(" rhost=")
	i := bytes.Index(b, key)
	if i < 0 || !bytes.HasPrefix(b, []byte(" logname=")) || !bytes.Contains(b[:i], []byte(" ruser=")) {
		return
	}
	tail := b[i+len(key):]
	if bytes.Contains(tail, key) {
		return
	}
	h, rest := word(tail)
	var ok bool
	if ev.Addr, ok = address(h); !ok {
		return
	}
	if user, ok := after(bytes.TrimLeft(rest, " "), "user="); ok {
		ev.User = user
	}
}
