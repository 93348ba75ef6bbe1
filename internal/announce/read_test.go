package announce

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"exile/internal/control"
)

// What is written is read back.
func TestReadIsTheInverse(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 3, 1, 12, 0, 0, 5000, time.UTC)
	ban := control.Ban{
		Jail: "sshd", Prefix: netip.MustParsePrefix("2001:db8::/64"), Since: since, Until: since.Add(time.Hour),
		Failures: 5, Offence: 2, Origin: control.OriginJournal, Reason: `name "root"`,
	}
	forever := ban
	forever.Simulated = true
	forever.Until, forever.Prefix = time.Time{}, netip.MustParsePrefix("192.0.2.1/32")
	for _, e := range []control.Event{
		{Kind: control.BanNew, Ban: ban},
		{Kind: control.BanNew, Ban: forever},
		{Kind: control.BanRemoved, Ban: ban, Reason: "expired"},
		{Kind: control.Protected, Ban: ban, Reason: "ignoreip"},
		{Kind: control.BansRemoved, Ban: control.Ban{Jail: "sshd"}, Count: 300, Reason: "flush"},
		{Kind: control.Degraded, Reason: "backend-failed"},
	} {
		e.Time = since.Add(time.Second)
		got, ok := Read(e.Time, fields(e))
		if diff := cmp.Diff(e, got, cmpopts.EquateComparable(netip.Prefix{})); !ok || diff != "" {
			t.Errorf("%s: %v (-written +read)\n%s", e.Kind, ok, diff)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]map[string]string{
		"no address":    {"EXILE_EVENT": "ban", "EXILE_JAIL": "sshd"},
		"bad address":   {"EXILE_EVENT": "unban", "EXILE_ADDRESS": "all"},
		"bad time":      {"EXILE_EVENT": "ban", "EXILE_ADDRESS": "192.0.2.1", "EXILE_UNTIL": "soon"},
		"bad number":    {"EXILE_EVENT": "ban", "EXILE_ADDRESS": "192.0.2.1", "EXILE_FAILURES": "-1"},
		"bad sum":       {"EXILE_EVENT": "unbans", "EXILE_COUNT": "many"},
		"bad offence":   {"EXILE_EVENT": "ban", "EXILE_ADDRESS": "192.0.2.1", "EXILE_OFFENCE": "1e9"},
		"bad length":    {"EXILE_EVENT": "ban", "EXILE_ADDRESS": "192.0.2.1", "EXILE_DURATION_USEC": "1h"},
		"zone and more": {"EXILE_EVENT": "ban", "EXILE_ADDRESS": "fe80::1%eth0"},
	} {
		if e, ok := Read(time.Now(), f); ok {
			t.Errorf("%s: read as %+v", name, e)
		}
	}
}
