// Package host boots a real systemd as PID 1 in namespaces, with real attackers in a network namespace beside it. Nothing
// of it exists outside the calling process: mounts, links and addresses are held by its threads and go with it, however it
// ends. Only an empty cgroup can be left behind, by SIGKILL; the next Boot of any process removes it.
package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Options says what to boot.
type Options struct {
	Name  string // the host's name; "exile" if empty
	Lower string // the root file system, which is only read; "/" if empty
	// Tree is a folder that is copied over the root file system before the first boot, owned by root; none if empty.
	// It is what "make install DESTDIR=" made.
	Tree string
	// Files are text files that are written over those, by path.
	Files map[string]string
}

// Host is a booted host. Its methods may be called from several goroutines, except those that turn it on and off.
type Host struct {
	opts     Options
	cell     *cell
	cgroup   *cgroup
	internet *internet
	init     *exec.Cmd     // PID 1; nil while the host is off
	gone     chan struct{} // closed when init has ended
	console  *bytes.Buffer // what PID 1 wrote; read it only when gone is closed
}

// Available says why a host cannot be booted here, or nil.
func Available() error {
	if os.Geteuid() != 0 {
		return errors.New("booting a host in namespaces needs root")
	}
	if _, err := os.Stat(systemd); err != nil {
		return fmt.Errorf("find systemd (make deps installs it): %w", err)
	}
	_, err := cgroupRoot()
	return err
}

// Boot boots a host and waits until its systemd has finished; failed units are no error. Close it after use.
func Boot(ctx context.Context, opts Options) (*Host, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	if opts.Name == "" {
		opts.Name = "exile"
	}
	if opts.Lower == "" {
		opts.Lower = "/"
	}
	h := &Host{opts: opts}
	if err := h.build(); err != nil {
		return nil, errors.Join(fmt.Errorf("build host: %w", err), h.Close())
	}
	err := h.start(ctx, true)
	if err == nil {
		// Nobody knows root's password, but it has one, as where somebody logs in by it.
		_, err = h.Run(ctx, "usermod", "--password", "$6$nobody$knows", "root")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("boot host: %w", err), h.Close())
	}
	return h, nil
}

func (h *Host) build() (err error) {
	if h.cgroup, err = newCgroup(); err != nil {
		return err
	}
	if h.internet, err = newInternet(); err != nil {
		return err
	}
	h.cell, err = newCell()
	return err
}

// Start turns a host on that PowerOff or Kill turned off. Its files are as it left them; its kernel is new.
func (h *Host) Start(ctx context.Context) error {
	if err := h.start(ctx, false); err != nil {
		return fmt.Errorf("start host: %w", err)
	}
	return nil
}

func (h *Host) start(ctx context.Context, first bool) error {
	seed, err := h.seed(first)
	if err != nil {
		return err
	}
	if err := h.spawn(seed); err != nil {
		return err
	}
	if err := h.internet.plug(h.init.Process.Pid); err != nil {
		return fmt.Errorf("plug in the network: %w", err)
	}
	return h.waitBooted(ctx)
}

// spawn starts the stage that becomes PID 1, in a cgroup and namespaces of its own.
func (h *Host) spawn(s seed) error {
	fd, err := h.cgroup.open("")
	if err != nil {
		return err
	}
	defer func() { _ = fd.Close() }()
	h.console = new(bytes.Buffer)
	cmd := stageCommand(s)
	cmd.Stdout, cmd.Stderr = h.console, h.console
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:      true,
		UseCgroupFD: true,
		CgroupFD:    int(fd.Fd()),
		Cloneflags:  unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		// Only now: the cgroup that the clone was put into becomes the root that the host sees.
		Unshareflags: unix.CLONE_NEWCGROUP,
		// PID 1 goes with the cell's thread, and everything in its namespaces with PID 1. The stage sets it again.
		Pdeathsig: unix.SIGKILL,
	}
	if err := h.cell.do(cmd.Start); err != nil {
		return fmt.Errorf("start PID 1: %w", err)
	}
	h.init, h.gone = cmd, make(chan struct{})
	go func() {
		_ = cmd.Wait() // a killed PID 1 is no news
		close(h.gone)
	}()
	return nil
}

// waitBooted waits for the end of the boot. Before its bus is up systemctl fails, and what it waits for may be said while it
// connects: ask until it has an answer.
func (h *Host) waitBooted(ctx context.Context) error {
	for {
		ask, done := context.WithTimeout(ctx, 5*time.Second)
		out, err := h.Run(ask, "systemctl", "is-system-running", "--wait")
		done()
		switch strings.TrimSpace(out) {
		case "running", "degraded":
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for systemd, which says %q (%w): %w", out, err, ctx.Err())
		case <-h.gone:
			return fmt.Errorf("systemd ended while booting: %s", h.console)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// environment is what a command inside sees; nothing of the caller's.
var environment = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb",
}

// Command returns a command that will run inside the host as root, in no unit of the host's systemd.
func (h *Host) Command(ctx context.Context, args ...string) *exec.Cmd {
	enter := append([]string{"-t", strconv.Itoa(h.init.Process.Pid), "-a", "--"}, args...)
	cmd := exec.CommandContext(ctx, "nsenter", enter...)
	cmd.Env = environment
	cmd.WaitDelay = time.Second
	return cmd
}

// Beside returns a command that will run outside of the host, but in its network.
func (h *Host) Beside(ctx context.Context, args ...string) *exec.Cmd {
	enter := append([]string{"-t", strconv.Itoa(h.init.Process.Pid), "-n", "--"}, args...)
	return exec.CommandContext(ctx, "nsenter", enter...)
}

// Run runs a command inside the host as root and returns its standard output. The error has its standard error.
func (h *Host) Run(ctx context.Context, args ...string) (string, error) {
	return h.Feed(ctx, "", args...)
}

// Feed is Run with a standard input.
func (h *Host) Feed(ctx context.Context, stdin string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	scope, err := h.cgroup.open("exec.scope")
	if err != nil {
		return "", err
	}
	defer func() { _ = scope.Close() }()
	cmd := h.Command(ctx, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(scope.Fd())}
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("run %q in the host: %w: %s", args, err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Path is where the caller finds a file of the running host.
func (h *Host) Path(name string) string {
	return filepath.Join("/proc", strconv.Itoa(h.init.Process.Pid), "root", name)
}

// PowerOff shuts the host down in order.
func (h *Host) PowerOff(ctx context.Context) error {
	if _, err := h.Run(ctx, "systemctl", "poweroff"); err != nil {
		return fmt.Errorf("power off host: %w", err)
	}
	select {
	case <-h.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("power off host: %w", ctx.Err())
	}
}

// Kill turns the host off as a power cut does.
func (h *Host) Kill() {
	_ = h.init.Process.Kill() // it may be off already
	<-h.gone
}

// Close ends the host and removes all traces of it. A host that is closed already is no error.
func (h *Host) Close() error {
	var err error
	if h.init != nil {
		h.Kill()
	}
	if h.cell != nil {
		h.cell.close()
	}
	if h.internet != nil {
		h.internet.close()
	}
	if h.cgroup != nil {
		err = h.cgroup.remove()
	}
	*h = Host{}
	return err
}

// AddUser makes an account that may log in over ssh.
func (h *Host) AddUser(ctx context.Context, name, password string) error {
	if _, err := h.Run(ctx, "useradd", "--create-home", "--shell", "/bin/sh", name); err != nil {
		return err
	}
	_, err := h.Feed(ctx, name+":"+password+"\n", "chpasswd")
	return err
}
