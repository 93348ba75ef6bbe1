package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"exile/dbusapi/internal/bus"
)

const (
	// maxRights is the most descriptors that one message can carry.
	maxRights = 253
	// writeTime is how long a write may block. The bus stops reading from a service that has too much under way to peers
	// that do not read; then it is better to reconnect than to hang.
	writeTime = 10 * time.Second
)

// wire is the socket to the bus as the service uses it. Left alone, godbus decodes whatever a peer sends, up to 128 MiB
// and ten times that in memory, and leaves the descriptors open that came with it. wire keeps out large messages and
// messages with descriptors.
type wire struct {
	*net.UnixConn

	// refuse is told of calls that were kept out; the reading goroutine calls it.
	refuse func(sender string, serial uint32)
	framed bool   // authentication is over: messages follow
	passes bool   // descriptors may be sent
	rest   []byte // of the message that is being read
	buf    [bus.MaxMessage]byte
	rights []byte     // buffer for descriptors that arrive
	lock   sync.Mutex // guards Write: godbus writes its messages, calls write their replies
	// fds holds the descriptor of the one outgoing message that has one.
	fds chan int
}

// dialWire connects to the first address that answers and joins the bus there.
func dialWire(ctx context.Context, address string, refuse func(string, uint32), opts ...dbus.ConnOption) (*dbus.Conn, *wire, error) {
	socket, err := dialUnix(ctx, bus.Address(address))
	if err != nil {
		return nil, nil, err
	}
	w := &wire{UnixConn: socket, refuse: refuse, fds: make(chan int, 1), rights: make([]byte, unix.CmsgSpace(maxRights*4))}
	conn, err := dbus.NewConn(w, append(opts, dbus.WithContext(ctx))...)
	if err != nil {
		_ = socket.Close()
		return nil, nil, err
	}
	if err := join(conn); err != nil {
		return nil, nil, err
	}
	return conn, w, nil
}

// join authenticates and says hello.
func join(conn *dbus.Conn) error {
	err := conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))})
	if err == nil {
		err = conn.Hello()
	}
	if err != nil {
		_ = conn.Close()
	}
	return err
}

// dialUnix reads "unix:path=/run/x,guid=1;unix:abstract=y".
func dialUnix(ctx context.Context, addresses string) (*net.UnixConn, error) {
	err := fmt.Errorf("bus address %q: only unix sockets are supported", addresses)
	for address := range strings.SplitSeq(addresses, ";") {
		rest, ok := strings.CutPrefix(address, "unix:")
		if !ok {
			continue
		}
		for pair := range strings.SplitSeq(rest, ",") {
			key, value, _ := strings.Cut(pair, "=")
			name, unescapeErr := dbus.UnescapeBusAddressValue(value)
			switch {
			case unescapeErr != nil || key != "path" && key != "abstract":
				continue
			case key == "abstract":
				name = "@" + name
			}
			conn, dialErr := new(net.Dialer).DialContext(ctx, "unix", name)
			if dialErr == nil {
				return conn.(*net.UnixConn), nil // what Dial makes of "unix"
			}
			err = dialErr
		}
	}
	return nil, err
}

// Read gives godbus the messages that may pass, piece by piece.
func (w *wire) Read(p []byte) (int, error) {
	if !w.framed {
		return w.UnixConn.Read(p)
	}
	for len(w.rest) == 0 {
		if err := w.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// next reads one message into rest, or skips it.
func (w *wire) next() error {
	fds, err := w.fill(w.buf[:16])
	if err != nil {
		return err
	}
	order := orderOf(w.buf[:])
	body, fields := uint64(order.Uint32(w.buf[4:])), uint64(order.Uint32(w.buf[12:]))
	fields = (fields + 7) &^ 7
	size := 16 + fields + body
	keep := min(size, uint64(len(w.buf)))
	more, err := w.fill(w.buf[16:keep])
	if err != nil {
		return err
	}
	// Since dbus 1.16 the reply about a peer's credentials carries a pidfd: close it and read the reply.
	answer := w.buf[1] == byte(dbus.TypeMethodReply)
	if size <= bus.MaxMessage && (answer || !fds && !more) {
		w.rest = w.buf[:size]
		return nil
	}
	h := readHeader(order, w.buf[16:min(16+fields, keep)])
	serial, call := order.Uint32(w.buf[8:]), w.buf[1] == byte(dbus.TypeMethodCall) && dbus.Flags(w.buf[2])&dbus.FlagNoReplyExpected == 0
	if err := w.skip(size - keep); err != nil {
		return err
	}
	if call && h.sender != "" {
		w.refuse(h.sender, serial)
	}
	return nil
}

// fill reads all of p, closes the descriptors that come with it and reports whether there were any.
func (w *wire) fill(p []byte) (bool, error) {
	found := false
	for len(p) > 0 {
		n, oobn, _, _, err := w.ReadMsgUnix(p, w.rights)
		if oobn > 0 {
			found = true
			closeRights(w.rights[:oobn])
		}
		if err == nil && n == 0 {
			err = io.EOF
		}
		if err != nil {
			return found, err
		}
		p = p[n:]
	}
	return found, nil
}

func closeRights(oob []byte) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return // cannot be: the kernel wrote it
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // credentials
		}
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}
}

// skip drops n bytes. It reads them into the buffer, whose content is no longer needed.
func (w *wire) skip(n uint64) error {
	for n > 0 {
		part := min(n, uint64(len(w.buf)))
		if _, err := w.fill(w.buf[:part]); err != nil {
			return err
		}
		n -= part
	}
	return nil
}

// Write sends one message, or one line of the authentication. If the bus does not take it in time, the connection ends,
// because half a message cannot be taken back.
func (w *wire) Write(p []byte) (int, error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	n, err := w.write(p)
	if err != nil {
		_ = w.Close()
	}
	return n, err
}

func (w *wire) write(p []byte) (int, error) {
	if err := w.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return 0, err
	}
	if !w.framed {
		if string(p) == "BEGIN\r\n" {
			if err := w.negotiate(); err != nil {
				return 0, err
			}
			w.framed = true
		}
		return w.UnixConn.Write(p)
	}
	if len(w.fds) == 0 || len(p) < 16 || !readHeader(orderOf(p), p[16:]).fds {
		return w.UnixConn.Write(p)
	}
	n, _, err := w.WriteMsgUnix(p, unix.UnixRights(<-w.fds), nil)
	if err != nil || n == len(p) {
		return n, err
	}
	m, err := w.UnixConn.Write(p[n:])
	return n + m, err
}

// negotiate asks the bus to pass descriptors, which godbus does only on its own transports. Before BEGIN, nothing but the
// answer can arrive.
func (w *wire) negotiate() error {
	if _, err := w.UnixConn.Write([]byte("NEGOTIATE_UNIX_FD\r\n")); err != nil {
		return err
	}
	var line []byte
	for b := make([]byte, 1); len(line) < 1024; {
		if _, err := w.UnixConn.Read(b); err != nil {
			return err
		}
		line = append(line, b[0])
		if bytes.HasSuffix(line, []byte("\r\n")) {
			w.passes = bytes.HasPrefix(line, []byte("AGREE_UNIX_FD"))
			return nil
		}
	}
	return errors.New("bus answered NEGOTIATE_UNIX_FD with an endless line")
}

// header is what wire itself reads of a message's fields.
type header struct {
	sender string
	fds    bool
}

// orderOf is the byte order of a message.
func orderOf(message []byte) binary.ByteOrder {
	if message[0] == 'B' {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// readHeader reads the fields up to the first that is malformed.
func readHeader(order binary.ByteOrder, f []byte) header {
	var h header
	align := func(i, n int) int { return (i + n - 1) &^ (n - 1) }
	for i := 0; i+4 <= len(f); i = align(i, 8) {
		code, sig := dbus.HeaderField(f[i]), f[i+2]
		if f[i+1] != 1 {
			return h
		}
		i += 4
		var value []byte
		switch sig {
		case 's', 'o':
			i = align(i, 4)
			if i+4 > len(f) {
				return h
			}
			n := uint64(order.Uint32(f[i:]))
			if uint64(i)+4+n+1 > uint64(len(f)) {
				return h
			}
			value = f[i+4 : i+4+int(n)]
			i += 4 + int(n) + 1
		case 'g':
			if i >= len(f) {
				return h
			}
			i += 1 + int(f[i]) + 1
		case 'u':
			i = align(i, 4) + 4
		default:
			return h
		}
		switch code {
		case dbus.FieldSender:
			h.sender = string(value)
		case dbus.FieldUnixFDs:
			h.fds = true
		}
	}
	return h
}
