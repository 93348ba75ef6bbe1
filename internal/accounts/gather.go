package accounts

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// Sources are where a list comes from. Each may be nil or empty: then it locks nobody.
type Sources struct {
	Passwd io.Reader // passwd(5)
	Shadow io.Reader // shadow(5): only whether a password is locked is looked at
	SSHD   io.Reader // what "sshd -T" prints
	Config io.Reader // SSHDConfig: whether Match blocks make an exception of that
}

// Gather reads the sources. What it does not understand locks nobody: a name that is locked by mistake would ban its
// owner.
func Gather(s Sources) (List, error) {
	names, shut := make(map[string]bool), make(map[string]bool)
	if err := eachLine(s.Passwd, func(line string) { passwdLine(line, names, shut) }); err != nil {
		return List{}, fmt.Errorf("read passwd: %w", err)
	}
	if err := eachLine(s.Shadow, func(line string) { shadowLine(line, shut) }); err != nil {
		return List{}, fmt.Errorf("read shadow: %w", err)
	}
	var p policy
	if err := eachLine(s.SSHD, p.line); err != nil {
		return List{}, fmt.Errorf("read sshd's settings: %w", err)
	}
	var m matched
	if err := eachLine(s.Config, m.line); err != nil {
		return List{}, fmt.Errorf("read sshd_config: %w", err)
	}
	p.loosen(m)
	l := List{Version: version, Accounts: []string{}, Locked: []string{}}
	for name := range names {
		l.Accounts = append(l.Accounts, name)
		if shut[name] || p.refuses(name) {
			l.Locked = append(l.Locked, name)
		}
	}
	slices.Sort(l.Accounts)
	slices.Sort(l.Locked)
	return l, nil
}

// eachLine yields the lines of a text, at most 64 KiB each and 16 MiB together.
func eachLine(r io.Reader, line func(string)) error {
	if r == nil {
		return nil
	}
	lines := bufio.NewScanner(io.LimitReader(r, 16<<20))
	for lines.Scan() {
		line(lines.Text())
	}
	return lines.Err()
}

// passwdLine is name:password:uid:gid:comment:home:shell.
func passwdLine(line string, names, shut map[string]bool) {
	f := strings.Split(line, ":")
	nis := strings.HasPrefix(line, "+") || strings.HasPrefix(line, "-")
	if nis || len(f) != 7 || !valid(f[0]) || len(names) >= MaxNames {
		return
	}
	names[f[0]] = true
	if shell := path.Base(f[6]); lockedPassword(f[1]) || shell == "nologin" || shell == "false" {
		shut[f[0]] = true
	}
}

// shadowLine is name:password:...; the hash goes no further than this function.
func shadowLine(line string, shut map[string]bool) {
	name, rest, ok := strings.Cut(line, ":")
	password, _, more := strings.Cut(rest, ":")
	if ok && more && valid(name) && lockedPassword(password) {
		shut[name] = true
	}
}

// lockedPassword reports whether no password can match: crypt(3) makes no hash that begins so.
func lockedPassword(field string) bool {
	return strings.HasPrefix(field, "!") || strings.HasPrefix(field, "*")
}

// policy is what sshd allows, as "sshd -T" prints it: without what Match blocks change, see loosen.
type policy struct {
	noPassword, noDialog, noRoot bool
	allow, deny                  []string // patterns
}

func (p *policy) line(line string) {
	key, value, _ := strings.Cut(line, " ")
	switch strings.ToLower(key) {
	case "passwordauthentication":
		p.noPassword = value == "no"
	case "kbdinteractiveauthentication", "challengeresponseauthentication":
		p.noDialog = value == "no"
	case "permitrootlogin":
		p.noRoot = value != "yes"
	case "allowusers":
		p.allow = append(p.allow, strings.Fields(value)...)
	case "denyusers":
		p.deny = append(p.deny, strings.Fields(value)...)
	}
}

// refuses reports whether sshd lets nobody in by that name and a password.
func (p *policy) refuses(name string) bool {
	return p.noPassword && p.noDialog || p.noRoot && name == "root" ||
		len(p.allow) > 0 && !slices.ContainsFunc(p.allow, func(pattern string) bool { return allows(pattern, name) }) ||
		slices.ContainsFunc(p.deny, func(pattern string) bool { return denies(pattern, name) })
}

// allows reports whether a pattern of AllowUsers may let the name in, from some host.
func allows(pattern, name string) bool {
	user, _, _ := strings.Cut(pattern, "@")
	return matches(user, name)
}

// denies reports whether a pattern of DenyUsers keeps the name out, from every host.
func denies(pattern, name string) bool {
	return !strings.Contains(pattern, "@") && !strings.HasPrefix(pattern, "!") && matches(pattern, name)
}

// matches compares as sshd does, which knows only * and ?.
func matches(pattern, name string) bool {
	quoted := strings.NewReplacer(`\`, `\\`, `[`, `\[`).Replace(strings.TrimPrefix(pattern, "!"))
	ok, err := path.Match(quoted, name)
	return ok && err == nil
}
