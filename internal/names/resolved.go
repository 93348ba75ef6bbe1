package names

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// The messages of io.systemd.Resolve, see varlink.org. The helper speaks the protocol of resolved.
const (
	method       = "io.systemd.Resolve.ResolveHostname"
	noSuchRecord = "io.systemd.Resolve.NoSuchResourceRecord"
	dnsError     = "io.systemd.Resolve.DNSError"
	lookupFailed = "org.exile1.Names.LookupFailed" // ours: with a message
	// noSuchName is the response code for a name that does not exist, RFC 1035 4.1.1.
	noSuchName = 3
	// maxMessage is the maximum size of a message.
	maxMessage = 1 << 20
)

// query is a call of ResolveHostname.
type query struct {
	Method     string `json:"method"`
	Parameters struct {
		Name string `json:"name"`
	} `json:"parameters"`
}

// reply is what is answered.
type reply struct {
	Error      string `json:"error,omitempty"`
	Parameters struct {
		RCode     int       `json:"rcode,omitempty"`
		Message   string    `json:"message,omitempty"`
		Addresses []address `json:"addresses,omitempty"`
	} `json:"parameters"`
}

type address struct {
	Family  int           `json:"family"`
	Address []uint8Number `json:"address"`
}

// uint8Number is a byte that JSON writes as a number; []byte would be written as base64.
type uint8Number uint8

// call asks the service that listens at path; who is its name in errors.
func call(ctx context.Context, path, who, host string) ([]netip.Addr, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", who, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	q := query{Method: method}
	q.Parameters.Name = host
	if err := write(conn, q); err != nil {
		return nil, fmt.Errorf("ask %s: %w", who, err)
	}
	var r reply
	if err := read(conn, &r); err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", who, err)
	}
	return r.addresses(who)
}

// addresses reads an answer.
func (r *reply) addresses(who string) ([]netip.Addr, error) {
	switch {
	case r.Error == noSuchRecord, r.Error == dnsError && r.Parameters.RCode == noSuchName:
		return nil, nil
	case r.Error == lookupFailed:
		return nil, fmt.Errorf("%s: %q", who, r.Parameters.Message)
	case r.Error != "":
		return nil, fmt.Errorf("%s: %q", who, r.Error)
	}
	var addrs []netip.Addr
	for _, a := range r.Parameters.Addresses {
		raw := make([]byte, len(a.Address))
		for i, b := range a.Address {
			raw[i] = byte(b)
		}
		addr, ok := netip.AddrFromSlice(raw)
		if !ok {
			return nil, fmt.Errorf("%s: an address of %d bytes", who, len(raw))
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// write writes a message and the zero byte that ends it.
func write(to io.Writer, message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	_, err = to.Write(append(text, 0))
	return err
}

// read reads a message.
func read(from io.Reader, message any) error {
	in := bufio.NewReader(io.LimitReader(from, maxMessage))
	text, err := in.ReadBytes(0)
	switch {
	case err == io.EOF && len(text) == maxMessage:
		return fmt.Errorf("longer than %d bytes", maxMessage)
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	}
	return json.Unmarshal(text[:len(text)-1], message)
}
