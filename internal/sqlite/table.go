package sqlite

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Table is a table with its columns.
type Table struct {
	db      *DB
	root    uint32
	columns []string
}

// Columns returns the names of the columns, in order.
func (t *Table) Columns() []string { return t.columns }

// Has reports whether the table has a column.
func (t *Table) Has(column string) bool { return slices.Contains(t.columns, column) }

// constraints are what begins a part of CREATE TABLE that is no column.
var constraints = []string{"constraint", "primary", "unique", "check", "foreign"}

// columnsOf returns the columns that CREATE TABLE names. It knows what programs write, not all of SQL: a name that it does not understand is
// one that nobody asks for.
func columnsOf(sql string) (names []string) {
	_, body, _ := strings.Cut(sql, "(")
	depth, begin := 0, 0
	for i := 0; i < len(body) && depth >= 0; i++ {
		switch body[i] {
		case '(':
			depth++
			continue
		case ')':
			depth--
		case ',':
		default:
			continue
		}
		if depth > 0 || depth == 0 && body[i] == ')' {
			continue
		}
		if words := strings.Fields(body[begin:i]); len(words) > 0 && !slices.Contains(constraints, firstWord(words[0])) {
			names = append(names, strings.Trim(words[0], "\"`[]'"))
		}
		begin = i + 1
	}
	return names
}

// firstWord ends where a parenthesis begins: UNIQUE(a, b).
func firstWord(s string) string {
	word, _, _ := strings.Cut(s, "(")
	return strings.ToLower(word)
}

// The kinds of pages that a table has.
const (
	interior = 5
	leaf     = 13
	maxDepth = 20 // what SQLite itself allows
)

// scan goes through a table once.
type scan struct {
	db     *DB
	left   uint32 // pages that may still be read: in a sound table each one is read once
	wanted []int  // positions of columns; -1: there is none
	last   int    // the greatest of them
	f      func(row []any) error
}

// Each calls f with the values of these columns in each row: nil, int64, float64, string or []byte. A column that is not there is nil, and so
// is one that was added after the row was written. f must not keep the slice. The error wraps ErrFormat, or is f's.
func (t *Table) Each(columns []string, f func(row []any) error) error {
	s := &scan{db: t.db, left: t.db.pages, f: f}
	for _, name := range columns {
		s.wanted = append(s.wanted, slices.Index(t.columns, name))
	}
	s.last = slices.Max(append(s.wanted, 0))
	return s.tree(t.root, 0)
}

// page reads a page.
func (s *scan) page(number uint32) ([]byte, error) {
	if number == 0 || number > s.db.pages {
		return nil, fmt.Errorf("%w: it refers to page %d of %d", ErrFormat, number, s.db.pages)
	}
	if s.left == 0 {
		return nil, fmt.Errorf("%w: page %d is used more than once", ErrFormat, number)
	}
	s.left--
	b := make([]byte, s.db.pageSize)
	_, err := s.db.file.ReadAt(b, int64(number-1)*int64(s.db.pageSize))
	if err != nil { // each page is in the file as a whole
		return nil, fmt.Errorf("read page %d: %w", number, err)
	}
	return b[:s.db.usable], nil
}

// tree goes through the rows of a page, and of those below it.
func (s *scan) tree(number uint32, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: more than %d levels", ErrFormat, maxDepth)
	}
	b, err := s.page(number)
	if err != nil {
		return err
	}
	head := b
	if number == 1 {
		head = b[headerSize:]
	}
	cells, size := int(binary.BigEndian.Uint16(head[3:])), 8
	if head[0] == interior {
		size = 12
	}
	if head[0] != interior && head[0] != leaf || size+2*cells > len(head) {
		return fmt.Errorf("%w: page %d is no page of a table", ErrFormat, number)
	}
	for i := range cells {
		at := int(binary.BigEndian.Uint16(head[size+2*i:]))
		if at > len(b)-4 {
			return fmt.Errorf("%w: page %d ends before its row %d", ErrFormat, number, i)
		}
		if head[0] == leaf {
			err = s.row(b[at:])
		} else {
			err = s.tree(binary.BigEndian.Uint32(b[at:]), depth+1)
		}
		if err != nil {
			return err
		}
	}
	if head[0] == leaf {
		return nil
	}
	return s.tree(binary.BigEndian.Uint32(head[8:]), depth+1)
}
