package main

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
)

func TestLogLine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(handler{out: &out, level: slog.LevelInfo, priorities: true})
	log.Warn("Lost the bus", "error", errors.New("a\x1b[31m b"), "nothing", nil)
	log.Info("Ready")
	log.Debug("Not shown")
	log.With("jail", "sshd").Error("Failed", "n", 3)
	want := "<4>Lost the bus error=\"a\\x1b[31m b\"\n<6>Ready\n<3>Failed jail=sshd n=3\n"
	if out.String() != want {
		t.Errorf("logged\n%s\nwant\n%s", out.String(), want)
	}
}

// A host without a bus has one line about it, and not one each time that it is tried.
func TestLogOfTheBus(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	connected := logBus(slog.New(handler{out: &out, level: slog.LevelInfo}))
	for _, err := range []error{nil, errors.New("lost"), errors.New("refused"), errors.New("refused"), nil, nil} {
		connected(err)
	}
	want := "There is no bus; banning goes on error=lost\nReconnected to the bus name=org.exile1\n"
	if got := out.String(); got != want {
		t.Errorf("logged %q, want %q", got, want)
	}
}
