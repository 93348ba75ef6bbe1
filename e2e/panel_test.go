package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exile/e2e/browser"
	"exile/e2e/host"
	"exile/e2e/target"
)

// shots is for people who change how the panel looks.
var shots = flag.String("shots", "", "a `folder` for pictures of the Cockpit panel")

// hostileName becomes markup if it is ever not treated as text, and imitates what exiled says about a name.
const hostileName = `<img src=x onerror=f>, 9 of 5 points, offence 9, step 9`

// TestPanel: in Cockpit, a person with a browser sees live who is banned and why, and can lift bans; users without the rights
// are told what to do. Text that an attacker sends stays text, and the page breaks no rule of its content security policy.
func TestPanel(t *testing.T) {
	t.Parallel()
	g := boot(t, "backend: nftables\njails: {sshd: {detection: adaptive}}\n")
	path, err := browser.Find()
	if err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED:", err)
	}
	if err := g.AddUser(t.Context(), "alice", "a known secret"); err != nil {
		t.Fatal(err)
	}
	inside(t, g, "usermod", "-aG", "systemd-journal", "alice") // so that she may see who is banned
	cockpit(t, g, "9091")
	cockpit(t, g, "9092", "-p", "User=alice", "-p", "PAMName=login")
	b := browse(t, g, path)
	root := open(t, b, "9091")
	root.explains(g)
	root.follows(g)
	root.bans(g)
	alice := open(t, b, "9092")
	alice.refuses(g)
	root.survives(g)
	root.blameless()
	alice.blameless()
}

// cockpit serves the host's Cockpit on the port, with the rights of root, or of the user in args.
func cockpit(t *testing.T, g *target.Target, port string, args ...string) {
	t.Helper()
	ws := inside(t, g, "sh", "-c", "ls /usr/lib/cockpit/cockpit-ws /usr/libexec/cockpit-ws 2>/dev/null || :")
	if ws == "" {
		t.Skip("SKIPPED, NOTHING WAS TESTED: this host has no cockpit-ws")
	}
	run := append([]string{"systemd-run", "-q", "--collect", "-E", "XDG_CONFIG_DIRS=/usr/local"}, args...)
	inside(t, g, append(run, ws, "--no-tls", "-a", "127.0.0.1", "-p", port, "--local-session=cockpit-bridge")...)
	eventually(t, "Cockpit answers at port "+port, func() bool {
		_, err := g.Run(t.Context(), "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/"+port)
		return err == nil
	})
}

// browse starts the browser at path in the host's network.
func browse(t *testing.T, g *target.Target, path string) *browser.Browser {
	t.Helper()
	return started(t, g.Beside(t.Context(), append([]string{path}, browser.Args(t.TempDir())...)...))
}

// started starts a browser, and closes it when the test is over.
func started(t *testing.T, cmd *exec.Cmd) *browser.Browser {
	t.Helper()
	b, err := browser.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// panel is the page in a browser. Its methods end the test when something goes wrong.
type panel struct {
	*browser.Page
	t   *testing.T
	ctx context.Context
}

func open(t *testing.T, b *browser.Browser, port string) *panel {
	t.Helper()
	ctx := limit(t, 15*time.Minute)
	page, err := b.Open(ctx, "http://127.0.0.1:"+port+"/cockpit/@localhost/exile/index.html")
	if err != nil {
		t.Fatal(err)
	}
	p := &panel{page, t, ctx}
	p.wait(`document.querySelector("#service").innerText.includes("nftables")`)
	return p
}

func (p *panel) wait(condition string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := p.Wait(ctx, condition); err != nil {
		p.t.Fatalf("%v\n%s", err, strings.Join(p.Problems(), "\n"))
	}
}

func (p *panel) do(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *panel) shoot(name string) {
	p.t.Helper()
	if *shots == "" {
		return
	}
	picture, err := p.Screenshot(p.ctx)
	p.do(err)
	p.do(os.WriteFile(filepath.Join(*shots, name+".png"), picture, 0o644))
}

func row(address string) string { return fmt.Sprintf(`tr[data-address="%s"]`, address) }

func shown(address string) string { return "document.querySelector('" + row(address) + "')" }

// explains: a client tries a name that two other networks tried; its ban appears while the page is open, and its row opens to
// say why.
func (p *panel) explains(g *target.Target) {
	p.t.Helper()
	for _, addr := range []string{"203.0.113.61", "192.0.2.63"} {
		p.tries(g, attacker(p.t, g, addr), hostileName)
	}
	last := attacker(p.t, g, "198.51.100.62")
	p.tries(g, last, hostileName)
	p.wait(shown(last.Addr.String()) + `?.querySelector("[data-label=Bans]").innerText === "1"`) // the signal does not carry it
	silent(p.t, last)
	p.do(p.Click(p.ctx, row(last.Addr.String())+" button[aria-expanded]"))
	p.wait(`document.querySelector(".exile-why dt")`)
	p.shoot("light")
	p.do(p.Prefer(p.ctx, "dark"))
	p.wait(`document.documentElement.classList.contains("pf-v6-theme-dark")`)
	p.shoot("dark")
	p.do(p.Prefer(p.ctx, "light"))
	var facts map[string]string
	p.do(p.Eval(p.ctx, `Object.fromEntries([...document.querySelectorAll(".exile-why dt")].map(dt => [dt.innerText, dt.nextSibling.innerText]))`, &facts))
	for name, want := range map[string]string{
		"Evidence": `name: "` + hostileName + `", on which 3 networks failed`, "Points": "5 of 5 points in 1d",
		"Offence": "1", "Ladder step": "1", "Origin": "journal",
	} {
		if facts[name] != want {
			p.t.Errorf("the explanation has %s: %q, want %q", name, facts[name], want)
		}
	}
	if !strings.Contains(facts["Details"], "offences: 1") || !strings.Contains(facts["Log entries"], "invalid-user") {
		p.t.Errorf("the explanation lacks what is known or log entries: %q", facts)
	}
	var images int
	if p.do(p.Eval(p.ctx, `document.images.length`, &images)); images != 0 {
		p.t.Error("a name became markup")
	}
	p.do(p.Click(p.ctx, row(last.Addr.String())+" .pf-v6-c-table__action button"))
	p.wait("!" + shown(last.Addr.String()))
	greeted(p.t, last)
}

// tries guesses once for a name that ssh does not accept on its command line.
func (p *panel) tries(g *target.Target, a *host.Attacker, name string) {
	p.t.Helper()
	config := filepath.Join(p.t.TempDir(), "config")
	p.do(os.WriteFile(config, []byte("User "+quoted(name)+"\n"+methods("password", 1)+"\n"), 0o600))
	err := untilBanned(p.t, g, a, func(ctx context.Context) error {
		_, err := a.SSH(ctx, []string{"-F", config}, "wrong", "true")
		return err
	})
	if !errors.Is(err, host.ErrDenied) && !errors.Is(err, host.ErrCut) {
		p.t.Fatalf("guess of %s: %v", a.Addr, err)
	}
}

// follows: the page shows what others do on the bus, including what the signal does not carry; the filter and the pages
// divide the list.
func (p *panel) follows(g *target.Target) {
	p.t.Helper()
	ban := []string{"exilectl", "ban", "-q"}
	for i := range 120 {
		ban = append(ban, fmt.Sprintf("2001:db8:%x::/64", 0x1000+i))
	}
	inside(p.t, g, ban...)
	p.wait(`document.querySelector("#shown").innerText === "1–100 of 120"`)
	p.do(p.Click(p.ctx, "#forth"))
	p.wait(`document.querySelectorAll("tr[data-address]").length === 20`)
	p.do(p.Type(p.ctx, "#filter", "2001:db8:101b:"))
	p.wait(`document.querySelector("#shown").innerText === "1–1 of 1"`)
	var left string
	p.do(p.Eval(p.ctx, `document.querySelector("[data-label=Left]").innerText`, &left))
	p.wait(shown("2001:db8:101b::/64") + fmt.Sprintf(`.querySelector("[data-label=Left]").innerText !== %q`, left)) // it ticks
	p.do(p.Eval(p.ctx, `{ const f = document.querySelector("#filter"); f.value = ""; f.dispatchEvent(new Event("input")); }`, nil))
	inside(p.t, g, append(managerCall, "Flush", "st", "", "0")...)
	p.wait(`document.querySelector("#shown").innerText === "Nobody is banned"`)
	p.wait(`document.querySelector("#service").innerText.includes("0 wanted, 0 in the kernel")`)
}

// bans: the form bans in the kernel, and says why not if it cannot.
func (p *panel) bans(g *target.Target) {
	p.t.Helper()
	a := attacker(p.t, g, "203.0.113.9")
	p.do(p.Type(p.ctx, "#address", "nonsense"))
	p.do(p.Click(p.ctx, "#ban button"))
	p.wait(`document.querySelector("#alerts").innerText.includes("nonsense")`)
	p.do(p.Eval(p.ctx, `document.querySelector("#address").value = ""; document.querySelector("#duration").value = "forever"`, nil))
	p.do(p.Type(p.ctx, "#address", a.Addr.String()))
	p.do(p.Click(p.ctx, "#ban button"))
	p.wait(shown(a.Addr.String()) + `.querySelector("[data-label=Left]").innerText === "for ever"`)
	p.wait(`document.querySelector("#alerts").innerText === ""`)
	silent(p.t, a)
}

// refuses: a user without rights sees the list, and is told how to get to change it.
func (p *panel) refuses(g *target.Target) {
	p.t.Helper()
	p.do(p.Click(p.ctx, row("203.0.113.9")+" .pf-v6-c-table__action button"))
	p.wait(`document.querySelector("#alerts").innerText.includes("Turn on administrative access to do this.")`)
	p.shoot("refused")
	inside(p.t, g, "exilectl", "is-banned", "203.0.113.9")
}

// survives: the page says that exiled does not run, and starts it; the bans are back.
func (p *panel) survives(g *target.Target) {
	p.t.Helper()
	const absent = `document.querySelector("#absent").checkVisibility() && !document.querySelector("#list").checkVisibility()`
	inside(p.t, g, "systemctl", "stop", "exiled.service")
	p.wait(absent)
	p.do(p.Eval(p.ctx, `document.body.id = "old"; location.reload()`, nil))
	p.wait(`document.readyState === "complete" && document.body.id !== "old" && ` + absent)
	p.shoot("absent")
	notRunning(p.t, g) // opening the page does not start it
	inside(p.t, g, "systemctl", "mask", "--runtime", "exiled.service")
	p.do(p.Click(p.ctx, "#start"))
	p.wait(`document.querySelector("#alerts").innerText.includes("exiled.service is masked")`)
	inside(p.t, g, "systemctl", "unmask", "--runtime", "exiled.service")
	p.do(p.Click(p.ctx, "#start"))
	p.wait(shown("203.0.113.9"))
	inside(p.t, g, "systemctl", "is-active", "exiled.service")
}

// blameless checks that the console is empty.
func (p *panel) blameless() {
	p.t.Helper()
	for _, problem := range p.Problems() {
		p.t.Error("the page has a problem:", problem)
	}
}
