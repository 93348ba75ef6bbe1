package filter

import (
	"bytes"

	"exile/jail"
)

// sshd reads what OpenSSH's server, 6.x to 10.x, and the PAM modules in it log.
//
// A line is read from the end if the address follows text that the remote end chose, and from the beginning if it precedes
// it. sshd cuts user names at a colon, so a colon ends a name too.
//
// The end of a line may be missing: sshd passes 500 bytes to syslog, with up to five for each control byte of a name, and
// journald drops blanks at the end. A name can be chosen so that its own text becomes the end. Where that is possible, the
// line names no address; its connection knows it.
type sshd struct {
	counts    [jail.End + 1]bool
	publickey string
}

const (
	// maxLine is how much of a line sshd passes to syslog.
	maxLine = 500
	// maxFarewell is how long a line can be that ends with the address, after a name of up to 187 bytes, if its end is
	// genuine. A name that fills 500 bytes with blanks after a forged address leaves 399 or more of them.
	maxFarewell = 360
)

func newSSHD(o Options) *sshd {
	s := &sshd{publickey: o.Publickey}
	s.counts[jail.Failure] = true
	s.counts[jail.Probe] = o.Mode == "ddos" || o.Mode == "aggressive"
	s.counts[jail.NoMatch] = o.Mode == "extra" || o.Mode == "aggressive"
	return s
}

// line is a message without its wrapping.
type line struct {
	text    []byte
	preauth bool // logged for the unprivileged process of a connection
	cut     bool // the end may be missing
	long    bool // the end of a farewell may be missing
}

// Parse implements jail.Filter.
func (s *sshd) Parse(message []byte) (ev jail.Event) {
	text, times := unwrap(message)
	l := line{cut: len(text) >= maxLine, long: len(text) >= maxFarewell}
	l.text, l.preauth = before(trimRight(text), " [preauth]")
	l.text, _ = before(l.text, " [postauth]")
	l.text, _ = after(l.text, "error: ")
	l.text, _ = after(l.text, "fatal: ")
	l.text = afterPlace(l.text)
	if len(l.text) == 0 {
		return ev
	}
	ev.Count = 1
	l.scan(&ev)
	ev.Count *= times
	ev.Counts = s.counts[ev.Kind]
	if ev.Kind == jail.Failure {
		s.weigh(&ev)
	}
	return ev
}

// weigh decides about methods that a client tries on its own, before it asks its user.
func (s *sshd) weigh(ev *jail.Event) {
	switch ev.Method {
	case "publickey":
		s.key(ev)
	case "none": // with empty passwords permitted, every login begins like this
		ev.Counts = ev.Unknown
	}
}

// key decides about a refused key. A client tries all its keys, so together they are one guess, unless each is to count.
func (s *sshd) key(ev *jail.Event) {
	switch s.publickey {
	case "any":
		ev.Evidence = jail.Guess
	case "invalid":
		ev.Counts = ev.Unknown
	default:
		ev.Counts = false
	}
}

// unwrap takes rsyslog's "message repeated 3 times: [ ... ]" off.
func unwrap(b []byte) (inner []byte, times int) {
	rest, ok := after(b, "message repeated ")
	if !ok {
		return b, 1
	}
	n, rest, ok := leadingNumber(rest)
	if !ok || n < 1 || n > maxRepeated {
		return b, 1
	}
	if rest, ok = after(rest, " times: [ "); !ok {
		return b, 1
	}
	if rest, ok = before(trimRight(rest), "]"); !ok {
		return b, 1
	}
	return rest, n
}

const maxRepeated = 1_000_000

// scan finds the rule for a line by its first letter. A table instead would cost allocations: see docs/decisions.md.
func (l *line) scan(ev *jail.Event) {
	switch l.text[0] {
	case 'A':
		l.scanA(ev)
	case 'B', 'b':
		l.scanB(ev)
	case 'C':
		l.scanC(ev)
	case 'D':
		l.scanD(ev)
	case 'F':
		l.scanF(ev)
	case 'I':
		l.invalidUser(ev)
	case 'P', 'p':
		l.scanP(ev)
	case 'R', 'r':
		l.scanR(ev)
	case 'S', 's':
		l.scanS(ev)
	case 'U':
		l.scanU(ev)
	default:
		l.scanRest(ev)
	}
}

// afterPlace takes "FILE.c:FUNCTION():LINE (bin=PROGRAM, pid=N): " off, which LogVerbose in sshd_config puts in front of a
// line; "(pid=N)" up to OpenSSH 9.7. No message begins with text of the remote end that could look like this.
func afterPlace(b []byte) []byte {
	place, text, ok := bytes.Cut(b, []byte("): "))
	file, rest, isFile := bytes.Cut(place, []byte(".c:"))
	function, rest, isCall := bytes.Cut(rest, []byte("():"))
	if !ok || !isFile || !isCall || bytes.IndexByte(file, ' ') >= 0 || bytes.IndexByte(function, ' ') >= 0 {
		return b
	}
	if _, rest, ok = leadingNumber(rest); !ok {
		return b
	}
	if rest, ok = after(rest, " ("); !ok {
		return b
	}
	if program, is := after(rest, "bin="); is {
		_, rest = word(program)
	}
	if rest, ok = after(rest, "pid="); !ok {
		return b
	}
	if _, rest, ok = leadingNumber(rest); !ok || len(rest) > 0 {
		return b
	}
	return text
}

func (l *line) scanA(ev *jail.Event) {
	if bytes.HasPrefix(l.text, []byte("Access denied for user ")) {
		l.account(ev)
		return
	}
	l.verdict(ev, "Accepted ", jail.Success, "accepted")
}

func (l *line) scanB(ev *jail.Event) {
	if rest, ok := after(l.text, "banner exchange: Connection from "); ok {
		probeColon(rest, ev, "banner")
	} else if rest, ok := after(l.text, "Bad protocol version identification '"); ok {
		l.badProtocol(rest, ev)
	} else if _, ok := after(l.text, "Bad packet length "); ok {
		set(ev, jail.Probe, jail.Once, "corrupt")
	} else if _, ok := after(l.text, "Bad remote protocol version identification: "); ok {
		set(ev, jail.Probe, jail.Once, "bad-protocol")
	} else if isThrottling(l.text) {
		throttled(ev)
	}
}

func (l *line) scanC(ev *jail.Event) {
	if rest, ok := after(l.text, "Connection "); ok {
		l.scanConnection(rest, ev)
	} else if rest, ok := after(l.text, "Closing connection to "); ok {
		ended(rest, ev)
	} else if rest, ok := after(l.text, "Could not write ident string to "); ok {
		probe(rest, ev, "no-identification")
	} else if bytes.HasPrefix(l.text, []byte("Corrupted ")) && bytes.Contains(l.text, []byte(" on input")) {
		set(ev, jail.Probe, jail.Once, "corrupt")
	}
}

func (l *line) scanConnection(rest []byte, ev *jail.Event) {
	if by, ok := after(rest, "closed by "); ok {
		l.farewell(by, ev)
	} else if by, ok := after(rest, "reset by "); ok {
		l.farewell(by, ev)
	} else if from, ok := after(rest, "from "); ok {
		l.connection(from, ev)
	} else if bytes.HasPrefix(rest, []byte("timed out during banner exchange")) {
		set(ev, jail.Probe, jail.Once, "banner")
	}
}

func (l *line) scanD(ev *jail.Event) {
	if rest, ok := after(l.text, "Disconnected from "); ok {
		l.farewell(rest, ev)
	} else if rest, ok := after(l.text, "Disconnecting"); ok {
		l.disconnecting(rest, ev)
	} else if rest, ok := after(l.text, "Did not receive identification string from "); ok {
		probe(rest, ev, "no-identification")
	}
}

func (l *line) scanF(ev *jail.Event) {
	if rest, ok := after(l.text, "Finished discarding for "); ok {
		probe(rest, ev, "corrupt")
		return
	}
	l.verdict(ev, "Failed ", jail.Failure, jail.Refused)
}

func (l *line) scanP(ev *jail.Event) {
	if rest, ok := after(l.text, "PAM: "); ok {
		l.pamError(rest, ev)
	} else if rest, ok := after(l.text, "PAM "); ok {
		pamMore(rest, ev)
	} else if rest, ok := after(l.text, "pam_"); ok {
		pamModule(rest, ev)
	} else if rest, ok := after(l.text, "Protocol major versions differ for "); ok {
		rest, _, _ = bytes.Cut(rest, []byte(": ")) // 6.x names no port
		probe(rest, ev, "bad-protocol")
	} else if rest, ok := after(l.text, "PerSourcePenalties "); ok {
		unlogged(rest, ev)
	} else if _, ok := after(l.text, "Protocol major versions differ: "); ok {
		set(ev, jail.Probe, jail.Once, "bad-protocol")
	} else if rest, ok := after(l.text, "probed from "); ok {
		probe(rest, ev, "scanned")
	}
}

func (l *line) scanR(ev *jail.Event) {
	if rest, ok := after(l.text, "Received disconnect from "); ok {
		l.received(rest, ev)
	} else if rest, ok := after(l.text, "ROOT LOGIN REFUSED FROM "); ok {
		rootRefused(rest, ev)
	} else if rest, ok := after(l.text, "refused connect from "); ok {
		l.refused(rest, ev)
	} else if rest, ok := after(l.text, "Read error from remote host "); ok {
		ended(rest, ev)
	} else if bytes.HasPrefix(l.text, []byte("Read from socket failed: ")) {
		set(ev, jail.Probe, jail.Once, "closed")
	}
}

func (l *line) scanS(ev *jail.Event) {
	if rest, ok := after(l.text, "ssh_dispatch_run_fatal: Connection from "); ok {
		l.broken(rest, ev)
	} else if rest, ok := after(l.text, "srclimit_penalise: "); ok {
		penalise(rest, ev)
	} else if rest, ok := after(l.text, "scanned from "); ok {
		probe(rest, ev, "scanned")
	} else if rest, ok := after(l.text, "Session process "); ok {
		crash(rest, ev)
	} else if rest, ok := after(l.text, "session process "); ok {
		crash(rest, ev)
	}
}

func (l *line) scanU(ev *jail.Event) {
	if rest, ok := after(l.text, "Unable to negotiate with "); ok {
		negotiate(rest, ev)
	} else if bytes.HasPrefix(l.text, []byte("Unable to negotiate a key exchange method")) {
		set(ev, jail.NoMatch, jail.Once, "negotiate")
	} else if rest, ok := after(l.text, "User "); ok {
		notAllowed(rest, ev)
	} else if rest, ok := after(l.text, "Username too long from "); ok {
		if probe(rest, ev, "not-allowed"); ev.Rule != "" {
			ev.Kind = jail.Failure
		}
	}
}

func (l *line) scanRest(ev *jail.Event) {
	if rest, ok := after(l.text, "Timeout before authentication for "); ok {
		timeout(rest, ev)
	} else if rest, ok := after(l.text, "Timeout, client not responding from "); ok {
		l.farewell(rest, ev)
	} else if rest, ok := after(l.text, "terminating inactive connection from "); ok {
		l.farewell(rest, ev)
	} else if rest, ok := after(l.text, "maximum authentication attempts exceeded for "); ok {
		l.maximum(rest, ev)
	} else if _, ok := after(l.text, "monitor_child_preauth: privsep child made too many authentication attempts"); ok {
		set(ev, jail.Failure, jail.Limit, "max-attempts")
		ev.Last = true
	} else if _, ok := after(l.text, "kex_exchange_identification: "); ok {
		set(ev, jail.Probe, jail.Once, "kex")
	} else if isNoCommon(l.text) {
		set(ev, jail.NoMatch, jail.Once, "negotiate")
	} else if rest, ok := after(l.text, "drop connection #"); ok {
		drop(rest, ev)
	} else if isThrottling(l.text) {
		throttled(ev)
	} else if _, ok := after(l.text, "administratively prohibited connection for "); ok {
		// The name may be of any length, so the address behind it may be part of it.
		set(ev, jail.Failure, jail.Once, "not-allowed")
	}
}

// isNoCommon reads what OpenSSH 6.x logs if client and server have no algorithm in common.
func isNoCommon(b []byte) bool {
	rest, ok := after(b, "no matching ")
	return ok && bytes.Contains(rest, []byte(" found: client ")) || isOneOf(b, "no hostkey alg", "no kex alg")
}
