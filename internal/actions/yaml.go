package actions

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"exile/internal/config"
)

// keys are those that a mapping may have, with what reads their values.
type keys map[string]func(*yaml.Node) error

// fault is a mistake in a line of a file.
type fault struct {
	line int
	key  string // whose value is wrong; empty: unknown yet
	text string
}

func (f *fault) Error() string {
	if f.key == "" {
		return fmt.Sprintf("%d: %s", f.line, f.text)
	}
	return fmt.Sprintf("%d: %s: %s", f.line, f.key, f.text)
}

// at is a mistake in the line of a node.
func at(n *yaml.Node, format string, args ...any) error {
	return &fault{line: n.Line, text: fmt.Sprintf(format, args...)}
}

// document returns the mapping that a file consists of. Anchors are refused: with them a small file expands without limit.
func document(data string) (*yaml.Node, error) {
	var doc, more yaml.Node
	dec := yaml.NewDecoder(strings.NewReader(data))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, errors.New("1: the file is empty: it must say what the action does; see exiled-actions.service(8)")
	case err != nil:
		line, text := config.SyntaxError([]byte(data), err)
		return nil, &fault{line: max(line, 1), text: text}
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, at(&doc, "a file is one action: nothing may follow ---")
	}
	return doc.Content[0], plain(&doc, 0)
}

// plain refuses anchors, aliases and deep nesting.
func plain(n *yaml.Node, depth int) error {
	if n.Anchor != "" || n.Kind == yaml.AliasNode {
		return at(n, "anchors and aliases are not supported: repeat the value")
	}
	if depth > 6 {
		return at(n, "nested too deeply")
	}
	for _, c := range n.Content {
		if err := plain(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// read reads a mapping, and joins all that is wrong in it.
func (k keys) read(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return at(n, "a mapping is wanted here, with the keys %s", k)
	}
	var errs []error
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		set := k[key.Value]
		switch {
		case seen[key.Value] > 0:
			errs = append(errs, at(key, "%q is already set in line %d", key.Value, seen[key.Value]))
		case set == nil:
			errs = append(errs, at(key, "%q is not one of %s", key.Value, k))
		default:
			errs = append(errs, named(key.Value, set(value)))
		}
		seen[key.Value] = key.Line
	}
	return errors.Join(errs...)
}

// named puts the key into a mistake that has none.
func named(key string, err error) error {
	if f, ok := errors.AsType[*fault](err); ok && f.key == "" {
		f.key = key
	}
	return err
}

func (k keys) String() string { return strings.Join(slices.Sorted(maps.Keys(k)), ", ") }

func text(into *string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
			return at(n, "one value is wanted here")
		}
		*into = n.Value
		return nil
	}
}

// checked is text that must pass.
func checked(into *string, check func(string) error) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if err := text(into)(n); err != nil {
			return err
		}
		if err := check(*into); err != nil {
			return at(n, "%s", err)
		}
		return nil
	}
}

// texts reads a list, or one value.
func texts(into *[]string, check func(string) error) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		items := []*yaml.Node{n}
		if n.Kind == yaml.SequenceNode {
			items = n.Content
		}
		*into = nil
		for _, item := range items {
			var s string
			if err := checked(&s, check)(item); err != nil {
				return err
			}
			*into = append(*into, s)
		}
		return nil
	}
}

// one reads one of the words.
func one[S ~string](into *S, words ...S) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if !slices.Contains(words, S(n.Value)) || n.Kind != yaml.ScalarNode {
			return at(n, "%q is not one of %s", n.Value, joined(words))
		}
		*into = S(n.Value)
		return nil
	}
}

func joined[S ~string](words []S) string {
	var all []string
	for _, w := range words {
		all = append(all, string(w))
	}
	return strings.Join(all, ", ")
}

func yes(into *bool) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		switch strings.ToLower(n.Value) {
		case "true", "yes", "on":
			*into = true
		case "false", "no", "off":
			*into = false
		default:
			return at(n, "%q is neither yes nor no", n.Value)
		}
		return nil
	}
}

func whole(into *int, low, high int) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		i, err := strconv.Atoi(n.Value)
		if err != nil || i < low || i > high {
			return at(n, "%q is not a whole number from %d to %d", n.Value, low, high)
		}
		*into = i
		return nil
	}
}

func span(into *time.Duration, low, high time.Duration) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		d, err := config.ParseDuration(n.Value)
		if err != nil || d < low || d > high {
			return at(n, "%q is not a time from %s to %s", n.Value, config.FormatDuration(low), config.FormatDuration(high))
		}
		*into = d
		return nil
	}
}
