// Command exiled-logs opens, for exiled, the logs that root's configuration names and that only root may read. systemd starts it when
// exiled first asks, with the socket as its standard input; it ends with exiled.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"exile/internal/config"
	"exile/internal/logs"
)

func main() {
	fmt.Fprintln(os.Stderr, "exiled-logs:", run(os.Stdin))
	os.Exit(1)
}

// run answers whoever asks on the socket, until it fails.
func run(socket *os.File) error {
	l, err := net.FileListener(socket)
	if err != nil {
		return fmt.Errorf("standard input is not a socket that listens: %w; see man:exiled.service(8)", err)
	}
	listener, ok := l.(*net.UnixListener)
	if !ok {
		return fmt.Errorf("standard input listens on %s: only a Unix socket tells who asks", l.Addr())
	}
	user, err := owner(l.Addr().String())
	if err != nil {
		return err
	}
	n := named{reader: config.Reader{}, warn: func(err error) { fmt.Fprintf(os.Stderr, "<4>%v\n", err) }} // <4> is a warning
	return (&logs.Server{User: user, Patterns: n.patterns}).Serve(listener)
}

// owner returns whom systemd gave the socket: SocketUser= of its unit.
func owner(path string) (uint32, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("find out whose the socket is: %w", err)
	}
	raw, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, errors.New("find out whose the socket is: the system does not say")
	}
	return raw.Uid, nil
}
