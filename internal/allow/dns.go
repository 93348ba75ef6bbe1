package allow

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	serverTime = 3 * time.Second // for one server to answer
	maxUDP     = 512             // bytes of an answer that was not asked to be larger, RFC 1035 4.2.1
	maxServers = 3               // that are asked, as by resolv.conf(5)
)

// resolveByDNS asks for both families.
func (s System) resolveByDNS(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	servers, err := s.servers()
	if err != nil {
		return nil, 0, err
	}
	name, err := dnsmessage.NewName(strings.TrimSuffix(host, ".") + ".")
	if err != nil {
		return nil, 0, fmt.Errorf("name %q: %w", host, err)
	}
	var addrs []netip.Addr
	ttl := maxTTL
	for _, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		m, err := exchange(ctx, servers, dnsmessage.Question{Name: name, Type: kind, Class: dnsmessage.ClassINET})
		if err != nil {
			return nil, 0, err
		}
		for _, r := range m.Answers {
			ttl = min(ttl, time.Duration(r.Header.TTL)*time.Second)
			switch body := r.Body.(type) {
			case *dnsmessage.AResource:
				addrs = append(addrs, netip.AddrFrom4(body.A))
			case *dnsmessage.AAAAResource:
				addrs = append(addrs, netip.AddrFrom16(body.AAAA))
			}
		}
	}
	if len(addrs) == 0 {
		ttl = noSuchTTL
	}
	return addrs, ttl, nil
}

// servers are the name servers of resolv.conf(5).
func (s System) servers() (servers []string, err error) {
	path, port := s.Config, s.port
	if path == "" {
		path = resolvConf
	}
	if port == "" {
		port = "53"
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("find name servers: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) >= 2 && words[0] == "nameserver" && len(servers) < maxServers {
			servers = append(servers, net.JoinHostPort(words[1], port))
		}
	}
	if len(servers) == 0 {
		return nil, fmt.Errorf("no nameserver is named in %s", path)
	}
	return servers, nil
}

// exchange asks one server after the other. That there is no such name is an answer, too.
func exchange(ctx context.Context, servers []string, q dnsmessage.Question) (*dnsmessage.Message, error) {
	var failed []error
	for _, server := range servers {
		m, err := askServer(ctx, "udp", server, q)
		if err == nil && m.Truncated {
			m, err = askServer(ctx, "tcp", server, q)
		}
		if err == nil && m.RCode != dnsmessage.RCodeSuccess && m.RCode != dnsmessage.RCodeNameError {
			err = fmt.Errorf("it answered %s", strings.TrimPrefix(m.RCode.String(), "RCode"))
		}
		if err == nil {
			return m, nil
		}
		failed = append(failed, fmt.Errorf("ask name server %s: %w", server, err))
	}
	return nil, errors.Join(failed...)
}

// askServer asks one server over UDP or TCP.
func askServer(ctx context.Context, network, server string, q dnsmessage.Question) (*dnsmessage.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, serverTime)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	question := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: uint16(rand.Uint32()), RecursionDesired: true},
		Questions: []dnsmessage.Question{q},
	}
	text, err := question.Pack()
	if err != nil {
		return nil, err
	}
	if network == "tcp" {
		return overTCP(conn, text, &question)
	}
	return overUDP(conn, text, &question)
}

// overUDP sends a question and waits for its answer; what is not, anybody may have sent.
func overUDP(conn net.Conn, text []byte, question *dnsmessage.Message) (*dnsmessage.Message, error) {
	if _, err := conn.Write(text); err != nil {
		return nil, err
	}
	buf := make([]byte, maxUDP)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		if m, err := answerTo(question, buf[:n]); err == nil {
			return m, nil
		}
	}
}

// overTCP does it where each message has its length before it.
func overTCP(conn net.Conn, text []byte, question *dnsmessage.Message) (*dnsmessage.Message, error) {
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(text))), text...)); err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	var size [2]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return nil, err
	}
	answer := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(in, answer); err != nil {
		return nil, err
	}
	return answerTo(question, answer)
}

// answerTo reads an answer, if it is one to that question.
func answerTo(question *dnsmessage.Message, text []byte) (*dnsmessage.Message, error) {
	var m dnsmessage.Message
	if err := m.Unpack(text); err != nil {
		return nil, err
	}
	asked := question.Questions[0]
	if !m.Response || m.ID != question.ID || len(m.Questions) != 1 || m.Questions[0].Type != asked.Type ||
		!strings.EqualFold(m.Questions[0].Name.String(), asked.Name.String()) {
		return nil, errors.New("the answer is to another question")
	}
	return &m, nil
}
