package route

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// chunk is how many requests go to the kernel in one message. Each may be answered with an error, and all answers
	// wait in the receive buffer until we read them.
	chunk      = 500
	readBuffer = 2 << 20 // a short answer takes less than 1 KiB of it
	patience   = 10 * time.Second
)

// dial opens the socket for requests. The kernel answers within the system call that asks, so we never wait in truth; the
// deadlines are there for a kernel that does not answer.
func dial(netns int) (*netlink.Conn, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{NetNS: netns})
	if err != nil {
		return nil, err
	}
	if err := conn.SetReadBuffer(readBuffer); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	// Both are a matter of speed: without them errors repeat the request, and dumps hold all routes of the machine.
	_ = conn.SetOption(netlink.CapAcknowledge, true)
	_ = conn.SetOption(netlink.GetStrictCheck, true)
	return conn, nil
}

// batch sends one request for each prefix and calls done with the index of each that the kernel made or found made. It
// goes on after a refusal: one bad route must not keep out the others. The error names the first refusal and counts them.
func (b *Backend) batch(ctx context.Context, t netlink.HeaderType, prefixes []netip.Prefix, done func(i int)) error {
	var first error
	refused := 0
	for start := 0; start < len(prefixes); start += chunk {
		part := prefixes[start:min(start+chunk, len(prefixes))]
		errs, err := b.exchange(ctx, b.requests(t, part))
		if err != nil {
			return err
		}
		for i, p := range part {
			err := errs[i]
			if err == nil || settled(t, err) {
				done(start + i)
				continue
			}
			if refused++; first == nil {
				first = fmt.Errorf("%v: %w", p, err)
			}
		}
	}
	if refused > 0 {
		return fmt.Errorf("kernel refused %d of %d, first %w", refused, len(prefixes), first)
	}
	return nil
}

// requests makes one request for each prefix. Only the last asks for an answer; the others are answered if they fail.
func (b *Backend) requests(t netlink.HeaderType, prefixes []netip.Prefix) []netlink.Message {
	const size = unix.SizeofRtMsg + unix.SizeofRtAttr + 16
	bodies := make([]byte, 0, size*len(prefixes))
	messages := make([]netlink.Message, len(prefixes))
	for i, p := range prefixes {
		from := len(bodies)
		bodies = b.config.appendRoute(bodies, p)
		messages[i].Header = netlink.Header{Type: t, Flags: flags(t)}
		messages[i].Data = bodies[from:len(bodies):len(bodies)]
	}
	messages[len(messages)-1].Header.Flags |= netlink.Acknowledge
	return messages
}

// exchange sends the requests at once and returns the refusals by index. The last request must ask for an answer.
func (b *Backend) exchange(ctx context.Context, requests []netlink.Message) (map[int]error, error) {
	if err := b.setDeadline(ctx); err != nil {
		return nil, err
	}
	first := b.number(requests)
	if _, err := b.conn.SendMessages(requests); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	errs := map[int]error{}
	for last := len(requests) - 1; ; {
		sequence, err := b.receive()
		if sequence == 0 { // not an answer
			return nil, err
		}
		i := int(int32(sequence - first))
		if i < 0 || i > last {
			continue // to an earlier request, whose exchange ended early
		}
		if err != nil {
			errs[i] = err
		}
		if i == last {
			return errs, nil
		}
	}
}

// number gives the requests their sequence numbers and returns the first.
func (b *Backend) number(requests []netlink.Message) uint32 {
	if b.next > 1<<31 { // far from overflow, which would give 0: the library's word for no number yet
		b.next = 1
	}
	first := b.next
	for i := range requests {
		requests[i].Header.Sequence = b.next
		b.next++
	}
	return first
}

// receive returns the number of the request that the next message answers, and the refusal; number 0 with any other error.
func (b *Backend) receive() (uint32, error) {
	messages, err := b.conn.Receive()
	var refusal *netlink.OpError
	if errors.As(err, &refusal) && refusal.Sequence != 0 {
		return refusal.Sequence, refusal.Err
	}
	if err == nil && len(messages) == 0 {
		err = errShort
	}
	if err != nil {
		return 0, fmt.Errorf("receive: %w", err)
	}
	return messages[len(messages)-1].Header.Sequence, nil
}

// setDeadline bounds the wait for an answer by ctx and by patience. It returns the error of a ctx that has ended.
func (b *Backend) setDeadline(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	deadline := time.Now().Add(patience)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	return b.conn.SetDeadline(deadline)
}

// dump calls each with the body of every message that answers the request.
func (b *Backend) dump(ctx context.Context, request netlink.Message, each func([]byte) error) error {
	if err := b.setDeadline(ctx); err != nil {
		return err
	}
	request.Header.Flags = netlink.Request | netlink.Dump
	messages := []netlink.Message{request}
	sequence := b.number(messages)
	if _, err := b.conn.SendMessages(messages); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	raw, err := b.conn.SyscallConn()
	if err != nil {
		return err
	}
	// The library would collect the whole dump, 100 MB for a million routes; this reads it piece by piece.
	buffer := make([]byte, 64<<10)
	for {
		n, err := read(raw, buffer)
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		if done, err := parts(buffer[:n], sequence, each); done || err != nil {
			return err
		}
	}
}

func read(raw syscall.RawConn, buffer []byte) (n int, err error) {
	var flags int
	waited := raw.Read(func(fd uintptr) bool {
		n, _, flags, _, err = unix.Recvmsg(int(fd), buffer, nil, 0)
		return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
	})
	if err == nil && flags&unix.MSG_TRUNC != 0 {
		err = fmt.Errorf("kernel sent more than %d bytes at once", len(buffer))
	}
	if waited != nil {
		return 0, waited
	}
	return n, err
}

// parts calls each with the messages of one piece of a dump and reports whether it was the last piece.
func parts(b []byte, sequence uint32, each func([]byte) error) (done bool, err error) {
	messages, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return false, err
	}
	for _, m := range messages {
		switch {
		case m.Header.Seq != sequence:
		case m.Header.Type == unix.NLMSG_DONE, m.Header.Type == unix.NLMSG_ERROR:
			return true, refusal(m.Data)
		default:
			if err := each(m.Data); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}
