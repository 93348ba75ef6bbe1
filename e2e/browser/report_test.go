package browser

import (
	"context"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var (
	// shots is for people who change how a report looks.
	shots = flag.String("shots", "", "a `folder` for pictures of the report")
	// axe is for them, too: npm pack axe-core, and tar x package/axe.min.js.
	axe = flag.String("axe", "", "the `file` axe.min.js of axe-core, to check the report with")
)

// TestReport: the report that internal/report's test holds looks right to a browser: nothing on its console, nothing asked for, nothing wider
// than a phone's screen, text with enough contrast in light, in the dark and on paper, and a name for each chart.
func TestReport(t *testing.T) {
	t.Parallel()
	path, err := Find()
	if err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED:", err)
	}
	text, err := os.ReadFile("../../internal/report/testdata/report.html")
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write(text) // the browser will say so
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
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
	p, err := b.Open(ctx, server.URL)
	if err != nil {
		t.Fatal(err)
	}
	r := &shown{p, ctx, t}
	r.do(p.Wait(ctx, `document.readyState === "complete" && document.querySelector("footer")`))
	r.look("light", "light", "", 1100)
	r.look("dark", "dark", "", 1100)
	r.look("phone", "light", "", 375)
	r.look("phone-dark", "dark", "", 375)
	r.look("paper", "dark", "print", 720)
	if problems := p.Problems(); len(problems) > 0 || asked.Load() != 1 {
		t.Errorf("%d requests, and these problems: %s", asked.Load(), strings.Join(problems, "\n"))
	}
}

// shown is a report in a browser.
type shown struct {
	*Page
	ctx context.Context
	t   *testing.T
}

func (r *shown) do(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// contrast returns texts whose contrast with what is behind them is below 4.5, as WCAG 2 computes it. The page has two backgrounds.
const contrast = `(() => {
	const rgb = c => c.match(/[\d.]+/g).slice(0, 3).map(Number);
	const light = c => rgb(c).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const clear = c => c === "transparent" || c === "rgba(0, 0, 0, 0)";
	const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!clear(c)) return c; } return "rgb(255, 255, 255)"; };
	const texts = [...document.querySelectorAll("body *")].filter(e =>
		e.checkVisibility() && !["title", "desc"].includes(e.tagName) && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
	if (texts.length < 50) return ["there are only " + texts.length + " texts"];
	return texts.filter(e => {
		const style = getComputedStyle(e);
		const one = light(e instanceof SVGElement ? style.fill : style.color), other = light(behind(e));
		return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05) < 4.5;
	}).map(e => e.textContent);
})()`

// nameless returns charts without a title, a description or a table.
const nameless = `[...document.querySelectorAll("svg[role=img]")].filter(e => {
	const named = e.getAttribute("aria-labelledby").split(" ").map(id => document.getElementById(id));
	return named.length !== 2 || !named.every(n => n && n.parentElement === e && n.textContent) || !e.closest("section:has(table)");
}).map(e => e.outerHTML.slice(0, 200))`

// look checks the page as it is shown in one way.
func (r *shown) look(name, scheme, media string, width int) {
	r.t.Helper()
	phone := width < 600
	r.do(r.Show(r.ctx, scheme, media))
	r.do(r.Resize(r.ctx, width, 800, phone))
	var size struct{ Width, Height int }
	r.do(r.Eval(r.ctx, `({Width: document.documentElement.scrollWidth, Height: document.documentElement.scrollHeight})`, &size))
	if size.Width > width {
		r.t.Errorf("%s: the page is %d pixels wide", name, size.Width)
	}
	var dark bool
	r.do(r.Eval(r.ctx, `getComputedStyle(document.body).backgroundColor !== "rgb(255, 255, 255)"`, &dark))
	if want := scheme == "dark" && media == ""; dark != want {
		r.t.Errorf("%s: dark is %v", name, dark)
	}
	for what, script := range map[string]string{"too little contrast": contrast, "charts without a name": nameless} {
		var found []string
		r.do(r.Eval(r.ctx, script, &found))
		if len(found) > 0 {
			r.t.Errorf("%s: %s: %q", name, what, found)
		}
	}
	r.check(name)
	if *shots != "" {
		r.do(r.Resize(r.ctx, width, size.Height, phone))
		picture, err := r.Screenshot(r.ctx)
		r.do(err)
		r.do(os.WriteFile(filepath.Join(*shots, "report-"+name+".png"), picture, 0o644))
	}
}

// check runs axe-core, if it is there.
func (r *shown) check(name string) {
	r.t.Helper()
	if *axe == "" {
		return
	}
	script, err := os.ReadFile(*axe)
	r.do(err)
	r.do(r.Eval(r.ctx, string(script)+";0", nil))
	var found []string
	r.do(r.Eval(r.ctx, `axe.run().then(r => r.violations.map(v => v.id + ": " + v.help + ": " + v.nodes.map(n => n.html).join("; ").slice(0, 500)))`, &found))
	for _, f := range found {
		r.t.Errorf("%s: axe: %s", name, f)
	}
}
