package varlink

import (
	"maps"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/control"
)

// TestDescription: the text of the interface has the same methods, records and errors as the code.
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
		t.Errorf("a name occurs twice, which Varlink does not allow: %q", members)
	}
	shown := []any{
		control.Ban{}, control.Host{}, control.JailStatus{}, control.Status{}, control.Day{}, control.Address{}, control.Standing{}, control.Held{}, control.Event{}, control.Name{}, control.Blocklist{},
	}
	for _, record := range shown {
		of := reflect.TypeOf(record)
		if diff := cmp.Diff(fields(of), written(typeName(of))); diff != "" {
			t.Errorf("type %s (-code +text):\n%s", typeName(of), diff)
		}
	}
	if diff := cmp.Diff(control.Origins(), values[control.Origin]("Origin")); diff != "" {
		t.Errorf("origins (-code +text):\n%s", diff)
	}
}

// typeName is the name of a Go type in the text: Ban is also the name of a method.
func typeName(of reflect.Type) string {
	switch of {
	case reflect.TypeFor[control.Ban]():
		return "BanRecord"
	case reflect.TypeFor[control.JailStatus]():
		return "Jail"
	}
	return of.Name()
}

// values are the values of an enumeration in the text.
func values[T ~string](name string) (all []T) {
	_, body, _ := strings.Cut(description, "\ntype "+name+" (")
	body, _, _ = strings.Cut(body, ")")
	for word := range strings.SplitSeq(body, ", ") {
		all = append(all, T(word))
	}
	return all
}

func names(pattern string) []string {
	var all []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(description, -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return all
}

// fields are the fields of a record, as written in the text.
func fields(record reflect.Type) (all []string) {
	for f := range record.Fields() {
		if name := f.Tag.Get("json"); name != "-" {
			all = append(all, name+": "+typeText(f.Type))
		}
	}
	return all
}

// typeText is a Go type as written in the text.
func typeText(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Time](), reflect.TypeFor[time.Duration]():
		return "?int"
	case reflect.TypeFor[netip.Prefix](), reflect.TypeFor[control.AnyText]():
		return "string"
	case reflect.TypeFor[control.Ban]():
		return "?BanRecord"
	}
	switch t.Kind() {
	case reflect.Slice:
		return "[]" + strings.TrimPrefix(typeText(t.Elem()), "?")
	case reflect.Map:
		return "?[string]" + typeText(t.Elem())
	case reflect.Int, reflect.Uint64:
		return "int"
	case reflect.Struct:
		return typeName(t)
	}
	if t.PkgPath() != "" {
		return t.Name() // an enumeration
	}
	return t.Kind().String()
}

// written are the fields of a type in the text.
func written(name string) (all []string) {
	_, body, _ := strings.Cut(description, "\ntype "+name+" (\n")
	body, _, _ = strings.Cut(body, "\n)")
	for line := range strings.SplitSeq(body, "\n") {
		all = append(all, strings.Trim(line, " ,"))
	}
	return all
}
