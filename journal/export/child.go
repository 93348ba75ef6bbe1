package export

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// maxReason is how many of the last bytes of the child's standard error we keep.
const maxReason = 4 << 10

// child is a running journalctl.
//
// It is one of the few programs that exile runs: it reads journal files of a format newer than we know, with systemd's own
// tool of that version. There is no shell; the arguments are our flags, matches with checked field names, and a cursor that
// we printed.
type child struct {
	cmd    *exec.Cmd
	stdout io.ReadCloser
	reason tail
	detach func() bool
}

func startChild(ctx context.Context, command string, args []string) (*child, error) {
	c := &child{cmd: exec.CommandContext(ctx, command, args...)}
	c.cmd.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_COLORS=0")
	c.cmd.Stderr = &c.reason
	var err error
	if c.stdout, err = c.cmd.StdoutPipe(); err != nil {
		return nil, fmt.Errorf("start journalctl: %w", err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start journalctl: %w", err)
	}
	// Do not wait for ever for output of a child that does not exit.
	c.detach = context.AfterFunc(ctx, func() { _ = c.stdout.Close() })
	return c, nil
}

// stop kills the child. Its remaining output does not matter.
func (c *child) stop() {
	c.detach()
	_ = c.stdout.Close()
	_ = c.cmd.Process.Kill() // it may have exited already
	_ = c.cmd.Wait()
}

// wait waits for a child that closed its output, and returns an error if it failed.
func (c *child) wait() error {
	c.detach()
	_ = c.stdout.Close()
	err := c.cmd.Wait()
	if said := bytes.TrimSpace(c.reason.last); err != nil && len(said) > 0 {
		err = fmt.Errorf("%w: it said %q", err, said)
	}
	return err
}

// tail keeps the end of what is written to it.
type tail struct{ last []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.last = append(t.last, b[max(0, len(b)-maxReason):]...)
	t.last = t.last[max(0, len(t.last)-maxReason):]
	return len(b), nil
}
