package follow_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"exile/journal"
	"exile/journal/follow"
	"exile/journal/internal/makejournal"
)

// What sshd logged since the position that was stored with the last batch, and then what it logs from now on. The end of the
// context is no error.
func ExampleSource_Follow() {
	dir, err := os.MkdirTemp("", "follow")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	w := makejournal.NewWriter(true, true, makejournal.ZSTD)
	w.Add(journal.ID{1}, 1700000000000000, 10, "_SYSTEMD_UNIT=ssh.service", "MESSAGE=Server listening on :: port 22.")
	w.Add(journal.ID{1}, 1700000001000000, 20, "_SYSTEMD_UNIT=cron.service", "MESSAGE=(root) CMD (true)")
	w.Add(journal.ID{1}, 1700000002000000, 30, "_SYSTEMD_UNIT=ssh.service", "MESSAGE=Connection from 192.0.2.1")
	if err := os.WriteFile(filepath.Join(dir, "system.journal"), w.Bytes(), 0o600); err != nil {
		log.Fatal(err)
	}

	source, err := follow.New(follow.Config{
		Dirs:   []string{dir},
		Select: journal.Selector{{{Field: "_SYSTEMD_UNIT", Values: []string{"ssh.service"}}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var stored journal.Position // from a file, in a program that lives longer
	err = source.Follow(ctx, journal.Start{Resume: stored}, func(b journal.Batch) error {
		for i := range b.Entries {
			fmt.Printf("%s\n", b.Entries[i].Message)
		}
		stored = b.Position // once what was done with the entries is on disk, too
		if len(b.Entries) > 0 {
			cancel()
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("up to entry", stored.Seqnum)
	// Output:
	// Server listening on :: port 22.
	// Connection from 192.0.2.1
	// up to entry 3
}
