package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"exile/internal/actions"
	"exile/internal/replay"
)

// This file mails a report with the helper of exiled-actions, which alone may run sendmail(8).

// mailing is who gets a report.
type mailing struct {
	actions []*actions.Action
	ask     func(context.Context, *actions.Action, actions.Request) (more bool, err error)
}

// openMailing finds the actions that mail reports, below root.
func openMailing(root string) (m mailing, err error) {
	all, broken, err := actions.Load(root)
	if err != nil {
		return m, err
	}
	for _, a := range all {
		if slices.Contains(a.On, actions.OnReport) {
			m.actions = append(m.actions, a)
		}
	}
	var wrong []error
	for _, b := range broken {
		wrong = append(wrong, b.Err) // it may be one of them
	}
	if len(m.actions) == 0 {
		wrong = append(wrong, errors.New("no action mails it: write on: [report] and mail: {to: root} into /etc/exile/actions.d/report.yaml"))
		return m, errors.Join(wrong...)
	}
	m.ask = actions.Asker{Dir: actions.Sockets}.Ask
	return m, nil
}

// send mails what whole writes, a replay.Letter, once for each action.
func (m mailing) send(ctx context.Context, o *options, c *console, whole func(io.Writer) error) error {
	var text bytes.Buffer
	var letter replay.Letter
	if err := whole(&text); err != nil {
		return err
	}
	if err := json.Unmarshal(text.Bytes(), &letter); err != nil {
		return fmt.Errorf("failed to mail the report: exiled gave no letter: %w", err)
	}
	var errs []error
	for _, a := range m.actions {
		_, err := m.ask(ctx, a, actions.Request{Action: a.Name, Report: (*actions.Report)(&letter)})
		if err != nil {
			errs = append(errs, fmt.Errorf("failed to mail the report with the action %s: %w", a.Name, err))
			continue
		}
		o.note(c, "Mailed the report with the action %s.", a.Name)
	}
	return errors.Join(errs...)
}
