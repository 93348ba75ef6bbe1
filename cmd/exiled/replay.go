package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"exile/internal/config"
	"exile/internal/replay"
	"exile/internal/setup"
)

// replayGC is how much garbage there may be while a log is replayed, in percent of what is in use: that may be 100 MB, and most of it holds no
// pointers.
const replayGC = 20

// maxHistory is how many days of jails a replay sums up: ten years of one jail. Each takes 2 to 5 kB.
const maxHistory = 3660

// maxRequest bounds a request, in bytes. Arguments of exilectl can be 6 MiB together.
const maxRequest = 64 << 20

// readRequest reads what exilectl asks for, in JSON.
func readRequest(path string) (asked replay.Request, err error) {
	f, err := os.Open(path)
	if err != nil {
		return asked, err
	}
	defer f.Close()
	err = json.NewDecoder(io.LimitReader(f, maxRequest)).Decode(&asked)
	return asked, err
}

// rehearse replays what a file of exilectl asks for, and writes the report and, if it is asked for, the document. An interrupt ends the reading.
// The error is one of writing; all others are in the report.
func rehearse(ctx context.Context, request string, out io.Writer) error {
	debug.SetGCPercent(replayGC)
	begun := time.Now()
	asked, err := readRequest(request)
	if err != nil {
		return fmt.Errorf("--replay is for exilectl replay: %w", err)
	}
	w := bufio.NewWriter(out)
	run, err := prepare(asked)
	if err == nil {
		run.progress = newProgress(asked, begun)
		if err = run.read(ctx); ctx.Err() != nil {
			err = nil // what was read until then is reported
		}
		run.progress.clear()
	}
	if err != nil {
		return errors.Join(json.NewEncoder(w).Encode(replay.Report{Error: err.Error()}), w.Flush())
	}
	run.finish()
	took := time.Since(begun)
	if run.trials != nil {
		return errors.Join(json.NewEncoder(w).Encode(run.suggested(took, ctx.Err() != nil)), w.Flush())
	}
	rep := run.finished(took, ctx.Err() != nil)
	err = json.NewEncoder(w).Encode(rep)
	if asked.Form != "" && err == nil {
		err = run.tell(&rep, w)
	}
	if asked.Document && err == nil {
		err = run.replay.Document(w, took, asked.Pretty, run.compared)
	}
	return errors.Join(err, w.Flush())
}

// finished is the report of a run that took so long.
func (r *rehearsal) finished(took time.Duration, interrupted bool) replay.Report {
	rep := r.replay.Report()
	rep.Troubles, rep.First, rep.Last = r.report.Troubles, r.report.First, r.report.Last
	rep.Elapsed, rep.Interrupted = took, interrupted
	if r.compared != nil {
		rep.Other = new(r.other.Report())
		rep.Only, rep.Other.Only = r.compared.Only()
		rep.Differences, rep.Different = r.compared.Differences()
	}
	return rep
}

// finish decides what waited for later lines.
func (r *rehearsal) finish() {
	if r.trials != nil {
		r.trials.Finish()
		return
	}
	r.replay.Finish()
	for i := range r.beside {
		r.beside[i].replay.Finish()
	}
	if r.compared != nil {
		r.other.Finish()
		r.compared.Look()
	}
}

// prepare reads the configuration and builds its jails.
func prepare(asked replay.Request) (*rehearsal, error) {
	cfg, wanted, err := chosen(asked)
	if err != nil {
		return nil, err
	}
	run := &rehearsal{asked: asked}
	if err := run.open(wanted); err != nil {
		return nil, err
	}
	run.jails = run.readers(wanted)
	if len(run.jails) == 0 {
		return nil, fmt.Errorf("no jail to replay: %s", strings.Join(append(run.report.Troubles, "name one with --jail"), "; "))
	}
	for _, r := range run.jails {
		run.lookBack = max(run.lookBack, setup.LookBack(cfg, r.Jail))
	}
	host, troubles := thisHost()
	host.Places = run.places
	run.report.Troubles = append(run.report.Troubles, troubles...)
	if asked.Suggest {
		return run, run.prepareTrials(host)
	}
	if asked.Lines {
		cfg.Recidive.Enabled = false // as on the other side: the rule counts bans, and no lines of these jails
	}
	run.rules, err = setup.Rules(cfg, run.jails, host)
	if err != nil {
		return nil, err
	}
	run.replay = replay.New(run.rules)
	if asked.History {
		run.replay.Remember(maxHistory)
	}
	if asked.Form != "" {
		run.prepareBeside(wanted, host)
	}
	if err := run.prepareOther(host); err != nil {
		return nil, err
	}
	run.mute(!asked.Since.IsZero())
	return run, nil
}

// prepareOther builds the jails to compare with: those of the same names in another configuration, or the same that ban as fail2ban would.
func (r *rehearsal) prepareOther(host setup.Host) error {
	asked := r.asked
	if asked.Compare == "" {
		return nil
	}
	if asked.Compare != replay.Fail2ban {
		asked.Config, asked.Settings = asked.Compare, nil
	}
	cfg, wanted, err := chosen(asked)
	if err != nil {
		return err
	}
	readers := r.readers(wanted)
	for i := range readers {
		readers[i].Lines = asked.Compare == replay.Fail2ban || asked.Lines
		r.lookBack = max(r.lookBack, setup.LookBack(cfg, readers[i].Jail))
	}
	if asked.Compare == replay.Fail2ban || asked.Lines {
		cfg.Recidive.Enabled = false
	}
	if r.otherRules, err = setup.Rules(cfg, readers, host); err != nil {
		return err
	}
	r.jails = append(r.jails, readers...)
	r.other = replay.New(r.otherRules)
	r.compared = replay.Compare(r.replay, r.other)
	return nil
}

// chosen reads the configuration, with the settings of the command line over it, and returns the jails that are wanted.
func chosen(asked replay.Request) (*config.Config, []*config.Jail, error) {
	from := config.Sources{Root: asked.Root, File: asked.Config}
	cfg, err := config.Load(from)
	if err != nil {
		return nil, nil, err
	}
	names := asked.Jails
	if len(names) == 0 {
		for i := range cfg.Jails {
			if c := &cfg.Jails[i]; c.Enabled && !c.ByHand {
				names = append(names, c.Name)
			}
		}
	}
	if from.Over, err = over(asked, names); err != nil {
		return nil, nil, err
	}
	if cfg, err = config.Load(from); err != nil {
		return nil, nil, err
	}
	var wanted []*config.Jail
	for _, name := range names {
		i := slices.IndexFunc(cfg.Jails, func(c config.Jail) bool { return c.Name == name })
		if i < 0 {
			return nil, nil, fmt.Errorf("no jail %q", name)
		}
		wanted = append(wanted, &cfg.Jails[i])
	}
	return cfg, wanted, nil
}

// key is what a key of the configuration looks like.
var key = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)*$`)

// over writes the settings of the command line as a configuration file.
func over(asked replay.Request, jails []string) (string, error) {
	if len(asked.Settings)+len(asked.Jails) == 0 {
		return "", nil
	}
	var b strings.Builder
	b.WriteString("jails:\n")
	for _, name := range jails {
		fmt.Fprintf(&b, "  %s:\n    enabled: yes\n", strconv.Quote(name))
		for _, s := range asked.Settings {
			k, v, ok := strings.Cut(s, "=")
			if !ok || !key.MatchString(k) || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' }) {
				return "", fmt.Errorf("--set=%q: want KEY=VALUE with a key of exile.yaml(5), such as maxretry=3", s)
			}
			fmt.Fprintf(&b, "    %s: %s\n", k, v)
		}
	}
	return b.String(), nil
}
