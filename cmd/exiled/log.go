package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
)

// handler writes one line per record: the message, and its attributes as key=value, quoted if necessary. Under systemd the line begins with its
// priority, see sd-daemon(3).
type handler struct {
	out        io.Writer
	level      slog.Leveler
	priorities bool
	attrs      []slog.Attr
}

// newLog logs to standard error, which is the journal when systemd started us.
func newLog(level slog.Leveler) *slog.Logger {
	return slog.New(handler{out: os.Stderr, level: level, priorities: os.Getenv("JOURNAL_STREAM") != ""})
}

// Enabled implements slog.Handler.
func (h handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// Handle implements slog.Handler. The line is written in one call, so that concurrent ones do not mix.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	var line bytes.Buffer
	if h.priorities {
		fmt.Fprintf(&line, "<%d>", priority(r.Level))
	}
	line.WriteString(r.Message)
	if r.NumAttrs()+len(h.attrs) > 0 {
		line.WriteByte(' ')
		text := slog.NewTextHandler(&line, &slog.HandlerOptions{Level: h.level, ReplaceAttr: onlyAttrs})
		if err := text.WithAttrs(h.attrs).Handle(ctx, r); err != nil {
			return err
		}
	} else {
		line.WriteByte('\n')
	}
	_, err := h.out.Write(line.Bytes())
	return err
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = append(slices.Clone(h.attrs), attrs...)
	return h
}

// WithGroup implements slog.Handler. Groups are not used.
func (h handler) WithGroup(string) slog.Handler { return h }

// onlyAttrs drops what the journal stores by itself, and empty values.
func onlyAttrs(groups []string, a slog.Attr) slog.Attr {
	builtin := len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey)
	if builtin || a.Value.Kind() == slog.KindAny && a.Value.Any() == nil {
		return slog.Attr{}
	}
	return a
}

// priority returns the syslog priority of a level.
func priority(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}
