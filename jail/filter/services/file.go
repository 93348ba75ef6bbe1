package services

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"exile/jail"
)

// Service is a filter from a file, checked and compiled. It does not change.
type Service struct {
	Name        string   // of the file, without its folder and suffix
	File        string   // as it was named when it was read, for messages
	Description string   // one line for people
	Source      string   // where the lines of the samples come from
	Units       []string // names and patterns of the units whose lines it reads
	Identifiers []string // syslog identifiers, for logs that do not know units
	LogPath     []string // files that the service writes, or patterns of these
	Form        string   // of these files: Syslog or Line
	Ports       []string // what a ban closes, as the configuration's port: names it; empty: everything
	MaxRetry    int      // what a jail should set if it does not say; 0: as elsewhere
	FindTime    string   // likewise; empty: as elsewhere
	Sender      Sender   // whose lines in the journal are the service's
	Stdout      bool     // lines that the units print count, too: the service writes no line feed that a client sent

	framable []string // patterns with which a client can have others banned
	because  string   // how a client can write whole lines; empty: it cannot
	accepted bool     // the file says so of all of that
	patterns []pattern
	ignore   []matcher
	alone    bool // a process of the service serves many connections
	connects bool // a pattern says which address a connection has
	likeness *likeness
}

// Sender says whose lines in the journal are those of a service.
type Sender string

// The senders.
const (
	Unit   Sender = ""       // processes of the units, whichever user they run as
	Root   Sender = "root"   // processes of root with one of the identifiers, in whichever unit: PAM
	Kernel Sender = "kernel" // the kernel
)

// The forms of text logs, as the package textlog calls them.
const (
	Syslog = "syslog" // time, host, tag, and the message that patterns match
	Line   = "line"   // patterns match whole lines
)

// document is a filter's file.
type document struct {
	Description string        `yaml:"description"`
	Source      string        `yaml:"source"`
	Units       []string      `yaml:"units"`
	Identifiers []string      `yaml:"identifiers"`
	LogPath     []string      `yaml:"logpath"`
	Form        string        `yaml:"form"`
	Port        []string      `yaml:"port"`
	Connection  string        `yaml:"connection"`
	Sender      Sender        `yaml:"sender"`
	Stdout      bool          `yaml:"stdout"`
	Framable    string        `yaml:"framable"`
	Because     string        `yaml:"because"`
	Detection   detection     `yaml:"detection"`
	Patterns    []patternLine `yaml:"patterns"`
	Ignore      []ignoreLine  `yaml:"ignore"`
	Samples     []sample      `yaml:"samples"`
}

type detection struct {
	MaxRetry int    `yaml:"maxretry"`
	FindTime string `yaml:"findtime"`
}

// patternLine is one pattern of a file.
type patternLine struct {
	Name     string   `yaml:"name"`
	Kind     string   `yaml:"kind"`
	Mode     string   `yaml:"mode"`
	Unknown  bool     `yaml:"unknown"`
	Match    string   `yaml:"match"`
	Excludes excludes `yaml:"excludes"`
	Framable string   `yaml:"framable"`
	line     int
}

// excludes are characters that a text of the remote end cannot have, and why.
type excludes struct {
	User    string `yaml:"user"`
	Because string `yaml:"because"`
}

// ignoreLine is a pattern of lines that never count.
type ignoreLine struct {
	match string
	line  int
}

// sample is a line, and what the filter must make of it.
type sample struct {
	Line    string   `yaml:"line"`
	Lines   []string `yaml:"lines"` // instead: those before it, of the same process, and itself
	Pattern string   `yaml:"pattern"`
	Address string   `yaml:"address"`
	User    string   `yaml:"user"`
	Count   int      `yaml:"count"` // of the attempts; 0 stands for one
	before  []string
	line    int
}

// UnmarshalYAML implements yaml.Unmarshaler: messages name the line. The decoder does not pass KnownFields on, hence the check.
func (l *patternLine) UnmarshalYAML(n *yaml.Node) error {
	type plain patternLine
	l.line = n.Line
	return decode(n, (*plain)(l), "name", "kind", "mode", "unknown", "match", "excludes", "framable")
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (s *sample) UnmarshalYAML(n *yaml.Node) error {
	type plain sample
	s.line = n.Line
	if err := decode(n, (*plain)(s), "line", "lines", "pattern", "address", "user", "count"); err != nil || s.Lines == nil {
		return err
	}
	if len(s.Lines) == 0 || s.Line != "" {
		return fmt.Errorf("line %d: a sample has either line: or lines:, of which the last is to match", n.Line)
	}
	last := len(s.Lines) - 1
	s.Line, s.before = s.Lines[last], s.Lines[:last]
	return nil
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (i *ignoreLine) UnmarshalYAML(n *yaml.Node) error {
	i.line = n.Line
	return n.Decode(&i.match)
}

// decode decodes a mapping that may have these keys.
func decode(n *yaml.Node, into any, keys ...string) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: must be a mapping with the keys %s", n.Line, strings.Join(keys, ", "))
	}
	for i := 0; i < len(n.Content); i += 2 {
		if key := n.Content[i]; !slices.Contains(keys, key.Value) {
			return fmt.Errorf("line %d: %q is not one of %s", key.Line, key.Value, strings.Join(keys, ", "))
		}
	}
	return n.Decode(into)
}

// Parse reads the filter in a file of that name, checks it, and tries it on its samples. The error joins all that is wrong.
func Parse(file string, data []byte) (*Service, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("%s: a filter has at most %d kB", file, MaxFile>>10)
	}
	var d document
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&d); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: a filter is one document: nothing may follow ---", file)
	}
	s := &Service{
		Name: strings.TrimSuffix(path.Base(file), Suffix), Description: d.Description, Source: d.Source, Units: d.Units,
		Identifiers: d.Identifiers, LogPath: d.LogPath, Form: d.Form, Ports: d.Port, MaxRetry: d.Detection.MaxRetry,
		FindTime: d.Detection.FindTime, Sender: d.Sender, Stdout: d.Stdout, File: file, alone: d.Connection != "process",
		because: strings.TrimSpace(d.Because), accepted: d.Framable != found,
	}
	if err := s.head(&d); err != nil {
		return nil, err
	}
	if err := s.compile(&d); err != nil {
		return nil, err
	}
	s.likeness = s.newLikeness(d.Samples)
	return s, s.try(d.Samples)
}

// fault is a mistake in the file; line 0 is the file as a whole.
func (s *Service) fault(line int, format string, a ...any) error {
	err := fmt.Errorf(format, a...)
	if line == 0 {
		return fmt.Errorf("%s: %w", s.File, err)
	}
	return fmt.Errorf("%s:%d: %w", s.File, line, err)
}

// maxPatterns is how many patterns a filter may have; web-probe has most, 32.
const maxPatterns = 200

// head checks what stands before the patterns.
func (s *Service) head(d *document) error {
	var errs []error
	if !IsName(s.Name) {
		errs = append(errs, s.fault(0, "the name of a filter has only lower-case letters, digits and dashes"))
	}
	if s.Description == "" || s.Source == "" {
		errs = append(errs, s.fault(0, "description: and source: must say what the filter is for and where its lines come from"))
	}
	if s.Form == "" {
		s.Form = Syslog
	}
	if s.Form != Syslog && s.Form != Line {
		errs = append(errs, s.fault(0, "form: %q must be syslog or line", s.Form))
	}
	if d.Connection != "" && d.Connection != "process" {
		errs = append(errs, s.fault(0, "connection: %q must be process, or be left out", d.Connection))
	}
	if !slices.Contains([]Sender{Unit, Root, Kernel}, s.Sender) {
		errs = append(errs, s.fault(0, "sender: %q must be root or kernel, or be left out", s.Sender))
	}
	if !slices.Contains([]string{"", found, accepted}, d.Framable) || (d.Framable == "") != (s.because == "") {
		errs = append(errs, s.fault(0, "framable: must be found or accepted, with because: how a client can write whole lines; or both are left out"))
	}
	for _, log := range s.LogPath {
		if !path.IsAbs(log) {
			errs = append(errs, s.fault(0, "logpath: %q must be an absolute path", log))
		}
	}
	if n := len(d.Patterns) + len(d.Ignore); len(d.Patterns) == 0 || n > maxPatterns {
		errs = append(errs, s.fault(0, "patterns: there are %d, with those of ignore: from 1 to %d are possible", n, maxPatterns))
	}
	if s.Name == "sshd" {
		errs = append(errs, s.fault(0, "the filter sshd is built in, and cannot be replaced"))
	}
	if s.MaxRetry < 0 {
		errs = append(errs, s.fault(0, "detection: maxretry: %d must be positive", s.MaxRetry))
	}
	return errors.Join(errs...)
}

// compile makes the patterns ready.
func (s *Service) compile(d *document) error {
	var errs []error
	seen := make(map[string]bool)
	for i := range d.Patterns {
		l := &d.Patterns[i]
		if seen[l.Name] {
			errs = append(errs, s.fault(l.line, "pattern %q: there is another pattern of that name", l.Name))
			continue
		}
		seen[l.Name] = true
		p, err := newPattern(l)
		if err != nil {
			errs = append(errs, s.fault(l.line, "pattern %q: %w", l.Name, err))
			continue
		}
		s.patterns = append(s.patterns, p)
		s.connects = s.connects || p.role == opens
		if l.Framable != "" {
			s.framable = append(s.framable, l.Name)
			s.accepted = s.accepted && l.Framable == accepted
		}
	}
	for _, line := range d.Ignore {
		m, err := newMatcher(line.match)
		if err != nil {
			errs = append(errs, s.fault(line.line, "ignore: %w", err))
			continue
		}
		s.ignore = append(s.ignore, m)
	}
	for i := range s.patterns {
		if p := &s.patterns[i]; p.conn > 0 && !s.connects {
			errs = append(errs, s.fault(0, "pattern %q: there is no pattern of kind: connect, which says the address of a <CONNECTION>", p.name))
		}
	}
	return errors.Join(errs...)
}

// kinds, roles and modes are the words of a pattern.
var kinds = map[string]jail.Kind{"failure": jail.Failure, "probe": jail.Probe, "success": jail.Success, "connect": jail.None, "close": jail.None}

var roles = map[string]role{"connect": opens, "close": shuts}

var modes = []string{"normal", "ddos", "extra", "aggressive"}
