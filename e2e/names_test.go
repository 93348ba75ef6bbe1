package e2e

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestHostileNames: whatever text a client sends, as user name, certificate's key ID, banner, disconnect reason or list of
// algorithms, a real server's log never names or counts anybody but the client.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	s := bootSSHDs(t)
	names := hostileNames(t)
	certificates := s.certify(t, names)
	// At VERBOSE the server logs each certificate.
	clients := []client{s.client(t, inet, "info"), s.client(t, inet6, "verbose")}
	var runs []func()
	for i, name := range names {
		c := clients[i%len(clients)]
		runs = append(runs,
			func() {
				c.ssh(name, "wrong", methods("publickey,password", 1), "IdentitiesOnly yes", "IdentityFile "+s.keys[0],
					"CertificateFile "+certificates[i])
			},
			func() { c.raw(name+"\r\n", time.Minute, false) },
			func() { c.raw("SSH-2.0-"+name+"\r\n"+leave(name), time.Minute, false) },
			func() { c.raw("SSH-2.0-x\r\n"+offer(name), time.Minute, false) },
		)
	}
	together(runs)
	rules := map[string]int{}
	for _, m := range s.match(t, "--mode=aggressive", "--publickey=any") {
		rules[m.Rule]++
		if m.Address != clients[0].Addr && m.Address != clients[1].Addr {
			t.Errorf("rule %s: %s was framed", m.Rule, m.Address)
		}
	}
	t.Logf("%d names, lines with an address by rule: %v", len(names), rules)
	for _, rule := range []string{"invalid-user", "failed", "gave-up", "disconnect", "negotiate", "banner"} {
		if rules[rule] < 60 {
			t.Errorf("rule %s: %d lines, want at least 60: too little was tested", rule, rules[rule])
		}
	}
	failing, err := s.List(t.Context(), "list-failures")
	if err != nil {
		t.Fatal(err)
	}
	for p := range failing {
		if !p.Contains(clients[0].Addr) && !p.Contains(clients[1].Addr) {
			t.Errorf("%s is counted", p)
		}
	}
	if len(failing) != len(clients) {
		t.Errorf("%d prefixes are counted, want %d", len(failing), len(clients))
	}
}

// hostileNames are those of the filter's own tests.
func hostileNames(t *testing.T) (names []string) {
	t.Helper()
	data, err := os.ReadFile("../jail/filter/testdata/hostile/names.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, `"`) {
			continue
		}
		name, err := strconv.Unquote(line)
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ = strings.Cut(name, "\x00") // C ends it here
		names = append(names, name)
	}
	return names
}

// certify makes certificates of the first key, with the names as key IDs.
func (s *sshds) certify(t *testing.T, names []string) (certificates []string) {
	t.Helper()
	ca := filepath.Join(s.folder, "ca")
	keygen(t, "-t", "ed25519", "-N", "", "-f", ca)
	public, err := os.ReadFile(s.keys[0] + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		path := filepath.Join(s.folder, fmt.Sprintf("id%d", i))
		if err := os.WriteFile(path+".pub", public, 0o600); err != nil {
			t.Fatal(err)
		}
		keygen(t, "-s", ca, "-I", "x"+name, "-n", "x", path+".pub") // an empty ID would be no ID
		certificates = append(certificates, path+"-cert.pub")
	}
	return certificates
}

// leave is a cleartext SSH message: disconnect by application, for this reason.
func leave(reason string) string {
	return packet("\x01" + uint32be(11) + text32(reason) + text32(""))
}

// offer is the first message of a key exchange whose client knows only algorithms of this name.
func offer(algorithm string) string {
	lists := text32(strings.ReplaceAll(algorithm, ",", ";"))
	for range 9 {
		lists += text32("none")
	}
	return packet("\x14" + strings.Repeat("c", 16) + lists + "\x00" + uint32be(0))
}

// packet frames a message (RFC 4253, 6).
func packet(payload string) string {
	padding := 8 - (5+len(payload))%8
	if padding < 4 {
		padding += 8
	}
	return uint32be(1+len(payload)+padding) + string(rune(padding)) + payload + strings.Repeat("p", padding)
}

func text32(s string) string { return uint32be(len(s)) + s }

func uint32be(n int) string { return string(binary.BigEndian.AppendUint32(nil, uint32(n))) }
