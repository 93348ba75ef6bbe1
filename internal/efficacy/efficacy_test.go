package efficacy

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// data is where the attempts of real hosts are, on machines that have them. They are not ours to copy.
const data = "../../../shared/data/attempts"

// want reads the digests that the reference simulation gave.
func want(t *testing.T) map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "bans.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	digests := make(map[string]string)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, digest, ok := strings.Cut(lines.Text(), " "); ok && name != "#" {
			digests[name] = digest
		}
	}
	return digests
}

// digest is the number of bans and a hash of when they began, whom they hit, and how long they last.
func digest(log []Ban) string {
	h := sha256.New()
	for _, b := range log {
		fmt.Fprintf(h, "%d %v %d\n", b.At.UnixMicro(), b.Prefix, int64(b.Duration.Seconds()))
	}
	return fmt.Sprintf("%d %x", len(log), h.Sum(nil))
}

// sameBans: the reference takes all that fails for a refused password. Where that is so, our own rule gives the same bans.
func sameBans(t *testing.T, h Host, digests map[string]string) {
	t.Helper()
	if digests[h.Name] == "" {
		t.Skipf("SKIPPED: testdata/bans.txt does not have what the reference simulation gives for %s", h.Name)
	}
	rules := []Rule{byName(asReferenceName)}
	if !slices.ContainsFunc(h.Rows, func(r Row) bool { return !r.Success && !r.Unknown && r.Guesses == 0 }) {
		rules = append(rules, byName(noTalliesName))
	}
	for _, r := range rules {
		_, log := Replay(h, r.New(h), r.Weight)
		if got := digest(log); got != digests[h.Name] {
			t.Errorf("%s: %s: bans %s, the reference simulation gives %s", h.Name, r.Name, got, digests[h.Name])
		}
	}
}

func byName(name string) Rule {
	rules := Rules()
	return rules[slices.IndexFunc(rules, func(r Rule) bool { return r.Name == name })]
}

func TestSameBansAsReference(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(data); err != nil {
		t.Skipf("SKIPPED: the attempts of real hosts are not here: %v", err)
	}
	hosts, err := LoadDir(data, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	digests := want(t)
	if len(hosts) < 15 {
		t.Errorf("%d hosts in %s, want the fifteen of testdata/bans.txt", len(hosts), data)
	}
	for _, h := range hosts {
		t.Run(h.Name, func(t *testing.T) {
			t.Parallel()
			sameBans(t, h, digests)
		})
	}
}

func TestSameBansOnSyntheticHosts(t *testing.T) {
	t.Parallel()
	digests := want(t)
	for seed := uint64(1); seed <= 4; seed++ {
		h := Synthetic(seed)
		t.Run(h.Name, func(t *testing.T) {
			t.Parallel()
			sameBans(t, h, digests)
		})
	}
}
