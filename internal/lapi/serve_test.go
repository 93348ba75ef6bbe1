package lapi_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/lapi"
)

// service is a server on a Unix socket, and two bouncers' keys.
type service struct {
	t     *testing.T
	book  *lapi.Book
	keys  lapi.Keys
	a, b  string
	http  http.Client
	where string
}

func start(t *testing.T, book *lapi.Book) *service {
	t.Helper()
	dir, err := os.MkdirTemp("", "lapi") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &service{t: t, book: book, keys: lapi.Keys{Path: filepath.Join(dir, "keys")}, where: filepath.Join(dir, "socket")}
	for name, key := range map[string]*string{"a": &s.a, "b": &s.b} {
		if *key, err = s.keys.Add(name); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("unix", s.where)
	if err == nil {
		l, err = lapi.Listen(l, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, s.book, s.keys)
	s.http.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", s.where) }}
	return s
}

func serve(t *testing.T, l net.Listener, book *lapi.Book, keys lapi.Keys) {
	t.Helper()
	server, done := lapi.NewServer(book, keys, slog.New(slog.DiscardHandler)).HTTP(), make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

// ask returns the status and the body of an answer.
func (s *service) ask(method, key, path string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://exile"+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("X-Api-Key", key)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// values returns the addresses in an answer.
func (s *service) values(path string) (all []string) {
	s.t.Helper()
	code, text := s.ask(http.MethodGet, s.a, path)
	var decisions []struct{ Value string }
	if err := json.Unmarshal([]byte(text), &decisions); err != nil || code != http.StatusOK {
		s.t.Errorf("%s: %d %q: %v", path, code, text, err)
	}
	for _, d := range decisions {
		all = append(all, d.Value)
	}
	return all
}

func filled(t *testing.T) *lapi.Book {
	t.Helper()
	b, long := lapi.NewBook(), time.Now().Add(time.Hour)
	b.Fill([]lapi.Ban{
		{Jail: "sshd", Prefix: netip.MustParsePrefix("192.0.2.1/32"), Until: long},
		{Jail: "web", Prefix: netip.MustParsePrefix("192.0.2.0/24")},
		{Jail: "sshd", Prefix: netip.MustParsePrefix("2001:db8::/64"), Until: long},
	}, none)
	return b
}

// TestAnswers: the server answers only clients with a key, and in CrowdSec's form.
func TestAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, filled(t))
	for _, key := range []string{"", "x", strings.ToUpper(s.a), s.a + " x"} {
		if code, text := s.ask(http.MethodGet, key, "/v1/decisions/stream?startup=true"); code != http.StatusForbidden || text != `{"message":"access forbidden"}`+"\n" {
			t.Errorf("key %q: %d %q", key, code, text)
		}
	}
	for path, want := range map[string]int{
		"/v1/decisions?startup=maybe": 400, "/v1/decisions?ip=x": 400, "/v1/decisions?contains=x": 400, "/v1/alerts": 404, "/": 404, "/v1/decisions/stream/": 404,
	} {
		if code, text := s.ask(http.MethodGet, s.a, path); code != want || !strings.HasPrefix(text, `{"message":"`) {
			t.Errorf("%s: %d %q, want %d", path, code, text, want)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodDelete} {
		if code, _ := s.ask(method, s.a, "/v1/decisions"); code < 400 {
			t.Errorf("%s is answered with %d", method, code)
		}
	}
	for path, want := range map[string][]string{
		"":                                   {"192.0.2.1", "192.0.2.0/24", "2001:db8::/64"},
		"?type=ban":                          {"192.0.2.1", "192.0.2.0/24", "2001:db8::/64"},
		"?type=captcha":                      nil,
		"?origins=CAPI,lists":                nil,
		"?origins=cscli,exile":               {"192.0.2.1", "192.0.2.0/24", "2001:db8::/64"},
		"?scopes=ip":                         {"192.0.2.1"},
		"?scope=Range":                       {"192.0.2.0/24", "2001:db8::/64"},
		"?scopes=country":                    nil,
		"?ip=192.0.2.1":                      {"192.0.2.1", "192.0.2.0/24"},
		"?ip=192.0.2.7":                      {"192.0.2.0/24"},
		"?scope=ip&value=192.0.2.1":          {"192.0.2.1"},
		"?ip=198.51.100.1":                   nil,
		"?range=192.0.2.0/28":                {"192.0.2.0/24"},
		"?range=192.0.0.0/16":                nil,
		"?range=192.0.0.0/16&contains=false": {"192.0.2.1", "192.0.2.0/24"},
		"?scenarios_containing=WEB":          {"192.0.2.0/24"},
		"?scenarios_not_containing=web":      {"192.0.2.1", "2001:db8::/64"},
	} {
		if diff := cmp.Diff(want, s.values("/v1/decisions"+path)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", path, diff)
		}
	}
	if _, text := s.ask(http.MethodGet, s.a, "/v1/decisions?ip=198.51.100.1"); text != "null\n" {
		t.Errorf("nothing is %q", text)
	}
	_, text := s.ask(http.MethodGet, s.a, "/v1/decisions?range=192.0.2.0/24")
	if want := `[{"duration":"87599h59m`; !strings.HasPrefix(text, `[{"duration":"87600h0m0s"`) && !strings.HasPrefix(text, want) || !strings.HasSuffix(text, `,"id":2,"origin":"exile","scenario":"exile/web","scope":"Range","type":"ban","value":"192.0.2.0/24"}]`+"\n") {
		t.Errorf("a decision is %s", text)
	}
	if err := s.keys.Remove("a"); err != nil {
		t.Fatal(err)
	}
	if code, _ := s.ask(http.MethodGet, s.a, "/v1/decisions"); code != http.StatusForbidden {
		t.Errorf("a key that was removed opens: %d", code)
	}
}

// Each bouncer has its own place in the log; HEAD does not move it, nor does an answer that was not taken.
func TestStream(t *testing.T) {
	t.Parallel()
	s := start(t, filled(t))
	stream := func(key, query string) (int, int) {
		code, text := s.ask(http.MethodGet, key, "/v1/decisions/stream"+query)
		var answer struct{ New, Deleted []any }
		if err := json.Unmarshal([]byte(text), &answer); err != nil || code != http.StatusOK || answer.New == nil || answer.Deleted == nil {
			t.Errorf("%s: %d %q: %v", query, code, text, err)
		}
		return len(answer.New), len(answer.Deleted)
	}
	for i, want := range [][2]int{{3, 0}, {0, 0}} {
		if made, ended := stream(s.a, ""); made != want[0] || ended != want[1] {
			t.Errorf("answer %d: %d new, %d deleted, want %d", i, made, ended, want)
		}
	}
	s.book.Lift("sshd", netip.MustParsePrefix("192.0.2.1/32"))
	if code, _ := s.ask(http.MethodHead, s.a, "/v1/decisions/stream"); code != http.StatusOK {
		t.Errorf("HEAD: %d", code)
	}
	if made, ended := stream(s.a, "?startup=false"); made != 0 || ended != 1 {
		t.Errorf("%d new, %d deleted, want one deleted", made, ended)
	}
	if made, ended := stream(s.b, "?startup=true&scopes=ip"); made != 0 || ended != 1 {
		t.Errorf("%d new, %d deleted addresses at the start, want one deleted", made, ended)
	}
	if made, _ := stream(s.a, "?startup=true"); made != 2 {
		t.Errorf("%d new at the start, want 2", made)
	}
	empty := start(t, lapi.NewBook())
	if code, _ := empty.ask(http.MethodGet, empty.a, "/v1/decisions/stream?startup=true"); code != http.StatusServiceUnavailable {
		t.Errorf("before exiled was asked: %d", code)
	}
}

// A hundred thousand decisions are written from the book in pieces: what an answer allocates does not grow with their number.
func TestManyDecisions(t *testing.T) {
	t.Parallel()
	b, until, n := lapi.NewBook(), time.Now().Add(time.Hour), 100_000
	if testing.Short() {
		n /= 10
	}
	all := make([]lapi.Ban, n)
	for i := range all {
		all[i] = lapi.Ban{Jail: "sshd", Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, byte(i >> 16), byte(i >> 8), byte(i)}), 32), Until: until}
	}
	b.Fill(all, none)
	s := start(t, b)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://exile/v1/decisions/stream?startup=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", s.a)
	resp, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	dec, heard := json.NewDecoder(resp.Body), 0
	for range 3 { // {"new":[
		if _, err := dec.Token(); err != nil {
			t.Fatal(err)
		}
	}
	for dec.More() {
		var d struct{ Value, Duration, Type string }
		if err := dec.Decode(&d); err != nil || d.Type != "ban" {
			t.Fatal(err, d)
		}
		if heard++; heard == n/2 { // while it is written, the feed goes on
			b.Lift("sshd", all[n-1].Prefix)
			b.Put(lapi.Ban{Jail: "sshd", Prefix: netip.MustParsePrefix("192.0.2.1/32"), Until: until})
		}
	}
	if heard < n-1 || heard > n {
		t.Errorf("%d decisions, want %d or one less", heard, n)
	}
}

// Many connections push out the oldest, not the newest.
func TestCrowd(t *testing.T) {
	t.Parallel()
	s := start(t, filled(t))
	for range 200 {
		conn, err := net.Dial("unix", s.where)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if got := s.values("/v1/decisions?ip=192.0.2.1"); len(got) != 2 {
		t.Errorf("beside 200 idle connections a bouncer gets %q", got)
	}
}

// certificate writes one for 127.0.0.1 into a folder of credentials.
func certificate(t *testing.T) (dir string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir, roots = t.TempDir(), x509.NewCertPool()
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots.AppendCertsFromPEM(cert)
	for name, text := range map[string][]byte{"tls.crt": cert, "tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, roots
}

// everywhere is a listener that can be reached from elsewhere, as far as its address says.
type everywhere struct{ net.Listener }

func (everywhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero, Port: 8080} }

// With a certificate the answers are encrypted; without, nobody else than this host is let in.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir, roots := certificate(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lapi.Listen(everywhere{tcp}, t.TempDir()); err == nil || !strings.Contains(err.Error(), "tls.crt") {
		t.Errorf("an open socket without a certificate: %v", err)
	}
	s := start(t, filled(t))
	l, err := lapi.Listen(tcp, dir)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, s.book, s.keys)
	s.http.Transport = &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"},
		DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("tcp", tcp.Addr().String()) },
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://127.0.0.1/v1/decisions", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", s.a)
	resp, err := s.http.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
}

// A mistake in the file of keys names the line, and no key is in it.
func TestKeys(t *testing.T) {
	t.Parallel()
	keys := lapi.Keys{Path: filepath.Join(t.TempDir(), "keys")}
	key, err := keys.Add("nginx-1")
	if err != nil || len(key) < 40 {
		t.Fatal(key, err)
	}
	text, err := os.ReadFile(keys.Path)
	if err != nil || strings.Contains(string(text), key) {
		t.Errorf("the file has the key itself: %q, %v", text, err)
	}
	for _, name := range []string{"", "nginx-1", "a b", "-x", "x\x1b", strings.Repeat("x", 65)} {
		if _, err := keys.Add(name); err == nil {
			t.Errorf("%q gets a key", name)
		}
	}
	if err := keys.Remove("nobody"); err == nil {
		t.Error("a key that is not there is removed")
	}
	for _, wrong := range []string{"x", "x y", "x " + strings.Repeat("0", 63), "x y " + strings.Repeat("0", 64)} {
		if err := os.WriteFile(keys.Path, []byte("# bouncers\n\n"+wrong+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Read(); err == nil || !strings.Contains(err.Error(), "keys:3: ") {
			t.Errorf("%q: %v", wrong, err)
		}
		if _, err := keys.Add("other"); err == nil {
			t.Errorf("a file with %q is written over", wrong)
		}
	}
	var many strings.Builder
	for i := range 300 {
		fmt.Fprintf(&many, "n%d %064d\n", i, i)
	}
	if err := os.WriteFile(keys.Path, []byte(many.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Read(); err == nil {
		t.Error("300 keys are read")
	}
}
