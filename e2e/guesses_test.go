package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"exile/e2e/host"
)

// step is what a client says in a protocol of lines, and what a line of the answer begins with. Other lines before that are read over.
type step struct{ say, want string }

// converse has a dialogue with a server.
func converse(conn net.Conn, steps ...step) error {
	r := bufio.NewReader(conn)
	for _, step := range steps {
		if _, err := io.WriteString(conn, step.say); err != nil {
			return err
		}
		for line := ""; !strings.HasPrefix(line, step.want); {
			before := line
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				return fmt.Errorf("the server says %q, want %q: %w", before, step.want, err)
			}
		}
	}
	return nil
}

// dial connects for one guess. Servers take seconds to refuse a password.
func dial(ctx context.Context, a *host.Attacker, port uint16) (net.Conn, error) {
	conn, err := a.Dial(ctx, port)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	return conn, conn.SetDeadline(time.Now().Add(patience))
}

// refused guesses once, and fails the test if the guess is not refused.
func refused(t *testing.T, a *host.Attacker, guess func(context.Context, *host.Attacker) error) {
	t.Helper()
	if err := guess(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

func guessFTP(ctx context.Context, a *host.Attacker) error {
	conn, err := dial(ctx, a, 21)
	if err != nil {
		return err
	}
	defer conn.Close()
	return converse(conn, step{"", "220 "}, step{"USER bob\r\n", "331 "}, step{"PASS wrong\r\n", "530 "})
}

func guessSMTP(ctx context.Context, a *host.Attacker) error {
	conn, err := dial(ctx, a, 25)
	if err != nil {
		return err
	}
	defer conn.Close()
	secret := base64.StdEncoding.EncodeToString([]byte("\x00bob\x00wrong"))
	return converse(conn, step{"", "220 "}, step{"EHLO client.example\r\n", "250 "}, step{"AUTH PLAIN " + secret + "\r\n", "535 "})
}

// guessIMAP guesses over TLS: without it Dovecot takes no password.
func guessIMAP(ctx context.Context, a *host.Attacker) error {
	conn, err := dial(ctx, a, 993)
	if err != nil {
		return err
	}
	defer conn.Close()
	return converse(tls.Client(conn, &tls.Config{InsecureSkipVerify: true}), step{"", "* OK "}, step{"a LOGIN bob wrong\r\n", "a NO "})
}

func guessHTTP(ctx context.Context, a *host.Attacker) error {
	conn, err := dial(ctx, a, 80)
	if err != nil {
		return err
	}
	defer conn.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://host.example/", nil)
	if err != nil {
		return err
	}
	req.SetBasicAuth("bob", "wrong")
	req.Close = true
	if err := req.Write(conn); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("the server answers %s", resp.Status)
	}
	return nil
}

// guessSQL says a password to PostgreSQL: https://www.postgresql.org/docs/current/protocol-message-formats.html
func guessSQL(ctx context.Context, a *host.Attacker) error {
	conn, err := dial(ctx, a, 5432)
	if err != nil {
		return err
	}
	defer conn.Close()
	startup := "\x00\x03\x00\x00user\x00bob\x00\x00"
	if _, err := conn.Write(sized("", startup)); err != nil {
		return err
	}
	var ask [9]byte
	if _, err := io.ReadFull(conn, ask[:]); err != nil || ask != [9]byte{'R', 0, 0, 0, 8, 0, 0, 0, 3} {
		return errors.Join(fmt.Errorf("the server does not ask for a password: %q", ask[:]), err)
	}
	if _, err := conn.Write(sized("p", "wrong\x00")); err != nil {
		return err
	}
	said, err := io.ReadAll(conn)
	if !bytes.Contains(said, []byte("C28P01\x00")) { // invalid_password
		return errors.Join(fmt.Errorf("the server says %q", said), err)
	}
	return nil
}

// guessMariaDB says a password to MariaDB: https://mariadb.com/kb/en/connection/
func guessMariaDB(ctx context.Context, a *host.Attacker) error {
	conn, err := dial(ctx, a, 3306)
	if err != nil {
		return err
	}
	defer conn.Close()
	hello, err := mariaPacket(conn)
	if err != nil || len(hello) == 0 || hello[0] != 10 {
		return errors.Join(fmt.Errorf("the server says %q", hello), err)
	}
	// The protocol of 4.1 with a hash of the password, by the usual plugin; packets of 16 MB; UTF-8.
	answer := binary.LittleEndian.AppendUint32(nil, 0x00088201)
	answer = binary.LittleEndian.AppendUint32(answer, 1<<24)
	answer = append(append(answer, 33), make([]byte, 23)...)
	answer = append(answer, "bob\x00\x14wrong wrong wrong !!mysql_native_password\x00"...)
	if _, err := conn.Write(append([]byte{byte(len(answer)), 0, 0, 1}, answer...)); err != nil {
		return err
	}
	said, err := mariaPacket(conn)
	if err != nil || !bytes.HasPrefix(said, []byte("\xff\x15\x04")) { // an error, 1045
		return errors.Join(fmt.Errorf("the server says %q", said), err)
	}
	return nil
}

// mariaPacket reads a packet of MariaDB: a length in three bytes, and a number.
func mariaPacket(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	_, err := io.ReadFull(r, body)
	return body, err
}

// sized puts a type and the length of a message, which counts itself, before the message.
func sized(kind, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte(kind), uint32(4+len(body))), body...)
}

// guessDNS asks for a name of another domain, by UDP.
func guessDNS(ctx context.Context, a *host.Attacker) error {
	conn, err := a.ListenPacket(ctx, 0)
	if err != nil {
		return err
	}
	defer conn.Close()
	ask := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName("example.com."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	packet, err := ask.Pack()
	if err != nil {
		return err
	}
	if _, err := conn.WriteTo(packet, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a.Target(), 53))); err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	buf := make([]byte, 512)
	n, _, err := conn.ReadFrom(buf)
	if err != nil {
		return err
	}
	var answer dnsmessage.Message
	if err := answer.Unpack(buf[:n]); err != nil || answer.RCode != dnsmessage.RCodeRefused {
		return errors.Join(fmt.Errorf("the server answers %v", answer.RCode), err)
	}
	return nil
}
