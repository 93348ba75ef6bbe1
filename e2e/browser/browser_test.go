package browser

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestProblems: everything that a page does wrong is found, and nothing else.
func TestProblems(t *testing.T) {
	t.Parallel()
	path, err := Find()
	if err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED:", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b, err := Start(exec.CommandContext(ctx, path, Args(t.TempDir())...))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	pages := map[string]struct{ html, want string }{
		"/good":      {`<script src="good.js"></script>`, ""},
		"/inline":    {`<script>1</script>`, "Content Security Policy"},
		"/handler":   {`<img src="data:," onerror="1">`, "Content Security Policy"},
		"/style":     {`<p style="color: red">`, "Content Security Policy"},
		"/foreign":   {`<img src="http://192.0.2.1/">`, "Content Security Policy"},
		"/missing":   {`<img src="missing.png">`, "404"},
		"/exception": {`<script src="exception.js"></script>`, "Error: thrown"},
		"/promise":   {`<script src="promise.js"></script>`, "Error: rejected"},
		"/console":   {`<script src="console.js"></script>`, "said"},
	}
	scripts := map[string]string{
		"/good.js": "console.log('said')", "/exception.js": "throw Error('thrown')", "/promise.js": "Promise.reject(Error('rejected'))",
		"/console.js": "console.error('said')", "/done.js": "document.title = 'done'",
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:")
		if text, ok := scripts[r.URL.Path]; ok {
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = w.Write([]byte(text)) // the browser will say so
		} else if page, ok := pages[r.URL.Path]; ok {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(`<!DOCTYPE html><link rel="icon" href="data:,"><body>` + page.html + `<script defer src="done.js"></script>`))
		} else {
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	for path, page := range pages {
		p, err := b.Open(ctx, server.URL+path)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Wait(ctx, "document.title == 'done'"); err != nil {
			t.Fatal(err)
		}
		got := strings.Join(p.Problems(), "\n")
		if !strings.Contains(got, page.want) || page.want == "" && got != "" {
			t.Errorf("%s: problems %q, want %q", path, got, page.want)
		}
	}
}
