// Command exiled watches the systemd journal for failed logins and exiles the addresses behind them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"

	"exile/dbusapi"
	"exile/dbusapi/systemd"
	"exile/internal/announce"
	"exile/internal/control"
	"exile/internal/daemon"
	"exile/internal/state"
	"exile/internal/varlink"
)

// version is set by the build.
var version = "devel"

// options are the command line.
type options struct {
	config  string // the only file to read; empty: the usual ones
	bus     string // address; empty: the system bus; "none"
	dryRun  bool
	debug   bool
	reset   bool
	check   bool
	replay  string // a file, see rehearse; empty: nothing is replayed
	version bool
	doctor  string // a part of an examination, see examine; empty: none

	lastWeek string // a jail: only say what it makes of the last week
}

// gcPercent is how much garbage there may be compared to what is in use, half of the default. With 161,000 bans that costs a few percent of CPU
// time and saves 70 MB.
const gcPercent = 50

// startEnds is how long after the logs were read the memory is returned that only the start needed; it is as much as the rest.
const startEnds = 30 * time.Second

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	o, err := parseOptions(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		os.Exit(2)
	case o.version:
		fmt.Printf("exile %s\n", version)
		return
	}
	level := new(slog.LevelVar)
	if o.debug {
		level.Set(slog.LevelDebug)
	}
	log := newLog(level)
	start := time.Now()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	do := func() error { return run(ctx, o, level, log) }
	switch {
	case o.check:
		stop() // a signal ends it at once
		if err := keepRight(); err != nil {
			log.Warn("Programs that exiled starts inherit its capabilities", "error", err)
		}
		do = func() error { return check(context.Background(), o, os.Stdout) }
	case o.replay != "":
		do = func() error { return rehearse(ctx, o.replay, os.Stdout) }
	case o.lastWeek != "":
		stop()
		do = func() error { return showLastWeek(context.Background(), o, os.Stdout) }
	case o.doctor != "":
		do = func() error { return examine(ctx, o, os.Stdout) }
	case o.reset:
		stop()
		do = func() error { return reset(context.Background()) }
	}
	if err := do(); err != nil {
		lines := splitErrors(err)
		for _, line := range lines {
			log.Error(line)
		}
		notify("STATUS=" + systemd.CannotStart + strings.ReplaceAll(strings.Join(lines, "; "), "\n", " "))
		if os.Getenv("NOTIFY_SOCKET") != "" {
			backOff(ctx, o.bus, start)
		}
		os.Exit(1)
	}
	stop()
}

func parseOptions(args []string, help io.Writer) (o options, err error) {
	f := flag.NewFlagSet("exiled", flag.ContinueOnError)
	f.SetOutput(help)
	f.StringVar(&o.config, "config", "", "read only this `file`, not /etc/exile/exile.yaml and its like")
	f.StringVar(&o.bus, "bus", "", "`address` of the bus instead of the system's; \"none\" for none")
	f.BoolVar(&o.dryRun, "dry-run", false, "do everything but change the kernel")
	f.BoolVar(&o.debug, "debug", false, "log what would otherwise not be worth a line")
	f.BoolVar(&o.reset, "reset-firewall", false, "remove from the kernel what exile put there, and exit")
	f.BoolVar(&o.check, "check-config", false, "check the configuration as a start would, and exit")
	f.StringVar(&o.replay, "replay", "", "run the jails over the past as the `file` of exilectl replay asks, and exit")
	f.StringVar(&o.lastWeek, "last-week", "", "say what the `jail` makes of the log of the last week, and exit")
	f.StringVar(&o.doctor, "doctor", "", "examine a `part`, logs or packets, of what exile does on this host, and exit")
	f.BoolVar(&o.version, "version", false, "print the version and exit")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		fmt.Fprintf(help, "exiled: unexpected argument %q; see man:exiled.service(8)\n", f.Arg(0))
		return o, flag.ErrHelp
	}
	return o, nil
}

// splitErrors logs each mistake in a configuration on its own line.
func splitErrors(err error) []string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var lines []string
		for _, e := range joined.Unwrap() {
			lines = append(lines, splitErrors(e)...)
		}
		return lines
	}
	return []string{err.Error()}
}

// run builds the daemon and its interfaces, and waits for its end, which comes when ctx ends.
func run(ctx context.Context, o options, level *slog.LevelVar, log *slog.Logger) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // before anything takes time, and for good, because SIGHUP must never end us
	if err := keepCapabilities(); err != nil {
		log.Warn("Programs that exiled starts inherit its capabilities", "error", err)
	}
	machine, err := machineID()
	if err != nil {
		log.Warn("Cannot tell which journal is that of this machine", "error", err)
	}
	planner := &planner{options: o, log: log, machine: machine, kept: keptIn()}
	defer planner.close()
	store, err := planner.begin()
	if err != nil {
		return err
	}
	defer store.Close()

	events := announce.NewJournal(10_000, func(text string) { log.Info(text) })
	passed := passedSockets(log)
	var bus *dbusapi.Service
	d := daemon.New(daemon.Config{
		Plan:     planner.plan,
		Fallback: planner.fallback,
		Store:    store,
		Announce: func(e control.Event) {
			if !e.Summed {
				events.Announce(e)
			}
			if e.Kind != control.BansRemoved {
				bus.Announce(e)
				passed.announce(e)
			}
		},
		Waiting:  events.Waiting,
		Informed: func() { time.AfterFunc(startEnds, debug.FreeOSMemory) },
		Notify:   notify,
		Watchdog: watchdog(),
		Log:      log,
		Version:  version,
	})
	gate := control.Gate{Readers: journalReaders()}
	bus = dbusapi.New(dbusapi.Config{
		Address: o.bus, Daemon: d, Gate: gate, Version: version,
		LogLevel: level, LogTarget: "journal", Connected: logBus(log),
	})
	passed.connect(varlink.Config{Daemon: d, Gate: gate, Authorize: bus.Authorize, Version: version}, map[string]func() uint64{"journal": events.Dropped, "bus": bus.Dropped})
	if err := serve(ctx, o, d, bus, events, passed, hup); err != nil {
		return err
	}
	notify(sd.SdNotifyStopping)
	return nil
}

// serve runs the daemon and its interfaces until ctx ends or the daemon cannot start.
func serve(
	ctx context.Context, o options, d *daemon.Daemon, bus *dbusapi.Service, events *announce.Journal, passed *sockets, hup <-chan os.Signal,
) error {
	group, ctx := errgroup.WithContext(ctx)
	telling, told := context.WithCancel(context.Background()) // outlives the daemon, whose last words are events
	group.Go(func() error { defer told(); return d.Run(ctx) })
	group.Go(func() error { events.Run(telling); return nil })
	group.Go(func() error { hangup(ctx, d, hup); return nil })
	if o.bus != "none" {
		group.Go(func() error { return bus.Serve(ctx) })
	}
	for _, work := range passed.works(ctx) {
		group.Go(work)
	}
	return group.Wait()
}

// hangup compares the kernel on SIGHUP.
func hangup(ctx context.Context, d *daemon.Daemon, hup <-chan os.Signal) {
	for {
		select {
		case <-hup:
			_ = d.Reconcile(ctx) // fails only when the daemon is ending
		case <-ctx.Done():
			return
		}
	}
}

func openStore(dir string, log *slog.Logger) (*state.Store, error) {
	store, err := state.Open(dir)
	if err != nil {
		return nil, err
	}
	if aside := store.SetAside(); aside != nil {
		log.Warn(aside.Error())
	}
	if trouble := store.Err(); trouble != nil {
		log.Warn(trouble.Error())
	}
	return store, nil
}

// logBus logs once that there is no bus, however often it is tried: a host may have none.
func logBus(log *slog.Logger) func(error) {
	lost := false
	return func(err error) {
		switch {
		case err == nil && lost:
			log.Info("Reconnected to the bus", "name", dbusapi.BusName)
		case err == nil:
			log.Debug("Connected to the bus", "name", dbusapi.BusName)
		case !lost:
			log.Warn("There is no bus; banning goes on", "error", err)
		}
		lost = err != nil
	}
}

// notify sends a message to systemd, if that started us.
func notify(state string) { _, _ = sd.SdNotify(false, state) }

// watchdog is how often systemd wants to hear from us; 0: never.
func watchdog() time.Duration {
	d, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		return 0
	}
	return d
}
