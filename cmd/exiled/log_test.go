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
