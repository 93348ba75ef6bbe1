package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"exile/internal/actions"
)

// TestMailing: a report goes to each action that asks for it, also if another one fails, and without such an action the error says what to write.
func TestMailing(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "etc/exile", actions.Folder)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("each.yaml", "mail: {to: root}")
	write("wrong.yaml", "on: [reports]\nmail: {to: root}")
	_, err := openMailing(root)
	if err == nil || !strings.Contains(err.Error(), "on: [report]") || !strings.Contains(err.Error(), "wrong.yaml:1") {
		t.Errorf("without an action: %v", err)
	}
	write("weekly.yaml", "on: [report]\nmail: {to: root}")
	write("fails.yaml", "on: [ban, report]\nmail: {to: root}")
	m, err := openMailing(root)
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	m.ask = func(_ context.Context, a *actions.Action, r actions.Request) (bool, error) {
		asked = append(asked, a.Name)
		if a.Name != r.Action || *r.Report != (actions.Report{Subject: "s", Text: "t\n", Page: "<p>"}) {
			t.Errorf("%s is asked for %+v", a.Name, r)
		}
		if a.Name == "fails" {
			return false, errors.New("no such mailbox")
		}
		return false, nil
	}
	var out bytes.Buffer
	o := &options{json: jsonOff}
	c := o.newConsole(&out)
	err = m.send(t.Context(), o, c, func(w io.Writer) error {
		_, err := io.WriteString(w, `{"subject":"s","text":"t\n","page":"<p>"}`+"\n")
		return err
	})
	_ = c.Flush()
	if err == nil || err.Error() != "failed to mail the report with the action fails: no such mailbox" || !slices.Equal(asked, []string{"fails", "weekly"}) {
		t.Errorf("%v, asked %q", err, asked)
	}
	if got := out.String(); got != "Mailed the report with the action weekly.\n" {
		t.Errorf("said %q", got)
	}
	broken := func(w io.Writer) error { _, err := io.WriteString(w, `{"subject":`); return err }
	if err := m.send(t.Context(), o, c, broken); err == nil || len(asked) != 2 {
		t.Errorf("half a letter: %v, asked %q", err, asked)
	}
}
