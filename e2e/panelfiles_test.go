package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"

	"exile/e2e/browser"
)

// TestPanelFiles runs the panel in a browser, on a bus that the test plays.
func TestPanelFiles(t *testing.T) {
	t.Parallel()
	p := fake(t)
	p.queues()
	p.reloads()
	p.reasons()
	p.blameless()
}

// queues: the state is shown with its remedy; signals that arrive while the bans are listed page by page are not lost, what a
// signal does not carry is asked for, and a simulated ban is shown as simulated.
func (p *panel) queues() {
	p.t.Helper()
	p.plays("queue.js")
	p.wait(`document.title === ",sshd/192.0.2.2,1000,0"`)
	p.wait(`document.querySelectorAll("#rows [data-label=Bans]").length === 3 && !document.querySelector("#rows").innerText.includes("–")`)
	p.wait(`document.querySelector("#alerts [data-error='blind:sshd']").innerText.includes("Look at <b>LogLevel</b>.")`)
	p.wait(`document.querySelector("#service").innerText.includes("3 wanted, 2 in the kernel")`)
	p.wait(`document.querySelector("#jails").innerText.trim().split(/\s+/).join() === "sshd,running,threshold,3,1,9"`)
	var rows []string
	p.do(p.Eval(p.ctx, `[...document.querySelectorAll("#rows tr")].map(r => ["Address", "Jail", "Left", "Failures", "Bans"].map(c => r.querySelector("[data-label=" + c + "]").innerText.trim()).join(" "))`, &rows))
	want := []string{"192.0.2.2 sshd (simulated) 1d 12h 4 2", "192.0.2.3 sshd 1d 12h 4 2", "192.0.2.4 sshd for ever 7 3"}
	if diff := cmp.Diff(want, rows); diff != "" {
		p.t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// plays has the bus do what a file says.
func (p *panel) plays(file string) {
	p.t.Helper()
	p.do(p.Eval(p.ctx, `document.head.append(Object.assign(document.createElement("script"), { type: "module", src: "/test/`+file+`" }))`, nil))
}

// reloads: an open page follows a reload that makes a jail simulate, without listing its bans again.
func (p *panel) reloads() {
	p.t.Helper()
	p.plays("reload.js")
	p.wait(`document.title === "reloaded"`)
	p.wait(`[...document.querySelectorAll("#rows [data-label=Jail]")].map(c => c.innerText.trim()).join() === "sshd (simulated),sshd (simulated),sshd (simulated)"`)
}

// reasons: the panel parses them as exiled writes them, and does not take the text of a name for the daemon's.
func (p *panel) reasons() {
	p.t.Helper()
	for _, tt := range []struct{ reason, want string }{
		{`count: 5 of 5 points in 1d, offence 2, step 2`, `{"evidence":"count","points":"5 of 5 points in 1d","step":"2"}`},
		{
			`count: 20 of 20 points in 30d, weighed as a known neighbour, offence 1, step 1; only the address, because around it is: ignoreip`,
			`{"evidence":"count; only the address, because around it is: ignoreip","points":"20 of 20 points in 30d, weighed as a known neighbour","step":"1"}`,
		},
		{
			`name: "a\", 1 of 9 points in 1d, offence 9, step 9", on which 8 or more networks failed, 5.25 of 5 points in 1d, offence 1, step 1`,
			`{"evidence":"name: \"a\\\", 1 of 9 points in 1d, offence 9, step 9\", on which 8 or more networks failed","points":"5.25 of 5 points in 1d","step":"1"}`,
		},
		{`prefix: 3 addresses in it banned within 7d, offence 1, step 1`, `{"evidence":"prefix: 3 addresses in it banned within 7d","step":"1"}`},
		{`failed logins: 4 within 10min`, `{"evidence":"failed logins: 4 within 10min"}`},
		{``, `{"evidence":""}`},
	} {
		reason, err := json.Marshal(tt.reason)
		p.do(err)
		var got string
		p.do(p.Eval(p.ctx, `import("/exile/explain.js").then(m => JSON.stringify(m.parse(`+string(reason)+`)))`, &got))
		if got != tt.want {
			p.t.Errorf("%s is parsed as\n%s, want\n%s", tt.reason, got, tt.want)
		}
	}
}

// fake opens the panel in a browser, with a cockpit.js of the test's own.
func fake(t *testing.T) *panel {
	t.Helper()
	path, err := browser.Find()
	if err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED:", err)
	}
	files := http.NewServeMux()
	files.Handle("/exile/", http.StripPrefix("/exile/", http.FileServer(http.Dir("../cockpit/exile"))))
	files.Handle("/test/", http.StripPrefix("/test/", http.FileServer(http.Dir("testdata/panel"))))
	files.HandleFunc("/base1/cockpit.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/panel/cockpit.js") })
	files.HandleFunc("/", func(http.ResponseWriter, *http.Request) {}) // Cockpit's fonts and colours
	server := httptest.NewServer(files)
	t.Cleanup(server.Close)
	ctx := limit(t, 2*patience)
	page, err := started(t, exec.CommandContext(ctx, path, browser.Args(t.TempDir())...)).Open(ctx, server.URL+"/exile/index.html")
	if err != nil {
		t.Fatal(err)
	}
	p := &panel{page, t, ctx}
	p.wait(`window.client`)
	return p
}
