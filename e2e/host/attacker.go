package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrDenied is the error of a login with a wrong password.
var ErrDenied = errors.New("permission denied")

// ErrUnreachable is the error of a connection that nobody answered.
var ErrUnreachable = errors.New("no answer")

// ErrCut is the error of a connection that ended, or fell silent, early: what a ban does to open connections.
var ErrCut = errors.New("connection cut off")

// patience is how long an attacker waits for an answer that should come, however busy the machine is. Checking a password takes seconds, on
// purpose.
const (
	patience         = 30 * time.Second
	patienceOnPrompt = time.Minute
)

// Silence is how long an attacker waits for an answer that should not come. The host is one link away: its kernel answers within
// milliseconds or not at all.
const Silence = 3 * time.Second

// Attacker is somebody on the internet with one address.
type Attacker struct {
	Addr     netip.Addr
	internet *internet
}

// Attacker returns the attacker with that address, which must not be the host's or the router's.
func (h *Host) Attacker(addr netip.Addr) (*Attacker, error) {
	link, bits := "lo", addr.BitLen()
	if addr.IsLinkLocalUnicast() { // a neighbour on the link
		link, bits = wireName, 64
	}
	if err := address(h.internet.link, link, netip.PrefixFrom(addr, bits)); err != nil {
		return nil, err
	}
	return &Attacker{addr, h.internet}, nil
}

// Target is the host's address that the attacker attacks: the one with its own family and scope.
func (a *Attacker) Target() netip.Addr {
	switch {
	case a.Addr.Is4():
		return V4
	case a.Addr.IsLinkLocalUnicast():
		return neighbour6.Addr().WithZone(wireName)
	}
	return V6
}

// Dial connects to a TCP port of the host.
func (a *Attacker) Dial(ctx context.Context, port uint16) (conn net.Conn, err error) {
	err = a.internet.do(func() error {
		d := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(a.Addr, 0))}
		conn, err = d.DialContext(ctx, "tcp", netip.AddrPortFrom(a.Target(), port).String())
		return err
	})
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() && ctx.Err() == nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return conn, err
}

// ListenPacket opens a UDP port of the attacker's, for the host's queries.
func (a *Attacker) ListenPacket(ctx context.Context, port uint16) (conn net.PacketConn, err error) {
	err = a.internet.do(func() error {
		var l net.ListenConfig
		conn, err = l.ListenPacket(ctx, "udp", netip.AddrPortFrom(a.Addr, port).String())
		return err
	})
	return conn, err
}

// Silent returns nil if nobody answers a connection to sshd, and otherwise what came of it.
func (a *Attacker) Silent(ctx context.Context) error {
	quiet, cancel := context.WithTimeout(ctx, Silence)
	defer cancel()
	conn, err := a.Dial(quiet, 22)
	if err == nil {
		return errors.Join(errors.New("the port is open"), conn.Close())
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() && ctx.Err() == nil {
		return nil
	}
	return err
}

// Banner connects to the host's sshd and returns the line that it greets with.
func (a *Attacker) Banner(ctx context.Context) (string, error) {
	conn, err := a.Dial(ctx, 22)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("read banner: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// Login logs in with OpenSSH's client and one password, runs a command and returns its output. The error is ErrDenied,
// ErrUnreachable, ErrCut, or the command's.
func (a *Attacker) Login(ctx context.Context, user, password string, command ...string) (string, error) {
	return a.ssh(ctx, user, password, 1, command)
}

// Guess tries to log in with a wrong password, that many times in one connection. A working host answers ErrDenied; nil means
// that the password was right.
func (a *Attacker) Guess(ctx context.Context, user string, times int) error {
	_, err := a.ssh(ctx, user, "wrong horse battery staple", times, []string{"true"})
	return err
}

func (a *Attacker) ssh(ctx context.Context, user, password string, prompts int, command []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience+time.Duration(prompts)*patienceOnPrompt)
	defer cancel()
	return a.SSH(ctx, []string{
		"-F", "none", "-l", user,
		"-o", "PreferredAuthentications=password", "-o", "NumberOfPasswordPrompts=" + strconv.Itoa(prompts),
	}, password, command...)
}

// SSH runs OpenSSH's client with these options and a command for the host. It answers every question with the password. The
// errors are those of Login.
func (a *Attacker) SSH(ctx context.Context, options []string, password string, command ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := a.client(ctx, options...)
	cmd.Args = append(cmd.Args, command...)
	// ssh asks a program for the password: this program, see Main.
	cmd.Env = append(cmd.Env, "SSH_ASKPASS=/proc/"+strconv.Itoa(unix.Getpid())+"/exe", "SSH_ASKPASS_REQUIRE=force",
		askpassEnv+"="+password)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := a.internet.do(cmd.Run)
	if err != nil && ctx.Err() != nil {
		return stdout.String(), fmt.Errorf("%w: %w: %s", ErrCut, ctx.Err(), strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), sshError(err, strings.TrimSpace(stderr.String()))
}

// client is OpenSSH's client aimed at the host; a command may be appended. It must run on a thread in the internet.
func (a *Attacker) client(ctx context.Context, options ...string) *exec.Cmd {
	bind := a.Addr.String()
	if a.Addr.IsLinkLocalUnicast() {
		bind += "%" + wireName
	}
	args := append(slices.Clone(options), // if an option repeats, the first wins
		"-b", bind, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		"-o", "ConnectTimeout="+strconv.Itoa(int(patience/time.Second)), "--", a.Target().String())
	cmd := exec.CommandContext(ctx, "ssh", args...)
	cmd.Env = environment
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	cmd.WaitDelay = time.Second
	return cmd
}

func sshError(err error, said string) error {
	switch {
	case err == nil:
		return nil
	case strings.Contains(said, "Permission denied"):
		return ErrDenied
	case strings.Contains(said, "timed out"):
		return fmt.Errorf("%w: %s", ErrUnreachable, said)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 255 { // ssh's own status, not the command's
		return fmt.Errorf("%w: %s", ErrCut, said)
	}
	return fmt.Errorf("run over ssh: %w: %s", err, said)
}
