package metrics

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"exile/internal/crowd"
)

// This file is a small HTTP server for one page.

// Limits on what clients may cost: a page has a few kilobytes, and one or two scrapers request it every few seconds.
const (
	maxConnections = 32
	maxHeader      = 8 << 10 // bytes
	readTime       = 5 * time.Second
	writeTime      = askTime + 5*time.Second
	scarce         = 100 * time.Millisecond // how long to wait when resources for a new connection run out
)

// ErrGone is an Owner's error for a connection that no process holds any more.
var ErrGone = errors.New("no process has the connection")

// Owner finds the user who made a connection. It fails with ErrGone, or because the user cannot be found. It is called from
// one goroutine.
type Owner func(conn net.Conn) (uid uint32, err error)

// Serve answers HTTP/1 on the listener until ctx ends, then closes it. Each connection serves one request, so the time limits
// bound all of them. When all slots are taken, the user with the most connections loses the oldest: one user's crowd blocks
// no other user, and no user blocks root.
//
// It is our own because the standard library's server brings TLS and HTTP/2 along, a fifth of the daemon, for one page that
// is read on this host.
func Serve(ctx context.Context, l net.Listener, c *Collector, owner Owner) error {
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	arrived, left := make(chan *client), make(chan *client)
	group.Go(func() error { return accept(ctx, l, owner, arrived) })
	group.Go(func() error {
		receive(ctx, arrived, left, func(one *client) {
			group.Go(func() error {
				c.serve(ctx, one)
				select {
				case left <- one:
				case <-ctx.Done():
				}
				return nil
			})
		})
		return nil
	})
	return group.Wait()
}

// client is a connection.
type client struct {
	crowd.Guest
	net.Conn
}

// accept passes on new connections until ctx ends.
func accept(ctx context.Context, l net.Listener, owner Owner, arrived chan<- *client) error {
	for {
		conn, err := l.Accept()
		switch errno, _ := errors.AsType[syscall.Errno](err); {
		case err == nil:
			enter(ctx, conn, owner, arrived)
		case ctx.Err() != nil:
			return nil
		case errno.Temporary():
			time.Sleep(scarce)
		default:
			return fmt.Errorf("serve metrics: %w", err)
		}
	}
}

func enter(ctx context.Context, conn net.Conn, owner Owner, arrived chan<- *client) {
	uid, err := owner(conn)
	if errors.Is(err, ErrGone) {
		_ = conn.Close() // nobody would read an answer
		return
	}
	if err != nil {
		uid = crowd.Stranger
	}
	select {
	case arrived <- &client{crowd.Guest{UID: uid}, conn}:
	case <-ctx.Done():
		_ = conn.Close()
	}
}

// receive owns the crowd until ctx ends.
func receive(ctx context.Context, arrived, left <-chan *client, serve func(*client)) {
	room, in := crowd.New(maxConnections), make(map[*crowd.Guest]*client)
	for {
		select {
		case one := <-arrived:
			in[&one.Guest] = one
			if out := room.Enter(&one.Guest); out != nil {
				_ = in[out].Close() // ends its serve
				delete(in, out)
			}
			serve(one)
		case one := <-left:
			room.Leave(&one.Guest)
			delete(in, &one.Guest)
		case <-ctx.Done():
			return
		}
	}
}

// serve answers one request. A client's mistakes are not worth a log line.
func (c *Collector) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if conn.SetReadDeadline(time.Now().Add(readTime)) != nil {
		return
	}
	r, err := readRequest(conn)
	if err != nil && !errors.Is(err, errRequest) {
		return // it hung up, or said nothing
	}
	a := c.answer(ctx, r, err)
	if conn.SetWriteDeadline(time.Now().Add(writeTime)) == nil {
		_, _ = conn.Write(a.bytes(r.method == "HEAD"))
	}
}

// request holds the parts of a request that matter.
type request struct {
	method, path, accept string
}

// errRequest is returned for a request that is not HTTP/1.
var errRequest = errors.New("bad request")

// readRequest reads the head of a request and ignores the body.
func readRequest(conn io.Reader) (request, error) {
	in := textproto.NewReader(bufio.NewReader(&io.LimitedReader{R: conn, N: maxHeader}))
	line, err := in.ReadLine()
	if err != nil {
		return request{}, err
	}
	words := strings.Split(line, " ")
	if len(words) != 3 || !strings.HasPrefix(words[2], "HTTP/1.") {
		return request{}, errRequest
	}
	header, err := in.ReadMIMEHeader()
	if err != nil {
		return request{}, errRequest // also if it is too large: the rest is not worth reading
	}
	path, _, _ := strings.Cut(words[1], "?")
	return request{method: words[0], path: path, accept: strings.Join(header.Values("Accept"), ",")}, nil
}

// answer is one response.
type answer struct {
	status string
	kind   string // of the body
	body   []byte
}

func plain(status, text string) answer {
	return answer{status, "text/plain; charset=utf-8", []byte(text + "\n")}
}

// answer returns the page, the only resource there is.
func (c *Collector) answer(ctx context.Context, r request, err error) answer {
	switch {
	case err != nil:
		return plain("400 Bad Request", "This is not HTTP.")
	case r.path != "/metrics":
		return plain("404 Not Found", "Only /metrics exists.")
	case r.method != "GET" && r.method != "HEAD":
		return plain("405 Method Not Allowed", "Only GET and HEAD are allowed.")
	}
	kind, page, err := c.page(ctx, r.accept)
	if err != nil {
		return plain("503 Service Unavailable", "exiled does not answer: "+err.Error())
	}
	return answer{"200 OK", kind, page}
}

// bytes returns the response as sent on the wire.
func (a answer) bytes(headOnly bool) []byte {
	var b strings.Builder
	b.WriteString("HTTP/1.1 " + a.status + "\r\n")
	for _, line := range [...]string{
		"Content-Type: " + a.kind, "Content-Length: " + strconv.Itoa(len(a.body)), "Cache-Control: no-store",
		"X-Content-Type-Options: nosniff", "Allow: GET, HEAD", "Connection: close", "",
	} {
		b.WriteString(line + "\r\n")
	}
	if !headOnly {
		b.Write(a.body)
	}
	return []byte(b.String())
}
