package adaptive

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"exile/jail"

	"github.com/google/go-cmp/cmp"
)

// mixedAttempts makes a mix of attackers and owners up, so many attempts of it, a few minutes apart.
func mixedAttempts(seed uint64, n int) []jail.Attempt {
	random := rand.New(rand.NewPCG(seed, 1))
	names := []string{"root", "admin", "alice", "alcie", "oracle", "", "x\x00\xff\"y"}
	list := make([]jail.Attempt, n)
	for i := range list {
		a := &list[i]
		a.Time = adaptiveStart.Add(minutes(7 * i))
		a.Addr = addr4(10, byte(random.IntN(4)), byte(random.IntN(4)), byte(random.IntN(40)))
		if random.IntN(4) == 0 {
			a.Addr = addr6(uint16(random.IntN(3)), uint16(random.IntN(600)))
		}
		a.User = names[random.IntN(len(names))]
		a.Unknown = a.User != "root" && a.User != "alice"
		a.Guesses = 1 + random.IntN(3)
		if random.IntN(60) == 0 {
			a.Success, a.Unknown, a.Guesses, a.User, a.Forgiven = true, false, 0, "alice", random.IntN(2)
		}
	}
	return list
}

func observeAll(d *Detector, list []jail.Attempt) []jail.Verdict {
	var out []jail.Verdict
	for _, a := range list {
		out = d.Observe(a, out)
	}
	return out
}

func snapshotOf(t testing.TB, d *Detector) []byte {
	t.Helper()
	version, data, err := d.Snapshot()
	if err != nil || version != snapshotVersion {
		t.Fatalf("snapshot: version %d, %v", version, err)
	}
	return data
}

// smallAdaptive forgets early, so that the order of forgetting matters.
func smallAdaptive() Config {
	cfg := Default()
	cfg.MaxNames, cfg.MaxAddrs, cfg.MaxKnown = 3, 100, 3
	return cfg
}

func TestSnapshotDecidesAlike(t *testing.T) {
	t.Parallel()
	list := mixedAttempts(1, 4000)
	want := observeAll(New(smallAdaptive()), list)
	if len(want) < 100 {
		t.Fatalf("only %d bans: the attempts prove nothing", len(want))
	}
	random := rand.New(rand.NewPCG(3, 3))
	for range 8 {
		cut := random.IntN(len(list))
		before, after := New(smallAdaptive()), New(smallAdaptive())
		got := observeAll(before, list[:cut])
		if err := after.Restore(snapshotVersion, snapshotOf(t, before)); err != nil {
			t.Fatal(err)
		}
		got = append(got, observeAll(after, list[cut:])...)
		if diff := cmp.Diff(want, got, cmpVerdict); diff != "" {
			t.Fatalf("cut at %d (-whole +restored):\n%s", cut, diff)
		}
		if diff := cmp.Diff(snapshotOf(t, after), snapshotOf(t, continued(before, list[cut:]))); diff != "" {
			t.Fatalf("cut at %d: the memories differ", cut)
		}
	}
}

func continued(d *Detector, list []jail.Attempt) *Detector {
	observeAll(d, list)
	return d
}

// What was written in this form is read, and the decisions after it are those of the program that wrote it.
func TestRestoreRecorded(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/snapshot-6")
	if err != nil {
		t.Fatal(err)
	}
	d := New(smallAdaptive())
	d.SetAccounts([]string{"root", "alice"}, nil)
	if err := d.Restore(6, data); err != nil {
		t.Fatal(err)
	}
	h, n := sha256.New(), 0
	for _, a := range mixedAttempts(66, 3000) {
		a.Time = a.Time.Add(minutes(7 * 2999)) // what was written had seen as many
		for _, v := range d.Observe(a, nil) {
			fmt.Fprintln(h, v.Prefix, v.Duration, v.Reason)
			n++
		}
	}
	if got := hex.EncodeToString(h.Sum(nil)); n != 1065 || got != "ec92f92cf3f22b1ca80ac3c5b9569fe32d5f6f16746cfab814738a613108c244" {
		t.Errorf("%d bans with the digest %s", n, got)
	}
}

// Whoever asks it to forget what counts no more, or never does, gets the same decisions.
func TestExpireDecidesAlike(t *testing.T) {
	t.Parallel()
	list := mixedAttempts(8, 4000)
	for i := range list {
		list[i].Time = adaptiveStart.Add(minutes(140 * i)) // a year
	}
	want := observeAll(New(Default()), list)
	d := New(Default())
	var got []jail.Verdict
	expired := 0
	for _, a := range list {
		got = d.Observe(a, got)
		before := d.Failing()
		d.Expire(a.Time)
		expired += before - d.Failing()
	}
	if expired < 100 || len(want) < 100 {
		t.Fatalf("%d addresses were forgotten and %d banned: it proves nothing", expired, len(want))
	}
	if diff := cmp.Diff(want, got, cmpVerdict); diff != "" {
		t.Errorf("(-never +always):\n%s", diff)
	}
}

func TestTornSnapshotChangesNothing(t *testing.T) {
	t.Parallel()
	d := New(smallAdaptive())
	observeAll(d, mixedAttempts(2, 500))
	data := snapshotOf(t, d)
	other := New(smallAdaptive())
	observeAll(other, mixedAttempts(4, 100))
	was := snapshotOf(t, other)
	for n := 0; n < len(data); n += 1 + n/50 {
		if err := other.Restore(snapshotVersion, data[:n]); err == nil {
			t.Fatalf("%d of %d bytes were taken for a snapshot", n, len(data))
		}
	}
	for _, foreign := range [][]byte{append(slices.Clone(data), 0), []byte("{}"), {0xff, 0xff, 0xff, 0xff, 0xff, 0x01}} {
		if err := other.Restore(snapshotVersion, foreign); err == nil {
			t.Errorf("%d foreign bytes were taken for a snapshot", len(foreign))
		}
	}
	if err := other.Restore(snapshotVersion+1, data); err == nil {
		t.Error("a later version was taken for ours")
	}
	if !slices.Equal(was, snapshotOf(t, other)) {
		t.Error("a bad snapshot changed the memory")
	}
}

// FuzzRestore feeds what a broken disk may hold; what is taken must be written back as it was read, as far as the caps
// let it.
func FuzzRestore(f *testing.F) {
	d := New(smallAdaptive())
	f.Add(snapshotOf(f, d))
	observeAll(d, mixedAttempts(5, 300))
	f.Add(snapshotOf(f, d))
	list := mixedAttempts(6, 50)
	f.Fuzz(func(t *testing.T, data []byte) {
		d := New(smallAdaptive())
		if d.Restore(snapshotVersion, data) != nil {
			return
		}
		again := New(smallAdaptive())
		if err := again.Restore(snapshotVersion, snapshotOf(t, d)); err != nil {
			t.Fatalf("it does not read what it wrote: %v", err)
		}
		if diff := cmp.Diff(observeAll(d, list), observeAll(again, list), cmpVerdict); diff != "" {
			t.Errorf("restored twice it decides otherwise:\n%s", diff)
		}
		for _, a := range list {
			d.Explain(a.Addr, a.Time)
		}
		d.Expire(list[len(list)-1].Time)
		d.Names(list[0].Time)
	})
}
