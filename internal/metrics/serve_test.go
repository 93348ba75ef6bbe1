package metrics

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// serve serves a collector on a socket in a folder of the test, and returns how to connect and what ends it.
func serve(t *testing.T) (dial func() net.Conn, stop func() error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "metrics")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, collector()) }()
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

// ask sends a request as it stands and returns the answer's status and body.
func ask(t *testing.T, conn net.Conn, request string) (int, string) {
	t.Helper()
	go func() { _, _ = io.WriteString(conn, request) }() // the server may answer, and hang up, before it has read all
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
	dial, stop := serve(t)
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

// TestCrowd: more clients than are served at once are served one after the other.
func TestCrowd(t *testing.T) {
	t.Parallel()
	dial, stop := serve(t)
	var silent []net.Conn
	for range maxConnections {
		silent = append(silent, dial())
	}
	late := dial()
	for _, conn := range silent {
		if status, _ := ask(t, conn, scrape); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
	if status, body := ask(t, late, scrape); status != http.StatusOK || !strings.Contains(body, "exile_state") {
		t.Errorf("the late one got %d: %s", status, body)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestStop: the end does not wait for those who say nothing.
func TestStop(t *testing.T) {
	t.Parallel()
	dial, stop := serve(t)
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

// FuzzRequest: no request makes the server read more than it will, or answer anything but HTTP.
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
