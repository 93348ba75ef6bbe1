package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"exile/dbusapi/client"
)

// options are the options that every verb understands.
type options struct {
	host     string
	machine  string
	json     string
	jsonAuto bool
	noPager  bool
	legend   boolean
	noLegend bool
	noAsk    bool
	full     bool
	quiet    bool
	yes      bool        // do not ask before lifting many bans
	start    bool        // start a stopped daemon for what the verb does
	lost     func(error) // told about gaps in what is watched
}

// boolean is a boolean as systemd's options accept it.
type boolean bool

// Set implements pflag.Value.
func (b *boolean) Set(s string) error {
	switch strings.ToLower(s) {
	case "1", "yes", "y", "true", "t", "on":
		*b = true
	case "0", "no", "n", "false", "f", "off":
		*b = false
	default:
		return errors.New("not a boolean")
	}
	return nil
}

// String implements pflag.Value.
func (b *boolean) String() string { return strconv.FormatBool(bool(*b)) }

// Type implements pflag.Value.
func (b *boolean) Type() string { return "bool" }

// The modes of --json.
const (
	jsonOff    = "off"
	jsonShort  = "short"
	jsonPretty = "pretty"
)

func (o *options) register(root *cobra.Command) {
	o.lost = func(error) {}
	root.SetHelpFunc(o.help)
	f := root.PersistentFlags()
	f.BoolP("help", "h", false, "Show this help")
	root.Flags().BoolP("version", "v", false, "Show the version")
	f.StringVarP(&o.host, "host", "H", "", "Operate on remote host `[USER@]HOST`")
	f.StringVarP(&o.machine, "machine", "M", "", "Operate on local container `CONTAINER`")
	f.StringVar(&o.json, "json", jsonOff, "Generate JSON output: `MODE` is pretty, short, off or help")
	f.BoolVarP(&o.jsonAuto, "json-auto", "j", false, "Same as --json=pretty on a terminal, --json=short otherwise")
	f.BoolVar(&o.noPager, "no-pager", false, "Do not pipe output into a pager")
	o.legend = true
	f.Var(&o.legend, "legend", "Print headings and footers if `BOOL` is true, the default")
	f.BoolVar(&o.noLegend, "no-legend", false, "Same as --legend=false")
	f.BoolVar(&o.noAsk, "no-ask-password", false, "Do not ask for a password")
	f.BoolVarP(&o.full, "full", "l", false, "Do not shorten output")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "Print only errors")
	completeFlag(root, "json", completeWords(jsonPretty, jsonShort, jsonOff, "help"))
	completeFlag(root, "legend", completeWords("true", "false"))
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return errors.Join(noneEmpty(cmd), o.check()) }
}

// noneEmpty refuses options with an empty value, which is a script's mistake: an empty host must not mean this one. An empty
// reason is allowed and means none.
func noneEmpty(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Value.Type() == "string" && f.Value.String() == "" && f.Name != "reason" {
			err = fmt.Errorf("--%s is empty", f.Name)
		}
	})
	return err
}

// here marks a verb that works on files and needs no daemon.
func (o *options) here(verb *cobra.Command) *cobra.Command {
	verb.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if o.bridge() != nil {
			return fmt.Errorf("%s works on local files: run it on the other host", cmd.Name())
		}
		return nil
	}
	return verb
}

func (o *options) check() error {
	switch o.json {
	case jsonOff, jsonShort, jsonPretty:
	case "help":
		fmt.Println(strings.Join([]string{jsonPretty, jsonShort, jsonOff}, "\n"))
		return &exitError{status: 0}
	default:
		return fmt.Errorf("unknown JSON mode %q: use pretty, short, off or help", o.json)
	}
	if o.host != "" && o.machine != "" {
		return errors.New("--host and --machine exclude each other")
	}
	if _, container, ok := strings.Cut(o.host, "/"); ok && !plainWord(container) { // a shell there reads it
		return fmt.Errorf("--host=%s: the part after the slash cannot be the name of a container", o.host)
	}
	return nil
}

func (o *options) jsonMode(terminal bool) string {
	switch {
	case !o.jsonAuto:
		return o.json
	case terminal:
		return jsonPretty
	}
	return jsonShort
}

// query asks the daemon something and prints the answer, through a pager where that helps.
func (o *options) query(ctx context.Context, f func(context.Context, daemon, *console) error) error {
	d, err := o.dial(ctx)
	if err != nil {
		return err
	}
	defer d.Close()
	return o.paged(func(c *console) error { return f(ctx, d, c) })
}

// command tells the daemon to do something that leaves a trace: if the daemon is stopped, this starts it.
func (o *options) command(ctx context.Context, f func(context.Context, daemon, *console) error) error {
	o.start = true
	return o.attended(ctx, f)
}

// attended sends the daemon a question or command; a human may be asked for a password first.
func (o *options) attended(ctx context.Context, f func(context.Context, daemon, *console) error) error {
	stop := o.startAgent()
	defer stop()
	d, err := o.dial(ctx)
	if err != nil {
		return err
	}
	defer d.Close()
	c := o.newConsole(os.Stdout)
	return errors.Join(f(ctx, d, c), flush(c))
}

// note prints what a command did, unless --quiet.
func (o *options) note(c *console, format string, args ...any) {
	if !o.quiet {
		c.line(clean(fmt.Sprintf(format, args...)))
	}
}

func flush(c *console) error {
	if err := c.Flush(); err != nil && !isClosedPipe(err) {
		return fmt.Errorf("failed to write output: %w", err)
	}
	return nil
}

// exitNotRunning is the status of init scripts for a daemon that is not running.
const exitNotRunning = 7

// failure says which step failed, and what to do if the daemon is not there.
func failure(err error, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	var remote *client.RemoteError
	switch {
	case !errors.As(err, &remote):
	case remote.NotRunning():
		return &exitError{exitNotRunning, fmt.Errorf("failed to %s: exiled is not running (start it with: systemctl start exiled)", what)}
	case remote.NotStarting():
		return &exitError{exitNotRunning, fmt.Errorf("failed to %s: exiled does not start: %w (see journalctl -u exiled)", what, err)}
	}
	return fmt.Errorf("failed to %s: %w", what, err)
}
