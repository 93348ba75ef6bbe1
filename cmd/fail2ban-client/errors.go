package main

import (
	"errors"
	"fmt"
	"strings"

	"exile/dbusapi/client"
	"exile/internal/control"
)

// refusal is what fail2ban's server says of a command that it does not carry out: a sentence for people, and for the log its reason.
type refusal struct{ said, reason string }

// Error implements error.
func (r *refusal) Error() string { return r.reason }

// refuse says one thing to people and to the log.
func refuse(sentence string) error { return refuseFor(sentence, sentence) }

// refuseFor is refuse with another text for the log: fail2ban logs what its code was told.
func refuseFor(sentence, reason string) error {
	return &refusal{sentence + "\n", "NOK: (" + quote(reason) + ",)"}
}

// unsupported refuses what exile does in another way.
func unsupported(instead string) error {
	return refuse("Not supported by exile's fail2ban-client. Instead: " + instead)
}

// incomplete refuses a command without an argument that it needs. The reason is what fail2ban says, in Python's words.
func incomplete() error {
	return refuseFor("Sorry but the command is invalid", "list index out of range")
}

// unknownJail refuses the name of a jail.
func unknownJail(name string) error {
	return refuseFor("Sorry but the jail "+quote(name)+" does not exist", name)
}

// unreachable means that there is no bus.
type unreachable struct{ error }

// explain says why a command failed, as fail2ban's client does: programs look for these sentences.
func explain(err error) string {
	if _, ok := errors.AsType[*unreachable](err); ok {
		return noServer(err.Error())
	}
	e, ok := errors.AsType[*client.RemoteError](err)
	switch {
	case ok && (e.NotRunning() || e.NotStarting()):
		return noServer("exiled does not run: systemctl start exiled")
	case ok && e.Denied():
		return "Permission denied to socket: org.exile1 on the system bus, (you must be root)"
	}
	return printable(err.Error())
}

func noServer(why string) string {
	return "Failed to access socket path: org.exile1 on the system bus. Is fail2ban running? (" + printable(why) + ")"
}

// refusedBy turns what exiled refuses into a refusal; other errors stay as they are.
func refusedBy(err error) error {
	for _, of := range []error{control.ErrInvalid, control.ErrProtected, control.ErrConfig, control.ErrNoSuchJail} {
		if errors.Is(err, of) {
			return refuse(err.Error())
		}
	}
	return err
}

// quote writes text as Python does, for programs that read it as such.
func quote(text string) string {
	q := "'"
	if strings.Contains(text, "'") && !strings.Contains(text, `"`) {
		q = `"`
	}
	return q + printable(strings.NewReplacer(`\`, `\\`, q, `\`+q).Replace(text)) + q
}

// quoteAll writes a list as Python does.
func quoteAll(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = quote(t)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// printable escapes what could move a cursor: the text may be anybody's.
func printable(text string) string {
	quoted := fmt.Sprintf("%+q", text)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}
