package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// TestPicture: a picture shows the text of the terminal, each run in its column and colour, and is well-formed.
func TestPicture(t *testing.T) {
	t.Parallel()
	got := string(picture("  " + paint(bold, "Act") + ": <b>&\n" + paint(alarm, "■ EXILED") + " ✗"))
	for _, want := range []string{
		`viewBox="0 0 124 72"`, `<text x="32.9" y="31" textLength="25.3" style="white-space:pre;font-weight:bold;fill:#fff">Act</text>`,
		`<text x="58.1" y="31" textLength="50.6" style="white-space:pre">: &lt;b&gt;&amp;</text>`,
		`<rect x="16.0" y="36" width="67.4" height="20" fill="#da3633"/>`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
	for d := xml.NewDecoder(strings.NewReader(got)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestColours: only terminals and the picture get colours.
func TestColours(t *testing.T) {
	t.Parallel()
	name := t.TempDir() + "/out"
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	var coloured bytes.Buffer
	newStory(out, &coloured).title("Act", "more")
	plainText, err := os.ReadFile(name)
	if err != nil || string(plainText) != "\n  Act: more\n\n" {
		t.Errorf("%q, %v", plainText, err)
	}
	if got := coloured.String(); got != "\n  \x1b[1mAct:\x1b[0m more\n\n" {
		t.Errorf("%q", got)
	}
}
