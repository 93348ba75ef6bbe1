package filter

import (
	"bytes"

	"exile/jail"
)

// sshd reads what OpenSSH's server and the PAM modules in it log, from 6.x to 10.x.
//
// A line is read from the end where the address stands behind text that the remote chose, and from the beginning where
// it stands before. sshd cuts a line at 500 bytes, so a long user name can make its own text the end of the line: what
// was cut is not read from the end.
type sshd struct {
	counts    [jail.End + 1]bool
	publickey string
}

func newSSHD(o Options) *sshd {
	s := &sshd{publickey: o.Publickey}
	s.counts[jail.Failure] = true
	s.counts[jail.Probe] = o.Mode == "ddos" || o.Mode == "aggressive"
	s.counts[jail.NoMatch] = o.Mode == "extra" || o.Mode == "aggressive"
	return s
}

// maxLine is how much of a line sshd hands to syslog.
const maxLine = 500

// line is a message without what stands around it.
type line struct {
	text    []byte
	preauth bool // logged for the unprivileged process of a connection
	cut     bool // the end may be missing
}

// Parse implements jail.Filter.
func (s *sshd) Parse(message []byte) (ev jail.Event) {
	text, times := unwrap(bytes.TrimRight(message, " \r\n"))
	l := line{text: text, cut: len(text) >= maxLine}
	l.text, l.preauth = before(l.text, " [preauth]")
	l.text, _ = after(l.text, "error: ")
	l.text, _ = after(l.text, "fatal: ")
	if len(l.text) == 0 {
		return ev
	}
	ev.Count = 1
	s.scan(&l, &ev)
	ev.Count *= times
	ev.Counts = s.counts[ev.Kind] && !s.ignored(&ev)
	return ev
}

// unwrap takes rsyslog's "message repeated 3 times: [ ... ]" off.
func unwrap(b []byte) (inner []byte, times int) {
	rest, ok := after(b, "message repeated ")
	if !ok {
		return b, 1
	}
	n, rest, ok := leadingNumber(rest)
	if !ok || n < 1 || n > 1e6 {
		return b, 1
	}
	if rest, ok = after(rest, " times: ["); !ok {
		return b, 1
	}
	if rest, ok = before(rest, "]"); !ok {
		return b, 1
	}
	return bytes.TrimSpace(rest), n
}

// ignored reports whether ev is about a key that does not count.
func (s *sshd) ignored(ev *jail.Event) bool {
	if ev.Method != "publickey" || ev.Kind != jail.Failure {
		return false
	}
	return s.publickey == "ignore" || s.publickey == "invalid" && !ev.Unknown
}

// scan finds the rule for a line by its first letter.
func (s *sshd) scan(l *line, ev *jail.Event) {
	switch l.text[0] {
	case 'F':
		scanVerdict(l, ev, "Failed ", jail.Failure, "failed")
	case 'A':
		scanA(l, ev)
	case 'I', 'i':
		scanInvalid(l, ev)
	case 'C':
		scanC(l, ev)
	case 'D':
		scanD(l, ev)
	case 'R':
		scanR(l, ev)
	case 'U':
		scanU(l, ev)
	case 'p', 'P':
		scanP(l, ev)
	case 'm':
		scanMax(l, ev)
	default:
		scanRest(l, ev)
	}
}

// scanVerdict reads "Failed|Accepted METHOD for [invalid user ]U from H port P ssh2[: KEY]". Behind "ssh2: " stands a
// certificate's key id, which the remote chose; U has no colon, sshd cuts it there.
func scanVerdict(l *line, ev *jail.Event, prefix string, kind jail.Kind, rule string) {
	rest, ok := after(l.text, prefix)
	if !ok {
		return
	}
	if i := bytes.Index(rest, []byte(" ssh2: ")); i >= 0 {
		rest = rest[:i]
	} else if rest, ok = before(rest, " ssh2"); !ok || l.cut {
		return
	}
	i := bytes.Index(rest, []byte(" for "))
	if i < 0 {
		return
	}
	method := methodName(rest[:i])
	if method == "" || !fromTail(rest[i+len(" for "):], ev) {
		return
	}
	ev.Kind, ev.Rule, ev.Method, ev.Evidence = kind, rule, method, evidenceOf(method)
}

// fromTail reads "[invalid user ]U from H port P".
func fromTail(b []byte, ev *jail.Event) bool {
	head, r, ok := tailRemote(b)
	if !ok {
		return false
	}
	if head, ok = before(head, " from"); !ok {
		return false
	}
	ev.User, ev.Unknown = unknownUser(head)
	ev.Addr, ev.Port = r.addr, r.port
	return true
}

func unknownUser(b []byte) (user []byte, unknown bool) {
	if user, ok := after(b, "invalid user "); ok {
		return user, true
	}
	return after(b, "illegal user ")
}

// methodName is a constant for each method, so that nothing of the line is kept.
func methodName(b []byte) string {
	switch string(b) {
	case "password":
		return "password"
	case "publickey":
		return "publickey"
	case "none":
		return "none"
	case "keyboard-interactive/pam":
		return "keyboard-interactive/pam"
	case "keyboard-interactive/bsdauth":
		return "keyboard-interactive/bsdauth"
	case "keyboard-interactive/skey":
		return "keyboard-interactive/skey"
	case "keyboard-interactive":
		return "keyboard-interactive"
	case "hostbased":
		return "hostbased"
	case "gssapi-with-mic":
		return "gssapi-with-mic"
	case "gssapi-keyex":
		return "gssapi-keyex"
	case "challenge-response":
		return "challenge-response"
	}
	if len(b) == 0 || len(b) > 40 {
		return ""
	}
	for _, c := range b {
		if c <= ' ' || c >= 0x7f {
			return ""
		}
	}
	return "other"
}

func evidenceOf(method string) jail.Evidence {
	switch method {
	case "none", "publickey":
		// A client asks with none what is allowed, and tries all its keys: that is one guess at most.
		return jail.Once
	case "keyboard-interactive/pam", "keyboard-interactive/bsdauth", "keyboard-interactive/skey", "keyboard-interactive",
		"challenge-response":
		return jail.Dialog
	default:
		return jail.Guess
	}
}
