// Package bulk sends many netlink requests to the kernel at once, and reads long answers piece by piece.
package bulk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// Max is how many requests one Exchange takes. Each may be answered, and all answers wait in the receive buffer
	// until we read them.
	Max        = 500
	readBuffer = 2 << 20 // a short answer takes less than 1 KiB of it
	patience   = 10 * time.Second
	typeMask   = 1<<14 - 1 // NLA_TYPE_MASK
)

// ErrShort is the error for a message that is cut short.
var ErrShort = errors.New("kernel sent a message that is too short")

// Conn is a netlink socket. It is used from one goroutine at a time.
type Conn struct {
	conn *netlink.Conn
	raw  syscall.RawConn
	next uint32 // number of the next request, never 0
	in   []byte
	out  []byte
	late bool // answers to an abandoned exchange may be waiting

	patience time.Duration // how long to wait for each piece of an answer
}

// Request is one request to the kernel. Flags are NLM_F_ ones, without NLM_F_REQUEST.
type Request struct {
	Type  uint16
	Flags uint16
	Body  []byte
}

// Dial opens a socket of the netlink family in the network namespace that netns, an open file, stands for; 0 is ours.
func Dial(family, netns int) (*Conn, error) {
	conn, err := netlink.Dial(family, &netlink.Config{NetNS: netns})
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	raw, err := conn.SyscallConn()
	if err = errors.Join(err, conn.SetReadBuffer(readBuffer)); err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink socket: %w", err), conn.Close())
	}
	// Both are for speed: without them refusals repeat the request, and the kernel does not filter dumps.
	_ = conn.SetOption(netlink.CapAcknowledge, true)
	_ = conn.SetOption(netlink.GetStrictCheck, true)
	return &Conn{conn: conn, raw: raw, next: 1, in: make([]byte, 64<<10), patience: patience}, nil
}

// SetReadBuffer bounds, in bytes, what may be waiting for us: the kernel drops more, and reports ENOBUFS.
func (c *Conn) SetReadBuffer(bytes int) error { return c.conn.SetReadBuffer(bytes) }

// ID is the port id of this socket, by which the kernel names the sender of a request.
func (c *Conn) ID() uint32 { return c.conn.PID() }

// Close frees the socket.
func (c *Conn) Close() error { return c.conn.Close() }

// Exchange sends at most Max requests at once and returns the refusals by the index of the request. It calls answer, if not
// nil, with the body of each other message that answers the request with that index; the body is valid until answer returns.
// Only the last request asks for a confirmation, which every kernel sends when the others are done.
func (c *Conn) Exchange(ctx context.Context, requests []Request, answer func(i int, body []byte) error) (map[int]error, error) {
	if len(requests) > Max {
		return nil, fmt.Errorf("%d netlink requests at once, at most %d can be", len(requests), Max)
	}
	requests[len(requests)-1].Flags |= unix.NLM_F_ACK
	first, err := c.send(ctx, requests)
	if err != nil {
		return nil, err
	}
	refused := map[int]error{}
	for last := len(requests) - 1; ; {
		done, err := c.receive(ctx, func(m syscall.NetlinkMessage) (bool, error) {
			i := int(int32(m.Header.Seq - first))
			switch {
			case i < 0 || i > last: // answers an earlier, abandoned exchange
				return false, nil
			case m.Header.Type != unix.NLMSG_ERROR:
				return false, answerWith(answer, i, m.Data)
			}
			err := verdict(m.Data)
			if err != nil && !errors.Is(err, ErrShort) {
				refused[i], err = err, nil
			}
			return i == last, err
		})
		if done || err != nil {
			return refused, err
		}
	}
}

func answerWith(answer func(int, []byte) error, i int, body []byte) error {
	if answer == nil {
		return nil
	}
	return answer(i, body)
}

// Dump calls each with the body of every message that answers the request; the body is valid until each returns. If each
// returns an error, Dump returns it and leaves the rest in the socket: then only Close is allowed.
func (c *Conn) Dump(ctx context.Context, request Request, each func(body []byte) error) error {
	request.Flags |= unix.NLM_F_DUMP
	sequence, err := c.send(ctx, []Request{request})
	if err != nil {
		return err
	}
	for {
		done, err := c.receive(ctx, func(m syscall.NetlinkMessage) (bool, error) {
			switch {
			case m.Header.Seq != sequence:
				return false, nil
			case m.Header.Type == unix.NLMSG_DONE || m.Header.Type == unix.NLMSG_ERROR:
				return true, verdict(m.Data)
			}
			return false, each(m.Data)
		})
		if done || err != nil {
			return err
		}
	}
}

// send numbers the requests and sends them in one message to the kernel. It returns the number of the first.
func (c *Conn) send(ctx context.Context, requests []Request) (uint32, error) {
	if err := c.setDeadline(ctx); err != nil {
		return 0, err
	}
	if err := c.drain(); err != nil {
		return 0, err
	}
	if c.next > 1<<31 { // far from where it would overflow
		c.next = 1
	}
	first := c.next
	b := c.out[:0]
	for _, r := range requests {
		b = binary.NativeEndian.AppendUint32(b, uint32(unix.SizeofNlMsghdr+len(r.Body)))
		b = binary.NativeEndian.AppendUint16(b, r.Type)
		b = binary.NativeEndian.AppendUint16(b, r.Flags|unix.NLM_F_REQUEST)
		b = binary.NativeEndian.AppendUint32(b, c.next)
		b = binary.NativeEndian.AppendUint32(b, c.conn.PID())
		b = append(b, r.Body...)
		for len(b)%unix.NLMSG_ALIGNTO != 0 {
			b = append(b, 0)
		}
		c.next++
	}
	c.out = b
	var err error
	waited := c.raw.Write(func(fd uintptr) bool {
		err = unix.Sendto(int(fd), b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		return !again(err)
	})
	if err = errors.Join(waited, err); err != nil {
		return 0, fmt.Errorf("send to kernel: %w", err)
	}
	return first, nil
}

// drain drops what is left of a failed exchange. The kernel sends nothing to a socket that overflowed until it is empty.
func (c *Conn) drain() error {
	if !c.late {
		return nil
	}
	err := c.raw.Read(func(fd uintptr) bool {
		for {
			_, _, err := unix.Recvfrom(int(fd), c.in, unix.MSG_DONTWAIT)
			if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
				return true // it is empty, or broken, which the caller will notice
			}
		}
	})
	if err != nil {
		return fmt.Errorf("empty netlink socket: %w", err)
	}
	c.late = false
	return nil
}

// setDeadline bounds the wait for one piece of an answer by ctx and by patience. The kernel answers within the system call that asks or, for
// the next piece of a list, within the one that reads, so normally there is no wait; but a long list may take longer as a whole. It returns
// the error of a ctx that has ended.
func (c *Conn) setDeadline(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	deadline := time.Now().Add(c.patience)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	return c.conn.SetDeadline(deadline)
}

// receive reads one piece and calls each with its messages, until each says that it was the last.
func (c *Conn) receive(ctx context.Context, each func(syscall.NetlinkMessage) (bool, error)) (done bool, err error) {
	if err := c.setDeadline(ctx); err != nil {
		c.late = true
		return false, err
	}
	var n, flags int
	waited := c.raw.Read(func(fd uintptr) bool {
		n, _, flags, _, err = unix.Recvmsg(int(fd), c.in, nil, 0)
		return !again(err)
	})
	if err = errors.Join(waited, err); err != nil {
		c.late = true
		return false, fmt.Errorf("receive from kernel: %w", err)
	}
	if flags&unix.MSG_TRUNC != 0 {
		return false, fmt.Errorf("kernel sent more than %d bytes at once", len(c.in))
	}
	return messages(c.in[:n], each)
}

func again(err error) bool { return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) }

func messages(b []byte, each func(syscall.NetlinkMessage) (bool, error)) (done bool, err error) {
	all, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return false, fmt.Errorf("read what the kernel sent: %w", err)
	}
	for _, m := range all {
		if done, err := each(m); done || err != nil {
			return done, err
		}
	}
	return false, nil
}

// verdict reads an answer that ends something: 0 or a negative errno comes first.
func verdict(m []byte) error {
	if len(m) < 4 {
		return ErrShort
	}
	if errno := int32(binary.NativeEndian.Uint32(m)); errno < 0 {
		return unix.Errno(-errno)
	}
	return nil
}

// Attributes calls each with the type, without its flags, and the value of every attribute in b.
func Attributes(b []byte, each func(typ uint16, value []byte) error) error {
	for len(b) > 0 {
		if len(b) < unix.SizeofNlAttr {
			return ErrShort
		}
		length := int(binary.NativeEndian.Uint16(b))
		typ := binary.NativeEndian.Uint16(b[2:])
		if length < unix.SizeofNlAttr || length > len(b) {
			return ErrShort
		}
		if err := each(typ&typeMask, b[unix.SizeofNlAttr:length]); err != nil {
			return err
		}
		b = b[min((length+3)&^3, len(b)):]
	}
	return nil
}

// AppendAttribute appends an attribute and its padding.
func AppendAttribute(b []byte, typ uint16, value ...byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofNlAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, value...)
	for len(b)%unix.NLA_ALIGNTO != 0 {
		b = append(b, 0)
	}
	return b
}
