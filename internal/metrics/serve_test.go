package metrics

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// serve serves a collector on a socket in a folder of the test, and returns functions to connect and to stop it.
func serve(t *testing.T, owner Owner) (dial func() net.Conn, stop func() error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "metrics")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, collector(), owner) }()
	stop = func() error { cancel(); return <-ended }
	return func() net.Conn {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}, stop
}

// ask sends a request verbatim and returns the answer's status and body.
func ask(t *testing.T, conn net.Conn, request string) (int, string) {
	t.Helper()
	go func() { _, _ = io.WriteString(conn, request) }() // the server may answer, and hang up, before it has read everything
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

const scrape = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"

func TestServe(t *testing.T) {
	t.Parallel()
	dial, stop := serve(t, mine)
	for name, tt := range map[string]struct {
		request string
		status  int
	}{
		"page":         {scrape, http.StatusOK},
		"elsewhere":    {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", http.StatusNotFound},
		"profile":      {"GET /debug/pprof/ HTTP/1.1\r\nHost: localhost\r\n\r\n", http.StatusNotFound},
		"other method": {"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", http.StatusMethodNotAllowed},
		"with a query": {"GET /metrics?a=b HTTP/1.0\r\n\r\n", http.StatusOK},
		"not HTTP":     {"\x00\x01\x02\r\n\r\n", http.StatusBadRequest},
		"no version":   {"GET /metrics\r\n\r\n", http.StatusBadRequest},
		"HTTP/2":       {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", http.StatusBadRequest},
		"no header":    {"GET /metrics HTTP/1.1\r\nHost\r\n\r\n", http.StatusBadRequest},
	} {
		if status, body := ask(t, dial(), tt.request); status != tt.status {
			t.Errorf("%s: status %d, want %d: %s", name, status, tt.status, body)
		}
	}
	large := dial() // the server hangs up in the middle: whether its answer arrives is a matter of luck
	_, _ = io.WriteString(large, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	if answer, _ := io.ReadAll(large); strings.Contains(string(answer), "200 OK") {
		t.Errorf("a header of 64 KiB is answered: %q", answer)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// mine is the owner of every connection of a test.
func mine(net.Conn) (uint32, error) { return 1000, nil }

// TestCrowd: a user who opens many silent connections, however many, keeps neither other users nor root waiting.
func TestCrowd(t *testing.T) {
	t.Parallel()
	owners := make(chan uint32, 1)
	dial, stop := serve(t, func(net.Conn) (uint32, error) { return <-owners, nil })
	connect := func(uid uint32) net.Conn {
		conn := dial()
		owners <- uid
		return conn
	}
	late := connect(996)
	var silent []net.Conn
	for range 600 {
		silent = append(silent, connect(1000))
	}
	for who, conn := range map[string]net.Conn{"one who waited": late, "another user": connect(997), "root": connect(0)} {
		if status, body := ask(t, conn, scrape); status != http.StatusOK || !strings.Contains(body, "exile_state") {
			t.Errorf("%s got %d: %s", who, status, body)
		}
	}
	if _, err := silent[0].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the first of too many is still open: %v", err)
	}
	if status, _ := ask(t, silent[len(silent)-1], scrape); status != http.StatusOK {
		t.Errorf("the last of a crowd got %d", status)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestOwners: connections of unknown users share one quota, and a connection that its client has left is not served.
func TestOwners(t *testing.T) {
	t.Parallel()
	unknown := errors.New("no inet_diag")
	owners := make(chan error, 1)
	dial, stop := serve(t, func(net.Conn) (uint32, error) { return 0, <-owners })
	owners <- ErrGone
	gone := dial()
	if _, err := gone.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a client that has left is served: %v", err)
	}
	owners <- nil
	root := dial()
	for range 2 * maxConnections {
		dial()
		owners <- unknown
	}
	if status, _ := ask(t, root, scrape); status != http.StatusOK {
		t.Errorf("root got %d", status)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestSilence: a client that sends no request within seconds is disconnected, also if it sends one slowly.
func TestSilence(t *testing.T) {
	t.Parallel()
	for name, drip := range map[string]string{"silent": "", "slow": "G"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				begin := time.Now()
				var both sync.WaitGroup
				defer both.Wait()
				defer client.Close()
				both.Go(func() {
					defer server.Close()
					collector().serve(t.Context(), server)
				})
				both.Go(func() {
					for err := error(nil); err == nil && drip != ""; {
						time.Sleep(time.Second)
						_, err = io.WriteString(client, drip)
					}
				})
				said, err := io.ReadAll(client)
				if took := time.Since(begin); err != nil || took > readTime || strings.Contains(string(said), "200 OK") {
					t.Errorf("after %s: %q, %v", took, said, err)
				}
			})
		})
	}
}

// TestStop: stopping does not wait for silent clients.
func TestStop(t *testing.T) {
	t.Parallel()
	dial, stop := serve(t, mine)
	conn := dial()
	if status, _ := ask(t, dial(), scrape); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a silent connection outlives the end")
	}
}

// FuzzRequest: no request makes the server read more than its limit, or answer anything but HTTP.
func FuzzRequest(f *testing.F) {
	f.Add(scrape)
	f.Add("HEAD /metrics HTTP/1.0\r\nAccept: application/openmetrics-text\r\n\r\n")
	f.Add("GET /\r\n\tx HTTP/1.1\r\n:\r\n\r\n")
	c := collector()
	f.Fuzz(func(t *testing.T, text string) {
		r, err := readRequest(strings.NewReader(text + strings.Repeat("x", maxHeader)))
		if len(r.path)+len(r.accept) > maxHeader {
			t.Errorf("%d bytes", len(r.path)+len(r.accept))
		}
		a := c.answer(t.Context(), r, err)
		response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(a.bytes(false))), nil)
		if err != nil {
			t.Fatalf("%q: %v", a.bytes(false), err)
		}
		defer response.Body.Close()
		if body, err := io.ReadAll(response.Body); err != nil || len(body) == 0 {
			t.Errorf("body %q: %v", body, err)
		}
	})
}
