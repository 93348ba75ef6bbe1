package main

import (
	"fmt"
	"slices"
	"strings"
)

// This file reads the options of fail2ban's client. Most of them say where its server is, and exile has one daemon.

// taking are the options with a value.
var taking = []string{"-c", "--conf", "-s", "--socket", "-p", "--pidfile", "--pname", "--loglevel", "--logtarget", "--syslogsocket", "--timeout"}

// ignored are the options without a value that say how to log, or how to start a server.
var ignored = []string{"-v", "-q", "-x", "-f", "-b", "--async"}

// parse returns the command and its arguments. An option that is a command comes first in them.
func parse(args []string) ([]string, error) {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		name, _, joined := strings.Cut(args[0], "=")
		_, known := commands()[args[0]]
		switch {
		case slices.Contains(taking, name) && (joined || len(args) > 1):
			if args = args[1:]; !joined {
				args = args[1:]
			}
		case slices.ContainsFunc(taking, func(o string) bool { return len(o) == 2 && len(args[0]) > 2 && strings.HasPrefix(args[0], o) }), // -c/etc/fail2ban
			slices.Contains(ignored, args[0]), len(args[0]) > 1 && strings.Trim(args[0][1:], "vq") == "":
			args = args[1:]
		case name == "--str2sec", known:
			return append([]string{name}, args[1:]...), nil
		default:
			return nil, &refusal{said: usage, reason: "Init of command line failed"}
		}
	}
	if len(args) == 0 || args[0] == "" {
		return []string{""}, nil
	}
	return args, nil
}

const usage = `Usage: fail2ban-client [OPTIONS] <COMMAND>

This is exile's fail2ban-client: exiled guards this host, and exilectl(1) is its own command.

Options:
    -c, -s, -p <PATH>, --conf, --socket, --pidfile, --pname, --loglevel, --logtarget, --syslogsocket,
    --timeout <VALUE>, -v, -q, -x, -f, -b, --async
                            accepted and without effect: exile has one daemon, and one configuration
    -d                      print the settings of the jails
    -h, --help              display this help message
    -V, --version           print the version of fail2ban whose output this is

Command:
    status [<JAIL> [short] | --all [short]]
    statistics
    banned [<IP> ... <IP>]
    unban --all | <IP> ... <IP>
    reload [--unban] [<JAIL> | --all], restart <JAIL>
    ping, version, echo, flushlogs
    get loglevel|logtarget|syslogsocket|dbfile|dbpurgeage|dbmaxmatches
    set loglevel <LEVEL>
    get <JAIL> banip [<SEP>|--with-time], banned [<IP> ... <IP>]
    get <JAIL> bantime|findtime|maxretry|ignoreip|logpath|journalmatch|logencoding|usedns
    set <JAIL> banip|attempt <IP> ... <IP>
    set <JAIL> unbanip [--report-absent] <IP> ... <IP>

Other commands of fail2ban's client say what to type instead.
`

func help([]string) (string, error) { return usage, nil }

// bare is the command line without a command.
func bare([]string) (string, error) {
	return "", &refusal{said: usage, reason: "no command"}
}

func echo(args []string) (string, error) {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = printable(a)
	}
	return fmt.Sprintln(strings.Join(quoted, " ")), nil
}
