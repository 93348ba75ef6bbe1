package filter

import (
	"bytes"

	"exile/jail"
)

// set fills in what most rules have.
func set(ev *jail.Event, kind jail.Kind, evidence jail.Evidence, rule string) {
	ev.Kind, ev.Evidence, ev.Rule = kind, evidence, rule
}

func (r remote) to(ev *jail.Event) { ev.Addr, ev.Port = r.addr, r.port }

// scanA reads lines that begin with A.
func scanA(l *line, ev *jail.Event) {
	if rest, ok := after(l.text, "Access denied for user "); ok {
		if _, ok := before(rest, " by PAM account configuration"); ok {
			set(ev, jail.Failure, jail.Once, "account")
		}
		return
	}
	scanVerdict(l, ev, "Accepted ", jail.Success, "accepted")
}

// scanInvalid reads "Invalid user U from H[ port P]".
func scanInvalid(l *line, ev *jail.Event) {
	rest, ok := after(l.text, "Invalid user ")
	if !ok {
		if rest, ok = after(l.text, "Illegal user "); !ok {
			return
		}
	}
	if l.cut {
		return
	}
	head, r, ok := tailRemote(rest)
	if !ok {
		var h []byte
		if head, h, ok = lastWord(rest); !ok {
			return
		}
		if r.addr, ok = address(h); !ok {
			return
		}
	}
	if head, ok = before(head, " from"); !ok {
		return
	}
	set(ev, jail.Failure, jail.Once, "invalid-user")
	ev.User, ev.Unknown = head, true
	r.to(ev)
}

// scanC reads "Connection closed|reset by ..." and "Connection from ...".
func scanC(l *line, ev *jail.Event) {
	rest, ok := after(l.text, "Connection ")
	if !ok {
		return
	}
	if from, ok := after(rest, "from "); ok {
		if r, _, ok := headRemote(from); ok {
			set(ev, jail.None, jail.Once, "connection")
			r.to(ev)
		}
		return
	}
	if by, ok := after(rest, "closed by "); ok {
		scanGone(l, by, ev)
	} else if by, ok := after(rest, "reset by "); ok {
		scanGone(l, by, ev)
	}
}

// scanGone reads "[invalid user U |authenticating user U |user U ]H[ port P]", how every farewell ends.
func scanGone(l *line, b []byte, ev *jail.Event) {
	ev.Last = true
	for _, who := range [...]struct {
		prefix  string
		unknown bool
	}{{"invalid user ", true}, {"authenticating user ", false}} {
		if rest, ok := after(b, who.prefix); ok {
			if head, r, ok := tailRemote(rest); ok && !l.cut {
				set(ev, jail.Failure, jail.Once, "gave-up")
				ev.User, ev.Unknown = head, who.unknown
				r.to(ev)
			}
			return
		}
	}
	if rest, ok := after(b, "user "); ok {
		if head, r, ok := tailRemote(rest); ok && !l.cut {
			set(ev, jail.End, jail.Once, "session-end")
			ev.User = head
			r.to(ev)
		}
		return
	}
	r, rest, ok := headRemote(b)
	if !ok || len(rest) > 0 {
		return
	}
	r.to(ev)
	if l.preauth {
		set(ev, jail.Probe, jail.Once, "closed")
	} else {
		set(ev, jail.End, jail.Once, "closed-end")
	}
}

// scanD reads lines that begin with D.
func scanD(l *line, ev *jail.Event) {
	if rest, ok := after(l.text, "Disconnected from "); ok {
		scanGone(l, rest, ev)
		return
	}
	if rest, ok := after(l.text, "Disconnecting"); ok {
		scanDisconnecting(rest, ev)
		return
	}
	if rest, ok := after(l.text, "Did not receive identification string from "); ok {
		probe(rest, ev, "no-identification")
	}
}

// probe reads "H[ port P]..." of somebody who did not try to log in.
func probe(b []byte, ev *jail.Event, rule string) {
	if r, _, ok := headRemote(b); ok {
		set(ev, jail.Probe, jail.Once, rule)
		r.to(ev)
		ev.Last = true
	}
}

// scanDisconnecting reads " [invalid|authenticating user U ]H port P: REASON" and, of old, ": REASON". U has no colon, so
// the first ": " ends the address even where the reason repeats a user name.
func scanDisconnecting(b []byte, ev *jail.Event) {
	i := bytes.Index(b, []byte(": "))
	if i < 0 {
		return
	}
	who, reason := b[:i], b[i+2:]
	switch {
	case bytes.HasPrefix(reason, []byte("Too many authentication failures")):
		set(ev, jail.Failure, jail.Limit, "max-attempts")
	case bytes.HasPrefix(reason, []byte("Change of username or service not allowed")):
		set(ev, jail.Failure, jail.Once, "change-user")
	default:
		return
	}
	head, r, ok := tailRemote(who)
	if !ok {
		if len(who) > 0 {
			*ev = jail.Event{Count: 1}
		}
		return
	}
	r.to(ev)
	head = bytes.TrimPrefix(head, []byte(" "))
	if user, ok := after(head, "invalid user "); ok {
		ev.User, ev.Unknown = user, true
	} else if user, ok := after(head, "authenticating user "); ok {
		ev.User = user
	}
}

// scanR reads "Received disconnect from ..." and "ROOT LOGIN REFUSED FROM ...".
func scanR(l *line, ev *jail.Event) {
	if rest, ok := after(l.text, "ROOT LOGIN REFUSED FROM "); ok {
		if r, _, ok := headRemote(rest); ok {
			set(ev, jail.Failure, jail.Once, "root-refused")
			ev.User = root
			r.to(ev)
		}
		return
	}
	if rest, ok := after(l.text, "Received disconnect from "); ok {
		scanReceived(l, rest, ev)
	}
}

// root is a user whom one line does not name.
var root = []byte("root")

// scanReceived reads "H port P:CODE: TEXT" and, of old, "H: CODE: TEXT". TEXT is the remote's.
func scanReceived(l *line, b []byte, ev *jail.Event) {
	h, rest := word(b)
	if old, ok := before(h, ":"); ok {
		h = old
	} else {
		r, tail, ok := headRemote(b)
		if !ok || len(tail) == 0 || tail[0] != ':' {
			return
		}
		ev.Port, rest = r.port, tail[1:]
	}
	addr, ok := address(h)
	if !ok {
		return
	}
	code, text, _ := leadingNumber(bytes.TrimLeft(rest, " "))
	ev.Addr = addr
	switch {
	case code == 3 && bytes.Contains(text, []byte("Auth fail")):
		set(ev, jail.Failure, jail.Once, "auth-fail")
	case code == 14 && bytes.HasPrefix(text, []byte(": No ")) && bytes.Contains(text, []byte("authentication method")):
		set(ev, jail.Failure, jail.Once, "no-method")
	case l.preauth:
		set(ev, jail.Probe, jail.Once, "disconnect")
	default:
		set(ev, jail.None, jail.Once, "disconnect")
	}
}

// scanU reads "User U from H not allowed because ..." and "Unable to negotiate with H port P: ...".
func scanU(l *line, ev *jail.Event) {
	if rest, ok := after(l.text, "Unable to negotiate with "); ok {
		if r, tail, ok := headRemote(rest); ok && bytes.HasPrefix(tail, []byte(": no matching ")) {
			set(ev, jail.NoMatch, jail.Once, "negotiate")
			r.to(ev)
		}
		return
	}
	rest, ok := after(l.text, "User ")
	if !ok || l.cut {
		return
	}
	for _, reason := range reasons {
		who, ok := before(rest, reason)
		if !ok {
			continue
		}
		set(ev, jail.Failure, jail.Once, "not-allowed")
		ev.User = who
		head, h, _ := lastWord(who)
		if user, ok := before(head, " from"); ok {
			if addr, ok := address(h); ok {
				ev.User, ev.Addr = user, addr
			}
		}
		return
	}
}

// reasons not to let a user in.
var reasons = [...]string{
	" not allowed because not listed in AllowUsers",
	" not allowed because listed in DenyUsers",
	" not allowed because not in any group",
	" not allowed because a group is listed in DenyGroups",
	" not allowed because none of user's groups are listed in AllowGroups",
	" not allowed because account is locked",
}

// scanMax reads "maximum authentication attempts exceeded for [invalid user ]U from H port P ssh2".
func scanMax(l *line, ev *jail.Event) {
	rest, ok := after(l.text, "maximum authentication attempts exceeded for ")
	if !ok || l.cut {
		return
	}
	if rest, ok = before(rest, " ssh2"); ok && fromTail(rest, ev) {
		set(ev, jail.Failure, jail.Limit, "max-attempts")
	}
}

// scanP reads what PAM says, and "Protocol ...".
func scanP(l *line, ev *jail.Event) {
	if rest, ok := after(l.text, "PAM: "); ok {
		scanPAMError(l, rest, ev)
		return
	}
	if rest, ok := after(l.text, "PAM "); ok {
		n, rest, ok := leadingNumber(rest)
		if !ok || n < 1 {
			return
		}
		if rest, ok = after(rest, " more authentication failure"); ok {
			scanPAMFailure(rest, n, ev)
		}
		return
	}
	rest, ok := after(l.text, "pam_")
	if !ok {
		return
	}
	i := bytes.Index(rest, []byte("(sshd:"))
	if i < 0 || bytes.IndexByte(rest[:i], ' ') >= 0 {
		return
	}
	rest = rest[i+len("(sshd:"):]
	if fail, ok := after(rest, "auth): authentication failure;"); ok {
		scanPAMFailure(fail, 1, ev)
	} else if _, ok := after(rest, "session): session closed for user "); ok {
		set(ev, jail.End, jail.Once, "session-end")
	}
}

// scanPAMError reads "Authentication failure for [illegal user ]U from H".
func scanPAMError(l *line, b []byte, ev *jail.Event) {
	i := bytes.Index(b, []byte(" for "))
	if i < 0 || l.cut {
		return
	}
	head, h, ok := lastWord(b[i+len(" for "):])
	if !ok {
		return
	}
	addr, ok := address(h)
	if !ok {
		return
	}
	if head, ok = before(head, " from"); !ok {
		return
	}
	set(ev, jail.Failure, jail.DialogPAM, "pam-error")
	ev.User, ev.Unknown = unknownUser(head)
	ev.Addr, ev.Method = addr, "keyboard-interactive/pam"
}

// scanPAMFailure reads "... ruser=R rhost=H[  user=U]". U and, with some clients, R are the remote's: behind an empty R the
// first rhost is the true one, otherwise there must be no other.
func scanPAMFailure(b []byte, n int, ev *jail.Event) {
	key := []byte(" rhost=")
	i := bytes.Index(b, key)
	if i < 0 || !bytes.HasSuffix(b[:i], []byte(" ruser=")) && bytes.Contains(b[i+len(key):], key) {
		return
	}
	h, rest := word(b[i+len(key):])
	addr, ok := address(h)
	if !ok {
		return
	}
	set(ev, jail.Failure, jail.Guess, "pam")
	ev.Weak, ev.Count, ev.Addr = true, n, addr
	if user, ok := after(bytes.TrimLeft(rest, " "), "user="); ok {
		ev.User = user
	}
}

// scanRest reads the rarer lines.
func scanRest(l *line, ev *jail.Event) {
	switch t := l.text; t[0] {
	case 'T':
		scanTimeout(t, ev)
	case 'B':
		rest, ok := after(t, "Bad protocol version identification '")
		if head, r, is := tailRemote(rest); ok && is && !l.cut && bytes.HasSuffix(head, []byte("' from")) {
			set(ev, jail.Probe, jail.Once, "bad-protocol")
			r.to(ev)
			ev.Last = true
		}
	case 'b':
		if rest, ok := after(t, "banner exchange: Connection from "); ok {
			probe(rest, ev, "banner")
		}
	case 'k':
		if _, ok := after(t, "kex_exchange_identification: "); ok {
			set(ev, jail.Probe, jail.Once, "kex")
		}
	case 's':
		scanDispatch(t, ev)
	case 'd':
		scanDrop(t, ev)
	case 'r':
		scanRefused(l, ev)
	}
}

// scanTimeout reads "Timeout before authentication for H port P" and, since 9.8, from the listener, "Timeout before
// authentication for connection from H to L, pid = N".
func scanTimeout(t []byte, ev *jail.Event) {
	rest, ok := after(t, "Timeout before authentication for ")
	if !ok {
		return
	}
	from, ok := after(rest, "connection from ")
	if !ok {
		probe(rest, ev, "timeout")
		return
	}
	h, rest := word(from)
	addr, ok := address(h)
	if !ok {
		return
	}
	set(ev, jail.Probe, jail.Once, "timeout")
	ev.Addr, ev.Alone = addr, true
	i := bytes.LastIndex(rest, []byte(", pid = "))
	if i < 0 {
		return
	}
	if pid, ok := number(rest[i+len(", pid = "):]); ok && pid > 0 {
		ev.PID, ev.Alone = int32(pid), false
	}
}

// scanDispatch reads "ssh_dispatch_run_fatal: Connection from [... user U ]H port P: TEXT".
func scanDispatch(t []byte, ev *jail.Event) {
	rest, ok := after(t, "ssh_dispatch_run_fatal: Connection from ")
	if !ok {
		return
	}
	i := bytes.Index(rest, []byte(": "))
	if i < 0 {
		return
	}
	_, r, ok := tailRemote(rest[:i])
	if !ok {
		return
	}
	reason := rest[i+2:]
	for _, bad := range [...]string{"message authentication code incorrect", "Connection corrupted"} {
		if bytes.HasPrefix(reason, []byte(bad)) {
			set(ev, jail.Probe, jail.Once, "corrupt")
			r.to(ev)
		}
	}
}

// scanDrop reads "drop connection #N from [H]:P on [L]:P2 penalty: ...", from the listener.
func scanDrop(t []byte, ev *jail.Event) {
	rest, ok := after(t, "drop connection #")
	if !ok {
		return
	}
	_, rest, _ = leadingNumber(rest)
	if rest, ok = after(rest, " from ["); !ok {
		return
	}
	i := bytes.IndexByte(rest, ']')
	if i < 0 {
		return
	}
	addr, ok := address(rest[:i])
	if !ok || !bytes.Contains(rest[i:], []byte(" penalty: ")) {
		return
	}
	set(ev, jail.Probe, jail.Once, "penalty")
	ev.Addr, ev.Alone = addr, true
}

// scanRefused reads libwrap's "refused connect from NAME (H)".
func scanRefused(l *line, ev *jail.Event) {
	rest, ok := after(l.text, "refused connect from ")
	if !ok || l.cut {
		return
	}
	if rest, ok = before(rest, ")"); !ok {
		return
	}
	i := bytes.LastIndex(rest, []byte(" ("))
	if i < 0 {
		return
	}
	if addr, ok := address(rest[i+2:]); ok {
		set(ev, jail.Failure, jail.Once, "refused")
		ev.Addr = addr
	}
}
