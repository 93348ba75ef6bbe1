package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"exile/dbusapi/client"
	"exile/dbusapi/dbustest"
)

// The scripts of testdata/exiled run against the real daemon: built from this tree, on a bus, a journal and a network of its
// own, with a backend that leaves the kernel alone.
func TestExiled(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: a network namespace for exiled needs root")
	}
	if _, err := os.Stat(journalTool); err != nil {
		t.Skip("SKIPPED, NOT TESTED: systemd-journal-remote is not installed")
	}
	program := buildExiled(t)
	onEachBus(t, testscript.Params{
		Dir:                 "testdata/exiled",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"journal":    journalCommand,
			"eventually": eventually,
			"exiled":     exiledCommand,
			"bus":        busCommand,
		},
	}, func(env *testscript.Env, bus *dbustest.Bus) error { return setupExiled(env, bus, program) })
}

func buildExiled(t testing.TB) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "exiled")
	if out, err := exec.Command("go", "build", "-o", program, "exile/cmd/exiled").CombinedOutput(); err != nil {
		t.Fatalf("build exiled: %v\n%s", err, out)
	}
	return program
}

// journalTool writes journal files.
const journalTool = "/lib/systemd/systemd-journal-remote"

type exiledKey struct{}

// guarded is an exiled with everything it needs.
type guarded struct {
	program, dir string
	bus          *dbustest.Bus
	cmd          *exec.Cmd
	said         *bytes.Buffer
}

func setupExiled(env *testscript.Env, bus *dbustest.Bus, program string) error {
	text, err := os.ReadFile(filepath.Join(env.WorkDir, "exile.yaml"))
	if err != nil {
		return fmt.Errorf("a script needs a configuration: %w", err)
	}
	g := &guarded{program: program, dir: env.WorkDir, bus: bus}
	if err := g.configure("backend: dry-run\n" + string(text)); err != nil {
		return err
	}
	env.Values[exiledKey{}] = g
	env.Setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.Address)
	env.Setenv("EXILE_VARLINK_SOCKET", g.varlink())
	env.Setenv("RUNTIME_DIRECTORY", filepath.Join(env.WorkDir, "run")) // instead of one that all share
	env.Setenv("TZ", "UTC")
	env.Defer(func() {
		g.end(syscall.SIGKILL)
		if env.T().(testing.TB).Failed() {
			env.T().Log("exiled said:\n" + g.said.String())
		}
	})
	return g.start()
}

// configure writes the configuration and starts a journal.
func (g *guarded) configure(text string) error {
	head := fmt.Sprintf("journal: [%s]\nstate: %s\n", filepath.Join(g.dir, "journal"), filepath.Join(g.dir, "state"))
	if err := os.WriteFile(filepath.Join(g.dir, "exile.yaml"), []byte(head+text), 0o600); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(g.dir, "journal"), 0o700); err != nil {
		return err
	}
	return g.log("Server listening on 0.0.0.0 port 22.")
}

// inItsSpace runs exiled in namespaces of its own: no network, and no /run where it would find this machine's journal. It
// gets its Varlink socket as if from systemd.
const inItsSpace = `
mount -t tmpfs none /run
export LISTEN_FDS=1 LISTEN_FDNAMES=varlink LISTEN_PID=$$
exec "$@"`

func (g *guarded) start() error {
	socket, err := g.listen()
	if err != nil {
		return err
	}
	defer socket.Close()
	g.said = new(bytes.Buffer)
	g.cmd = exec.Command("unshare", "--net", "--mount", "sh", "-ec", inItsSpace, "sh",
		g.program, "--config", filepath.Join(g.dir, "exile.yaml"), "--bus", g.bus.Address)
	g.cmd.ExtraFiles = []*os.File{socket}
	g.cmd.Stdout, g.cmd.Stderr = g.said, g.said
	if err := dbustest.Spawn(g.cmd); err != nil {
		g.cmd = nil
		return err
	}
	if err := g.answers(); err != nil {
		g.end(syscall.SIGKILL)
		return fmt.Errorf("exiled does not answer: %w; it said:\n%s", err, g.said)
	}
	return nil
}

// answers waits for exiled on its bus.
func (g *guarded) answers() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := g.up(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// varlink is the path of the daemon's Varlink socket.
func (g *guarded) varlink() string { return filepath.Join(g.dir, "varlink") }

func (g *guarded) listen() (*os.File, error) {
	_ = os.Remove(g.varlink())
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: g.varlink(), Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	defer l.Close() // the file has its own descriptor
	return l.File()
}

// patience limits how long anything may take.
const patience = 2 * time.Minute

// up reports whether the daemon has read its journal.
func (g *guarded) up(ctx context.Context) error {
	d, err := client.Dial(ctx, client.Config{Address: g.bus.Address})
	if err != nil {
		return err
	}
	defer d.Close()
	status, err := d.Status(ctx)
	if err == nil && status.State == "catching-up" {
		err = errors.New("it is catching up")
	}
	return err
}

// end ends exiled with a signal.
func (g *guarded) end(sig syscall.Signal) {
	if g.cmd == nil {
		return
	}
	_ = g.cmd.Process.Signal(sig)
	_ = g.cmd.Wait()
	g.cmd = nil
}

// log writes messages of sshd to the journal, each from its own process.
func (g *guarded) log(messages ...string) error {
	var export bytes.Buffer
	for i, m := range messages {
		export.WriteString(entry(time.Now(), i, m))
	}
	cmd := g.writer()
	cmd.Stdin = &export
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("write journal: %w: %s", err, out)
	}
	return nil
}

// writer is a command that appends its input to the journal.
func (g *guarded) writer() *exec.Cmd {
	return exec.Command(journalTool, "--split-mode=none", "-o", filepath.Join(g.dir, "journal/system.journal"), "-")
}

// entry is the message of the i-th sshd at a moment, as journalctl exports it.
func entry(at time.Time, i int, message string) string {
	now := at.UnixMicro() + int64(i)
	return fmt.Sprintf("__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%032x\n"+
		"_TRANSPORT=syslog\n_UID=0\n_PID=%d\n_SYSTEMD_UNIT=ssh.service\nSYSLOG_IDENTIFIER=sshd\nMESSAGE=%s\n\n", now, now, 7, 1000+now%1e6, message)
}

// journalCommand appends the lines of a file to the journal: journal FILE.
func journalCommand(ts *testscript.TestScript, _ bool, args []string) {
	text := strings.TrimSpace(ts.ReadFile(args[0]))
	ts.Check(ts.Value(exiledKey{}).(*guarded).log(strings.Split(text, "\n")...))
}

// eventually runs exilectl until it succeeds and prints the text: eventually TEXT ARG...
func eventually(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err := ts.Exec("exilectl", args[1:]...); err == nil && strings.Contains(ts.ReadFile("stdout"), args[0]) {
			return
		}
	}
	ts.Fatalf("no %q after %s", args[0], patience)
}

// exiledCommand ends exiled cleanly or not, and starts it unless it should stay stopped: exiled restart|kill|stop|start.
func exiledCommand(ts *testscript.TestScript, _ bool, args []string) {
	g := ts.Value(exiledKey{}).(*guarded)
	signals := map[string]syscall.Signal{"restart": syscall.SIGTERM, "kill": syscall.SIGKILL, "stop": syscall.SIGTERM}
	g.end(signals[args[0]])
	if args[0] != "stop" {
		ts.Check(g.start())
	}
}

// busCommand stops the bus, or starts it and waits for exiled on it: bus stop|start.
func busCommand(ts *testscript.TestScript, _ bool, args []string) {
	g := ts.Value(exiledKey{}).(*guarded)
	if args[0] == "stop" {
		g.bus.Stop()
		return
	}
	ts.Check(g.bus.Run(context.Background()))
	ts.Check(g.answers())
}
