package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"exile/internal/config"
)

// This file and its neighbours show that exile works on this host, for exilectl doctor, which runs this program twice: as the daemon's user, who has
// to read the logs, and as root, who sends packets.

// The parts of an examination.
const (
	doctorLogs    = "logs"
	doctorPackets = "packets"
)

// grade says what came of a question.
type grade string

const (
	good    grade = "ok"
	wrong   grade = "WRONG"
	unclear grade = "unclear" // it could not be found out here
	fact    grade = ""        // nothing that could be wrong
)

// findings prints what is found, without what tells who owns the host.
type findings struct {
	out  io.Writer
	hide *strings.Replacer
	bad  bool
	err  error // of out
}

func newFindings(out io.Writer) *findings { return &findings{out: out, hide: ownData()} }

// add prints a line.
func (f *findings) add(g grade, format string, args ...any) {
	f.bad = f.bad || g == wrong
	text := strings.ReplaceAll(f.hide.Replace(fmt.Sprintf(format, args...)), "\n", "; ")
	_, err := fmt.Fprintf(f.out, "  %-8s%s\n", g, text)
	f.err = errors.Join(f.err, err)
}

// title begins a section.
func (f *findings) title(text string) {
	_, err := fmt.Fprintf(f.out, "%s\n", text)
	f.err = errors.Join(f.err, err)
}

// ownData replaces the names of this host and its addresses.
func ownData() *strings.Replacer {
	var pairs []string
	hide := func(text, name string) {
		if len(text) > 2 {
			pairs = append(pairs, text, name)
		}
	}
	if id, err := machineID(); err == nil {
		hide(id, "<machine id>")
	}
	if name, err := os.Hostname(); err == nil {
		hide(name, "<host>")
	}
	own, _ := net.InterfaceAddrs() // none, then
	for _, a := range own {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() {
			hide(n.IP.String(), "<own address>")
		}
	}
	return strings.NewReplacer(pairs...)
}

// errSick says that something is wrong, which was printed.
var errSick = errors.New("something is wrong")

// examine makes one part of an examination.
func examine(ctx context.Context, o options, out io.Writer) error {
	f := newFindings(out)
	cfg, err := config.Load(config.Sources{File: o.config, Exists: logExists})
	switch {
	case err != nil:
		f.add(wrong, "the configuration has mistakes: %v", err)
	case o.doctor == doctorLogs:
		examineHost(ctx, f, cfg)
		examineLogs(ctx, f, o, cfg)
	case o.doctor == doctorPackets:
		examineRivals(f, "/proc")
		examinePackets(ctx, f, o, cfg)
	default:
		return fmt.Errorf("nothing to examine is called %q", o.doctor)
	}
	if f.bad && f.err == nil {
		return errSick
	}
	return f.err
}
