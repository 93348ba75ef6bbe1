package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"exile/dbusapi/client"
	"exile/internal/control"
)

// levels are fail2ban's names of log levels, and exile's.
var levels = [][2]string{
	{"CRITICAL", "crit"}, {"ERROR", "err"}, {"WARNING", "warning"}, {"NOTICE", "notice"}, {"INFO", "info"}, {"DEBUG", "debug"},
}

func logLevel(ours string) string {
	name := strings.ToUpper(ours)
	for _, l := range levels {
		if l[1] == ours {
			name = l[0]
		}
	}
	return "Current logging level is " + quote(name) + "\n"
}

// set carries out "set", for the daemon or for a jail.
func (s session) set(ctx context.Context, args []string) (string, error) {
	if len(args) < 2 {
		return "", incomplete()
	}
	switch args[0] {
	case "loglevel":
		return s.setLogLevel(ctx, strings.ToUpper(args[1]))
	case "logtarget", "syslogsocket", "dbfile", "dbmaxmatches", "dbpurgeage", "allowipv6", "thread":
		return "", unsupported(edit)
	}
	j, err := s.find(ctx, args[0])
	if err != nil {
		return "", err
	}
	switch args[1] {
	case "banip":
		return s.ban(ctx, j.Name, args[2:])
	case "unbanip":
		return s.unbanIn(ctx, j.Name, args[2:])
	case "attempt":
		return s.attempt(ctx, j.Name, args[2:])
	}
	if how, is := elsewhere()[args[1]]; is {
		setting := strings.NewReplacer("JAIL", j.Name, "...", "{"+printable(strings.Join(args[1:min(len(args), 3)], ": "))+"}")
		return "", unsupported(setting.Replace(how))
	}
	return "", refuse("Invalid command " + quote(args[1]) + " (no set action or not yet implemented)")
}

const edit = "exilectl edit, which checks the configuration and puts it in force"

// elsewhere says, of the settings of a jail in fail2ban, where exile has them.
func elsewhere() map[string]string {
	all := map[string]string{"idle": "exilectl disable JAIL, or for a time exilectl pause TIME", "ignoreself": edit + "; ignoreself is its word there, too"}
	for how, words := range map[string]string{
		edit + ": jails: {JAIL: ...}": "bantime findtime maxretry",
		edit + ", below jails: and JAIL:": "maxmatches addignoreip delignoreip ignorecommand ignorecache usedns " +
			"addlogpath dellogpath addjournalmatch deljournalmatch logencoding bantime.increment bantime.rndtime bantime.maxtime bantime.factor " +
			"bantime.formula bantime.multipliers bantime.overalljails",
		"exilectl list-filters, match and new-filter: exile has filters of its own": "failregex addfailregex delfailregex ignoreregex addignoreregex delignoreregex prefregex maxlines datepattern logtimezone",
		"exilectl actions, and exiled-actions(8)":                                   "action actions addaction delaction actionproperties actionmethods",
	} {
		for word := range strings.FieldsSeq(words) {
			all[word] = how
		}
	}
	return all
}

func (s session) setLogLevel(ctx context.Context, name string) (string, error) {
	for _, l := range levels {
		if l[0] == name && slices.Contains(client.LogLevelNames(), l[1]) {
			return logLevel(l[1]), s.SetLogLevel(ctx, l[1])
		}
	}
	return "", refuse("Invalid log level " + quote(name))
}

// prefixes reads the addresses of a command. exile resolves no names here: who answers for a name could choose whom to ban.
func prefixes(args []string) (all []netip.Prefix, err error) {
	for _, text := range args {
		p, err := control.ParsePrefix(text)
		if err != nil {
			return nil, refuse(err.Error())
		}
		all = append(all, p)
	}
	return all, nil
}

// ban bans addresses, and says how many were not banned before.
func (s session) ban(ctx context.Context, jail string, args []string) (string, error) {
	addrs, err := prefixes(args)
	n := 0
	for _, p := range addrs {
		before, err := s.stopping(ctx, p)
		if err != nil {
			return "", err
		}
		if _, err := s.Ban(ctx, control.BanRequest{Jail: jail, Prefix: p, Reason: "fail2ban-client"}); errors.Is(err, control.ErrProtected) {
			return "", refuse(strings.TrimSuffix(err.Error(), ".") + ". Instead: exilectl ban --force " + control.FormatPrefix(p))
		} else if err != nil {
			return "", refusedBy(err)
		}
		if !slices.ContainsFunc(before, func(b control.Ban) bool { return b.Jail == jail }) {
			n++
		}
	}
	return fmt.Sprintln(n), err
}

// lift lifts bans in a jail, or in all (""), and returns how many, and of which addresses there was none. What is no address is not banned.
func (s session) lift(ctx context.Context, jail string, args []string) (n int, absent []string, err error) {
	for _, text := range args {
		some := 0
		if p, no := control.ParsePrefix(text); no == nil {
			if some, err = s.Unban(ctx, jail, p); err != nil {
				return n, absent, refusedBy(err)
			}
		}
		if n += some; some == 0 {
			absent = append(absent, text)
		}
	}
	return n, absent, nil
}

func (s session) unbanIn(ctx context.Context, jail string, args []string) (string, error) {
	report := len(args) > 0 && args[0] == "--report-absent"
	if report {
		args = args[1:]
	}
	if len(args) == 0 {
		return "", incomplete()
	}
	n, absent, err := s.lift(ctx, jail, args)
	if report && err == nil && len(absent) > 0 {
		return "", refuse("not banned: " + quoteAll(absent))
	}
	return fmt.Sprintln(n), err
}

func (s session) unban(ctx context.Context, args []string) (string, error) {
	if len(args) == 0 {
		return "", refuse("Invalid command")
	}
	if args[0] == "--all" {
		n, err := s.Unban(ctx, "", netip.Prefix{})
		return fmt.Sprintln(n), err
	}
	n, _, err := s.lift(ctx, "", args)
	return fmt.Sprintln(n), err
}

// attempt counts an attempt of an address, as if a line of the log had told of it.
func (s session) attempt(ctx context.Context, jail string, args []string) (string, error) {
	if len(args) == 0 {
		return "", incomplete()
	}
	addr, err := control.ParseAddr(args[0])
	if err == nil {
		err = s.Report(ctx, control.Report{Jail: jail, Addr: addr})
	}
	return "1\n", refusedBy(err)
}

// reload reads the configuration again. exile does so for all jails at once, which keeps their bans and what they have counted.
func (s session) reload(ctx context.Context, args []string) (string, error) {
	unban := false
	for len(args) > 0 && slices.Contains([]string{"--unban", "--restart", "--if-exists", "--all"}, args[0]) {
		unban, args = unban || args[0] == "--unban", args[1:]
	}
	jail := ""
	if len(args) > 0 {
		jail = args[0]
		if _, err := s.find(ctx, jail); errors.As(err, new(*refusal)) {
			return "", fmt.Errorf("Failed during configuration: No section: %s", quote(jail)) //nolint:staticcheck // fail2ban's words
		} else if err != nil {
			return "", err
		}
	}
	err := s.Reload(ctx)
	if err == nil && unban {
		_, err = s.Unban(ctx, jail, netip.Prefix{})
	}
	return "OK\n", refusedBy(err)
}

func (s session) restart(ctx context.Context, args []string) (string, error) {
	if len(args) == 0 {
		return "", unsupported("systemctl restart exiled")
	}
	return s.reload(ctx, args)
}

// start answers as fail2ban does when its server runs. If exiled does not, the error says how to start it.
func (s session) start(ctx context.Context, args []string) (string, error) {
	if len(args) > 0 {
		return "", unsupported("exilectl enable " + printable(args[0]))
	}
	if err := s.ping(ctx); err != nil {
		return "", err
	}
	return "", errors.New("Server already running") //nolint:staticcheck // fail2ban's words
}

func (s session) stop(_ context.Context, args []string) (string, error) {
	if len(args) > 0 {
		return "", unsupported("exilectl disable " + printable(args[0]))
	}
	return "", unsupported("systemctl stop exiled")
}
