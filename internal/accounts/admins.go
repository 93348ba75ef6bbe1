package accounts

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Admins returns the accounts that a list of names and, after an @, groups stands for. A group stands for its members in group(5) and for the
// accounts whose primary group it is in passwd(5); root stands for all accounts with user ID 0. Groups and accounts in other databases
// (NSS, userdb) are not known. It returns at most MaxNames, sorted.
func Admins(list []string, group, passwd io.Reader) ([]string, error) {
	names, groups := make(map[string]bool), make(map[string]bool)
	for _, word := range list {
		if g, ok := strings.CutPrefix(word, "@"); ok {
			groups[g] = true
		} else {
			names[word] = true
		}
	}
	ids := make(map[string]bool) // of the groups
	err := scan(group, func(line string) {
		if f := strings.Split(line, ":"); len(f) == 4 && groups[f[0]] {
			ids[f[2]] = true
			for member := range strings.SplitSeq(f[3], ",") {
				add(names, strings.TrimSpace(member))
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read group: %w", err)
	}
	root := names["root"]
	err = scan(passwd, func(line string) {
		if f := strings.Split(line, ":"); len(f) == 7 && (ids[f[3]] || root && f[2] == "0") {
			add(names, f[0])
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read passwd: %w", err)
	}
	return slices.Sorted(maps.Keys(names)), nil
}

func add(names map[string]bool, name string) {
	if valid(name) && len(names) < MaxNames {
		names[name] = true
	}
}
