package fail2ban

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"exile/internal/config"
	"exile/jail/filter/services"
)

// The setups of tutorials come over as a whole with the filters that ship: each enabled jail is one here, and loads. UPDATE_SCRIPTS writes
// what they become.
func TestSetups(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/setups/*.txtar")
	if err != nil || len(names) < 3 {
		t.Fatal("no setups", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Read(filesOf(a), "etc/fail2ban")
			if err != nil {
				t.Fatal(err)
			}
			r, err := Move(s, Options{Filters: services.Names()})
			if err != nil {
				t.Fatal(err)
			}
			for _, j := range r.Jails {
				if !j.Enabled || j.Action != Mapped {
					t.Errorf("jail %s: %s: %s", j.Name, j.Action, j.Reason)
				}
			}
			cfg, err := config.Parse("fail2ban.yaml", []byte(r.YAML))
			if err != nil {
				t.Fatal(err)
			}
			var on []string
			for i := range cfg.Jails {
				if j := &cfg.Jails[i]; j.Enabled {
					on = append(on, fmt.Sprintf("%s: %s: %s", j.Name, strings.Join(j.Filters, ", "), j.Rule()))
				}
			}
			compare(t, a, name, map[string]string{"yaml": r.YAML, "jails": strings.Join(on, "\n") + "\n"})
		})
	}
}

// compare compares what is wanted by the end of an archive, or writes it.
func compare(t *testing.T, a *txtar.Archive, name string, got map[string]string) {
	t.Helper()
	update := os.Getenv("UPDATE_SCRIPTS") != ""
	for _, key := range []string{"yaml", "jails"} {
		i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == key })
		switch {
		case update && i < 0:
			a.Files = append(a.Files, txtar.File{Name: key, Data: []byte(got[key])})
		case update:
			a.Files[i].Data = []byte(got[key])
		case i < 0:
			t.Errorf("the archive has no %s", key)
		default:
			if diff := cmp.Diff(got[key], string(a.Files[i].Data)); diff != "" {
				t.Errorf("%s (-got +want):\n%s", key, diff)
			}
		}
	}
	if update {
		if err := os.WriteFile(name, txtar.Format(a), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
