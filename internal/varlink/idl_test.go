package varlink

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDescription: the text of the interface has the methods, records and errors that the code has.
func TestDescription(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(slices.Sorted(maps.Keys(methods())), names(`(?m)^method (\w+)`)); diff != "" {
		t.Errorf("methods (-code +text):\n%s", diff)
	}
	errs := []string{"Failed", "TooManyConnections", "TooSlow"}
	for _, n := range errorNames() {
		errs = append(errs, strings.TrimPrefix(n.name, Interface+"."))
	}
	slices.Sort(errs)
	if diff := cmp.Diff(errs, names(`(?m)^error (\w+)`)); diff != "" {
		t.Errorf("errors (-code +text):\n%s", diff)
	}
	members := names(`(?m)^(?:type|method|error) (\w+)`)
	if once := slices.Compact(slices.Clone(members)); len(once) != len(members) {
		t.Errorf("a name is there twice, which Varlink does not allow: %q", members)
	}
	for name, record := range map[string]any{
		"BanRecord": banRecord{}, "Host": hostRecord{}, "Jail": jailRecord{}, "Status": statusRecord{},
		"Address": addressRecord{}, "Event": eventRecord{}, "Day": dayRecord{}, "Name": nameRecord{},
	} {
		if diff := cmp.Diff(fields(record), written(name)); diff != "" {
			t.Errorf("type %s (-code +text):\n%s", name, diff)
		}
	}
}

func names(pattern string) []string {
	var all []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(description, -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return all
}

// fields are the names of a record's fields, with a ? where they are optional.
func fields(record any) []string {
	var all []string
	for f := range reflect.TypeOf(record).Fields() {
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		if rest != "" {
			name += "?"
		}
		all = append(all, name)
	}
	return all
}

// written are the same of a type in the text.
func written(name string) []string {
	_, body, _ := strings.Cut(description, "\ntype "+name+" (")
	body, _, _ = strings.Cut(body, "\n)")
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^  (\w+): (\??)`).FindAllStringSubmatch(body, -1) {
		all = append(all, m[1]+m[2])
	}
	return all
}
