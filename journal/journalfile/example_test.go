package journalfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"exile/journal"
	"exile/journal/internal/makejournal"
	"exile/journal/journalfile"
)

// exampleFile makes a small journal and returns its path and a function that removes it.
func exampleFile() (path string, remove func()) {
	w := makejournal.NewWriter(true, true, makejournal.ZSTD)
	w.Add(journal.ID{1}, 1700000000000000, 10, "_SYSTEMD_UNIT=cron.service", "MESSAGE=(root) CMD (true)")
	w.Add(journal.ID{1}, 1700000001000000, 20, "_SYSTEMD_UNIT=ssh.service", "MESSAGE=Server listening on :: port 22.")
	w.Add(journal.ID{1}, 1700000002000000, 30, "_SYSTEMD_UNIT=ssh.service", "MESSAGE=Connection from 192.0.2.1", "CODE_LINE=7")
	dir, err := os.MkdirTemp("", "journalfile")
	if err != nil {
		log.Fatal(err)
	}
	path = filepath.Join(dir, "system.journal")
	if err := os.WriteFile(path, w.Bytes(), 0o600); err != nil {
		log.Fatal(err)
	}
	return path, func() { _ = os.RemoveAll(dir) }
}

// Entries of one unit, oldest first.
func Example() {
	path, remove := exampleFile()
	defer remove()
	f, err := journalfile.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	m, err := f.Match(journal.Selector{{{Field: "_SYSTEMD_UNIT", Values: []string{"ssh.service", "ssh@*.service"}}}})
	if err != nil {
		log.Fatal(err)
	}
	c := f.Cursor(m)
	var e journal.Entry
	var buf []byte
	for {
		ok, err := c.Next()
		if errors.Is(err, journalfile.ErrCorrupt) {
			continue // it has stepped over what is damaged
		}
		if err != nil {
			log.Fatal(err)
		}
		if !ok {
			break
		}
		if buf, _, err = c.Read(&e, buf[:0], 4096); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s\n", e.Unit, e.Message)
	}
	// Output:
	// ssh.service Server listening on :: port 22.
	// ssh.service Connection from 192.0.2.1
}

// All fields of the last entry.
func ExampleCursor_Data() {
	path, remove := exampleFile()
	defer remove()
	f, err := journalfile.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	c := f.Cursor(nil)
	if err := c.SeekTail(); err != nil {
		log.Fatal(err)
	}
	if ok, err := c.Previous(); !ok || err != nil {
		log.Fatal(ok, err)
	}
	for i := range c.Fields() {
		data, _, err := c.Data(i, 64<<10)
		if err != nil {
			log.Fatal(err)
		}
		name, value, _ := bytes.Cut(data, []byte("="))
		fmt.Printf("%s: %s\n", name, value)
	}
	// Output:
	// _SYSTEMD_UNIT: ssh.service
	// MESSAGE: Connection from 192.0.2.1
	// CODE_LINE: 7
	// _BOOT_ID: 01000000000000000000000000000000
}

// The first entry at or after a time.
func ExampleCursor_SeekRealtime() {
	path, remove := exampleFile()
	defer remove()
	f, err := journalfile.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	c := f.Cursor(nil)
	if err := c.SeekRealtime(1700000001500000); err != nil {
		log.Fatal(err)
	}
	if ok, err := c.Next(); !ok || err != nil {
		log.Fatal(ok, err)
	}
	fmt.Println(c.Entry().Seqnum)
	// Output: 3
}
