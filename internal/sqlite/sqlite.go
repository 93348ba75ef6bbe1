// Package sqlite reads the tables of an SQLite database: whole tables, from first row to last. It neither writes nor looks anything up.
// https://www.sqlite.org/fileformat2.html has the format, and the numbers.
package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrFormat  = errors.New("not a sound SQLite database")
	ErrPending = errors.New("changes wait beside the database")
	ErrNoTable = errors.New("no such table")
)

const (
	magic      = "SQLite format 3\x00"
	headerSize = 100
	minUsable  = 480
	utf8Text   = 1
)

// DB is a database that is open for reading.
type DB struct {
	file     io.ReaderAt
	close    func() error
	pageSize int
	usable   int    // bytes of each page that have contents
	pages    uint32 // in the file
	schema   map[string]*Table
}

// Open opens a database, and keeps its writers waiting until Close. The error wraps ErrPending if a program has written changes beside the
// database that it has not moved into it.
func Open(path string) (*DB, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not block
	if err != nil {
		return nil, err
	}
	db, err := open(f, path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", path, err), f.Close())
	}
	db.close = f.Close
	return db, nil
}

func open(f *os.File, path string) (*DB, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if err := share(f); err != nil {
		return nil, fmt.Errorf("another program writes to it: %w", err)
	}
	if err := pending(path); err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err != nil { // it may have grown before it was locked
		return nil, err
	}
	return New(f, info.Size())
}

// SQLite's locks are on bytes that no file reaches, see https://www.sqlite.org/lockingv3.html. A reader holds those that a writer needs.
const (
	sharedFirst = 1<<30 + 2
	sharedSize  = 510
	// A writer holds them for moments.
	lockTries = 50
	lockPause = 100 * time.Millisecond
)

func share(f *os.File) (err error) {
	for range lockTries {
		err = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_RDLCK, Start: sharedFirst, Len: sharedSize})
		if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EACCES) {
			return err
		}
		time.Sleep(lockPause)
	}
	return err
}

// pending looks for the two kinds of files with changes. One that begins with a zero, or is empty, has been moved into the database.
func pending(path string) error {
	for _, suffix := range []string{"-wal", "-journal"} {
		begin := make([]byte, 1)
		f, err := os.OpenFile(path+suffix, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		n, err := f.Read(begin)
		_ = f.Close()
		if n == 1 && begin[0] != 0 {
			return fmt.Errorf("%w, in %s", ErrPending, path+suffix)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}

// Close lets writers go on.
func (db *DB) Close() error { return db.close() }

// New reads the schema of a database of size bytes.
func New(file io.ReaderAt, size int64) (*DB, error) {
	head := make([]byte, headerSize)
	if _, err := file.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if string(head[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: it does not begin like one", ErrFormat)
	}
	db := &DB{file: file, close: func() error { return nil }, pageSize: int(binary.BigEndian.Uint16(head[16:]))}
	if db.pageSize == 1 {
		db.pageSize = 1 << 16
	}
	db.usable = db.pageSize - int(head[20])
	switch {
	case db.pageSize < 512 || db.pageSize&(db.pageSize-1) != 0 || db.usable < minUsable:
		return nil, fmt.Errorf("%w: pages of %d bytes", ErrFormat, db.pageSize)
	case binary.BigEndian.Uint32(head[56:]) != utf8Text:
		return nil, fmt.Errorf("%w: its text is not in UTF-8", ErrFormat)
	}
	db.pages = uint32(min(size/int64(db.pageSize), 1<<32-2))
	return db, db.readSchema()
}

// maxTables is how many tables a schema may have; fail2ban's has five.
const maxTables = 1000

// readSchema reads the table of tables, which begins on the first page.
func (db *DB) readSchema() error {
	db.schema = make(map[string]*Table)
	all := &Table{db: db, root: 1, columns: []string{"type", "name", "tbl_name", "rootpage", "sql"}}
	return all.Each([]string{"type", "name", "rootpage", "sql"}, func(row []any) error {
		kind, _ := row[0].(string)
		name, _ := row[1].(string)
		root, _ := row[2].(int64)
		sql, _ := row[3].(string)
		if kind != "table" || root == 0 { // an index, or a view
			return nil
		}
		if root < 0 || root > int64(db.pages) {
			return fmt.Errorf("%w: table %q is on page %d of %d", ErrFormat, name, root, db.pages)
		}
		if len(db.schema) == maxTables {
			return fmt.Errorf("%w: more than %d tables", ErrFormat, maxTables)
		}
		db.schema[name] = &Table{db: db, root: uint32(root), columns: columnsOf(sql)}
		return nil
	})
}

// Table returns a table, or ErrNoTable.
func (db *DB) Table(name string) (*Table, error) {
	t, ok := db.schema[name]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrNoTable, name)
	}
	return t, nil
}
