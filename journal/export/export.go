// Package export reads the journal through a child, journalctl --output=export, for journal files of a format that package
// journalfile does not know yet. It is slower than reading them directly and delivers later, but as exact.
//
// The package also decodes the export format from any reader, see [Decoder].
package export

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"exile/journal"
)

// Config says which journal to read, and what of it.
type Config struct {
	Selector journal.Selector
	// Fields are delivered besides those that an entry has a place for, by their names.
	Fields []string
	// Directory holds journal files, not those of the running host; empty: the host's journal.
	Directory string
	// Namespace is the journal namespace to read; empty: the default one. Not with Directory.
	Namespace string
	// Command is journalctl's path or name; empty: "journalctl".
	Command string
	// Report is called with the reason when the child died, before it is started again from where it was, in the goroutine of
	// Follow. It may be nil.
	Report func(error)
}

// Source is the entries of a journal that a Selector wants.
type Source struct {
	cfg     Config
	command string
	boot    journal.ID // the running boot; zero: unknown, or irrelevant
}

var _ journal.Source = (*Source)(nil)

// New checks cfg, and that there is a journalctl.
func New(cfg Config) (*Source, error) {
	if err := check(cfg.Selector); err != nil {
		return nil, err
	}
	if err := checkFields(cfg.Fields); err != nil {
		return nil, err
	}
	if cfg.Directory != "" && (!filepath.IsAbs(cfg.Directory) || cfg.Namespace != "") {
		return nil, fmt.Errorf("read journal directory %q: the path must be absolute, and the namespace empty", cfg.Directory)
	}
	if cfg.Command == "" {
		cfg.Command = "journalctl"
	}
	command, err := exec.LookPath(cfg.Command)
	if err != nil {
		return nil, fmt.Errorf("find journalctl: %w", err)
	}
	s := &Source{cfg: cfg, command: command}
	if cfg.Directory == "" {
		s.boot = runningBoot()
	}
	return s, nil
}

// runningBoot returns the zero ID if a sandbox hides it.
func runningBoot() (boot journal.ID) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return boot
	}
	p, err := journal.ParsePosition("b=" + strings.ReplaceAll(strings.TrimSpace(string(text)), "-", ""))
	if err != nil {
		return boot
	}
	return p.Boot
}

const (
	minPause = 100 * time.Millisecond // before a child that died is started again; twice as long each time
	maxPause = time.Minute
	// maxSilence is how long a child may be silent. Then another one is started, in case it hangs or lost the journal. It goes
	// on after the last entry, so nothing is missed or repeated.
	maxSilence = 10 * time.Minute
)

// Follow is the method of [journal.Source]. It never fails for good: a child that dies is started again.
func (s *Source) Follow(ctx context.Context, from journal.Start, emit func(journal.Batch) error) error {
	f := newFollower(s, from, emit)
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		before := f.count
		err := f.cycle(ctx)
		if f.emitErr != nil {
			return f.emitErr
		}
		if ctx.Err() != nil {
			return nil
		}
		if f.count > before {
			pause = minPause
		}
		if err == nil { // it was only silent
			continue
		}
		if s.cfg.Report != nil {
			s.cfg.Report(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// cycle reads all there is, in all boots, and then follows what the running boot adds until the child dies (an error) or
// is silent for too long (nil).
//
// There are two children because --follow always means "of this boot", and because a cursor of an older boot finds nothing
// new if the clock was set back in between.
func (f *follower) cycle(ctx context.Context) error {
	if !f.drained {
		if err := f.run(ctx, f.arguments(f.beginning()...), false); err != nil {
			return fmt.Errorf("read journal through journalctl: %w", err)
		}
		f.drained, f.passed = true, true
		if err := f.flush(true); err != nil {
			return err
		}
	}
	args := f.arguments(append([]string{"--follow", "--no-tail"}, f.continuation()...)...)
	if err := f.run(ctx, args, true); err != nil {
		return fmt.Errorf("follow journal through journalctl: %w", err)
	}
	return nil
}

// arguments are those of the child: first says where to begin.
func (f *follower) arguments(first ...string) []string {
	args := []string{"--output=export", "--quiet", "--no-pager", "--output-fields=" + fieldsOf(f.cfg.Selector, f.cfg.Fields)}
	switch {
	case f.cfg.Directory != "":
		args = append(args, "--directory="+f.cfg.Directory, "--merge") // merge: of all boots even with --follow
	case f.cfg.Namespace != "":
		args = append(args, "--namespace="+f.cfg.Namespace)
	}
	return slices.Concat(args, first, matches(f.cfg.Selector))
}

// beginning says where to read: after the last entry or, the first time, where Start says. It always uses --cursor, whose
// entry we know and drop: before systemd 256, --after-cursor skips an entry if the cursor's own is gone.
func (f *follower) beginning() []string {
	resume, since := f.from.Resume, f.from.Since
	resumeTime := time.UnixMicro(int64(resume.Realtime))
	switch {
	case f.last.Seqnum != 0:
		return cursor(f.last)
	case resume.Seqnum != 0 && (since.IsZero() || resumeTime.Before(since)):
		return cursor(resume)
	default:
		return sinceTime(since)
	}
}

// continuation says where to follow: after the last entry of the running boot. If there is none, all of that boot is new,
// except what Start does not want.
func (f *follower) continuation() []string {
	switch {
	case f.live.Seqnum != 0:
		return cursor(f.live)
	case f.from.Resume.Seqnum == 0:
		return sinceTime(f.from.Since)
	}
	return nil
}

func cursor(p journal.Position) []string { return []string{"--cursor=" + p.String()} }

func sinceTime(t time.Time) []string {
	if t.IsZero() {
		return nil
	}
	return []string{fmt.Sprintf("--since=@%d.%06d", t.Unix(), t.Nanosecond()/1000)}
}
