package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/config"
	"exile/internal/geoip"
	"exile/internal/geoip/geoiptest"
	"exile/internal/replay"
)

// inGermany is a database in which so many documentation networks are in Germany.
func inGermany(built time.Time, networks ...string) geoiptest.Database {
	db := geoiptest.Database{Built: built}
	for _, n := range networks {
		db.Entries = append(db.Entries, geoiptest.Entry{Prefix: n, Value: geoiptest.Country("DE")})
	}
	return db
}

// TestPlacesFollow: a database that is replaced is read, one that is gone or damaged is said, and one that becomes too old, too.
func TestPlacesFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "country.mmdb")
		geoiptest.Write(t, path, inGermany(time.Now(), "192.0.2.0/24"))
		p := newPlaces(&config.Config{GeoIP: []string{path}, Jails: []config.Jail{{Places: config.Places{AllowOnly: config.Area{Country: []geoip.Country{{'D', 'E'}}}}}}})
		p.use(p.read(time.Now()))
		w := p.Weigher(&config.Jail{Places: config.Places{Points: config.Factors{Country: map[geoip.Country]float64{{'D', 'E'}: 2}}}})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var loop sync.Mutex // stands in for the loop, which owns what is used
		go p.follow(ctx, func(change func()) error {
			loop.Lock()
			defer loop.Unlock()
			change()
			return nil
		})
		expect := func(after time.Duration, addr string, points float64, trouble string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			loop.Lock()
			defer loop.Unlock()
			got := w.Weigh(netip.MustParseAddr(addr)).Points
			if err := fmt.Sprint(p.Trouble()); got != points || !strings.Contains(err, trouble) {
				t.Errorf("%s weighs %v, trouble %s; want %v, %q", addr, got, err, points, trouble)
			}
		}
		expect(time.Second, "192.0.2.1", 2, "<nil>")
		geoiptest.Write(t, path+".new", inGermany(time.Now(), "198.51.100.0/24", "203.0.113.0/24"))
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		expect(2*placesWait, "198.51.100.1", 2, "<nil>")
		if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
		expect(2*placesWait, "198.51.100.1", 1, path+": no metadata")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect(2*placesWait, "198.51.100.1", 1, "geoipupdate")
		geoiptest.Write(t, path, inGermany(time.Now(), "198.51.100.0/24"))
		expect(2*placesWait, "198.51.100.1", 2, "<nil>")
		expect(geoip.MaxAge+2*placesAge, "198.51.100.1", 2, " days ago; get a newer one")
	})
}

// TestReplayByPlaces: a replay shows what factors would have done, also beside the configuration without them.
func TestReplayByPlaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	geoiptest.Write(t, filepath.Join(dir, "country.mmdb"), inGermany(time.Now(), "192.0.2.0/24"))
	file, log := filepath.Join(dir, "exile.yaml"), filepath.Join(dir, "auth.log")
	text := "geoip: " + filepath.Join(dir, "country.mmdb") + "\njails: {sshd: {maxretry: 5, detection: threshold, ignoreself: no}}\n"
	var lines strings.Builder
	for i := range 4 {
		for _, addr := range []string{"192.0.2.1", "198.51.100.1"} {
			fmt.Fprintf(&lines, "2026-11-29T10:00:%02d+00:00 host sshd[%d]: Failed password for root from %s port 4000 ssh2\n", i, 100+i, addr)
		}
	}
	for name, content := range map[string]string{file: text, log: lines.String()} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for setting, want := range map[string]int{
		"maxretry=5": 0, "points.country={DE: 2}": 1, "points.country={DE: 0.5, other: 10}": 0, "allow_only.country=[AT]": 1, "allow_only.country=[DE]": 0,
	} {
		asked, err := json.Marshal(replay.Request{Logs: []string{log}, Config: file, Settings: []string{setting}, Jails: []string{"sshd"}, Compare: file})
		if err != nil {
			t.Fatal(err)
		}
		request := filepath.Join(dir, "request")
		if err := os.WriteFile(request, asked, 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := rehearse(t.Context(), request, &out); err != nil {
			t.Fatal(err)
		}
		var rep replay.Report
		if err := json.Unmarshal(out.Bytes(), &rep); err != nil || rep.Error != "" {
			t.Fatalf("%v, %s", err, rep.Error)
		}
		if rep.Bans != want || rep.Other == nil || rep.Other.Bans != 0 {
			t.Errorf("--set %s: %d bans, and %+v without it; want %d and none", setting, rep.Bans, rep.Other, want)
		}
	}
}
