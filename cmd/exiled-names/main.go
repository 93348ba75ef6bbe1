// Command exiled-names resolves one host name for exiled, which has no network. systemd starts it for each question, with the
// connection as its standard input and output; it asks as the host does, answers and ends.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"exile/internal/names"
)

// patience is for one question; exiled waits no longer either.
const patience = 10 * time.Second

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn := struct {
		io.Reader
		io.Writer
	}{os.Stdin, os.Stdout}
	if err := names.Answer(ctx, conn); err != nil {
		fmt.Fprintln(os.Stderr, "exiled-names:", err)
		os.Exit(1)
	}
}
