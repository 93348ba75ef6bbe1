package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"exile/dbusapi"
	"exile/dbusapi/dbustest"
	"exile/internal/control"
	"exile/internal/control/controltest"
	"exile/internal/tally"
	"exile/internal/varlink"
)

// faces is one daemon, behind the bus and the Varlink socket, whose records have every field set.
type faces struct {
	t      *testing.T
	daemon *controltest.Fake
	conn   *dbus.Conn
	socket string
	env    map[string][]string // of an exilectl that uses the bus, or the socket
}

// anAddress is banned and counted, and has a past.
var anAddress = netip.MustParsePrefix("192.0.2.7/32")

// aNetwork has anAddress in it.
var aNetwork = netip.MustParsePrefix("192.0.2.0/24")

func filledDaemon() *controltest.Fake {
	var status control.Status
	var jail control.JailStatus
	var ban control.Ban
	var host control.Host
	var name control.Name
	for _, record := range []any{&status, &jail, &ban, &host, &name} {
		controltest.Fill(record)
	}
	jail.Name, jail.State, jail.Banned = "sshd", control.Simulating, 0
	ban.Jail, ban.Prefix, ban.Evidence = "sshd", anAddress, ""
	host.Jail, host.Prefix = "sshd", anAddress
	name.Jail = "sshd"
	f := &controltest.Fake{Now: func() time.Time { return hour(9) }}
	f.Set(status, []control.JailStatus{jail}, []control.Ban{ban}, []control.Host{host})
	f.Learn(name)
	f.Remembered(aPast())
	f.Protect(anAddress, "ignoreip")
	return f
}

// aPast is a day of which everything is known.
func aPast() *tally.Book {
	b := tally.NewBook(10)
	d := b.Day("sshd", hour(9))
	d.Attempt(&tally.Attempt{Time: hour(9), Addr: anAddress.Addr(), User: "ro\x1bot", Rule: "failed", Guesses: 3})
	d.Ban(hour(10), "rate: 3 points")
	d.Latency.Add(3 * time.Millisecond)
	d.Prevented, d.Protected, d.Denied, d.Dropped = 4, 5, 6, 7
	return b
}

func newFaces(t *testing.T) *faces {
	t.Helper()
	bus, fake, path := dbustest.Start(t), filledDaemon(), filepath.Join(t.TempDir(), "socket")
	up := make(chan error, 1)
	onBus := dbusapi.New(dbusapi.Config{
		Address: bus.Address, Daemon: fake, LogLevel: new(slog.LevelVar), Connected: func(err error) { up <- err },
	})
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	onSocket := varlink.New(varlink.Config{Daemon: fake})
	fake.Announce = func(e control.Event) { onBus.Announce(e); onSocket.Announce(e) }
	serve(t, onBus.Serve)
	serve(t, func(ctx context.Context) error { return onSocket.Serve(ctx, l) })
	if err := <-up; err != nil {
		t.Fatal(err)
	}
	conn, err := dbus.Connect(bus.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &faces{t, fake, conn, path, map[string][]string{
		"exilectl over the bus":    {"DBUS_SYSTEM_BUS_ADDRESS=" + bus.Address},
		"exilectl over the socket": {"DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent", "EXILE_VARLINK_SOCKET=" + path},
	}}
}

// serve serves until the test ends.
func serve(t *testing.T, serve func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// bus returns what a bus method describes.
func (f *faces) bus(path dbus.ObjectPath, method string, args ...any) string {
	f.t.Helper()
	var text string
	if err := f.conn.Object(dbusapi.BusName, path).Call(method, 0, args...).Store(&text); err != nil {
		f.t.Fatalf("%s: %v", method, err)
	}
	return text
}

// busFile returns the contents of the file that a bus method returns.
func (f *faces) busFile(method string, args ...any) string {
	f.t.Helper()
	var fd dbus.UnixFD
	if err := f.conn.Object(dbusapi.BusName, "/org/exile1").Call(method, 0, args...).Store(&fd); err != nil {
		f.t.Fatalf("%s: %v", method, err)
	}
	file := os.NewFile(uintptr(fd), method)
	defer file.Close()
	text, err := io.ReadAll(file)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

// varlink returns a field of a reply on the socket.
func (f *faces) varlink(method, parameters, field string) string {
	f.t.Helper()
	conn, err := net.Dial("unix", f.socket)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, `{"method":"org.exile1.%s","parameters":%s}`+"\x00", method, parameters)
	var reply struct {
		Parameters map[string]json.RawMessage
	}
	if err := json.NewDecoder(conn).Decode(&reply); err != nil {
		f.t.Fatalf("%s: %v", method, err)
	}
	return string(reply.Parameters[field])
}

// exilectl returns its output, over the bus or the socket.
func (f *faces) exilectl(env []string, args ...string) string {
	f.t.Helper()
	cmd := exec.CommandContext(f.t.Context(), "exilectl", append([]string{"--json=short"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	var said bytes.Buffer
	cmd.Stderr = &said
	text, err := cmd.Output()
	if err != nil {
		f.t.Fatalf("exilectl %q: %v: %s", args, err, &said)
	}
	return string(text)
}

// decode reads one document, or the lines of a file as a list.
func decode(t *testing.T, text string, lines bool) any {
	t.Helper()
	if lines {
		text = "[" + strings.Join(strings.Split(strings.TrimSpace(text), "\n"), ",") + "]"
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// document is a record as every face should show it.
func document(t *testing.T, record any) any {
	t.Helper()
	text, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, string(text), false)
}

// names are the names in a document, without their values.
func names(v any) any {
	switch v := v.(type) {
	case map[string]any:
		all := map[string]any{}
		for name, field := range v {
			all[name] = names(field)
		}
		return all
	case []any:
		return names(v[0])
	}
	return nil
}

// TestFaces: the bus, the Varlink socket and exilectl show the same documents of the daemon: no field is missing, and none
// has another name. None of them can miss a new field.
func TestFaces(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOTHING WAS TESTED: only root may ask for addresses")
	}
	f := newFaces(t)
	status, _ := f.daemon.Status(t.Context())
	jails, _ := f.daemon.Jails(t.Context())
	bans, _, _ := f.daemon.Bans(t.Context(), control.Page{})
	hosts, _, _ := f.daemon.Hosts(t.Context(), control.Page{})
	address, _ := f.daemon.Address(t.Context(), anAddress)
	network, _ := f.daemon.Address(t.Context(), aNetwork)
	held, _ := f.daemon.Held(t.Context(), anAddress)
	learned, _ := f.daemon.Names(t.Context(), "")
	past, _ := f.daemon.History(t.Context(), "", time.Time{}, time.Time{})
	for _, tt := range []struct {
		record   any
		exilectl string
		lines    bool              // exilectl prints one document per line
		others   map[string]string // what other faces show
	}{
		{record: control.Overview{Status: status, All: jails}, exilectl: "status", others: map[string]string{
			"bus": f.bus("/org/exile1", dbusapi.ManagerInterface+".Describe"),
		}},
		{record: status, others: map[string]string{"socket": f.varlink("GetStatus", "{}", "status")}},
		{record: jails, exilectl: "list-jails", others: map[string]string{"socket": f.varlink("ListJails", "{}", "jails")}},
		{record: jails[0], exilectl: "status sshd", others: map[string]string{
			"bus": f.bus("/org/exile1/jail/sshd", dbusapi.JailInterface+".Describe"),
		}},
		{record: address, exilectl: "status 192.0.2.7", others: map[string]string{
			"bus":    f.bus("/org/exile1", dbusapi.ManagerInterface+".DescribeAddress", "192.0.2.7"),
			"socket": f.varlink("DescribeAddress", `{"address":"192.0.2.7"}`, "address"),
		}},
		{record: network, exilectl: "status 192.0.2.0/24", others: map[string]string{
			"bus":    f.bus("/org/exile1", dbusapi.ManagerInterface+".DescribeAddress", "192.0.2.0/24"),
			"socket": f.varlink("DescribeAddress", `{"address":"192.0.2.0/24"}`, "address"),
		}},
		{record: held, others: map[string]string{
			"bus":    f.bus("/org/exile1", dbusapi.ManagerInterface+".DescribeKernel", "192.0.2.7"),
			"socket": f.varlink("DescribeKernel", `{"address":"192.0.2.7"}`, "held"),
		}},
		{record: bans, exilectl: "list-bans", others: map[string]string{"socket": f.varlink("ListBans", "{}", "bans")}},
		{record: bans, exilectl: "export", lines: true},
		{record: bans[0], others: map[string]string{
			"bus": f.busFile(dbusapi.ManagerInterface+".ListBansByFileDescriptor", "", uint64(0)),
		}},
		{record: hosts, exilectl: "list-failures", others: map[string]string{"socket": f.varlink("ListHosts", "{}", "hosts")}},
		{record: learned, exilectl: "list-names", others: map[string]string{"socket": f.varlink("ListNames", "{}", "names")}},
		{record: status.Days, exilectl: "statistics --daily"},
		{record: past, others: map[string]string{
			"bus":    f.bus("/org/exile1", dbusapi.ManagerInterface+".DescribeHistory", "sshd", uint64(1), uint64(0)),
			"socket": f.varlink("DescribeHistory", "{}", "history"),
		}},
	} {
		want := document(t, tt.record)
		check := func(face, text string, lines bool) {
			if diff := cmp.Diff(want, decode(t, text, lines)); diff != "" {
				t.Errorf("%s, %s (-record +face):\n%s", reflect.TypeOf(tt.record), face, diff)
			}
		}
		for face, text := range tt.others {
			check(face, text, false)
		}
		for face, env := range f.env {
			if tt.exilectl != "" {
				check(face+": "+tt.exilectl, f.exilectl(env, strings.Fields(tt.exilectl)...), tt.lines)
			}
		}
	}
	f.counters(jails[0])
	f.events()
}

// counters: the rows of statistics are part of what a jail reports.
func (f *faces) counters(jail control.JailStatus) {
	f.t.Helper()
	whole := document(f.t, jail).(map[string]any)
	for face, env := range f.env {
		rows := decode(f.t, f.exilectl(env, "statistics"), false).([]any)
		for name, value := range rows[1].(map[string]any) {
			if !reflect.DeepEqual(whole[name], value) {
				f.t.Errorf("%s: statistics say that %s is %v, not %v", face, name, value, whole[name])
			}
		}
	}
}

// events: the names are the same, although the bus does not tell everything.
func (f *faces) events() {
	f.t.Helper()
	ban, _, _ := f.daemon.Bans(f.t.Context(), control.Page{})
	want := names(document(f.t, control.Event{Kind: control.BanNew, Ban: ban[0]}))
	for face, env := range f.env {
		ctx, cancel := context.WithCancel(f.t.Context())
		cmd := exec.CommandContext(ctx, "exilectl", "--json=short", "monitor")
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			f.t.Fatal(err)
		}
		go f.announce(ctx)
		var heard any
		err = json.NewDecoder(out).Decode(&heard)
		cancel()
		_ = cmd.Wait() // it was killed
		if diff := cmp.Diff(want, names(heard)); err != nil || diff != "" {
			f.t.Errorf("%s: %v (-record +event)\n%s", face, err, diff)
		}
	}
}

// announce bans somebody again and again.
func (f *faces) announce(ctx context.Context) {
	for ctx.Err() == nil {
		_, _ = f.daemon.Ban(ctx, control.BanRequest{Prefix: netip.MustParsePrefix("203.0.113.5/32")}) // cannot fail
		time.Sleep(10 * time.Millisecond)
	}
}
