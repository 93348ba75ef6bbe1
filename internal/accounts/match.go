package accounts

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// exceptions are what the Match blocks of an sshd_config(5) may change in the output of "sshd -T". sshd itself can be asked, user by user, about
// blocks for users and groups only. The others depend on where a client comes from: what one of them loosens counts as loosened for
// all users.
type exceptions struct {
	ofUsers                                   bool     // sshd has to be asked for each user
	password, dialog, root, methods, kerberos bool     // what is loosened
	lists                                     []string // AllowUsers and its like, which a block replaces
	unread                                    error    // the file, or one that it includes, was not
}

// scope says to whom a line of an sshd_config applies.
type scope uint8

const (
	everybody scope = iota
	someUsers       // sshd can be asked about them
	somewhere       // it depends on more than the user
)

// Limits on what an sshd_config may include.
const (
	maxConfigs     = 256
	maxConfigDepth = 16 // as in sshd
)

// readExceptions reads a file and what it includes. Groups says whether sshd knows the groups of a user when we ask it.
func readExceptions(root fs.FS, name string, groups bool) exceptions {
	c := configs{from: root, dir: path.Dir(name), groups: groups}
	c.file(name, everybody, 0)
	return c.exceptions
}

type configs struct {
	exceptions
	from   fs.FS
	dir    string // of relative names
	groups bool
	files  int
}

// file reads a file. A Match block in it ends with it.
func (c *configs) file(name string, outer scope, depth int) {
	if c.files++; c.files > maxConfigs || depth > maxConfigDepth {
		c.unread = fmt.Errorf("/%s: too many files include each other", name)
		return
	}
	at := outer
	err := eachLine(c.from, name, func(line string) {
		switch key, value := keyword(line); key {
		case "match":
			at = max(outer, c.criteria(value))
		case "include":
			c.include(split(value), at, depth)
		default:
			c.setting(at, key, strings.Join(split(value), " "))
		}
	})
	if err != nil {
		c.unread = err
	}
}

func (c *configs) include(patterns []string, at scope, depth int) {
	for _, pattern := range patterns {
		if !path.IsAbs(pattern) {
			pattern = path.Join(c.dir, pattern)
		}
		names, err := fs.Glob(c.from, strings.TrimLeft(path.Clean(pattern), "/"))
		if err != nil {
			c.unread = fmt.Errorf("include %q: %w", pattern, err)
		}
		for _, name := range names {
			c.file(name, at, depth+1)
		}
	}
}

// criteria returns to whom a Match line applies.
func (c *configs) criteria(value string) scope {
	words := split(value)
	for i := 0; i < len(words); i += 2 {
		switch strings.ToLower(words[i]) {
		case "all", "invalid-user":
			i-- // they take no argument
		case "user":
		case "group":
			if !c.groups {
				return somewhere
			}
		default:
			return somewhere
		}
	}
	return someUsers
}

// setting records what a line of a block changes.
func (c *configs) setting(at scope, key, value string) {
	if key == "kerberosauthentication" && at != everybody {
		c.kerberos = c.kerberos || value != "no"
	}
	loosens := c.loosens(key, value)
	switch {
	case at == everybody || loosens == nil:
	case at == someUsers:
		c.ofUsers = true
	default:
		loosens()
	}
}

// loosens returns the effect of a setting in a block that sshd cannot be asked about; nil: it never has any.
func (c *configs) loosens(key, value string) func() {
	set := func(loose *bool, is bool) func() { return func() { *loose = *loose || is } }
	switch key {
	case "passwordauthentication":
		return set(&c.password, value != "no")
	case "kbdinteractiveauthentication", "challengeresponseauthentication", "skeyauthentication":
		return set(&c.dialog, value != "no")
	case "permitrootlogin":
		return set(&c.root, !noRoot(value))
	case "authenticationmethods":
		return set(&c.methods, wantsPassword(value))
	case "allowusers", "denyusers", "allowgroups", "denygroups":
		return func() { c.lists = append(c.lists, key) }
	}
	return nil
}

// keyword splits a line of an sshd_config into the keyword in lower case and its value, which blanks or one "=" separate.
func keyword(line string) (key, value string) {
	line = strings.TrimSpace(line)
	i := strings.IndexAny(line, " \t=")
	if i < 0 || strings.HasPrefix(line, "#") {
		return "", ""
	}
	return strings.ToLower(strings.Trim(line[:i], `"`)), strings.TrimLeft(line[i:], " \t=")
}

// split splits a value into words; quoted blanks do not separate. A # begins a comment.
func split(value string) (words []string) {
	for value = strings.TrimLeft(value, " \t"); value != "" && value[0] != '#'; value = strings.TrimLeft(value, " \t=") {
		end := " \t="
		if value[0] == '"' {
			value, end = value[1:], `"`
		}
		i := strings.IndexAny(value, end)
		if i < 0 {
			i = len(value)
		}
		words = append(words, value[:i])
		value = strings.TrimPrefix(value[i:], `"`)
	}
	return words
}
