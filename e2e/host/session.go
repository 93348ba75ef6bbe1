package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// Session is a login with a key that stays open.
type Session struct {
	in   io.WriteCloser
	out  *bufio.Reader
	gone chan error
}

// Stay logs in with a private key from a file, and stays until Leave, or until the connection dies.
func (a *Attacker) Stay(ctx context.Context, user, key string) (*Session, error) {
	cmd := a.client(ctx, "-F", "none", "-l", user, "-o", "PreferredAuthentications=publickey", "-o", "IdentitiesOnly=yes", "-i", key)
	cmd.Args = append(cmd.Args, "cat")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s := &Session{in: in, out: bufio.NewReader(out), gone: make(chan error, 1)}
	go func() { s.gone <- a.internet.do(cmd.Run) }()
	if !s.Alive("hello") {
		return nil, fmt.Errorf("log in as %s with a key: %w: %s", user, <-s.gone, stderr.String())
	}
	return s, nil
}

// Alive reports whether the host echoes a line. The session must have been made with a context that ends.
func (s *Session) Alive(say string) bool {
	if _, err := fmt.Fprintln(s.in, say); err != nil {
		return false
	}
	line, err := s.out.ReadString('\n')
	return err == nil && line == say+"\n"
}

// Leave logs out.
func (s *Session) Leave() error {
	return errors.Join(s.in.Close(), <-s.gone)
}
