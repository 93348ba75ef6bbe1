// Command exile-lapi shows exiled's bans to bouncers, as CrowdSec's local API does. It has a user and a sandbox of its own, and can only ask.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"

	"exile/dbusapi/client"
	"exile/internal/control"
	"exile/internal/lapi"
)

var version = "devel" // set by the linker

const usage = `usage: exile-lapi                     answer bouncers; systemd opens the socket
       exile-lapi add-key NAME        make a key for a bouncer, and print it
       exile-lapi remove-key NAME     let a bouncer in no longer
       exile-lapi list-keys           print the names of the bouncers that have keys
       exile-lapi --help | --version
See exile-lapi(8).
`

// Where things are.
const (
	keyFile  = "/etc/exile/lapi.keys"
	stateDir = "/var/lib/exile-lapi"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, lapi.Keys{Path: keyFile}, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "exile-lapi:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, keys lapi.Keys, args []string, out io.Writer) error {
	word, name := "", ""
	if len(args) > 0 {
		word = args[0]
	}
	if len(args) == 2 {
		name = args[1]
	}
	switch {
	case word == "" && len(args) == 0:
		return serve(ctx, keys)
	case word == "add-key" && name != "":
		key, err := keys.Add(name)
		if err == nil {
			_, err = fmt.Fprintln(out, key)
		}
		return err
	case word == "remove-key" && name != "":
		return keys.Remove(name)
	case word == "list-keys" && len(args) == 1:
		all, err := keys.Read()
		for _, k := range all {
			fmt.Fprintln(out, k.Name)
		}
		return err
	case word == "--version" && len(args) == 1:
		_, err := fmt.Fprintln(out, "exile", version)
		return err
	case word == "--help" && len(args) == 1:
		_, err := io.WriteString(out, usage)
		return err
	}
	return fmt.Errorf("unknown command %q: see exile-lapi --help", args)
}

// Times of the service.
const (
	saveEvery = 5 * time.Minute
	lastWords = 5 * time.Second // for answers when it ends
)

// serve answers until ctx ends.
func serve(ctx context.Context, keys lapi.Keys) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	listener, err := passed()
	if err != nil {
		return err
	}
	l, err := lapi.Listen(listener, os.Getenv("CREDENTIALS_DIRECTORY"))
	if err != nil {
		return err
	}
	file := filepath.Join(stateDir, "book")
	book, err := lapi.Load(file)
	if err != nil {
		log.Warn("Bouncers do not hear of what was lifted while this service did not run", "error", err)
	}
	if err := feed(ctx, book, log); err != nil {
		return err
	}
	go save(ctx, book, file, log)
	server := lapi.NewServer(book, keys, log).HTTP()
	go func() {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
		defer cancel()
		_ = server.Shutdown(last)
	}()
	log.Info("Answering bouncers", "address", l.Addr())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("answer bouncers: %w", err)
	}
	return book.Save(file)
}

// withoutTime: the journal has it.
func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// passed is the socket that systemd opened.
func passed() (net.Listener, error) {
	all, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if len(all) != 1 || all[0] == nil {
		return nil, errors.New("no socket: systemctl start exile-lapi.socket")
	}
	return all[0], nil
}

// feed fills the book from exiled, for as long as ctx.
func feed(ctx context.Context, book *lapi.Book, log *slog.Logger) error {
	f := lapi.NewFeed(book, func(err error) { log.Warn("Cannot list the bans, and try again", "error", err) })
	c, err := client.Dial(ctx, client.Config{
		Joined: f.Joined,
		Lost:   func(err error) { log.Warn("Hear nothing of new bans, and wait", "reason", err) },
	})
	if err != nil {
		return err
	}
	go f.Run(ctx, c)
	go watch(ctx, c, f.Hear, log)
	return nil
}

// watch hears exiled's signals, also when it starts later than this service.
func watch(ctx context.Context, c *client.Client, hear func(control.Event), log *slog.Logger) {
	for ctx.Err() == nil {
		if err := c.Watch(ctx, hear); err != nil && ctx.Err() == nil {
			log.Warn("Hear nothing of exiled, and try again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(lastWords):
		}
	}
}

// save keeps the book now and then, for the case that this service does not end as it should.
func save(ctx context.Context, book *lapi.Book, file string, log *slog.Logger) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := book.Save(file); err != nil {
			log.Warn("Bouncers may not hear of what is lifted while this service does not run", "error", err)
		}
	}
}
