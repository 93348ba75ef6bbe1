package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// run has SQLite itself work on a database.
func run(t testing.TB, path, sql string) string {
	t.Helper()
	if _, err := exec.LookPath("sqlite3"); err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED: sqlite3 is not here (make deps)")
	}
	cmd := exec.Command("sqlite3", "-bail", path)
	cmd.Stdin = strings.NewReader(sql)
	var failed strings.Builder
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("sqlite3: %v: %s", err, &failed)
	}
	return string(out)
}

// made has SQLite make a database.
func made(t testing.TB, script string) string {
	t.Helper()
	sql, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.sqlite3")
	run(t, path, string(sql))
	return path
}

// all returns the rows of table t, in SQL.
func all(db *DB) (string, error) {
	table, err := db.Table("t")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = table.Each(table.Columns(), func(row []any) error {
		for i, v := range row {
			if i > 0 {
				b.WriteByte('|')
			}
			switch v := v.(type) {
			case nil:
				b.WriteString("NULL")
			case []byte:
				fmt.Fprintf(&b, "X'%X'", v)
			case string:
				b.WriteString("'" + v + "'")
			case float64:
				fmt.Fprintf(&b, "%.4e", v)
			default:
				fmt.Fprint(&b, v)
			}
		}
		b.WriteByte('\n')
		return nil
	})
	return b.String(), err
}

// What SQLite wrote is read as SQLite reads it.
func TestSameAsSQLite(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("testdata/*.sql")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, script := range scripts {
		t.Run(filepath.Base(script), func(t *testing.T) {
			t.Parallel()
			path := made(t, script)
			db, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			got, err := all(db)
			if err != nil {
				t.Fatal(err)
			}
			table, _ := db.Table("t")
			var columns []string
			for _, c := range table.Columns() {
				columns = append(columns, fmt.Sprintf("CASE typeof(%s) WHEN 'real' THEN printf('%%.4e', %[1]s) ELSE quote(%[1]s) END", c))
			}
			want := run(t, path, "SELECT "+strings.Join(columns, ", ")+" FROM t ORDER BY rowid;")
			if strings.Contains(script, "wide") { // the column a is the number of the row, which no row has
				want = strings.NewReplacer("1|", "NULL|", "2|", "NULL|", "3|", "NULL|").Replace(want)
			}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestColumns(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"CREATE TABLE t(a, b)": "a b",
		"CREATE TABLE bans(" +
			"jail TEXT NOT NULL, \n ip TEXT, timeofban INTEGER NOT NULL DEFAULT (1+(2)), " +
			"FOREIGN KEY(jail) REFERENCES jails(name), PRIMARY KEY(jail, ip) )": "jail ip timeofban",
		`CREATE TABLE "x"("a b" INT, 'c', [d] DECIMAL(3, 4), CHECK(d > 0))`: "a c d",
		"CREATE TABLE t":           "",
		"CREATE TABLE t(a) STRICT": "a",
		"CREATE TABLE t(a, b":      "a",
	} {
		if got := strings.Join(columnsOf(sql), " "); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
}

// Changes that are not in the database yet are not passed over; what was changed and then moved into it is no obstacle.
func TestPending(t *testing.T) {
	t.Parallel()
	path := made(t, "testdata/values.sql")
	for name, test := range map[string]struct {
		suffix, text string
		want         error
	}{
		"log":     {"-wal", "\x37\x7f\x06\x82", ErrPending},
		"journal": {"-journal", "\xd9\xd5\x05\xf9", ErrPending},
		"empty":   {"-wal", "", nil},
		"zeroed":  {"-journal", "\x00\x00\x00\x00", nil},
	} {
		if err := os.WriteFile(path+test.suffix, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := Open(path)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			_ = db.Close()
		}
		_ = os.Remove(path + test.suffix)
	}
}

// A reader keeps SQLite from writing until it is done.
func TestOpenLocks(t *testing.T) {
	t.Parallel()
	path := made(t, "testdata/values.sql")
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sqlite3", path, "DELETE FROM t").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "locked") {
		t.Errorf("SQLite wrote under a reader: %v: %s", err, out)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	run(t, path, "DELETE FROM t;")
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("root:x:0:0"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{dir: nil, file: ErrFormat, dir + "/none": os.ErrNotExist} {
		if _, err := Open(path); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if db, err := Open(made(t, "testdata/values.sql")); err != nil {
		t.Error(err)
	} else if _, err := db.Table("bans"); !errors.Is(err, ErrNoTable) {
		t.Error(err)
	}
}

// Damage anywhere ends in an error or in other values, and soon.
func TestDamaged(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"testdata/values.sql", "testdata/long.sql"} {
		sound, err := os.ReadFile(made(t, script))
		if err != nil {
			t.Fatal(err)
		}
		damaged := bytes.Clone(sound)
		for n, i := 0, 0; i < len(sound); n, i = n+1, i+1+len(sound)/500 {
			damaged[i] = []byte{0, 1, 2, 0x7f, 0xff}[n%5]
			if err := try(damaged); err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrNoTable) {
				t.Error(err)
			}
			damaged[i] = sound[i]
		}
		for size := 0; size < len(sound)/2; size += 1 + len(sound)/50 {
			if err := try(sound[:size]); err == nil {
				t.Errorf("%s: %d of %d bytes are read without an error", script, size, len(sound))
			}
		}
	}
}

// try reads a database. Only errors of the format may come of its bytes.
func try(data []byte) error {
	db, err := New(bytes.NewReader(data), int64(len(data)))
	if err == nil {
		_, err = all(db)
	}
	return err
}

func FuzzRead(f *testing.F) {
	for _, script := range []string{"testdata/values.sql", "testdata/long.sql", "testdata/deep.sql"} {
		sound, err := os.ReadFile(made(f, script))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(sound)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := try(data); err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrNoTable) {
			t.Error(err)
		}
	})
}
