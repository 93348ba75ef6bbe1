package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// This file answers words of fail2ban-client and other programs with the command that does the same here.

// elsewhere translates the words of other programs.
var elsewhere = map[string]string{
	"add":       "exilectl edit: jails are sections of /etc/exile/exile.yaml, see exile.yaml(5)",
	"banip":     "exilectl ban ADDRESS",
	"banned":    "exilectl list-bans, or exilectl is-banned ADDRESS",
	"echo":      "exilectl status",
	"get":       "exilectl status, exilectl list-bans or exilectl show; exilectl cat-config for settings",
	"ping":      "exilectl status",
	"restart":   "systemctl restart exiled; for a changed configuration exilectl reload is enough",
	"server":    "systemctl start exiled",
	"set":       "exilectl ban, exilectl unban or exilectl pause; settings are in /etc/exile/exile.yaml, which exilectl edit opens, see exile.yaml(5)",
	"start":     "systemctl start exiled",
	"stop":      "systemctl stop exiled, which leaves bans in force, or exilectl pause",
	"unbanip":   "exilectl unban ADDRESS",
	"version":   "exilectl --version",
	"list":      "exilectl list-bans, list-jails, list-failures, list-names or list-blocklists",
	"test":      "exilectl check-config for the configuration, exilectl match FILE for a log",
	"loglevel":  "exilectl log-level",
	"flushlogs": "not needed, since exiled logs to the journal",
}

// unknownVerb is the error for an unknown verb.
func unknownVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.Name())
	if meant, ok := elsewhere[args[0]]; ok {
		return fmt.Errorf("%s: %s", text, meant)
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += "\n\nDid you mean this?\n\t" + strings.Join(near, "\n\t")
	}
	return errors.New(text)
}
