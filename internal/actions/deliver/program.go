package deliver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec" // programs of the administrator
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"exile/internal/actions"
)

// runProgram runs the program of an action, which finds the event in its environment and, as JSON, on its standard input.
func runProgram(ctx context.Context, a *actions.Action, e *actions.Event) error {
	data, err := json.Marshal(e)
	if err != nil {
		return permanent(err)
	}
	env := append([]string{"EXILE_ACTION=" + a.Name}, e.Environment()...)
	return run(ctx, a.Command, env, append(data, '\n'))
}

// run runs a program without a shell. Its error has the end of what the program said.
func run(ctx context.Context, command, env []string, input []byte) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) } // and what it has started: systemd leaves that to sendmail
	cmd.WaitDelay = time.Second                                                    // a child that keeps the output open is left to systemd
	cmd.Dir, cmd.Env = "/", append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}, env...)
	cmd.Stdin = bytes.NewReader(input)
	var said tail
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	_, _ = os.Stderr.Write(said.text) // to the journal
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return nil
	case cmd.Process == nil:
		return notStarted(err)
	}
	if text := strings.TrimSpace(string(said.text)); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return fmt.Errorf("%s: %w", command[0], err)
}

// notStarted says why programs usually do not start.
func notStarted(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: install it, or what its first line names; programs of actions do not see /home, /root and /tmp", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run chmod a+rx on it; programs of actions do not see /home, /root and /tmp", err)
	case errors.Is(err, unix.ENOEXEC):
		return fmt.Errorf("%w: begin a script with a line such as #!/bin/sh", err)
	}
	return err
}

// maxSaid is how much of a program's output is kept, in bytes.
const maxSaid = 2 << 10

// tail keeps the end of what is written to it.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if over := len(t.text) - maxSaid; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}
