package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"exile/internal/config"
	"exile/internal/geoip"
	"exile/internal/setup"
)

const (
	// placesWait is how often databases are looked at: whoever updates them replaces them.
	placesWait = time.Minute
	// placesAge is how often they are read again although they are the same, since they may have become too old.
	placesAge = 24 * time.Hour
)

// places are the databases of countries and networks.
type places struct {
	setup.Atlas
	paths []string
	asked bool  // a jail asks where addresses are; otherwise they are only for exilectl
	wrong error // what is wrong with them. The loop owns it.
}

func newPlaces(cfg *config.Config) places {
	return places{paths: cfg.GeoIP, asked: setup.Matters(cfg)}
}

// read reads the databases. It may be called from any goroutine.
func (p *places) read(now time.Time) (*geoip.Table, error) {
	if !p.asked {
		d := geoip.Open(p.paths, now)
		defer d.Close()
		return nil, d.Wrong()
	}
	t := geoip.Load(p.paths, now)
	return t, t.Wrong()
}

// use makes the jails ask what was read. A database that is damaged now was not before, so what was known of it is forgotten, too.
func (p *places) use(t *geoip.Table, wrong error) {
	p.Use(t)
	p.wrong = wrong
}

// Trouble returns what is wrong with the databases; nil: nothing.
func (p *places) Trouble() error { return p.wrong }

// follow reads the databases again when they change, until ctx ends.
func (p *places) follow(ctx context.Context, do func(change func()) error) {
	if len(p.paths) == 0 {
		return
	}
	last, read := versions(p.paths), time.Now()
	tick := time.NewTicker(placesWait)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := versions(p.paths)
		if now == last && time.Since(read) < placesAge {
			continue
		}
		last, read = now, time.Now()
		t, wrong := p.read(read)
		_ = do(func() { p.use(t, wrong) }) // fails only at the end
		debug.FreeOSMemory()               // reading took as much as a file, and the former table is gone
	}
}

// versions tells which files the paths name: it differs once one was changed or replaced.
func versions(paths []string) string {
	var b strings.Builder
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			fmt.Fprintf(&b, "%v\n", err)
			continue
		}
		inode := uint64(0)
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			inode = s.Ino
		}
		fmt.Fprintf(&b, "%d %d %d %v\n", inode, info.Size(), info.ModTime().UnixNano(), info.Mode())
	}
	return b.String()
}
