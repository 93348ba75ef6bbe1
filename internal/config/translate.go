package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// This file translates values and sections of fail2ban's files that people type here.

// filterOptions is how fail2ban writes the mode of a filter: sshd[mode=aggressive].
var filterOptions = regexp.MustCompile(`^([a-z0-9][a-z0-9._-]*)\[(?:mode=([a-z]+))?.*\]$`)

// sourcesOf are what fail2ban calls a backend: how it reads logs.
var sourcesOf = []string{"systemd", "polling", "pyinotify", "gamin"}

const readsItself = "backend chooses the firewall here, and the journal is read wherever there is one: remove the line"

// translated says what a value of fail2ban's is here; empty: it is none.
func translated(key string, v value) string {
	if v.kind != scalar {
		return ""
	}
	variable := iniVariable.FindString(v.text)
	switch {
	case key == "backend" && (variable != "" || slices.Contains(sourcesOf, v.text)):
		return readsItself
	case key == "logpath" && variable != "":
		return variable + " is a variable of fail2ban's files: remove the line, because the filter knows its logs, or write the path"
	case variable != "":
		return variable + " is a variable of fail2ban's files: write its value"
	case key == "filter":
		return translatedFilter(v.text)
	case key == "port" && (v.text == "any" || v.text == "anyport"):
		return "write all"
	}
	return ""
}

// flattened says how to write the first key of a mapping whose keys are this one's with a dot; empty: it is no such mapping.
func flattened(key string, v value) string {
	for _, p := range v.pairs {
		if whole := key + "." + p.key; slices.Contains(names(jailWords()), whole) {
			text := strings.TrimSpace(p.value.text)
			if p.value.kind != scalar || text == "" {
				text = "VALUE"
			}
			return fmt.Sprintf(`keys with a dot are not nested: write "%s: %s" in a line of its own`, whole, text)
		}
	}
	return ""
}

func translatedFilter(text string) string {
	switch m := filterOptions.FindStringSubmatch(text); {
	case m != nil && m[2] != "":
		return fmt.Sprintf(`the mode of a filter is a key of the jail: write "filter: %s", and in the next line "mode: %s"`, m[1], m[2])
	case m != nil:
		return fmt.Sprintf(`options of a filter are keys of the jail: write "filter: %s"`, m[1])
	}
	return ""
}

// formerFilter says what a filter of an old fail2ban is here, of a name that most of its tutorials have; empty: it is none.
func formerFilter(name string) string {
	if short, ok := strings.CutSuffix(name, ".conf"); ok {
		return fmt.Sprintf(`write "filter: %s"`, short)
	}
	switch name {
	case "ssh", "ssh-iptables":
		return `the jail for SSH is "sshd"`
	case "ssh-ddos", "sshd-ddos":
		return `write "filter: sshd" and "mode: ddos"`
	case "sshd-aggressive":
		return `write "filter: sshd" and "mode: aggressive"`
	case "postfix", "postfix-sasl", "sasl":
		return "the filter for logins is postfix-auth"
	case "nginx-auth":
		return "the filter is nginx-http-auth"
	}
	return ""
}

// sectionOf says how to write what a section of an INI file begins.
func sectionOf(header string) string {
	switch name := strings.Trim(header, "[]"); name {
	case "DEFAULT":
		return `write "defaults:", with its words indented below it, as in "maxretry: 5"`
	case "INCLUDES":
		return "files are read in the order of their names, see exile.yaml(5)"
	case "Definition", "Init":
		return "a filter is a file in filters.d, see exilectl new-filter"
	default:
		return fmt.Sprintf(`write "%s:" under "jails:", and its words indented below it, as in "maxretry: 5"`, strings.ToLower(name))
	}
}
