package control_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"exile/internal/control"
	"exile/internal/control/controltest"
)

// internal are the fields that no face shows: only the journal has the evidence, and gets sums of bans; a face chooses by Instead what it
// shows.
var internal = cmp.FilterPath(func(p cmp.Path) bool {
	return p.Last().String() == ".Evidence" || p.Last().String() == ".Summed" || p.Last().String() == ".Instead"
}, cmp.Ignore())

// Whatever a record says survives every way to write and read its document.
func TestDocumentsAreWhole(t *testing.T) {
	t.Parallel()
	opts := cmp.Options{cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateApproxTime(0), internal}
	for _, r := range control.Records() {
		of := reflect.TypeOf(r)
		want := reflect.New(of).Interface()
		controltest.Fill(want)
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		direct, err := json.Marshal(control.Document(want))
		if err != nil || string(direct) != string(text) {
			t.Errorf("%s: written directly:\n%s\nand on its own (%v):\n%s", of, direct, err, text)
		}
		got, read := reflect.New(of), reflect.New(of)
		if err := json.Unmarshal(text, got.Interface()); err != nil {
			t.Fatalf("%s: %v", of, err)
		}
		if diff := cmp.Diff(want, got.Interface(), opts); diff != "" {
			t.Errorf("%s (-said +heard)\n%s", of, diff)
		}
		if err := control.NewDocumentReader(read.Interface()).Read(json.NewDecoder(strings.NewReader(string(text))), read.Interface()); err != nil || cmp.Diff(got.Interface(), read.Interface(), opts) != "" {
			t.Errorf("%s: read directly %+v, %v", of, read, err)
		}
	}
}

// All names have one style, and a time or duration says its unit.
func TestNamesOfFields(t *testing.T) {
	t.Parallel()
	for _, r := range control.Records() {
		of := reflect.TypeOf(r)
		for _, f := range reflect.VisibleFields(of) {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous || name == "-" {
				continue
			}
			if !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(name) || options != "" {
				t.Errorf("%s.%s: %q", of, f.Name, f.Tag)
			}
			timely := f.Type == reflect.TypeFor[time.Time]() || f.Type == reflect.TypeFor[time.Duration]()
			if timely != strings.HasSuffix(name, "_usec") {
				t.Errorf("%s.%s is a %s and named %s", of, f.Name, f.Type, name)
			}
		}
	}
}

// Missing values are null, an empty list, or an empty text.
func TestEmptyDocuments(t *testing.T) {
	t.Parallel()
	for want, record := range map[string]any{
		`{"jail":"j","address":"","since_usec":null,"until_usec":null,"failures":0,"offence":0,"origin":"","reason":"","simulated":false}`:                                                                    &control.Ban{Jail: "j"},
		`{"kind":"state","time_usec":null,"ban":null,"reason":"","count":0,"latency_usec":0}`:                                                                                                                 &control.Event{Kind: control.StateChanged},
		`{"address":"2001:db8::/64","banned":false,"bans":[],"protected":"","failures":null,"offences":0,"detail":[],"jails":[],"bans_within":[],"n_bans_within":0,"failing_within":[],"n_failing_within":0}`: &control.Address{Prefix: netip.MustParsePrefix("2001:db8::/64")},
		`{"jail":"","name":"\"a\\xff\"","networks":0,"last_usec":null}`:                                                                                                                                       &control.Name{Name: "a\xff"},
	} {
		text, err := json.Marshal(record)
		if err != nil || string(text) != want {
			t.Errorf("%+v: %v\n%s\nwant\n%s", record, err, text, want)
		}
		got := reflect.New(reflect.TypeOf(record).Elem()).Interface()
		if err := json.Unmarshal(text, got); err != nil || cmp.Diff(record, got, cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty()) != "" {
			t.Errorf("%s is read as %+v, %v", text, got, err)
		}
	}
	permanent := control.JailStatus{BanTime: -1}
	text, err := json.Marshal(permanent)
	var back control.JailStatus
	if err != nil || !strings.Contains(string(text), `"bantime_usec":null`) || json.Unmarshal(text, &back) != nil || back.BanTime != -1 {
		t.Errorf("bans for ever: %s (%v), read as %s", text, err, back.BanTime)
	}
}

// A document comes over the bus or a socket: it may contain anything.
func TestHostileDocuments(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"address":"nobody"}`, `{"address":"` + strings.Repeat("1", control.MaxText+1) + `"}`, `{"address":7}`, `{"since_usec":"x"}`, `[]`, `{`, ``} {
		var b control.Ban
		if err := control.NewDocumentReader(&b).Read(json.NewDecoder(strings.NewReader(text)), &b); err == nil {
			t.Errorf("%q is read as %+v", text, b)
		}
	}
	for _, text := range []string{`{"bantime_usec":-1}`, `{"bantime_usec":9223372036854775807}`} {
		var j control.JailStatus
		if err := json.Unmarshal([]byte(text), &j); err == nil {
			t.Errorf("%q is read as %+v", text, j)
		}
	}
}
