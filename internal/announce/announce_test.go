package announce

import (
	"context"
	"net/netip"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/google/go-cmp/cmp"

	"exile/internal/control"
)

var kinds = []control.EventKind{
	control.BanNew, control.BanRemoved, control.Protected, control.Degraded, control.Recovered, control.Repaired, control.Reloaded,
	control.StateChanged, control.BansRemoved,
}

func TestEveryKindIsInTheCatalog(t *testing.T) {
	t.Parallel()
	catalog, err := os.ReadFile("../../units/catalog/exile.catalog")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		if id := messageOf(k).id; !regexp.MustCompile(`(?m)^-- ` + id + `$`).Match(catalog) {
			t.Errorf("event %q has no catalog entry %s", k, id)
		}
	}
}

func TestBanBecomesAJournalEntry(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	event := control.Event{Kind: control.BanNew, Latency: 3 * time.Millisecond, Ban: control.Ban{
		Jail: "sshd", Prefix: netip.MustParsePrefix("192.0.2.1/32"), Since: since, Until: since.Add(time.Hour),
		Failures: 5, Offence: 2, Origin: control.OriginJournal, Reason: `name "root"`,
		Evidence: "2026-03-01T11:59:00.000000Z failed s=1\n2026-03-01T12:00:00.000000Z failed s=2",
	}}
	var text string
	var got map[string]string
	j := NewJournal(1, nil)
	j.send = func(s string, _ journal.Priority, f map[string]string) error { text, got = s, f; return nil }
	j.Announce(event)
	j.Announce(event) // one too many
	if j.Waiting() != 1 {
		t.Errorf("%d events are waiting, want 1", j.Waiting())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	j.Run(ctx)
	if want := `Banned 192.0.2.1 in jail sshd for 1h after 5 attempts: name "root"`; text != want {
		t.Errorf("text\n got %s\nwant %s", text, want)
	}
	want := map[string]string{
		"MESSAGE_ID": "2929576456a04afc970b3018a1aa88c1", "SYSLOG_IDENTIFIER": "exiled", "EXILE_EVENT": "ban", "EXILE_JAIL": "sshd", "EXILE_ADDRESS": "192.0.2.1",
		"EXILE_SINCE": "2026-03-01T12:00:00.000000Z", "EXILE_FAILURES": "5", "EXILE_OFFENCE": "2", "EXILE_ORIGIN": "journal", "EXILE_RULE": `name "root"`,
		"EXILE_UNTIL": "2026-03-01T13:00:00Z", "EXILE_DURATION_USEC": "3600000000", "EXILE_LATENCY_USEC": "3000",
		"EXILE_EVIDENCE": event.Ban.Evidence,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got)\n%s", diff)
	}
	if j.Dropped() != 1 || j.Waiting() != 0 {
		t.Errorf("dropped %d events, want 1; %d are waiting", j.Dropped(), j.Waiting())
	}
}

// Whom a jail only simulates to ban is not called banned.
func TestSimulatedBans(t *testing.T) {
	t.Parallel()
	e := control.Event{Ban: control.Ban{Simulated: true, Jail: "web", Prefix: netip.MustParsePrefix("192.0.2.1/32"), Failures: 5}, Reason: "expired"}
	for kind, want := range map[control.EventKind]string{
		control.BanNew:     "Simulated a ban of 192.0.2.1 in jail web for ever after 5 attempts",
		control.BanRemoved: "Lifted the simulated ban of 192.0.2.1 in jail web: expired",
	} {
		e.Kind = kind
		if got := messageOf(kind).text(e); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if got := fields(e)["EXILE_SIMULATED"]; got != "yes" {
			t.Errorf("%s: EXILE_SIMULATED=%s, want yes", kind, got)
		}
	}
}
