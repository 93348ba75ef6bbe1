package allow

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// System resolves names as the host does: through systemd-resolved where it runs, else by the servers of
// /etc/resolv.conf. The first needs only a unix socket; the second the network, which the packaged unit does not give:
// see ignoreip in exile.yaml(5).
type System struct {
	Socket string // of systemd-resolved; empty: its usual one
	Config string // resolv.conf(5); empty: /etc/resolv.conf
	port   string // of the servers; empty: 53
}

const (
	resolvedSocket = "/run/systemd/resolve/io.systemd.Resolve"
	resolvConf     = "/etc/resolv.conf"
	// resolvedTTL is how often resolved is asked. It keeps answers for their TTL itself and does not tell it.
	resolvedTTL = time.Minute
	// noSuchTTL is how long it holds that there is no such name.
	noSuchTTL = 5 * time.Minute
	// maxReply is the most that resolved may answer.
	maxReply = 1 << 20
)

// Resolve implements Resolver.
func (s System) Resolve(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	socket := s.Socket
	if socket == "" {
		socket = resolvedSocket
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return s.resolveByDNS(ctx, host)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("connect to systemd-resolved: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	addrs, err := askResolved(conn, host)
	return addrs, resolvedTTL, err
}

// reply is what resolved answers to ResolveHostname.
type reply struct {
	Error      string `json:"error"`
	Parameters struct {
		RCode     int `json:"rcode"`
		Addresses []struct {
			Address []uint8Number `json:"address"`
		} `json:"addresses"`
	} `json:"parameters"`
}

// uint8Number is a byte that JSON writes as a number; []byte would be read as base64.
type uint8Number uint8

func askResolved(conn net.Conn, host string) ([]netip.Addr, error) {
	call, err := json.Marshal(map[string]any{
		"method": "io.systemd.Resolve.ResolveHostname", "parameters": map[string]any{"name": host},
	})
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(append(call, 0)); err != nil {
		return nil, fmt.Errorf("ask systemd-resolved: %w", err)
	}
	text, err := readReply(bufio.NewReader(conn))
	if err != nil {
		return nil, fmt.Errorf("read the answer of systemd-resolved: %w", err)
	}
	var r reply
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read the answer of systemd-resolved: %w", err)
	}
	return r.addresses()
}

// readReply reads up to the zero byte that ends a Varlink message.
func readReply(r *bufio.Reader) ([]byte, error) {
	var text []byte
	for len(text) < maxReply {
		switch b, err := r.ReadByte(); {
		case err != nil:
			return nil, err
		case b == 0:
			return text, nil
		default:
			text = append(text, b)
		}
	}
	return nil, fmt.Errorf("longer than %d bytes", maxReply)
}

func (r *reply) addresses() ([]netip.Addr, error) {
	switch {
	case r.Error == "io.systemd.Resolve.NoSuchResourceRecord",
		r.Error == "io.systemd.Resolve.DNSError" && r.Parameters.RCode == int(dnsmessage.RCodeNameError):
		return nil, nil
	case r.Error != "":
		return nil, fmt.Errorf("systemd-resolved: %q", r.Error)
	}
	var addrs []netip.Addr
	for _, a := range r.Parameters.Addresses {
		raw := make([]byte, len(a.Address))
		for i, b := range a.Address {
			raw[i] = byte(b)
		}
		addr, ok := netip.AddrFromSlice(raw)
		if !ok {
			return nil, fmt.Errorf("systemd-resolved: an address of %d bytes", len(raw))
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}
