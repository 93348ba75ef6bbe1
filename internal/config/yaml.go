package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// This file is the only one that knows the YAML library.

type kind uint8

const (
	null kind = iota
	scalar
	list
	mapping
)

// node is a piece of YAML with its line.
type node struct {
	kind  kind
	text  string // of a scalar, as written, without quotes
	items []node // of a list
	pairs []pair // of a mapping, in the order of the file
	line  int
}

type pair struct {
	key   string
	line  int
	value node
}

// maxDepth is far more than any key needs: file, jails, a jail, a key, a list.
const maxDepth = 8

// decode reads one YAML document. Anchors, aliases and merge keys are refused: they let a small file expand without limit, and no key here needs
// them.
func decode(file string, data []byte) (node, error) {
	if err := notText(file, data); err != nil {
		return node{}, err
	}
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return node{}, nil
	case err != nil:
		return node{}, cmp.Or(meant(file, data), syntaxError(file, data, err))
	case len(doc.Content) > 0 && doc.Content[0].Kind != yaml.MappingNode && doc.Content[0].ShortTag() != "!!null":
		if err := meant(file, data); err != nil {
			return node{}, err
		}
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		if err != nil {
			return node{}, syntaxError(file, data, err)
		}
		return node{}, problem(file, more.Line, "a second YAML document: put everything in one, without a --- line")
	}
	return convert(file, &doc, 0)
}

func convert(file string, y *yaml.Node, depth int) (node, error) {
	n := node{line: y.Line, text: y.Value}
	switch {
	case depth > maxDepth:
		return n, problem(file, y.Line, "nested too deeply")
	case y.Kind == yaml.AliasNode || y.Anchor != "":
		return n, problem(file, y.Line, "anchors and aliases are not supported: repeat the value")
	case y.Kind == yaml.DocumentNode:
		return convert(file, y.Content[0], depth)
	case y.Kind == yaml.SequenceNode:
		return convertList(file, y, n, depth)
	case y.Kind == yaml.MappingNode:
		return convertMapping(file, y, n, depth)
	case y.ShortTag() != "!!null":
		n.kind = scalar
	}
	return n, nil
}

func convertList(file string, y *yaml.Node, n node, depth int) (node, error) {
	n.kind = list
	for _, c := range y.Content {
		item, err := convert(file, c, depth+1)
		if err != nil {
			return n, err
		}
		n.items = append(n.items, item)
	}
	return n, nil
}

func convertMapping(file string, y *yaml.Node, n node, depth int) (node, error) {
	n.kind = mapping
	seen := map[string]int{}
	for i := 0; i+1 < len(y.Content); i += 2 {
		key := y.Content[i]
		if key.Kind != yaml.ScalarNode || key.Anchor != "" || key.ShortTag() == "!!merge" {
			return n, problem(file, key.Line, "a key must be a plain word")
		}
		if line, ok := seen[key.Value]; ok {
			return n, problem(file, key.Line, "%q is already set in line %d", key.Value, line)
		}
		seen[key.Value] = key.Line
		value, err := convert(file, y.Content[i+1], depth+1)
		if err != nil {
			return n, err
		}
		n.pairs = append(n.pairs, pair{key: key.Value, line: key.Line, value: value})
	}
	return n, nil
}

// The library has the line only in its text: "yaml: line 3: did not find expected key".
var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

func syntaxError(file string, data []byte, err error) error {
	line, text := SyntaxError(data, err)
	return problem(file, line, "%s", text)
}

// SyntaxError says in which line data is not YAML, and why, from the error of the library; 0 if that names no line.
func SyntaxError(data []byte, err error) (line int, text string) {
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		return 0, "not YAML: " + err.Error()
	}
	line, _ = strconv.Atoi(m[1])
	if quote := unclosed(data); quote > 0 && strings.Contains(m[2], "unexpected end of stream") {
		return quote, "not YAML: a quote in this line is not closed"
	}
	if hint, ok := hints[m[2]]; ok {
		m[2] += " (" + hint + ")"
		line = max(line, 1) // the library does not name the first
	}
	return line, "not YAML: " + m[2]
}

// flow prints a node on one line, in a form that decode reads back.
func (n node) flow() string {
	b, err := yaml.Marshal(n.yaml())
	if err != nil { // a tree of scalars and lists always prints
		return fmt.Sprintf("%q", n.text)
	}
	return string(bytes.TrimSpace(b))
}

func (n node) yaml() *yaml.Node {
	switch n.kind {
	case list:
		y := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, item := range n.items {
			y.Content = append(y.Content, item.yaml())
		}
		return y
	case mapping:
		y := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		for _, p := range n.pairs {
			y.Content = append(y.Content, node{kind: scalar, text: p.key}.yaml(), p.value.yaml())
		}
		return y
	case null:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	case scalar:
	}
	y := &yaml.Node{}
	y.SetString(n.text)
	if plain.MatchString(n.text) {
		y.Tag, y.Style = "", 0
	}
	return y
}

// plain matches text that needs no quotes.
var plain = regexp.MustCompile(`^[A-Za-z0-9./][A-Za-z0-9./@_-]*$`)
