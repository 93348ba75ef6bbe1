// Package host boots a real systemd as PID 1 in namespaces, with real attackers in a network namespace beside it. Nothing of
// it exists outside the calling process: its threads hold the mounts, links and addresses, which disappear with it however it
// ends. Only SIGKILL can leave an empty cgroup behind; the next Boot of any process removes it.
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
	// Tree is a folder that is copied over the root file system before the first boot, owned by root; none if empty. "make
	// install DESTDIR=" makes it.
	Tree string
	// Files are text files written on top of that, by path.
	Files map[string]string
}

// Host is a booted host. Its methods may be called concurrently, except those that turn it on and off.
type Host struct {
	opts     Options
	cell     *cell
	cgroup   *cgroup
	internet *internet
	init     *exec.Cmd     // PID 1; nil while the host is off
	gone     chan struct{} // closed when init has ended
	console  *bytes.Buffer // what PID 1 wrote; read it only after gone is closed
}

// Available returns why a host cannot be booted here, or nil.
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

// Boot boots a host and waits until its systemd is done; failed units are no error. Close it after use.
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
		// Nobody knows root's password, but root has one, as on a host where people log in with it.
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

// Start turns on a host that PowerOff or Kill turned off. Its files are as it left them; its kernel is new.
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
	if err := awaitWatches(ctx); err != nil {
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

// watches is how many inotify instances a host has, with some to spare: most are for systemd's path units.
const watches = 24

// awaitWatches waits until there is room for another host among those that root may have, 128 by default. With fewer than it needs a host
// ends, or hangs while it boots.
func awaitWatches(ctx context.Context) error {
	for {
		err := tryWatches()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %d inotify instances, see the sysctl fs.inotify.max_user_instances: %w", watches, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func tryWatches() error {
	for range watches {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
	}
	return nil
}

// spawn starts the stage that becomes PID 1, in its own cgroup and namespaces.
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
		// PID 1 dies with the cell's thread, and everything in its namespaces with PID 1. The stage sets this again.
		Pdeathsig: unix.SIGKILL,
	}
	if err := h.cell.do(cmd.Start); err != nil {
		return fmt.Errorf("start PID 1: %w", err)
	}
	h.init, h.gone = cmd, make(chan struct{})
	go func() {
		_ = cmd.Wait() // PID 1 is expected to be killed
		close(h.gone)
	}()
	return nil
}

// waitBooted waits for the end of the boot. systemctl fails before its bus is up, and may miss the end while it connects: ask
// until it answers.
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
			return fmt.Errorf("wait for systemd, which says %q (%w): %w\n%s", out, err, ctx.Err(), h.unfinished(ctx))
		case <-h.gone:
			return fmt.Errorf("systemd ended while booting: %s", h.console)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// unfinished is what a boot that takes too long waits for.
func (h *Host) unfinished(ctx context.Context) string {
	ask, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	jobs, err := h.Run(ask, "sh", "-c", "systemctl list-jobs; systemctl list-units --failed; uptime; ps -eo pid,stat,wchan:24,args")
	return fmt.Sprintf("%s(%v)\n%s", jobs, err, h.console)
}

// environment is the environment of commands inside; nothing comes from the caller's.
var environment = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb",
}

// Command returns a command that runs inside the host as root, in no unit of the host's systemd.
func (h *Host) Command(ctx context.Context, args ...string) *exec.Cmd {
	enter := append([]string{"-t", strconv.Itoa(h.init.Process.Pid), "-a", "--"}, args...)
	cmd := exec.CommandContext(ctx, "nsenter", enter...)
	cmd.Env = environment
	cmd.WaitDelay = time.Second
	return cmd
}

// Beside returns a command that runs outside the host, but in its network.
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

// PowerOff shuts the host down cleanly.
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

// Close ends the host and removes all traces of it. Closing it twice is no error.
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
