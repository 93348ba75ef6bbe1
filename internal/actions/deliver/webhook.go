package deliver

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"exile/internal/actions"
)

// NewClient returns a client that follows no redirect, and that trusts the host's certificates, or only those of a file.
func NewClient(file string) (*http.Client, error) {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10, DisableKeepAlives: true}
	if file != "" {
		pem, err := os.ReadFile(file)
		pool := x509.NewCertPool()
		if err == nil && !pool.AppendCertsFromPEM(pem) {
			err = fmt.Errorf("%s has no certificate in PEM", file)
		}
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// post tells a webhook.
func (h *Helper) post(ctx context.Context, a *actions.Action, e *actions.Event) error {
	address := a.Webhook.URL
	if a.Webhook.URLSecret != "" {
		var err error
		if address, err = h.secret(a.Webhook.URLSecret); err != nil {
			return err
		}
	}
	if a.Webhook.URLSecret != "" {
		if err := a.Webhook.Check(address); err != nil {
			return fmt.Errorf("credential %q: %w", a.Webhook.URLSecret, err)
		}
	}
	address, body, err := message(&a.Webhook, address, e)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return hidden(&a.Webhook, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", e.ID)
	if err := h.sign(req, &a.Webhook, body); err != nil {
		return err
	}
	client, err := h.client(a.Webhook.Certifying)
	if err != nil {
		return err
	}
	_, err = h.ask(client, req)
	return hidden(&a.Webhook, err)
}

// hidden leaves the URL out of an error if that is secret.
func hidden(w *actions.Hook, err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok && w.URLSecret != "" {
		return fmt.Errorf("%s to the URL in the credential %q: %w", wrapped.Op, w.URLSecret, wrapped.Err)
	}
	return err
}

// sign adds what proves who we are.
func (h *Helper) sign(req *http.Request, w *actions.Hook, body []byte) error {
	if w.Token != "" {
		token, err := h.secret(w.Token)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if w.Signature != "" {
		key, err := h.secret(w.Signature)
		if err != nil {
			return err
		}
		mac := hmac.New(sha256.New, []byte(key))
		_, _ = mac.Write(body) // never fails
		req.Header.Set("X-Exile-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	return nil
}

// message returns where and what a webhook posts. All texts are in JSON: none is in a header or in the URL.
func message(w *actions.Hook, address string, e *actions.Event) (where string, body []byte, err error) {
	var v any
	switch w.Form {
	case actions.NTFY:
		u, err := url.Parse(address)
		if err != nil {
			return "", nil, errors.New("the URL cannot be read")
		}
		folder, topic := path.Split(strings.TrimRight(u.Path, "/"))
		u.Path, u.RawPath = folder, ""
		address = u.String()
		v = map[string]any{"topic": topic, "title": e.Host + ": " + e.Title(), "message": e.Text(), "tags": []string{"no_entry"}}
	case actions.Slack:
		v = map[string]string{"text": strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(e.Host + ": " + code(e.Text()))}
	case actions.Discord:
		v = map[string]any{"content": e.Host + ": " + code(e.Text()), "allowed_mentions": map[string][]string{"parse": {}}}
	default:
		v = e
	}
	body, err = json.Marshal(v)
	return address, body, err
}

// code marks text as code, in which chats make no link, mention nobody, and hide nothing: an attacker chose parts of it.
func code(s string) string { return "`" + strings.ReplaceAll(s, "`", "'") + "`" }

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 1 << 20

// ask sends a request and returns the answer. The error says whether it makes sense to try again, and when. It holds no secret, even if the
// server repeats one.
func (h *Helper) ask(client *http.Client, req *http.Request) ([]byte, error) {
	req.Header.Set("User-Agent", "exile")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	code := resp.StatusCode
	if code/100 == 2 {
		return body, err
	}
	reply := &actions.Reply{Text: fmt.Sprintf("%s answers %s: %s", req.URL.Host, resp.Status, excerpt(h.redacted(body)))}
	switch code {
	case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		reply.Permanent = true // the event is at fault; anything else may be mended
	}
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
		reply.RetryAfter = n
	}
	return nil, reply
}

// redacted takes the secrets of this run out of an answer.
func (h *Helper) redacted(body []byte) []byte {
	for _, secret := range h.known {
		body = bytes.ReplaceAll(body, []byte(secret), []byte("[secret]"))
		if u, err := url.Parse(secret); err == nil && u.Host != "" && len(u.Path) > 1 {
			body = bytes.ReplaceAll(body, []byte(u.RequestURI()), []byte("/[secret]"))
			body = bytes.ReplaceAll(body, []byte(u.Path), []byte("/[secret]"))
		}
	}
	return body
}

// excerpt is the beginning of an answer.
func excerpt(body []byte) string {
	return actions.Clean(strings.Join(strings.Fields(string(body[:min(len(body), 300)])), " "))
}
