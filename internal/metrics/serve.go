package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// Limits on what clients may cost: a page is some kilobytes and is asked for every few seconds by one or two scrapers.
const (
	maxConnections = 32
	maxHeader      = 8 << 10 // bytes
	readTime       = 5 * time.Second
	writeTime      = askTime + 5*time.Second
)

// Serve answers HTTP on the listener until ctx ends, and closes it. More connections than it takes wait to be accepted;
// each serves one request, so that none is held for longer than the time limits.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readTime, ReadTimeout: readTime, WriteTimeout: writeTime, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    log.New(io.Discard, "", 0), // what a client does wrong is not worth a line of the log
	}
	server.SetKeepAlivesEnabled(false)
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(netutil.LimitListener(l, maxConnections)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}
