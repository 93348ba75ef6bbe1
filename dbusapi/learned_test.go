package dbusapi_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"exile/internal/control"
)

// Names come over the bus as they were sent, whatever bytes they have, and can be named to be forgotten.
func TestNamesAreListedAndForgotten(t *testing.T) {
	t.Parallel()
	h := start(t)
	c := h.dial(t)
	want := []control.Name{
		{Jail: "sshd", Name: "oracle", Hosts: 8, Last: day(9)},
		{Jail: "sshd", Name: "\xff\x1b[2J", Hosts: 5, Last: day(8)},
		{Jail: "web-1", Name: `"quoted"`, Hosts: 5, Last: day(7)},
	}
	h.fake.Learn(want...)
	got, err := c.Names(t.Context(), "")
	if diff := cmp.Diff(want, got, equal); err != nil || diff != "" {
		t.Errorf("names: %v (-want +got)\n%s", err, diff)
	}
	if got, err = c.Names(t.Context(), "web-1"); err != nil || len(got) != 1 {
		t.Errorf("names of web-1: %v, %v", got, err)
	}
	if _, err = c.Names(t.Context(), "nosuch"); !errors.Is(err, control.ErrNoSuchJail) {
		t.Errorf("names of no jail: %v", err)
	}
	for _, n := range append(want, want...) {
		left, _ := c.Names(t.Context(), "")
		known, err := c.ForgetName(t.Context(), n.Jail, string(n.Name))
		if err != nil || known != (len(left) > 0) {
			t.Errorf("forget %q: %t, %v", n.Name, known, err)
		}
	}
	for _, want := range []bool{true, false} {
		known, err := c.ForgetAddress(t.Context(), "sshd", netip.MustParsePrefix("198.51.100.0/24"))
		if err != nil || known != want {
			t.Errorf("forget a network: %t, %v; want %t", known, err, want)
		}
	}
}
