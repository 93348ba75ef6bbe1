package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi"
	"exile/dbusapi/client"
	"exile/dbusapi/dbustest"
	"exile/internal/control"
	"exile/internal/varlink"
)

// manyBans is how many bans there are during the measurement.
const manyBans = 100_000

// BenchmarkBanPath makes a host with 100,000 bans in ipset ban one more address at a time, alone and while its bus is used
// and abused. It reports the time from the log entry to the ban in the kernel, and the daemon's peak memory meanwhile.
func BenchmarkBanPath(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("SKIPPED, NOT MEASURED: a network namespace for exiled needs root")
	}
	h, aside := newCrowded(b), newCrowded(b)
	for _, load := range []struct {
		name string
		run  func(context.Context, *crowded, *testing.B)
	}{
		{"quiet", nil},
		{"list-bans", listing},
		{"busctl", turning},
		{"calls", calling},
		{"unread", notReading},
		{"huge", sendingHuge},
		{"subscribers", vanishing},
		{"reports", reporting},
		{"crowd", crowding},
	} {
		b.Run(load.name, func(b *testing.B) { h.measure(b, aside, load.run) })
	}
}

// crowded is a real exiled with many bans.
type crowded struct {
	guarded
	log    io.WriteCloser // of its journal
	banned int            // attackers so far
	events chan control.Event
	link   string // to exilectl
}

func newCrowded(b *testing.B) *crowded {
	b.Helper()
	h := &crowded{guarded: guarded{program: buildExiled(b), dir: b.TempDir(), bus: dbustest.Start(b)}, link: exilectlLink(b)}
	h.events = make(chan control.Event, 1024)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	b.Cleanup(func() { cancel(); wg.Wait(); h.end(syscall.SIGKILL) })
	const config = "backend: ipset\njails:\n  sshd:\n    detection: threshold\n    maxretry: 1\n    bantime: 1d\n    aggregate: off\n"
	if err := h.configure(config); err != nil {
		b.Fatal(err)
	}
	if err := h.start(); err != nil {
		b.Fatal(err)
	}
	h.fill(b)
	writer := h.writer()
	in, err := writer.StdinPipe()
	if err == nil {
		err = writer.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	h.log = in
	b.Cleanup(func() { _ = in.Close(); _ = writer.Wait() })
	socket, err := varlink.Dial(ctx, h.varlink())
	if err != nil {
		b.Fatal(err)
	}
	ready := make(chan struct{})
	wg.Go(func() {
		_ = socket.Monitor(ctx, func() { close(ready) }, func(e control.Event) error {
			if e.Kind == control.BanNew && e.Ban.Origin == control.OriginJournal {
				h.events <- e
			}
			return nil
		})
	})
	<-ready
	return h
}

// fill imports the bans, like an admin.
func (h *crowded) fill(b *testing.B) {
	b.Helper()
	file := filepath.Join(h.dir, "bans")
	f, err := os.Create(file)
	if err != nil {
		b.Fatal(err)
	}
	for i := range manyBans {
		fmt.Fprintf(f, `{"address":"10.%d.%d.%d","jail":"sshd","until_usec":null}`+"\n", i>>16, i>>8&255, i&255)
	}
	_ = f.Close()
	begin := time.Now()
	if out, err := h.exilectl(context.Background(), "import", file).CombinedOutput(); err != nil {
		b.Fatalf("%v: %s; exiled said:\n%s", err, out, h.said)
	}
	b.Logf("import of %d bans: %v", manyBans, time.Since(begin))
}

func (h *crowded) exilectl(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, h.link, args...)
	cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+h.bus.Address)
	return cmd
}

func (h *crowded) measure(b *testing.B, aside *crowded, load func(context.Context, *crowded, *testing.B)) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	if err := os.WriteFile(h.proc("clear_refs"), []byte("5"), 0); err != nil { // resets the peak
		b.Fatal(err)
	}
	if load != nil {
		wg.Go(func() { load(ctx, h, b) })
		time.Sleep(time.Second) // until the load is in full swing
	}
	var asked []time.Duration
	peaceful, stop := context.WithCancel(ctx)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		asked = h.ask(peaceful, b)
	}()
	var took, floor []time.Duration
	for b.Loop() {
		took = append(took, h.attack(b))
		floor = append(floor, aside.attack(b))
	}
	stop()
	<-answered
	b.ReportMetric(milli(took, 0.5), "p50-ms")
	b.ReportMetric(milli(took, 0.99), "p99-ms")
	b.ReportMetric(milli(took, 1), "max-ms")
	b.ReportMetric(milli(floor, 0.5), "floor-p50-ms")
	b.ReportMetric(milli(floor, 0.99), "floor-p99-ms")
	b.ReportMetric(milli(floor, 1), "floor-max-ms")
	b.ReportMetric(milli(asked, 0.5), "call-p50-ms")
	b.ReportMetric(milli(asked, 1), "call-max-ms")
	mega, err := peakMemory(h.proc("status"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(mega, "peak-MB")
	b.ReportMetric(0, "ns/op")
}

// milli is the given quantile of times, in ms.
func milli(times []time.Duration, part float64) float64 {
	slices.Sort(times)
	if len(times) == 0 {
		return 0
	}
	return float64(times[int(part*float64(len(times)-1))].Microseconds()) / 1000
}

// ask is a peaceful peer that asks for the state now and then; it returns how long the answers took.
func (h *crowded) ask(ctx context.Context, b *testing.B) (took []time.Duration) {
	d, err := client.Dial(context.WithoutCancel(ctx), client.Config{Address: h.bus.Address})
	if err != nil {
		b.Error(err)
		return nil
	}
	defer d.Close()
	for ctx.Err() == nil {
		begin := time.Now()
		if _, err := d.Status(context.WithoutCancel(ctx)); err != nil {
			b.Logf("a peaceful peer after %v: %v", time.Since(begin), err)
		}
		took = append(took, time.Since(begin))
		time.Sleep(10 * time.Millisecond)
	}
	return took
}

// attack makes a new attacker guess once, waits for the ban, and returns how long that took.
func (h *crowded) attack(b *testing.B) time.Duration {
	h.banned++
	addr := netip.AddrFrom4([4]byte{100, byte(64 + h.banned>>16), byte(h.banned >> 8), byte(h.banned)})
	line := entry(time.Now(), 0, "Failed password for root from "+addr.String()+" port 4000 ssh2")
	if _, err := io.WriteString(h.log, line); err != nil {
		b.Fatal(err)
	}
	limit := time.After(patience)
	for {
		select {
		case e := <-h.events:
			if e.Ban.Prefix.Addr() == addr {
				return e.Latency
			}
		case <-limit:
			b.Fatalf("%s is not banned; exiled said:\n%s", addr, h.said)
		}
	}
}

func (h *crowded) proc(file string) string {
	return filepath.Join("/proc", strconv.Itoa(h.cmd.Process.Pid), file)
}

// The loads run until ctx ends.

// listing runs exilectl list-bans again and again, and reports its time and peak memory.
func listing(ctx context.Context, h *crowded, b *testing.B) {
	for {
		begin := time.Now()
		cmd := h.exilectl(ctx, "list-bans")
		mega, err := measure(cmd, manyBans)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			b.Error(err)
			return
		}
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "list-ms")
		b.ReportMetric(float64((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Milliseconds()), "list-cpu-ms")
		b.ReportMetric(mega, "list-MB")
	}
}

// turning reads the pages of ListBans with busctl, and reports how long the whole list took.
func turning(ctx context.Context, h *crowded, b *testing.B) {
	begin, n := time.Now(), 0
	for after := ""; ctx.Err() == nil; {
		out, err := exec.CommandContext(ctx, "busctl", "--address="+h.bus.Address, "--json=short", "call", dbusapi.BusName, "/org/exile1",
			dbusapi.ManagerInterface, "ListBans", "ssut", "", after, "10000", "0").Output()
		var page struct{ Data [2]json.RawMessage }
		var bans []json.RawMessage
		if err == nil {
			err = errors.Join(json.Unmarshal(out, &page), json.Unmarshal(page.Data[0], &bans), json.Unmarshal(page.Data[1], &after))
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			b.Errorf("busctl: %v", err)
			return
		}
		if n += len(bans); after != "" {
			continue
		}
		if n < manyBans {
			b.Errorf("busctl lists %d bans", n)
		}
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "list-ms")
		begin, n = time.Now(), 0
	}
}

const perSecond = 1000

// calling calls 1000 times a second from one peer, without waiting for answers.
func calling(ctx context.Context, h *crowded, b *testing.B) {
	conn := h.raw(b)
	defer conn.Close()
	answers := make(chan *dbus.Call, 10*perSecond)
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		<-tick.C
		for len(answers) > 0 {
			<-answers
		}
		conn.Object(dbusapi.BusName, "/org/exile1").Go(dbusapi.ManagerInterface+".ListBans", 0, answers, "", "", uint32(1000), uint64(0))
	}
}

func (h *crowded) raw(b *testing.B) *dbus.Conn {
	conn, err := dbus.Connect(h.bus.Address)
	if err != nil {
		b.Error(err)
	}
	return conn
}

// notReading asks for as much as it can and reads none of it.
func notReading(ctx context.Context, h *crowded, b *testing.B) {
	path, _ := strings.CutPrefix(h.bus.Address, "unix:path=")
	for ctx.Err() == nil {
		notReadingOnce(ctx, path, b)
	}
}

// sendingHuge sends messages that are too large.
func sendingHuge(ctx context.Context, h *crowded, b *testing.B) {
	conn := h.raw(b)
	defer conn.Close()
	text := strings.Repeat("x", 20<<20)
	for ctx.Err() == nil {
		_ = conn.Object(dbusapi.BusName, "/org/exile1").Call(dbusapi.ManagerInterface+".DescribeAddress", 0, text).Err
	}
}

// vanishing subscribes and leaves.
func vanishing(ctx context.Context, h *crowded, b *testing.B) {
	for ctx.Err() == nil {
		conn := h.raw(b)
		_ = conn.Object(dbusapi.BusName, "/org/exile1").Call(dbusapi.ManagerInterface+".Subscribe", 0).Err
		_ = conn.Close()
	}
}

// reporting reports addresses that are already banned, as fast as it can.
func reporting(ctx context.Context, h *crowded, b *testing.B) {
	conn := h.raw(b)
	defer conn.Close()
	for ctx.Err() == nil {
		_ = conn.Object(dbusapi.BusName, "/org/exile1").Call(dbusapi.ManagerInterface+".Report", 0, "sshd", "10.0.0.1", "root", false, uint64(0)).Err
	}
}

// crowding is four peers with 64 calls in progress each, all the time.
func crowding(ctx context.Context, h *crowded, b *testing.B) {
	var calls sync.WaitGroup
	defer calls.Wait()
	for range 4 {
		conn := h.raw(b)
		context.AfterFunc(ctx, func() { _ = conn.Close() })
		for range 64 {
			calls.Go(func() {
				for ctx.Err() == nil {
					_ = conn.Object(dbusapi.BusName, "/org/exile1").Call("org.freedesktop.DBus.Properties.GetAll", 0, dbusapi.ManagerInterface).Err
				}
			})
		}
	}
}

// notReadingOnce is one peer that calls until the bus or the daemon has had enough of it.
func notReadingOnce(ctx context.Context, path string, b *testing.B) {
	conn, err := net.Dial("unix", path)
	if err != nil {
		b.Error(err)
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	hello := call(1, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
	if _, err := fmt.Fprintf(conn, "\x00AUTH EXTERNAL %x\r\nBEGIN\r\n%s", strconv.Itoa(os.Geteuid()), hello); err != nil {
		return
	}
	for serial := uint32(2); ; serial++ {
		list := call(serial, dbusapi.BusName, "/org/exile1", dbusapi.ManagerInterface, "ListBans", "", "", uint32(10_000), uint64(0))
		if _, err := conn.Write(list); err != nil {
			return
		}
		time.Sleep(time.Second / perSecond)
	}
}

// call is a message on the wire.
func call(serial uint32, to string, path dbus.ObjectPath, iface, member string, args ...any) []byte {
	m := &dbus.Message{Type: dbus.TypeMethodCall, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(to), dbus.FieldPath: dbus.MakeVariant(path),
		dbus.FieldInterface: dbus.MakeVariant(iface), dbus.FieldMember: dbus.MakeVariant(member),
	}}
	if len(args) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	var out bytes.Buffer
	if err := m.EncodeTo(&out, binary.LittleEndian); err != nil {
		panic(err) // constants
	}
	text := out.Bytes()
	binary.LittleEndian.PutUint32(text[8:], serial)
	return text
}
