package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Client opens logs, and folders of logs to list them.
type Client struct{ Socket string }

// Open opens a file or folder for reading, without blocking. If this process may not, the helper does it. If the helper is not there, or
// refuses, the error is the first one.
func (c Client) Open(name string) (*os.File, error) {
	f, own := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if !errors.Is(own, fs.ErrPermission) {
		return f, own
	}
	f, errno, err := c.ask(filepath.Clean(name))
	switch {
	case f != nil:
		return f, nil
	case errno == unix.EACCES, errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, fs.ErrPermission):
		return nil, own
	case err != nil:
		return nil, fmt.Errorf("%w; exiled-logs: %w", own, err)
	case errno == unix.ELOOP:
		return nil, fmt.Errorf("%w, and exiled-logs follows no symbolic link: write in logpath where it leads", own)
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: errno}
}

// ask has the helper open a file. Without one there is an errno from the helper, or an error about it.
func (c Client) ask(name string) (f *os.File, refused unix.Errno, err error) {
	d := net.Dialer{Timeout: patience}
	dialed, err := d.Dial("unixpacket", c.Socket)
	if err != nil {
		return nil, 0, err
	}
	defer dialed.Close()
	conn, ok := dialed.(*net.UnixConn)
	if !ok {
		return nil, 0, fmt.Errorf("a connection of %T", dialed)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, 0, err
	}
	if _, err := conn.Write([]byte(name)); err != nil {
		return nil, 0, err
	}
	return answer(conn, name)
}

// answer reads what the helper answers.
func answer(conn *net.UnixConn, name string) (f *os.File, refused unix.Errno, err error) {
	packet, control := make([]byte, 1), make([]byte, unix.CmsgSpace(4)) // one descriptor
	n, size, _, _, err := conn.ReadMsgUnix(packet, control)
	if err != nil {
		return nil, 0, err
	}
	if n == 1 && packet[0] != 0 {
		return nil, unix.Errno(packet[0]), nil
	}
	messages, err := unix.ParseSocketControlMessage(control[:size])
	if err != nil || len(messages) != 1 {
		return nil, 0, errors.Join(errors.New("an answer without a descriptor"), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, 0, errors.Join(errors.New("an answer without a descriptor"), err)
	}
	return os.NewFile(uintptr(fds[0]), name), 0, nil
}
