// Command fail2ban-client answers from exiled what people, panels and exporters ask the program of that name: the same words in, the same
// form of output, the same exit codes. What exile does in another way it refuses, and says what to type instead.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"exile/dbusapi/client"
)

var version = "devel" // of exile; set by the linker

// compatible is the version of fail2ban whose output this is. Programs compare it to know what they may ask.
const compatible = "1.1.0"

// failed is the exit status of fail2ban's client for every failure.
const failed = 255

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, client.Config{}, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program; it returns the exit status.
func run(ctx context.Context, bus client.Config, args []string, out, log io.Writer) int {
	words, err := parse(args)
	var said string
	if err == nil {
		said, err = answer(ctx, bus, words)
	}
	if err != nil {
		said = ""
	}
	if refused, ok := errors.AsType[*refusal](err); ok {
		said = refused.said
	}
	if said != "" {
		if _, broken := fmt.Fprint(out, said); broken != nil {
			return failed
		}
	}
	if err == nil {
		return 0
	}
	fmt.Fprintf(log, "%s fail2ban                [%d]: ERROR   %s\n", time.Now().Format("2006-01-02 15:04:05,000"), os.Getpid(), explain(err))
	return failed
}

// answer carries out a command, and returns what to print.
func answer(ctx context.Context, bus client.Config, words []string) (string, error) {
	do, known := commands()[words[0]]
	if !known {
		return "", refuse("Invalid command")
	}
	if do.alone != nil {
		return do.alone(words[1:])
	}
	c, err := client.Dial(ctx, bus)
	if err != nil {
		return "", &unreachable{err}
	}
	defer c.Close()
	return do.ask(session{c}, ctx, words[1:])
}

// session is the daemon for one command.
type session struct{ *client.Client }

// command is what a word of the command line does.
type command struct {
	alone func(args []string) (string, error) // needs no daemon
	ask   func(s session, ctx context.Context, args []string) (string, error)
}

func commands() map[string]command {
	return map[string]command{
		"-d": {ask: session.dump}, "--dp": {ask: session.dump}, "--dump-pretty": {ask: session.dump},
		"-h": {alone: help}, "--help": {alone: help}, "": {alone: bare},
		"-V": {alone: said(compatible)}, "--version": {alone: said("Fail2Ban v" + compatible + " (exile " + version + ")")},
		"-t": {alone: instead("exilectl check-config")}, "--test": {alone: instead("exilectl check-config")},
		"-i": {alone: instead("exilectl, one command at a time")}, "--str2sec": {alone: instead("systemd-analyze timespan TIME")},
		"add":        {alone: instead("exilectl enable JAIL")},
		"banned":     {ask: session.banned},
		"echo":       {alone: echo},
		"flushlogs":  {ask: ping("logs: flushed")}, // exiled writes none: for logrotate there is nothing to do
		"get":        {ask: session.get},
		"ping":       {ask: ping("Server replied: pong")},
		"reload":     {ask: session.reload},
		"restart":    {ask: session.restart},
		"set":        {ask: session.set},
		"start":      {ask: session.start},
		"statistics": {ask: session.statistics}, "stats": {ask: session.statistics},
		"status":  {ask: session.status},
		"stop":    {ask: session.stop},
		"unban":   {ask: session.unban},
		"version": {ask: ping(compatible)},
	}
}

// ping is a command that says a line if the daemon answers.
func ping(line string) func(session, context.Context, []string) (string, error) {
	return func(s session, ctx context.Context, _ []string) (string, error) { return line + "\n", s.ping(ctx) }
}

// said is a command that always says the same.
func said(line string) func([]string) (string, error) {
	return func([]string) (string, error) { return line + "\n", nil }
}

// instead is a command that exile has in another place.
func instead(what string) func([]string) (string, error) {
	return func([]string) (string, error) { return "", unsupported(what) }
}
