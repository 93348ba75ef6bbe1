package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"exile/e2e/browser"
)

// TestPicture takes the README's picture of the panel if a folder for it is named: bans by the shipped detector and by hand,
// and the reason for one of them.
func TestPicture(t *testing.T) {
	if *shots == "" {
		t.Skip("no picture is wanted: make pictures takes them")
	}
	g := boot(t, "")
	path, err := browser.Find()
	if err != nil {
		t.Fatal(err)
	}
	cockpit(t, g, "9091")
	p := open(t, browse(t, g, path), "9091")
	inside(t, g, "exilectl", "ban", "-q", "--duration=1w", "2001:db8:bad::/64")
	for _, addr := range []string{"203.0.113.61", "192.0.2.63", "198.18.7.64", "198.19.7.65"} {
		try(t, g, attacker(t, g, addr), "oracle")
	}
	for _, addr := range []string{"198.18.7.64", "198.19.7.65"} {
		p.wait(shown(addr) + `?.querySelector("[data-label=Bans]").innerText === "1"`)
	}
	p.do(p.Click(p.ctx, row("198.18.7.64")+" button[aria-expanded]"))
	p.wait(`document.querySelector(".exile-why dt")`)
	p.wait(`document.querySelector("#service").innerText.includes("3 wanted, 3 in the kernel")`)
	p.do(p.Eval(p.ctx, `document.activeElement.blur(); scrollTo(0, 0)`, nil))
	picture, err := p.Screenshot(p.ctx)
	p.do(err)
	p.do(os.WriteFile(filepath.Join(*shots, "panel.png"), picture, 0o644))
}
