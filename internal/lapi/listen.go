package lapi

import (
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"sync"

	"exile/internal/crowd"
)

// maxConnections is how many bouncers may be connected: each keeps one connection.
const maxConnections = 128

// Listen makes the listener that bouncers connect to from a socket that systemd opened. The certificate and its key are tls.crt and tls.key in
// a folder of credentials, if it has them; without, keys would be readable on the way, so that only this host may connect.
func Listen(l net.Listener, credentials string) (net.Listener, error) {
	addr, network := l.Addr().(*net.TCPAddr)
	l = &fewListener{Listener: l, in: crowd.New(maxConnections), conns: make(map[*crowd.Guest]net.Conn)}
	if !network {
		return l, nil
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(credentials, "tls.crt"), filepath.Join(credentials, "tls.key"))
	switch {
	case err == nil:
		return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}), nil
	case addr.IP.IsLoopback():
		return l, nil
	}
	return nil, fmt.Errorf("%s can be reached from elsewhere, where keys must not be readable: give exile-lapi.service the credentials tls.crt and "+
		"tls.key, see exile-lapi(8): %w", addr, err)
}

// fewListener closes the oldest connection when there are too many.
type fewListener struct {
	net.Listener
	mu    sync.Mutex // connections are closed by whoever serves them
	in    *crowd.Crowd
	conns map[*crowd.Guest]net.Conn
}

// Accept implements net.Listener.
func (l *fewListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	g := &crowd.Guest{UID: crowd.Stranger}
	l.conns[g] = conn
	if out := l.in.Enter(g); out != nil {
		_ = l.conns[out].Close()
		delete(l.conns, out)
	}
	return &fewConn{conn, l, g}, nil
}

// fewConn is a connection that leaves the crowd when it is closed.
type fewConn struct {
	net.Conn
	l *fewListener
	g *crowd.Guest
}

// Close implements net.Conn.
func (c *fewConn) Close() error {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	c.l.in.Leave(c.g)
	delete(c.l.conns, c.g)
	return c.Conn.Close()
}
