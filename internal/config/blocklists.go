package config

import (
	"errors"
	"fmt"
	"strconv"

	"exile/firewall"
)

// maxBlocklists is how many block lists there may be: each costs every new connection a look-up.
const maxBlocklists = 32

// parseBlocklists reads the name and the file of each list, in order. A list is left out if its file is null.
func parseBlocklists(v value) (all []Blocklist, err error) {
	switch {
	case v.kind == null:
		return nil, nil
	case v.kind != mapping:
		return nil, errors.New("names and files are wanted here, as in {spamhaus: /var/lib/exile-lists/spamhaus}")
	case len(v.pairs) > maxBlocklists:
		return nil, fmt.Errorf("more than %d lists", maxBlocklists)
	}
	seen := make(map[string]bool, len(v.pairs))
	for _, p := range v.pairs {
		path := ""
		switch {
		case !firewall.ValidBlocklistName(p.key):
			err = fmt.Errorf("no name for a list: at most %d small letters, digits, and .-_ inside", firewall.MaxBlocklistName)
		case seen[p.key]:
			err = errors.New("named twice")
		case p.value.kind == null:
			continue
		default:
			path, err = parsePath(v.at(p))
		}
		if err != nil {
			return nil, v.at(p).explain(strconv.Quote(p.key), err)
		}
		seen[p.key] = true
		all = append(all, Blocklist{p.key, path})
	}
	return all, nil
}
