// Package browser drives Chromium like a person would, with the DevTools protocol over a pipe: it opens no port, and Chromium
// ends with the caller.
package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
)

// paths are where Debian and Fedora install the program itself; the one in PATH is a wrapper.
var paths = []string{"/usr/lib/chromium/chromium", "/usr/lib64/chromium-browser/chromium-browser"}

// Find is the path of Chromium.
func Find() (string, error) {
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no Chromium in %q (make deps installs it)", paths)
}

// Args are the arguments that Start's command must pass to Chromium. Profile is a folder of its own. There is no sandbox,
// because root cannot have one: show it only your own pages.
func Args(profile string) []string {
	return []string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe", "--user-data-dir=" + profile,
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--disable-breakpad", "--window-size=1280,1000", "--lang=en-US",
	}
}

// Browser is a running Chromium.
type Browser struct {
	cmd   *exec.Cmd
	pipes [2]*os.File
	wire  *wire

	mu    sync.Mutex // pages are opened while events come
	pages map[string]*Page
}

// Start starts the command, which executes Chromium with Args. Close it after use.
func Start(cmd *exec.Cmd) (*Browser, error) {
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirIn.Close(), ourOut.Close())
	}
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4, as the protocol wants
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	_, _ = theirIn.Close(), theirOut.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start Chromium: %w", err), ourIn.Close(), ourOut.Close())
	}
	b := &Browser{cmd: cmd, pipes: [2]*os.File{ourOut, ourIn}, pages: map[string]*Page{}}
	b.wire = newWire(ourOut, ourIn, b.hear)
	return b, nil
}

// Close ends Chromium and all its processes.
func (b *Browser) Close() error {
	err := syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
	_ = b.cmd.Wait() // it was killed
	<-b.wire.gone
	return errors.Join(err, b.pipes[0].Close(), b.pipes[1].Close())
}

// Open shows an address in a new tab.
func (b *Browser) Open(ctx context.Context, url string) (*Page, error) {
	var target struct {
		ID string `json:"targetId"`
	}
	var context struct {
		ID string `json:"browserContextId"`
	}
	// Each tab has its own profile: it shares no cookies and no cache.
	if err := b.wire.call(ctx, "", "Target.createBrowserContext", struct{}{}, &context); err != nil {
		return nil, err
	}
	if err := b.wire.call(ctx, "", "Target.createTarget", object{"url": "about:blank", "browserContextId": context.ID}, &target); err != nil {
		return nil, err
	}
	var session struct {
		ID string `json:"sessionId"`
	}
	if err := b.wire.call(ctx, "", "Target.attachToTarget", object{"targetId": target.ID, "flatten": true}, &session); err != nil {
		return nil, err
	}
	p := &Page{wire: b.wire, session: session.ID}
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		if err := p.call(ctx, domain+".enable", object{}, nil); err != nil {
			return nil, err
		}
	}
	return p, p.Visit(ctx, url)
}

type object map[string]any

// hear passes an event to its page.
func (b *Browser) hear(m message) {
	b.mu.Lock()
	p := b.pages[m.Session]
	b.mu.Unlock()
	if problem := problemOf(m); p != nil && problem != "" {
		p.add(problem)
	}
}

// problemOf returns what is wrong according to an event, or "".
func problemOf(m message) string {
	var e struct {
		Type  string // of a console call
		Entry struct{ Level, Text, URL string }
		Args  []struct {
			Value       any
			Description string
		}
		ExceptionDetails struct {
			Text      string
			Exception struct{ Description string }
		}
		Response struct {
			URL    string
			Status int
		}
		ErrorText string
		Canceled  bool
	}
	if json.Unmarshal(m.Params, &e) != nil {
		return ""
	}
	switch {
	case m.Method == "Log.entryAdded" && e.Entry.Level == "error": // includes violations of the content security policy
		return e.Entry.Text + " " + e.Entry.URL
	case m.Method == "Runtime.consoleAPICalled" && slices.Contains([]string{"error", "warning", "assert"}, e.Type):
		return fmt.Sprintf("console.%s: %v", e.Type, e.Args)
	case m.Method == "Runtime.exceptionThrown":
		return e.ExceptionDetails.Text + " " + e.ExceptionDetails.Exception.Description
	case m.Method == "Network.responseReceived" && e.Response.Status >= 400:
		return fmt.Sprintf("%d %s", e.Response.Status, e.Response.URL)
	case m.Method == "Network.loadingFailed" && !e.Canceled:
		return "loading failed: " + e.ErrorText
	}
	return ""
}
