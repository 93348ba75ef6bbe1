package dbusapi_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"exile/dbusapi"
	"exile/dbusapi/client"
	"exile/dbusapi/dbustest"
	"exile/internal/control"
	"exile/internal/control/controltest"
)

// equal compares values that went over the wire: microseconds, no prefixes with hidden fields, nil for empty.
var equal = cmp.Options{cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(time.Microsecond)}

// host is a service with its fake daemon on a bus of its own.
type host struct {
	bus     *dbustest.Bus
	fake    *controltest.Fake
	service *dbusapi.Service
	level   *slog.LevelVar
	states  chan error // what Connected was told
	stop    func()     // ends the service
}

func start(t *testing.T) *host {
	t.Helper()
	return startOn(t, dbustest.Start(t))
}

// onEachBus runs a test of what differs between the implementations of the bus.
func onEachBus(t *testing.T, test func(*testing.T, *host)) {
	t.Helper()
	for name, run := range dbustest.Buses() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, startOn(t, run(t)))
		})
	}
}

func startOn(t *testing.T, bus *dbustest.Bus) *host {
	t.Helper()
	h := &host{bus: bus, fake: sample(), level: new(slog.LevelVar), states: make(chan error, 100)}
	h.serve(t)
	t.Cleanup(func() { h.stop() })
	return h
}

// serve starts a service and waits until it has the name.
func (h *host) serve(t *testing.T) {
	t.Helper()
	h.service = dbusapi.New(dbusapi.Config{
		Address: h.bus.Address, Daemon: h.fake, Version: "1.2", LogLevel: h.level, LogTarget: "journal",
		Connected: func(err error) { h.states <- err },
	})
	h.fake.Announce = h.service.Announce
	asked := h.fake.Asked()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.service.Serve(ctx) }()
	h.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
	h.wait(t, true)
	for h.fake.Asked() == asked { // what the service announces are changes against what it saw first
		time.Sleep(time.Millisecond)
	}
}

// wait until the service has come or gone.
func (h *host) wait(t *testing.T, up bool) {
	t.Helper()
	for err := range h.states {
		if (err == nil) == up {
			return
		}
		t.Logf("not on the bus: %v", err)
	}
}

func (h *host) dial(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Config{Address: h.bus.Address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func day(hour int) time.Time { return time.Date(2026, 5, 4, hour, 0, 0, 123000, time.UTC) }

func sample() *controltest.Fake {
	f := &controltest.Fake{Now: func() time.Time { return day(12) }}
	f.Set(
		control.Status{
			Version: "1.2", State: "degraded", Degraded: []string{"journal-suppressed"}, Remedies: []string{"Raise it."}, Notice: "look",
			Backend: "ipset", Why: "it is there", Started: day(1), Failing: 1, Entries: 5, Failures: 4, Bans: 3, Unbans: 2, Evicted: 1, Undated: 6,
			Repairs: 1, LastEntry: day(11), Lag: 1500 * time.Microsecond, Position: "s=1;i=2",
			Dropped: map[string]uint64{"exile4": 7}, Days: []control.Day{{Date: day(0).Truncate(time.Hour), Passed: 4, Dropped: 7, Bans: 3, Protected: 2, Denied: 1}},
			Blocklists: []control.Blocklist{{Name: "bad", File: "/bad", Updated: day(0), Entries: 1, Ranges: 2, Cut: 3, Wide: 4, Unread: 5, Dropped: 6, Enforced: true, Trouble: "t"}},
		},
		[]control.JailStatus{
			{
				Name: "sshd", State: "running", Units: []string{"ssh.service"}, Detection: "adaptive", MaxRetry: 5,
				FindTime: 10 * time.Minute, BanTime: time.Hour, Protected: []string{"127.0.0.0/8"}, Failing: 1, Total: 9,
				Failures: 40, LastBan: day(10), Spared: 2, Denied: 1, Framable: "so", Forgeable: true,
			},
			{Name: "web-1", State: "simulating", Detection: "threshold", MaxRetry: 3, FindTime: time.Minute, BanTime: -1},
		},
		[]control.Ban{
			{
				Jail: "sshd", Prefix: netip.MustParsePrefix("192.0.2.7/32"), Since: day(9), Until: day(13), Failures: 6,
				Offence: 2, Origin: control.OriginJournal, Reason: `user "root\x1b"`,
			},
			{Jail: "sshd", Prefix: netip.MustParsePrefix("2001:db8::/64"), Since: day(8), Origin: control.OriginManual},
			{Jail: "web-1", Prefix: netip.MustParsePrefix("192.0.2.7/32"), Since: day(8), Until: day(14), Origin: control.OriginFile},
		},
		[]control.Host{{Jail: "sshd", Prefix: netip.MustParsePrefix("198.51.100.1/32"), Failures: 2, First: day(10), Last: day(11)}},
	)
	f.Protect(netip.MustParsePrefix("127.0.0.1/32"), "ignoreip 127.0.0.0/8")
	return f
}

// A client on the bus must give the answers that the daemon gives.
func TestClientAnswersAsTheDaemonDoes(t *testing.T) {
	t.Parallel()
	onEachBus(t, func(t *testing.T, h *host) {
		c := h.dial(t)
		answers := func(r control.Reader) []any {
			status, err1 := r.Status(t.Context())
			jails, err2 := r.Jails(t.Context())
			hosts, _, err3 := r.Hosts(t.Context(), control.Page{Jail: "sshd"})
			addr, err4 := r.Address(t.Context(), netip.MustParsePrefix("192.0.2.7/32"))
			if err := errors.Join(err1, err2, err3, err4); err != nil {
				t.Fatal(err)
			}
			return []any{status, jails, hosts, addr}
		}
		if diff := cmp.Diff(answers(h.fake), answers(c), equal); diff != "" {
			t.Errorf("over the bus (-daemon +client):\n%s", diff)
		}
	})
}

func TestPagesJoinToTheWholeList(t *testing.T) {
	t.Parallel()
	h := start(t)
	c := h.dial(t)
	want, _, _ := h.fake.Bans(t.Context(), control.Page{})
	for size := 1; size <= 4; size++ {
		var got []control.Ban
		page := control.Page{Max: size}
		for {
			bans, next, err := c.Bans(t.Context(), page)
			if err != nil || len(bans) > size {
				t.Fatalf("page of %d: %d bans, %v", size, len(bans), err)
			}
			got = append(got, bans...)
			if next == "" {
				break
			}
			page.After = next
		}
		if diff := cmp.Diff(want, got, equal, cmpopts.IgnoreFields(control.Ban{}, "Reason")); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", size, diff)
		}
	}
}

func TestCommandsReachTheDaemon(t *testing.T) {
	t.Parallel()
	h := start(t)
	c := h.dial(t)
	p := netip.MustParsePrefix("203.0.113.9/32")
	ban, err := c.Ban(t.Context(), control.BanRequest{Jail: "sshd", Prefix: p, Duration: time.Minute, Reason: "why"})
	if err != nil || !ban.Until.Equal(day(12).Add(time.Minute)) {
		t.Errorf("Ban = %v, %v", ban.Until, err)
	}
	if ban, err = c.Ban(t.Context(), control.BanRequest{Prefix: p, Permanent: true, Force: true}); err != nil || !ban.Until.IsZero() {
		t.Errorf("permanent Ban = %v, %v", ban.Until, err)
	}
	if n, err := c.Unban(t.Context(), "", p); n != 1 || err != nil {
		t.Errorf("Unban = %d, %v", n, err)
	}
	if n, err := c.Unban(t.Context(), "", netip.Prefix{}); n != 3 || err != nil {
		t.Errorf("flush = %d, %v", n, err)
	}
	err = errors.Join(c.Reload(t.Context()), c.Pause(t.Context(), time.Minute), c.ResetStatistics(t.Context()), c.ResetFirewall(t.Context()),
		c.Report(t.Context(), control.Report{Jail: "sshd", Addr: p.Addr(), User: "a\nb", Success: true}))
	if err != nil {
		t.Error(err)
	}
	want := []string{
		`ban sshd 203.0.113.9/32 1m0s permanent=false force=false "why"`,
		`ban sshd 203.0.113.9/32 0s permanent=true force=true ""`,
		`unban "" 203.0.113.9/32`,
		`unban "" invalid Prefix`,
		"reload", "pause 1m0s", "reset-statistics", "reset-firewall",
		`report sshd 203.0.113.9 "a\nb" success=true`,
	}
	if diff := cmp.Diff(want, h.fake.Commands()); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

func TestErrorsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	h := start(t)
	c := h.dial(t)
	_, _, noJail := c.Bans(t.Context(), control.Page{Jail: "nope"})
	_, protected := c.Ban(t.Context(), control.BanRequest{Prefix: netip.MustParsePrefix("127.0.0.1/32")})
	_, unprintable := c.Ban(t.Context(), control.BanRequest{Prefix: netip.MustParsePrefix("203.0.113.1/32"), Reason: "\x1b[2J"})
	h.fake.Fail(fmt.Errorf("ban: %w", context.DeadlineExceeded))
	_, late := c.Unban(t.Context(), "", netip.MustParsePrefix("203.0.113.1/32"))
	if late == nil || late.Error() != "The daemon has not answered within 20s." {
		t.Errorf("late: %v", late)
	}
	h.fake.Fail(control.ErrBackend)
	_, refused := c.Unban(t.Context(), "", netip.MustParsePrefix("203.0.113.1/32"))
	for _, tt := range []struct{ err, want error }{
		{noJail, control.ErrNoSuchJail}, {late, context.DeadlineExceeded}, {refused, control.ErrBackend}, {protected, control.ErrProtected}, {unprintable, control.ErrInvalid},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%v is not %v", tt.err, tt.want)
		}
	}
}

// A daemon that ends in the middle of a call does not answer it. Its question is asked again; of a command nobody knows.
func TestStoppingIsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, stopping := range []error{control.ErrStopping, fmt.Errorf("ask the loop: %w", context.Canceled)} {
		t.Run(stopping.Error(), func(t *testing.T) {
			t.Parallel()
			h := start(t)
			c := h.dial(t)
			h.fake.Fail(stopping)
			said := make(chan error)
			go func() {
				_, err := c.Unban(t.Context(), "", netip.MustParsePrefix("203.0.113.1/32"))
				said <- err
			}()
			for len(h.fake.Commands()) == 0 {
				time.Sleep(time.Millisecond)
			}
			h.stop()
			if err := <-said; err == nil || !strings.Contains(err.Error(), "the command may have been carried out") {
				t.Errorf("error %v, want that nobody knows", err)
			}
			h.serve(t)
		})
	}
}

func TestSubscribersHearOfBans(t *testing.T) {
	t.Parallel()
	onEachBus(t, func(t *testing.T, h *host) {
		ctx, cancel := context.WithCancel(t.Context())
		events := make(chan control.Event, 10)
		watcher, speaker := h.dial(t), h.dial(t)
		done := make(chan error, 1)
		go func() { done <- watcher.Watch(ctx, func(e control.Event) { events <- e }) }()
		p := netip.MustParsePrefix("203.0.113.9/32")
		var got control.Event
		for got.Kind == "" { // the subscription comes at its own time
			if _, err := speaker.Ban(t.Context(), control.BanRequest{Prefix: p, Duration: time.Minute, Reason: "scans us"}); err != nil {
				t.Fatal(err)
			}
			select {
			case got = <-events:
			case <-time.After(10 * time.Millisecond):
			}
		}
		want := control.Ban{Jail: "sshd", Prefix: p, Since: got.Time, Until: day(12).Add(time.Minute), Origin: control.OriginManual, Reason: "scans us"}
		if diff := cmp.Diff(want, got.Ban, equal); got.Kind != control.BanNew || diff != "" {
			t.Errorf("event %s (-want +got):\n%s", got.Kind, diff)
		}
		if _, err := speaker.Unban(t.Context(), "", p); err != nil {
			t.Fatal(err)
		}
		for got.Kind != control.BanRemoved {
			got = <-events
		}
		if got.Reason != "unban" || got.Ban.Prefix != p {
			t.Errorf("removed: %+v", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
}

// A watcher whose client is closed is not told that the bus was lost: an interrupted monitor ends both, one after the other.
func TestWatchEndsWithItsClient(t *testing.T) {
	t.Parallel()
	onEachBus(t, func(t *testing.T, h *host) {
		ctx, cancel := context.WithCancel(t.Context())
		c, err := client.Dial(ctx, client.Config{Address: h.bus.Address, Lost: func(err error) { t.Errorf("told that %v", err) }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		events, done := make(chan control.Event, 10), make(chan error, 1)
		go func() { done <- c.Watch(t.Context(), func(e control.Event) { events <- e }) }()
		h.announce(t, events, "192.0.2.53/32")
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
}

// A watcher hears of bans after a restart of the daemon, and believes nobody else.
func TestWatchOutlivesTheDaemon(t *testing.T) {
	t.Parallel()
	onEachBus(t, func(t *testing.T, h *host) {
		_, events := h.watch(t)
		h.announce(t, events, "192.0.2.51/32")
		idle := h.dial(t)
		h.lie(t, 2000) // more than wait for a watcher
		if _, err := idle.Status(t.Context()); err != nil {
			t.Error(err)
		}
		h.stop()
		h.serve(t)
		h.announce(t, events, "192.0.2.52/32")
		for len(events) > 0 {
			if e := <-events; e.Ban.Jail != "sshd" {
				t.Errorf("heard %v", e.Ban)
			}
		}
	})
}

// A watcher hears of bans after a restart of the bus, and asks over the new connection.
func TestWatchOutlivesTheBus(t *testing.T) {
	t.Parallel()
	onEachBus(t, func(t *testing.T, h *host) {
		watcher, events := h.watch(t)
		h.announce(t, events, "192.0.2.51/32")
		h.bus.Stop()
		h.wait(t, false)
		if _, err := watcher.Status(t.Context()); err == nil || err.Error() != "connection to the bus was lost" {
			t.Errorf("without a bus: %v", err)
		}
		if err := h.bus.Run(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
		h.wait(t, true)
		h.announce(t, events, "192.0.2.52/32")
		if _, err := watcher.Status(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// watch returns a client that watches, and what it hears.
func (h *host) watch(t *testing.T) (*client.Client, <-chan control.Event) {
	t.Helper()
	c, events := h.dial(t), make(chan control.Event, 100)
	go func() { _ = c.Watch(t.Context(), func(e control.Event) { events <- e }) }()
	return c, events
}

// announce bans again and again until somebody hears it: it is not known when a subscription takes effect.
func (h *host) announce(t *testing.T, heard <-chan control.Event, prefix string) {
	t.Helper()
	p := netip.MustParsePrefix(prefix)
	for {
		h.service.Announce(control.Event{Kind: control.BanNew, Ban: control.Ban{Jail: "sshd", Prefix: p}})
		select {
		case e := <-heard:
			if e.Ban.Prefix == p {
				return
			}
			if e.Ban.Jail != "sshd" {
				t.Errorf("heard %v", e.Ban)
			}
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// lie sends every peer n signals that look like the daemon's.
func (h *host) lie(t *testing.T, n int) {
	t.Helper()
	conn := h.raw(t)
	var names []string
	if err := conn.BusObject().Call("org.freedesktop.DBus.ListNames", 0).Store(&names); err != nil {
		t.Fatal(err)
	}
	for i := range n * len(names) {
		body := []any{"liar", "192.0.2.66", uint64(0), uint32(1), "journal"}
		conn.Send(&dbus.Message{Type: dbus.TypeSignal, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(names[i%len(names)]), dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/org/exile1")),
			dbus.FieldInterface: dbus.MakeVariant("org.exile1.Manager"), dbus.FieldMember: dbus.MakeVariant("BanNew"),
			dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(body...)),
		}}, nil)
	}
	if err := conn.BusObject().Call("org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil { // the bus has them all
		t.Fatal(err)
	}
}

func TestServiceReturnsAfterTheBusRestarts(t *testing.T) {
	t.Parallel()
	onEachBus(t, func(t *testing.T, h *host) {
		for range 2 {
			h.bus.Stop()
			h.wait(t, false)
			h.service.Announce(control.Event{Kind: control.BanNew}) // must not block, must not count as dropped
			if err := h.bus.Run(context.Background()); err != nil {
				t.Fatal(err)
			}
			h.wait(t, true)
			if _, err := h.dial(t).Status(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}
