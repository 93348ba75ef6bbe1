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

	"github.com/miekg/dns"
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
		r.Error == "io.systemd.Resolve.DNSError" && r.Parameters.RCode == dns.RcodeNameError:
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

func (s System) resolveByDNS(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	path := s.Config
	if path == "" {
		path = resolvConf
	}
	cfg, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", path, err)
	}
	if s.port != "" {
		cfg.Port = s.port
	}
	var addrs []netip.Addr
	ttl := maxTTL
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		r, err := exchange(ctx, cfg, host, kind)
		if err != nil {
			return nil, 0, err
		}
		for _, record := range r.Answer {
			ttl = min(ttl, time.Duration(record.Header().Ttl)*time.Second)
			if a, ok := addressOf(record); ok {
				addrs = append(addrs, a)
			}
		}
	}
	if len(addrs) == 0 {
		ttl = noSuchTTL
	}
	return addrs, ttl, nil
}

// exchange asks one server after the other. That there is no such name is an answer, too.
func exchange(ctx context.Context, cfg *dns.ClientConfig, host string, kind uint16) (*dns.Msg, error) {
	question := new(dns.Msg)
	question.SetQuestion(dns.Fqdn(host), kind)
	failed := errors.New("no server is named in resolv.conf")
	for _, server := range cfg.Servers {
		address := net.JoinHostPort(server, cfg.Port)
		r, _, err := (&dns.Client{Timeout: 3 * time.Second}).ExchangeContext(ctx, question, address)
		if err == nil && r.Truncated {
			r, _, err = (&dns.Client{Net: "tcp", Timeout: 3 * time.Second}).ExchangeContext(ctx, question, address)
		}
		switch {
		case err != nil:
			failed = err
		case r.Rcode == dns.RcodeSuccess || r.Rcode == dns.RcodeNameError:
			return r, nil
		default:
			failed = fmt.Errorf("server %s answered %s", address, dns.RcodeToString[r.Rcode])
		}
	}
	return nil, failed
}

func addressOf(record dns.RR) (netip.Addr, bool) {
	switch r := record.(type) {
	case *dns.A:
		a, ok := netip.AddrFromSlice(r.A.To4())
		return a, ok
	case *dns.AAAA:
		return netip.AddrFromSlice(r.AAAA)
	default:
		return netip.Addr{}, false
	}
}
