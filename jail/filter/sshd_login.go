package filter

import (
	"bytes"

	"exile/jail"
)

// The lines about guesses and logins.

// set fills in what every rule has.
func set(ev *jail.Event, kind jail.Kind, evidence jail.Evidence, rule string) {
	ev.Kind, ev.Evidence, ev.Rule = kind, evidence, rule
}

// verdict reads "Failed|Accepted METHOD for [invalid user ]U from H port P ssh2[: KEY]". KEY may have the key id of a
// certificate, which the remote end chose. A line that was cut there has a genuine address.
func (l *line) verdict(ev *jail.Event, prefix string, kind jail.Kind, rule string) {
	rest, ok := after(l.text, prefix)
	if !ok {
		return
	}
	i := bytes.IndexByte(rest, ' ')
	if i < 0 {
		return
	}
	method := methodName(rest[:i])
	if rest, ok = after(rest[i:], " for "); !ok {
		return
	}
	ev.Method = method
	set(ev, kind, evidenceOf(method), rule)
	if i := bytes.Index(rest, []byte(" ssh2: ")); i >= 0 {
		fromRemote(rest[:i], ev)
	} else if rest, ok := before(rest, " ssh2"); ok && !l.cut {
		fromRemote(rest, ev)
	}
}

// fromRemote reads "[invalid user ]U from H port P".
func fromRemote(b []byte, ev *jail.Event) {
	head, r, ok := tailRemote(b)
	if !ok {
		return
	}
	if head, ok = before(head, " from"); !ok {
		return
	}
	ev.User, ev.Unknown = knownOrNot(head)
	r.to(ev)
}

func knownOrNot(b []byte) (user []byte, unknown bool) {
	if user, ok := after(b, "invalid user "); ok {
		return user, true
	}
	return after(b, "illegal user ")
}

// methods of authentication that sshd knows. The strings of an event are constants: nothing of a line is kept.
var methods = [...]string{
	"password", "publickey", "keyboard-interactive/pam", "none", "hostbased", "gssapi-with-mic", "gssapi-keyex",
	"keyboard-interactive", "keyboard-interactive/bsdauth", "keyboard-interactive/skey", "challenge-response",
}

// methodName returns "other" for a method of a patched sshd.
func methodName(b []byte) string {
	for _, m := range methods {
		if string(b) == m {
			return m
		}
	}
	return "other"
}

func evidenceOf(method string) jail.Evidence {
	switch method {
	case "password":
		return jail.Guess
	case "none", "publickey", "hostbased", "gssapi-with-mic", "gssapi-keyex":
		// With none a client asks what is allowed, and it tries all its keys and tickets: that is one guess at most.
		return jail.Once
	default:
		return jail.Dialog
	}
}

// invalidUser reads "Invalid user U from H[ port P]", which is never too long for syslog.
func (l *line) invalidUser(ev *jail.Event) {
	rest, ok := after(l.text, "Invalid user ")
	if !ok {
		if rest, ok = after(l.text, "Illegal user "); !ok {
			return
		}
	}
	set(ev, jail.Failure, jail.Once, "invalid-user")
	ev.Unknown = true
	if l.cut {
		return
	}
	if fromRemote(rest, ev); !ev.Addr.IsValid() {
		fromAddress(rest, ev)
	}
	ev.Unknown = true
}

// fromAddress reads "[invalid user ]U from H".
func fromAddress(b []byte, ev *jail.Event) {
	head, h, ok := lastWord(b)
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
	ev.User, ev.Unknown = knownOrNot(head)
	ev.Addr = addr
}

// notAllowed reads "User U from H not allowed because REASON" and "User U not allowed because REASON".
func notAllowed(b []byte, ev *jail.Event) {
	key := []byte(" not allowed because ")
	i := bytes.LastIndex(b, key)
	if i < 0 {
		return
	}
	switch reason := b[i+len(key):]; {
	case isOneOf(reason, "not listed in AllowUsers", "listed in DenyUsers", "not in any group",
		"a group is listed in DenyGroups", "none of user's groups are listed in AllowGroups"):
		fromAddress(b[:i], ev)
	case isOneOf(reason, "account is locked"), isShell(reason):
		ev.User = b[:i]
	default:
		return
	}
	set(ev, jail.Failure, jail.Once, "not-allowed")
}

func startsWithOneOf(b []byte, texts ...string) bool {
	for _, t := range texts {
		if _, ok := after(b, t); ok {
			return true
		}
	}
	return false
}

func isOneOf(b []byte, texts ...string) bool {
	for _, t := range texts {
		if rest, ok := after(b, t); ok && len(rest) == 0 { // slices.Contains would copy b
			return true
		}
	}
	return false
}

// isShell reads "shell S does not exist|is not executable".
func isShell(b []byte) bool {
	rest, ok := after(b, "shell ")
	return ok && (bytes.HasSuffix(rest, []byte(" does not exist")) || bytes.HasSuffix(rest, []byte(" is not executable")))
}

// account reads "Access denied for user U by PAM account configuration".
func (l *line) account(ev *jail.Event) {
	rest, _ := after(l.text, "Access denied for user ")
	if user, ok := before(rest, " by PAM account configuration"); ok {
		set(ev, jail.Failure, jail.Once, "account")
		ev.User = user
	}
}

// rootName is the user of a line that does not repeat it.
var rootName = []byte("root")

// rootRefused reads "H port P" after "ROOT LOGIN REFUSED FROM ".
func rootRefused(b []byte, ev *jail.Event) {
	if r, _, ok := headRemote(b); ok {
		set(ev, jail.Failure, jail.Once, "root-refused")
		ev.User = rootName
		r.to(ev)
	}
}

// refused reads libwrap's "NAME (H)". NAME comes from the remote end's name server.
func (l *line) refused(b []byte, ev *jail.Event) {
	i := bytes.LastIndex(b, []byte(" ("))
	inner, ok := before(b, ")")
	if i < 0 || !ok || l.cut {
		return
	}
	if addr, ok := address(inner[i+2:]); ok {
		set(ev, jail.Failure, jail.Once, "refused")
		ev.Addr = addr
	}
}

// maximum reads "[invalid user ]U from H port P ssh2" after "maximum authentication attempts exceeded for ".
func (l *line) maximum(b []byte, ev *jail.Event) {
	set(ev, jail.Failure, jail.Limit, "max-attempts")
	if rest, ok := before(b, " ssh2"); ok && !l.cut {
		fromRemote(rest, ev)
	}
}
