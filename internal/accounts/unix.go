package accounts

import (
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"
)

// user is what passwd(5) and shadow(5) say about a name. Hashes are not kept.
type user struct {
	uid, gid       string
	passwd, shadow password
	expires        int64 // the day since 1970 on which the account expires; 0: never
}

// password is the content of a password field.
type password uint8

const (
	unsaid    password = iota // there is no such field
	elsewhere                 // it is in shadow
	locked                    // no password can match
	usable                    // a hash, nothing, or something unknown
)

func parsePassword(field string) password {
	switch {
	case field == "x":
		return elsewhere
	case strings.HasPrefix(field, "!"), strings.HasPrefix(field, "*"): // crypt(3) makes no hash that begins so
		return locked
	}
	return usable
}

// locked reports whether no password matches. A hash in passwd counts, whatever shadow says.
func (u user) locked() bool {
	switch u.passwd {
	case elsewhere:
		return u.shadow == locked
	case locked:
		return u.shadow == locked || u.shadow == unsaid
	}
	return false
}

// expired reports whether the account had expired the day before that time.
func (u user) expired(now time.Time) bool {
	const day = 24 * 60 * 60
	return u.expires > 0 && now.Unix()/day > u.expires
}

// users reads passwd and shadow.
func (h Host) users() (map[string]user, error) {
	all := make(map[string]user)
	if err := eachLine(h.Root, "etc/passwd", func(line string) { passwdLine(line, all) }); err != nil {
		return nil, err
	}
	if err := eachLine(h.Root, "etc/shadow", func(line string) { shadowLine(line, all) }); err != nil {
		return nil, err
	}
	return all, nil
}

// passwdLine is name:password:uid:gid:comment:home:shell. If a name occurs twice, the weaker password counts.
func passwdLine(line string, all map[string]user) {
	f := fields(line)
	nis := strings.HasPrefix(line, "+") || strings.HasPrefix(line, "-")
	if nis || len(f) != 7 || !valid(f[0]) {
		return
	}
	u, twice := all[f[0]]
	if !twice && len(all) >= MaxNames {
		return
	}
	password := parsePassword(f[1])
	if twice && password != u.passwd {
		password = usable
	}
	all[f[0]] = user{uid: f[2], gid: f[3], passwd: password}
}

// shadowLine is name:password:changed:min:max:warn:inactive:expires:; the hash goes no further than this function.
func shadowLine(line string, all map[string]user) {
	f := fields(line)
	u, ok := all[f[0]]
	if !ok || len(f) < 2 {
		return
	}
	password := parsePassword(f[1])
	if password == elsewhere {
		password = usable
	}
	if twice := u.shadow != unsaid; twice {
		u.shadow, u.expires = max(u.shadow, password), 0
	} else {
		u.shadow, u.expires = password, expiry(f)
	}
	all[f[0]] = u
}

func expiry(f []string) int64 {
	if len(f) < 8 {
		return 0
	}
	day, err := strconv.ParseInt(f[7], 10, 64)
	if err != nil {
		return 0
	}
	return day
}

// groups are the names of groups by number, and the groups that name a user.
type groups struct {
	known  bool // all groups of the host's users are here
	byID   map[string][]string
	byUser map[string][]string
}

func readGroups(root fs.FS) (groups, error) {
	g := groups{byID: make(map[string][]string), byUser: make(map[string][]string)}
	if err := eachLine(root, "etc/group", g.line); err != nil {
		return groups{}, err
	}
	g.known = true
	return g, nil
}

// line is name:password:gid:user,user.
func (g *groups) line(line string) {
	f := fields(line)
	if len(f) != 4 {
		return
	}
	g.byID[f[2]] = append(g.byID[f[2]], f[0])
	for member := range strings.SplitSeq(f[3], ",") {
		g.byUser[member] = append(g.byUser[member], f[0])
	}
}

func (g *groups) of(name string, u user) []string {
	return slices.Concat(g.byID[u.gid], g.byUser[name])
}

// names says whether the files of /etc come first for users, and whether they are the only source of groups.
type names struct{ users, groups bool }

// readNames reads nsswitch.conf(5). Without it the files are the only source.
func readNames(root fs.FS) (names, error) {
	services := make(map[string][]string)
	err := eachLine(root, "etc/nsswitch.conf", func(line string) {
		line, _, _ = strings.Cut(line, "#")
		if database, list, ok := strings.Cut(line, ":"); ok {
			services[strings.TrimSpace(database)] = strings.Fields(list)
		}
	})
	if err != nil && !isMissing(err) {
		return names{}, err
	}
	first := func(database string) bool {
		list, ok := services[database]
		return !ok || len(list) > 0 && list[0] == "files"
	}
	n := names{
		users:  first("passwd") && first("shadow"),
		groups: onlyFiles(services["group"]) && onlyFiles(services["initgroups"]),
	}
	if !n.users {
		return n, errors.New("/etc/nsswitch.conf does not ask the files first for passwd and shadow")
	}
	return n, nil
}

// onlyFiles reports whether no user of passwd can be in a group that is not in the files.
func onlyFiles(services []string) bool {
	return !slices.ContainsFunc(services, func(s string) bool { return s != "files" && s != "systemd" && !strings.HasPrefix(s, "[") })
}
