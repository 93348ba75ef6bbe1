package fail2ban

import (
	"cmp"
	"slices"
	"strings"

	"exile/internal/config"
)

// ports moves what a ban closes: all that the actions close together.
func (j *job) ports() {
	if j.filter == recidive {
		return // every port
	}
	v, _ := j.read("port")
	v.at = cmp.Or(v.at, j.start) // the actions may name ports where the jail does not
	protocol, _ := j.read("protocol")
	bans := j.bans
	if len(bans) == 0 {
		bans = []call{{}}
	}
	var words []string
	all, seen := false, map[string]bool{}
	for _, b := range bans {
		more, every := portWords(cmp.Or(b.options["port"], v.text), cmp.Or(b.options["protocol"], protocol.text))
		all = all || every || closesAll(b)
		for _, w := range more {
			if !seen[w] {
				words = append(words, w)
			}
			seen[w] = true
		}
	}
	if !all {
		words, all = j.accepted(v, words)
	}
	switch {
	case all:
		j.set("port", "all")
	case len(words) > 0:
		j.set("port", list(words))
	}
}

// portWords returns the ports in exile's words, or that these are all.
func portWords(ports, protocol string) (words []string, all bool) {
	for _, w := range splitWords(ports) {
		w = cmp.Or(portNumbers[w], w)
		if from, to, ok := strings.Cut(w, "-"); ok && isNumber(from) && isNumber(to) {
			w = from + ":" + to
		}
		if slices.Contains([]string{"all", "any", "anyport", "0:65535", "1:65535"}, w) {
			return nil, true
		}
		switch p := strings.Join(splitWords(protocol), " "); p {
		case "udp":
			words = append(words, w+"/udp")
		case "all", "tcp udp", "udp tcp":
			words = append(words, w, w+"/udp")
		default:
			words = append(words, w)
		}
	}
	return words, false
}

// accepted returns the ports that exile reads. If it cannot read them together, a ban closes all.
func (j *job) accepted(v value, words []string) (good []string, all bool) {
	if len(words) == 0 || badPorts(words) == nil {
		return words, false
	}
	if len(words) <= maxPorts {
		words = slices.DeleteFunc(words, func(w string) bool {
			err := badPorts([]string{w})
			if err != nil {
				j.left(v.at, problemOf(err), "write its number")
			}
			return err != nil
		})
	}
	if err := badPorts(words); err != nil {
		j.changed(v.at, "a ban closes every port: "+problemOf(err), "")
		return nil, true
	}
	return words, false
}

// maxPorts is how many words are looked at one by one; exile has no more ports in a jail.
const maxPorts = 64

func badPorts(words []string) error {
	_, err := config.Parse("", []byte("port: "+list(words)))
	return err
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
