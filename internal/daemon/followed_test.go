package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/firewall"
	"exile/firewall/firewalltest"
	"exile/internal/control"
	"exile/internal/daemon"
)

const (
	heldWhole = "192.0.2.1/32 everything"
	heldPort  = "192.0.2.1/32 port 22/tcp"
)

// shared is a kernel that takes its time, and that the test looks at while the daemon is at work.
type shared struct {
	*firewalltest.Fake
	lock *sync.Mutex // the test is in another goroutine
}

// share has the next plan use that kernel.
func (w *world) share(kernel *firewalltest.Fake) {
	w.kernel = kernel
	w.backend = shared{kernel, new(sync.Mutex)}
}

func (s shared) Apply(ctx context.Context, c firewall.Change) error {
	time.Sleep(time.Millisecond)
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.Fake.Apply(ctx, c)
}

func (s shared) List(ctx context.Context) ([]firewall.Ban, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.Fake.List(ctx)
}

func (s shared) Destroy(ctx context.Context) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.Fake.Destroy(ctx)
}

// compared are commands that have the kernel compared, and what it holds when they return.
var compared = map[string]struct {
	do   func(w *world, d *running) error
	want []string
}{
	"pause": {func(w *world, d *running) error { return d.Pause(w.t.Context(), time.Hour) }, nil},
	"reset": {func(w *world, d *running) error { return d.ResetFirewall(w.t.Context()) }, []string{heldWhole}},
	"reconcile": {func(w *world, d *running) error {
		return errors.Join(w.backend.Destroy(w.t.Context()), d.Reconcile(w.t.Context()))
	}, []string{heldWhole}},
	"reload with another backend": {func(w *world, d *running) error {
		w.share(firewalltest.NewFake())
		return d.Reload(w.t.Context())
	}, []string{heldWhole}},
	"reload with a port": {func(w *world, d *running) error {
		w.jails = w.onPort
		return d.Reload(w.t.Context())
	}, []string{heldPort}},
	"trial with a port": {func(w *world, d *running) error {
		w.onTrial = w.onPort
		return d.Try(w.t.Context(), "a port", time.Minute)
	}, []string{heldPort}},
}

func (w *world) onPort() []*daemon.Jail {
	j := w.jail("sshd", nil)
	j.Ports = []firewall.Port{{Proto: 6, Number: 22}}
	return []*daemon.Jail{j}
}

// A command returns when the kernel has followed, also while very many bans are over that a turn of the loop has no time to lift: none of
// these is put back.
func TestCommandWhileManyEnd(t *testing.T) {
	t.Parallel()
	for name, c := range compared {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 2 { // how many are lifted before the command is a matter of luck
				synctest.Test(t, func(t *testing.T) { commandWhileManyEnd(t, c.do, c.want) })
			}
		})
	}
}

func commandWhileManyEnd(t *testing.T, do func(*world, *running) error, want []string) {
	w := newWorld(t)
	ended := time.Now().Add(time.Hour)
	w.keepMany(manyBans, time.Hour)
	w.share(w.kernel)
	d := w.start()
	defer w.end(d)
	ban := control.BanRequest{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Permanent: true}
	if _, err := d.Ban(t.Context(), ban); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(ended))
	synctest.Wait() // in the middle of the first change
	if err := do(w, d); err != nil {
		t.Fatal(err)
	}
	synctest.Wait() // in the next change
	if diff := cmp.Diff(want, held(t, w.backend)); diff != "" {
		t.Errorf("the kernel holds (-want +got)\n%s", diff)
	}
	time.Sleep(time.Minute)
	if s, err := d.Status(t.Context()); err != nil || s.Unbans != manyBans || s.Repairs > 1 {
		t.Errorf("%d bans were lifted, %d repaired, %v; want %d, and no ban that is over repaired", s.Unbans, s.Repairs, err, manyBans)
	}
}

// held is what a kernel holds, with the ports.
func held(t *testing.T, b firewall.Backend) (list []string) {
	t.Helper()
	bans, err := b.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bans {
		list = append(list, fmt.Sprintf("%s %s", b.Prefix, b.Port))
	}
	slices.Sort(list)
	return list
}
