package accounts

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// Host is the source of who can log in with a password. Its files and its sshd may be wrong or broken: then nothing is certain, and no
// account is listed as locked.
type Host struct {
	Root fs.FS // of which /etc is read; file names have no leading slash
	// Config is the file that sshd reads, without a leading slash.
	Config string
	// SSHD returns the output of "sshd -T" or, for a user, "sshd -T -C user=USER".
	SSHD func(user string) ([]byte, error)
	Now  time.Time
}

// MaxAsked is for how many users sshd is asked; the others count as users who can log in.
const MaxAsked = 256

// Gather lists the accounts of passwd(5). An account is locked if it is certain that nobody can log in to it through sshd with a password: sshd
// refuses the user or all passwords, or the password is locked or the account has expired and PAM asks only pam_unix. A name
// that is listed by mistake would get its owner banned, so no account is listed if anything is not understood. Doubts say what that was, one
// sentence each. An error means that there is no list, because a file is missing.
func (h Host) Gather() (l List, doubts []string, err error) {
	users, err := h.users()
	if err != nil {
		return List{}, nil, err
	}
	p, err := h.policy("")
	if err != nil {
		doubts = append(doubts, fmt.Sprintf("sshd does not tell its settings, so that no account counts as one without a password (%v); try: sshd -T", err))
	}
	j := judge{host: h, rules: p, users: users}
	if err == nil {
		doubts = append(doubts, j.prepare()...)
	}
	l = List{Version: version, Accounts: []string{}, Locked: []string{}, SSHD: p.startups}
	for name := range users {
		l.Accounts = append(l.Accounts, name)
	}
	slices.Sort(l.Accounts)
	for _, name := range l.Accounts {
		if p.known && j.locked(name) {
			l.Locked = append(l.Locked, name)
		}
	}
	return l, doubts, nil
}

// judge decides for each account whether it can be logged in to with a password.
type judge struct {
	host   Host
	rules  policy // for all users
	users  map[string]user
	groups groups
	except exceptions // that Match blocks make to the rules
	stored bool       // all passwords are in passwd and shadow
	dated  bool       // expired accounts are refused
	asked  int
}

// prepare reads what all accounts have in common, and returns what was not understood.
func (j *judge) prepare() (doubts []string) {
	doubt := func(format string, args ...any) { doubts = append(doubts, fmt.Sprintf(format, args...)) }
	n, err := readNames(j.host.Root)
	if err != nil {
		doubt("%v; no account counts as locked", err)
	}
	if j.groups, err = readGroups(j.host.Root); err != nil {
		doubt("%v; AllowGroups and DenyGroups count for nothing", err)
	}
	j.groups.known = j.groups.known && n.groups
	j.except = readExceptions(j.host.Root, j.host.Config, j.groups.known)
	if j.except.unread != nil {
		doubt("%v; what sshd refuses counts for nothing", j.except.unread)
	}
	j.stored, j.dated = n.users && !j.rules.kerberos && !j.except.kerberos, n.users
	if !j.rules.pam {
		return doubts
	}
	auth, err := pamRefuses(j.host.Root, j.rules.service, "auth")
	account := false
	if err == nil {
		account, err = pamRefuses(j.host.Root, j.rules.service, "account")
	}
	if err != nil {
		doubt("PAM is not understood: %v; no account counts as locked", err)
	}
	j.stored, j.dated = j.stored && auth && err == nil, j.dated && account
	return doubts
}

// locked reports whether it is certain that nobody can log in to the account with a password.
func (j *judge) locked(name string) bool {
	u := j.users[name]
	if j.stored && u.locked() || j.dated && u.expired(j.host.Now) {
		return true
	}
	if j.except.unread != nil {
		return false
	}
	p := j.rules
	if j.except.ofUsers {
		if j.asked++; j.asked > MaxAsked {
			return false
		}
		var err error
		if p, err = j.host.policy(name); err != nil {
			return false
		}
	}
	p.loosen(j.except)
	return p.refuses(name, u, j.groups)
}

// policy is what sshd says.
func (h Host) policy(name string) (policy, error) {
	text, err := h.SSHD(name)
	if err != nil {
		return policy{}, err
	}
	return parsePolicy(string(text))
}

// The maximum size of a file and of a line, in bytes.
const (
	maxText = 16 << 20
	maxLine = 1 << 20
)

// eachLine yields the lines of a file.
func eachLine(root fs.FS, name string, line func(string)) error {
	f, err := root.Open(name)
	if err != nil {
		return fmt.Errorf("read /%s: %w", name, cause(err))
	}
	defer f.Close()
	if err := scan(f, line); err != nil {
		return fmt.Errorf("read /%s: %w", name, err)
	}
	return nil
}

// cause returns an error without the file name, which is written with a slash by the caller.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

func scan(r io.Reader, line func(string)) error {
	lines := bufio.NewScanner(io.LimitReader(r, maxText))
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		line(lines.Text())
	}
	return lines.Err()
}

// Names returns the names of the accounts in a passwd(5), at most MaxNames.
func Names(passwd io.Reader) ([]string, error) {
	users := make(map[string]user)
	if err := scan(passwd, func(line string) { passwdLine(line, users) }); err != nil {
		return nil, fmt.Errorf("read passwd: %w", err)
	}
	names := make([]string, 0, len(users))
	for name := range users {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// fields splits at colons.
func fields(line string) []string { return strings.Split(line, ":") }
