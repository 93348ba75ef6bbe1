package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"exile/internal/control"
)

// get answers "get", of the daemon or of a jail.
func (s session) get(ctx context.Context, args []string) (string, error) {
	if len(args) == 0 {
		return "", incomplete()
	}
	switch args[0] {
	case "loglevel":
		level, err := s.LogLevel(ctx)
		return logLevel(level), err
	case "logtarget":
		return "Current logging target is:\n`- SYSTEMD-JOURNAL\n", s.ping(ctx)
	case "syslogsocket":
		return "Current syslog socket is:\n`- auto\n", s.ping(ctx)
	case "dbfile", "dbpurgeage": // there is no database that a program could read as fail2ban's
		return "Database currently disabled\n", s.ping(ctx)
	case "dbmaxmatches":
		return "None\n", s.ping(ctx)
	}
	if len(args) == 1 {
		return "", incomplete()
	}
	j, err := s.find(ctx, args[0])
	if err != nil {
		return "", err
	}
	return s.getOf(ctx, j, args[1], args[2:])
}

// getOf answers about a jail.
func (s session) getOf(ctx context.Context, j control.JailStatus, what string, args []string) (string, error) {
	switch what {
	case "banip":
		bans, err := s.inForce(ctx, j.Name)
		return listed(bans, args), err
	case "banned":
		return s.bannedIn(ctx, j.Name, args)
	case "bantime":
		return seconds(j.BanTime), nil
	case "findtime":
		return seconds(j.FindTime), nil
	case "maxretry":
		return fmt.Sprintln(j.MaxRetry), nil
	case "ignoreip":
		return under("These IP addresses/networks are ignored:", "No IP address/network is ignored", j.Protected), nil
	case "logpath":
		return under("Current monitored log file(s):", "No file is currently monitored", j.Logs), nil
	case "journalmatch":
		if len(j.Logs) > 0 {
			return "No journal match filter set\n", nil
		}
		return "Current match filter:\n" + matches(j) + "\n", nil
	case "logencoding":
		return "Current log encoding is set to:\nUTF-8\n", nil
	case "usedns":
		return "no\n", nil
	}
	if how, is := elsewhere()[what]; is {
		return "", unsupported(strings.ReplaceAll(how, "JAIL", j.Name))
	}
	return "", refuse("Invalid command (no get action or not yet implemented)")
}

// under lists things below a title.
func under(title, none string, things []string) string {
	if len(things) == 0 {
		return none + "\n"
	}
	return title + "\n" + strings.Join(leaves(things...), "\n") + "\n"
}

// seconds writes a duration; -1 is for ever, here as there.
func seconds(d time.Duration) string {
	if d < 0 {
		return "-1\n"
	}
	return fmt.Sprintln(int64(d / time.Second))
}

// listed lists bans with blanks between them, with another separator, or with their times, one per line.
func listed(bans []control.Ban, args []string) string {
	switch {
	case len(args) == 0 || strings.TrimSpace(args[0]) == "":
		return strings.Join(addresses(bans), " ") + "\n"
	case args[0] != "--with-time":
		return strings.Join(addresses(bans), args[0]) + "\n"
	}
	lines := make([]string, len(bans))
	for i, b := range bans {
		length, end := int64(-1), "9999-12-31 23:59:59"
		if !b.Until.IsZero() {
			length, end = int64(b.Until.Sub(b.Since).Round(time.Second)/time.Second), clock(b.Until)
		}
		lines[i] = fmt.Sprintf("%s \t%s + %d = %s", control.FormatPrefix(b.Prefix), clock(b.Since), length, end)
	}
	return strings.Join(lines, "\n") + "\n"
}

func clock(t time.Time) string { return t.Local().Format(time.DateTime) }

// banned lists the bans of each jail, or the jails that ban each address.
func (s session) banned(ctx context.Context, args []string) (string, error) {
	if len(args) == 0 {
		return s.bannedByJail(ctx)
	}
	lists := make([]string, len(args))
	for i, text := range args {
		jails, err := s.banning(ctx, text)
		if err != nil {
			return "", err
		}
		lists[i] = quoteAll(jails)
	}
	return "[" + strings.Join(lists, ", ") + "]\n", nil
}

func (s session) bannedByJail(ctx context.Context) (string, error) {
	jails, err := s.all(ctx)
	if err != nil {
		return "", err
	}
	bans, err := s.inForce(ctx, "")
	of := make(map[string][]control.Ban)
	for _, b := range bans {
		of[b.Jail] = append(of[b.Jail], b)
	}
	lists := make([]string, len(jails))
	for i, j := range jails {
		lists[i] = "{" + quote(j.Name) + ": " + quoteAll(addresses(of[j.Name])) + "}"
	}
	return "[" + strings.Join(lists, ", ") + "]\n", err
}

// banning returns the jails that ban an address, also by a ban of its network. What is no address is not banned.
func (s session) banning(ctx context.Context, text string) ([]string, error) {
	p, err := control.ParsePrefix(text)
	if err != nil {
		return nil, nil
	}
	bans, err := s.stopping(ctx, p)
	var jails []string
	for _, b := range bans {
		if !slices.Contains(jails, b.Jail) {
			jails = append(jails, b.Jail)
		}
	}
	return jails, err
}

// stopping returns the bans that stop all of p.
func (s session) stopping(ctx context.Context, p netip.Prefix) ([]control.Ban, error) {
	a, err := s.Address(ctx, p)
	return slices.DeleteFunc(a.Bans, func(b control.Ban) bool { return b.Simulated }), err
}

// bannedIn lists the bans of a jail, or says of each address whether the jail bans it: 1 or 0.
func (s session) bannedIn(ctx context.Context, jail string, args []string) (string, error) {
	if len(args) == 0 {
		bans, err := s.inForce(ctx, jail)
		return quoteAll(addresses(bans)) + "\n", err
	}
	each := make([]string, len(args))
	for i, text := range args {
		jails, err := s.banning(ctx, text)
		if err != nil {
			return "", err
		}
		each[i] = "0"
		if slices.Contains(jails, jail) {
			each[i] = "1"
		}
	}
	if len(each) == 1 {
		return each[0] + "\n", nil
	}
	return "[" + strings.Join(each, ", ") + "]\n", nil
}

// dump prints the settings as the commands that would make them.
func (s session) dump(ctx context.Context, _ []string) (string, error) {
	jails, err := s.all(ctx)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	say := func(words ...string) { out.WriteString("[" + strings.Join(words, ", ") + "]\n") }
	for _, j := range jails {
		name := quote(j.Name)
		set := func(key string, words ...string) { say(append([]string{"'set'", name, quote(key)}, words...)...) }
		say("'add'", name, quote(backend(j)))
		set("maxretry", strconv.Itoa(j.MaxRetry))
		set("findtime", strings.TrimSpace(seconds(j.FindTime)))
		set("bantime", strings.TrimSpace(seconds(j.BanTime)))
		for _, p := range j.Protected {
			set("addignoreip", quote(p))
		}
		for _, l := range j.Logs {
			set("addlogpath", quote(l))
		}
		for _, u := range j.Units {
			set("addjournalmatch", quote("_SYSTEMD_UNIT="+u))
		}
	}
	for _, j := range jails {
		say("'start'", quote(j.Name))
	}
	return out.String(), nil
}
