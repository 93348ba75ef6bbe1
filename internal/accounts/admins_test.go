package accounts

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAdmins(t *testing.T) {
	t.Parallel()
	const group = "root:x:0:\nsudo:x:27:alice, bob,\nwheel:x:10:carol\nusers:x:100:dave\nbroken:x\n+@nis:::\n"
	const passwd = "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\nerin:x:1001:27::/home/erin:/bin/sh\n" +
		"dave:x:1002:100::/home/dave:/bin/sh\nbroken:x:0\n"
	for list, want := range map[string]string{
		"":                          "",
		"root":                      "root toor",
		"@sudo":                     "alice bob erin",
		"@sudo @wheel root":         "alice bob carol erin root toor",
		"dave @none":                "dave",
		"somebody@example.com":      "somebody@example.com", // of another database, by name
		"@users":                    "dave",
		"@root":                     "root toor",
		"@":                         "",
		"@sudo @sudo alice @broken": "alice bob erin",
	} {
		got, err := Admins(strings.Fields(list), strings.NewReader(group), strings.NewReader(passwd))
		if diff := cmp.Diff(strings.Fields(want), got); err != nil || diff != "" && len(got)+len(want) > 0 {
			t.Errorf("%q: %v (-want +got):\n%s", list, err, diff)
		}
	}
	many := strings.NewReader("sudo:x:27:" + strings.Repeat("a,", 20) + strings.Repeat("x", 100) + "\n")
	if got, err := Admins([]string{"@sudo"}, many, strings.NewReader("")); err != nil || len(got) != 1 {
		t.Errorf("%q, %v; want a", got, err)
	}
}
