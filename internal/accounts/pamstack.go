package accounts

import (
	"fmt"
	"strconv"
	"strings"
)

// stack is the list of modules that PAM asks, in order.
type stack []module

// module is one of them, or a substack.
type module struct {
	refuses bool              // it refuses the account in question; others may return anything
	actions map[string]action // by return value
	sub     stack
}

// action is the consequence of a return value: "ok", "done", "bad", "die", "ignore", "reset", or the number of modules to skip.
type action struct {
	verb string
	jump int
}

// The simple controls of pam.conf(5), in its long form.
var controls = map[string]string{
	"required":   "[success=ok new_authtok_reqd=ok ignore=ignore default=bad]",
	"requisite":  "[success=ok new_authtok_reqd=ok ignore=ignore default=die]",
	"sufficient": "[success=done new_authtok_reqd=done default=ignore]",
	"optional":   "[success=ok new_authtok_reqd=ok default=ignore]",
}

func parseControl(text string) (map[string]action, error) {
	if long, ok := controls[strings.ToLower(text)]; ok {
		text = long
	}
	inside, ok := strings.CutPrefix(strings.TrimSuffix(text, "]"), "[")
	if !ok {
		return nil, fmt.Errorf("%q is not a control of PAM", text)
	}
	actions := map[string]action{"default": {verb: "ignore"}}
	for pair := range strings.FieldsSeq(inside) {
		value, verb, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not a control of PAM", text)
		}
		a := action{verb: verb}
		if n, err := strconv.Atoi(verb); err == nil && n > 0 {
			a = action{"jump", n}
		}
		actions[value] = a
	}
	return actions, nil
}

// impressions is the set of results that PAM may have at some place of a stack.
type impressions uint8

const (
	undecided impressions = 1 << iota
	good
	bad
)

// outcome returns the results that PAM may have after the stack. PAM lets an account in only if one of them is good.
func (s stack) outcome(before impressions) impressions {
	at := make([]impressions, len(s)+1) // before each module, and after the last
	at[0] = before
	var done impressions
	for i, m := range s {
		if m.actions == nil {
			at[i+1] |= m.sub.outcome(at[i])
			continue
		}
		for value, a := range m.actions {
			if m.refuses && (value == "success" || value == "new_authtok_reqd" || value == "ignore") {
				continue
			}
			goesOn, ends := a.apply(at[i], m.refuses)
			at[min(i+1+a.jump, len(s))] |= goesOn
			done |= ends
		}
	}
	return done | at[len(s)]
}

// apply returns the results that PAM may have after a module: where it asks the next one, and where the stack ends.
func (a action) apply(before impressions, refused bool) (goesOn, ends impressions) {
	if before == 0 {
		return 0, 0
	}
	after := before & bad
	switch {
	case before == bad:
	case refused: // PAM keeps the error
		after |= bad
	default:
		after |= good
	}
	switch a.verb {
	case "ok":
		return after, 0
	case "done":
		return after & bad, after
	case "bad":
		return bad, 0
	case "die":
		return 0, bad
	case "reset":
		return undecided, 0
	case "jump": // newer versions count a success that jumps as a success
		return before | after, 0
	}
	return before, 0
}
