package filter

import (
	"bytes"

	"exile/jail"
)

// The lines about ends of connections, and about connections without an attempt to log in.

// farewell reads "[invalid user U |authenticating user U |user U ]H port P", at the end of many lines.
func (l *line) farewell(b []byte, ev *jail.Event) {
	ev.Last = true
	if rest, ok := after(b, "invalid user "); ok {
		set(ev, jail.Failure, jail.Once, "gave-up")
		l.farewellOf(rest, ev)
		ev.Unknown = true
	} else if rest, ok := after(b, "authenticating user "); ok {
		set(ev, jail.Failure, jail.Once, "gave-up")
		l.farewellOf(rest, ev)
	} else if rest, ok := after(b, "user "); ok {
		set(ev, jail.End, jail.Once, "session-end")
		l.farewellOf(rest, ev)
	} else if r, rest, ok := headRemote(b); ok && len(rest) == 0 {
		set(ev, jail.Probe, jail.Once, "closed")
		ev.OrEnd = !l.preauth
		r.to(ev)
	}
}

// farewellOf reads "U H port P".
func (l *line) farewellOf(b []byte, ev *jail.Event) {
	if user, r, ok := tailRemote(b); ok && !l.long {
		ev.User = user
		r.to(ev)
	}
}

// ended reads "H port P..." of a session that ended.
func ended(b []byte, ev *jail.Event) {
	if r, _, ok := headRemote(b); ok {
		set(ev, jail.End, jail.Once, "session-end")
		ev.Last = true
		r.to(ev)
	}
}

// connection reads "H port P on L port P2 ...", "H port P with IP opts: ...", "[... user U ]H port P timed out" and
// "[... user U ]H port P: TEXT".
func (l *line) connection(b []byte, ev *jail.Event) {
	if rest, ok := before(b, " timed out"); ok {
		if l.farewell(rest, ev); ev.Rule == "closed" {
			ev.Rule = "timeout"
		}
		return
	}
	if l.broken(b, ev); ev.Rule != "" {
		return
	}
	if r, rest, ok := headRemote(b); ok {
		set(ev, jail.None, jail.Once, "connection")
		if bytes.HasPrefix(rest, []byte(" with IP opts: ")) { // source routing
			set(ev, jail.Probe, jail.Once, "ip-options")
		}
		r.to(ev)
	}
}

// disconnecting reads " [invalid|authenticating user U ]H port P: REASON" and, of old, ": REASON".
func (l *line) disconnecting(b []byte, ev *jail.Event) {
	who, reason, ok := bytes.Cut(b, []byte(": "))
	if !ok {
		return
	}
	switch {
	case bytes.HasPrefix(reason, []byte("Too many authentication failures")):
		set(ev, jail.Failure, jail.Limit, "max-attempts")
	case bytes.HasPrefix(reason, []byte("Change of username or service not allowed")):
		set(ev, jail.Failure, jail.Once, "change-user")
	case l.preauth:
		set(ev, jail.Probe, jail.Once, "protocol")
	default:
		return
	}
	ev.Last = true
	head, r, ok := tailRemote(who)
	if !ok {
		return
	}
	r.to(ev)
	if user, ok := after(head, " invalid user "); ok {
		ev.User, ev.Unknown = user, true
	} else if user, ok := after(head, " authenticating user "); ok {
		ev.User = user
	}
}

// received reads "H port P:CODE: TEXT" and, of old, "H: CODE: TEXT". TEXT is from the remote end.
func (l *line) received(b []byte, ev *jail.Event) {
	h, rest := word(b)
	var r remote
	var ok bool
	if h, ok = before(h, ":"); ok {
		r.addr, ok = address(h)
	} else if r, rest, ok = headRemote(b); ok {
		rest, ok = after(rest, ":")
	}
	if !ok {
		return
	}
	code, text, _ := leadingNumber(bytes.TrimLeft(rest, " "))
	r.to(ev)
	switch {
	case code == 3 && bytes.Contains(text, []byte("Auth fail")):
		set(ev, jail.Failure, jail.Once, "auth-fail")
	case code == 14 && isNoMethod(text):
		set(ev, jail.Failure, jail.Once, "no-method")
	case l.preauth:
		set(ev, jail.Probe, jail.Once, "disconnect")
	default:
		set(ev, jail.None, jail.Once, "disconnect")
	}
}

func isNoMethod(text []byte) bool {
	rest, ok := after(text, ": No ")
	if !ok {
		return false
	}
	rest, _ = after(rest, "more ")
	rest, _ = after(rest, "supported ")
	return bytes.HasPrefix(rest, []byte("authentication method"))
}

// probe reads "H[ port P]..." of a client that did not try to log in.
func probe(b []byte, ev *jail.Event, rule string) {
	if r, _, ok := headRemote(b); ok {
		set(ev, jail.Probe, jail.Once, rule)
		ev.Last = true
		r.to(ev)
	}
}

// probeColon reads "[... user U ]H port P: TEXT"; TEXT is from the remote end.
func probeColon(b []byte, ev *jail.Event, rule string) (text []byte, ok bool) {
	who, text, ok := bytes.Cut(b, []byte(": "))
	if !ok {
		return nil, false
	}
	_, r, ok := tailRemote(who)
	if !ok {
		return nil, false
	}
	set(ev, jail.Probe, jail.Once, rule)
	ev.Last = true
	r.to(ev)
	return text, true
}

// negotiate reads "H port P: no matching ... found. Their offer: TEXT".
func negotiate(b []byte, ev *jail.Event) {
	if text, ok := probeColon(b, ev, "negotiate"); ok {
		ev.Kind = jail.NoMatch
		if !bytes.HasPrefix(text, []byte("no matching ")) {
			ev.Kind = jail.None
		}
	}
}

// broken reads "[... user U ]H port P: TEXT"; TEXT is from sshd.
func (l *line) broken(b []byte, ev *jail.Event) {
	text, ok := probeColon(b, ev, "corrupt")
	switch {
	case !ok, startsWithOneOf(text, "message authentication code incorrect", "Connection corrupted"):
	case startsWithOneOf(text, "Broken pipe", "Connection reset by peer", "Connection timed out", "No route to host"):
		who, _, _ := bytes.Cut(b, []byte(": "))
		l.farewell(who, ev)
	default:
		ev.Kind = jail.None
	}
}

// badProtocol reads "TEXT' from H port P".
func (l *line) badProtocol(b []byte, ev *jail.Event) {
	set(ev, jail.Probe, jail.Once, "bad-protocol")
	ev.Last = true
	if head, r, ok := tailRemote(b); ok && !l.long && bytes.HasSuffix(head, []byte("' from")) {
		r.to(ev)
	}
}

// timeout reads "H port P" and, from the listener since 9.8, "connection from H to L, pid = N".
func timeout(b []byte, ev *jail.Event) {
	from, ok := after(b, "connection from ")
	if !ok {
		probe(b, ev, "timeout")
		return
	}
	h, rest := word(from)
	if ev.Addr, ok = address(h); !ok {
		return
	}
	set(ev, jail.Probe, jail.Once, "timeout")
	ev.Alone = true
	_, number, _ := bytes.Cut(rest, []byte(", pid = "))
	if pid, _, ok := leadingNumber(number); ok && pid > 0 {
		ev.PID, ev.Alone = int32(pid), false
	}
}

// crash reads "N unpriv child crash for connection from H to L" and "N for connection from H to L killed by signal S" or
// "terminated abnormally", from the listener. Other signals (an administrator's kill) are logged for debugging
// only, with a prefix.
func crash(b []byte, ev *jail.Event) {
	pid, rest, ok := leadingNumber(b)
	if !ok || pid == 0 {
		return
	}
	rest, _ = after(rest, " unpriv child crash")
	if rest, ok = after(rest, " for connection from "); !ok {
		return
	}
	h, _ := word(rest)
	if ev.Addr, ok = address(h); ok {
		set(ev, jail.Probe, jail.Once, "crash")
		ev.PID = int32(pid)
	}
}

// unlogged reads "logging rate-limited: additional N connections dropped" after "PerSourcePenalties ", from the listener
// since 10.3: it stands for N lines like drop's.
func unlogged(b []byte, ev *jail.Event) {
	rest, ok := after(b, "logging rate-limited: additional ")
	if !ok {
		return
	}
	if n, _, ok := leadingNumber(rest); ok && n > 0 {
		set(ev, jail.Probe, jail.Once, jail.Penalty)
		ev.Count, ev.Alone = n, true
	}
}

// drop reads "N from [H]:P on [L]:P2 penalty: ...", from the listener: sshd judged the source itself. A connection that is
// dropped because there are too many says nothing about its source.
func drop(b []byte, ev *jail.Event) {
	_, rest, _ := leadingNumber(b)
	rest, ok := after(rest, " from [")
	if !ok {
		return
	}
	i := bytes.IndexByte(rest, ']')
	switch {
	case i < 0:
	case bytes.Contains(rest[i:], []byte(" penalty: ")):
		if ev.Addr, ok = address(rest[:i]); ok {
			set(ev, jail.Probe, jail.Once, jail.Penalty)
			ev.Alone = true
		}
	case bytes.HasSuffix(rest, []byte("MaxStartups")), bytes.HasSuffix(rest, []byte("Maxstartups")): // since 9.8
		throttled(ev)
	}
}

// throttled notes that sshd refuses connections because too many are not logged in yet. That is nobody's guess.
func throttled(ev *jail.Event) {
	set(ev, jail.None, jail.Once, jail.Throttled)
	ev.Alone = true
}

// isThrottling reads what the listener says about MaxStartups without an address.
func isThrottling(b []byte) bool {
	return startsWithOneOf(b, "beginning MaxStartups throttling", "in MaxStartups throttling for ", "Maxstartups logging rate-limited: ")
}

// penalise reads "[ipv4: new ]H/BITS active penalty of ..." and "H/BITS: activating ...", from the listener. A penalty of a
// wider prefix names no address.
func penalise(b []byte, ev *jail.Event) {
	b, _ = after(b, "ipv4: new ")
	b, _ = after(b, "ipv6: new ")
	h, rest := word(b)
	if !bytes.HasPrefix(rest, []byte("active ")) && !bytes.HasPrefix(rest, []byte("activating ")) {
		return
	}
	h, _ = before(h, ":")
	host, ok := before(h, "/32")
	if bytes.IndexByte(h, ':') >= 0 {
		host, ok = before(h, "/128")
	}
	if !ok {
		return
	}
	if ev.Addr, ok = address(host); ok {
		set(ev, jail.Probe, jail.Once, jail.Penalty)
		ev.Alone = true
	}
}
