package export

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"exile/journal"
)

// check reports what in the selector no journal can match, or journalctl cannot be told.
func check(s journal.Selector) error {
	for _, group := range s {
		for _, term := range group {
			if !validName([]byte(term.Field)) {
				return fmt.Errorf("select entries: %q is not the name of a journal field", term.Field)
			}
			if len(term.Values) == 0 {
				return fmt.Errorf("select entries: no value for %s", term.Field)
			}
			for _, v := range term.Values {
				if _, err := path.Match(v, ""); err != nil || strings.ContainsRune(v, 0) {
					return fmt.Errorf("select entries: %s=%q is not a pattern", term.Field, v)
				}
			}
		}
	}
	return nil
}

// checkFields reports names that no field of a journal has.
func checkFields(names []string) error {
	for _, name := range names {
		if !validName([]byte(name)) {
			return fmt.Errorf("deliver fields: %q is not the name of a journal field", name)
		}
	}
	return nil
}

// matches returns arguments of journalctl that select the wanted entries, and perhaps others: journalctl has no patterns but
// those of --unit, which it looks up only once, and not when a new instance starts. Values of one field are alternatives,
// fields are conditions, and "+" separates groups. journald's own reports are always wanted.
func matches(s journal.Selector) []string {
	var args []string
	for _, group := range s {
		own := groupMatches(group)
		if len(own) == 0 { // only patterns: everything
			return nil
		}
		args = append(append(args, own...), "+")
	}
	if len(args) == 0 {
		return nil
	}
	return append(args, "MESSAGE_ID="+messageDropped, "_TRANSPORT=driver")
}

// groupMatches leaves out a field with two terms: to journalctl they would be alternatives.
func groupMatches(group journal.Group) []string {
	var args []string
	for i, term := range group {
		again := slices.ContainsFunc(group[:i], func(o journal.Term) bool { return o.Field == term.Field })
		if again || slices.ContainsFunc(term.Values, isPattern) {
			continue
		}
		for _, v := range term.Values {
			args = append(args, term.Field+"="+v)
		}
	}
	return args
}

func isPattern(v string) bool { return strings.ContainsAny(v, "*?[") }

// selected reports whether s wants the entry.
func selected(s journal.Selector, fields []Field) bool {
	if len(s) == 0 {
		return true
	}
	return slices.ContainsFunc(s, func(group journal.Group) bool {
		return !slices.ContainsFunc(group, func(t journal.Term) bool { return !holds(t, fields) })
	})
}

// holds reports whether the entry has the field with one of the values.
func holds(t journal.Term, fields []Field) bool {
	return slices.ContainsFunc(fields, func(f Field) bool {
		return string(f.Name) == t.Field && slices.ContainsFunc(t.Values, func(v string) bool { return matchValue(v, f.Value) })
	})
}

func matchValue(v string, value []byte) bool {
	if !isPattern(v) {
		return v == string(value)
	}
	ok, err := path.Match(v, string(value))
	return ok && err == nil
}

// fieldsOf are all fields of the selector, those that are to be delivered, and the others that are needed.
func fieldsOf(s journal.Selector, delivered []string) string {
	names := slices.Clone(outputFields)
	for _, name := range delivered {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, group := range s {
		for _, term := range group {
			if !slices.Contains(names, term.Field) {
				names = append(names, term.Field)
			}
		}
	}
	return strings.Join(names, ",")
}
