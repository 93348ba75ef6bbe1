package accounts

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// policy is what sshd allows, as "sshd -T" prints it.
type policy struct {
	known      bool   // sshd has answered
	noPassword bool   // it accepts no passwords itself
	noDialog   bool   // and does not ask for them in a dialog
	noRoot     bool   // root cannot log in with a password
	keysOnly   bool   // no list of AuthenticationMethods takes a password
	pam        bool   // PAM is asked
	service    string // for this service
	kerberos   bool   // a password may be one of Kerberos
	rules      map[string][]string
	startups   Startups
}

// parsePolicy reads "keyword value" lines.
func parsePolicy(text string) (policy, error) {
	p := policy{service: "sshd", rules: make(map[string][]string)}
	if err := scan(strings.NewReader(text), p.line); err != nil {
		return policy{}, err
	}
	if !p.known {
		return policy{}, errors.New("no settings of passwords")
	}
	p.noDialog = p.noDialog || !p.pam // nothing else could run the dialog
	return p, nil
}

func (p *policy) line(line string) {
	key, value, _ := strings.Cut(line, " ")
	switch key = strings.ToLower(key); key {
	case "passwordauthentication":
		p.known, p.noPassword = true, value == "no"
	case "kbdinteractiveauthentication", "challengeresponseauthentication":
		p.noDialog = value == "no"
	case "permitrootlogin":
		p.noRoot = noRoot(value)
	case "authenticationmethods":
		p.keysOnly = !wantsPassword(value)
	case "usepam":
		p.pam = value != "no"
	case "pamservicename":
		p.service = value
	case "kerberosauthentication":
		p.kerberos = value != "no"
	case "allowusers", "denyusers", "allowgroups", "denygroups":
		p.rules[key] = append(p.rules[key], strings.Fields(value)...)
	default:
		p.startups.line(key, value)
	}
}

// noRoot reports whether a value of PermitRootLogin, old or new, keeps root from logging in with a password.
func noRoot(value string) bool {
	return slices.Contains([]string{"no", "prohibit-password", "without-password", "forced-commands-only"}, value)
}

// wantsPassword reports whether one of the lists of AuthenticationMethods takes a password, alone or after a key.
func wantsPassword(lists string) bool {
	methods := strings.FieldsFunc(lists, func(r rune) bool { return r == ' ' || r == ',' })
	return len(methods) == 0 || slices.ContainsFunc(methods, func(method string) bool {
		method, _, _ = strings.Cut(method, ":")
		return !slices.Contains([]string{"publickey", "hostbased", "gssapi-with-mic"}, method)
	})
}

// loosen drops the restrictions that do not hold for all clients.
func (p *policy) loosen(e exceptions) {
	p.noPassword = p.noPassword && !e.password
	p.noDialog = p.noDialog && !e.dialog
	p.noRoot = p.noRoot && !e.root
	p.keysOnly = p.keysOnly && !e.methods
	for _, key := range e.lists {
		delete(p.rules, key)
	}
}

// refuses reports whether sshd lets nobody in with that name and a password.
func (p *policy) refuses(name string, u user, g groups) bool {
	if p.noPassword && p.noDialog || p.keysOnly || p.noRoot && u.uid == "0" {
		return true
	}
	allow, deny := p.rules["allowusers"], p.rules["denyusers"]
	if len(allow) > 0 && !slices.ContainsFunc(allow, func(pattern string) bool { return allows(pattern, name) }) ||
		slices.ContainsFunc(deny, func(pattern string) bool { return denies(pattern, name) }) {
		return true
	}
	in := func(pattern string) bool {
		return slices.ContainsFunc(g.of(name, u), func(group string) bool { return matches(pattern, group) })
	}
	allow, deny = p.rules["allowgroups"], p.rules["denygroups"]
	return g.known && (len(allow) > 0 && !slices.ContainsFunc(allow, in) || slices.ContainsFunc(deny, in))
}

// allows reports whether a pattern of AllowUsers may let the name in from some host.
func allows(pattern, name string) bool {
	user, _, _ := strings.Cut(pattern, "@")
	return matches(strings.TrimPrefix(user, "!"), name)
}

// denies reports whether a pattern of DenyUsers keeps the name out from every host.
func denies(pattern, name string) bool {
	return !strings.Contains(pattern, "@") && !strings.HasPrefix(pattern, "!") && matches(pattern, name)
}

// matches matches as sshd does, with only * and ?.
func matches(pattern, name string) bool {
	ok, err := path.Match(strings.NewReplacer(`\`, `\\`, `[`, `\[`).Replace(pattern), name)
	return ok && err == nil
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
