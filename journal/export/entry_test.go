package export

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/journal"
)

func decodeOne(t *testing.T, stream []byte) []Field {
	t.Helper()
	fields, err := NewDecoder(bytes.NewReader(stream)).Next()
	if err != nil {
		t.Fatal(err)
	}
	return fields
}

func TestEntry(t *testing.T) {
	t.Parallel()
	const cursor = "s=0f0e0d0c0b0a09080706050403020100;i=1a;b=000102030405060708090a0b0c0d0e0f;m=3e8;t=65bfeda25e000;x=ed"
	position, err := journal.ParsePosition(cursor)
	if err != nil {
		t.Fatal(err)
	}
	always := [][2]string{{"__CURSOR", cursor}, {"__REALTIME_TIMESTAMP", "1790000000000001"}}
	base := journal.Entry{Position: position, Time: time.UnixMicro(1790000000000001), Boot: position.Boot, UID: -1}
	with := func(change func(*journal.Entry)) journal.Entry {
		e := base
		change(&e)
		return e
	}
	for _, c := range []struct {
		name   string
		fields [][2]string
		want   journal.Entry
	}{
		{"least", nil, base},
		{"whole", [][2]string{
			{"_PID", "12"},
			{"_UID", "0"},
			{"_SYSTEMD_UNIT", "ssh.service"},
			{"SYSLOG_IDENTIFIER", "sshd"},
			{"_TRANSPORT", "syslog"},
			{"MESSAGE", "a\nb"},
		}, with(func(e *journal.Entry) {
			e.PID, e.UID, e.Unit, e.Identifier, e.Transport = 12, 0, "ssh.service", "sshd", "syslog"
			e.Message = []byte("a\nb")
		})},
		{"the first of several counts", [][2]string{{"MESSAGE", "first"}, {"MESSAGE", "second"}}, with(func(e *journal.Entry) {
			e.Message = []byte("first")
		})},
		{"no numbers", [][2]string{{"_PID", "x"}, {"_UID", "-5"}}, base},
		{"the largest UID", [][2]string{{"_UID", "4294967295"}}, with(func(e *journal.Entry) { e.UID = 4294967295 })},
		{"too large", [][2]string{{"_UID", "4294967296"}, {"_PID", "2147483648"}}, base},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var names journal.Strings
			got, err := Entry(decodeOne(t, encode(append(always, c.fields...)...)), nil, &names)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("Entry (-want +got):\n%s", diff)
			}
		})
	}
	for _, bad := range [][][2]string{
		always[:1], always[1:], {{"__CURSOR", "s=1"}, always[1]}, {always[0], {"__REALTIME_TIMESTAMP", "soon"}},
	} {
		if _, err := Entry(decodeOne(t, encode(bad...)), nil, &journal.Strings{}); !errors.Is(err, ErrFormat) {
			t.Errorf("Entry(%q) = %v, want ErrFormat", bad, err)
		}
	}
}

func TestDropped(t *testing.T) {
	t.Parallel()
	at := time.UnixMicro(1)
	id := [2]string{"MESSAGE_ID", messageDropped}
	for _, c := range []struct {
		name      string
		transport string
		message   string
		fields    [][2]string
		want      journal.Gap
		ok        bool
	}{
		{
			name: "with fields", transport: "driver", message: "Suppressed 3 messages from a.service",
			fields: [][2]string{id, {"N_DROPPED", "30"}, {"OBJECT_SYSTEMD_UNIT", "ssh.service"}},
			want:   journal.Gap{Kind: journal.GapSuppressed, Unit: "ssh.service", Entries: 30, Until: at}, ok: true,
		},
		{
			name: "text alone", transport: "driver", message: "Suppressed 3 messages from a.service", fields: [][2]string{id},
			want: journal.Gap{Kind: journal.GapSuppressed, Unit: "a.service", Entries: 3, Until: at}, ok: true,
		},
		{name: "forged", transport: "journal", message: "Suppressed 3 messages from a.service", fields: [][2]string{id}},
		{name: "another", transport: "driver", message: "Journal started", fields: [][2]string{{"MESSAGE_ID", "x"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := journal.Entry{Time: at, Transport: c.transport, Message: []byte(c.message)}
			got, ok := dropped(decodeOne(t, encode(c.fields...)), e)
			if diff := cmp.Diff(c.want, got); diff != "" || ok != c.ok {
				t.Errorf("dropped = %v (-want +got):\n%s", ok, diff)
			}
		})
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	journald := []string{"+", "MESSAGE_ID=" + messageDropped, "_TRANSPORT=driver"}
	root := journal.Term{Field: "_UID", Values: []string{"0"}}
	for _, c := range []struct {
		name     string
		selector journal.Selector
		want     []string
	}{
		{"everything", nil, nil},
		{"one", journal.Selector{{root}}, append([]string{"_UID=0"}, journald...)},
		{
			"groups",
			journal.Selector{{root, {Field: "A", Values: []string{"1", "2"}}}, {{Field: "B", Values: []string{"+"}}}},
			append([]string{"_UID=0", "A=1", "A=2", "+", "B=+"}, journald...),
		},
		{
			"a pattern is left to us",
			journal.Selector{{root, {Field: "A", Values: []string{"x", "y@*"}}}},
			append([]string{"_UID=0"}, journald...),
		},
		{"nothing but a pattern", journal.Selector{{root}, {{Field: "A", Values: []string{"y@*"}}}}, nil},
		{
			"one field twice",
			journal.Selector{{{Field: "A", Values: []string{"1"}}, {Field: "A", Values: []string{"2"}}}},
			append([]string{"A=1"}, journald...),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, matches(c.selector)); diff != "" {
				t.Errorf("matches (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	term := func(field string, values ...string) journal.Selector {
		return journal.Selector{{{Field: field, Values: values}}}
	}
	for _, cfg := range []Config{
		{Selector: term("--flag", "x")},
		{Selector: term("", "x")},
		{Selector: term("A")},
		{Selector: term("A", "[")},
		{Selector: term("A", "\x00")},
		{Directory: "relative"},
		{Directory: "/a", Namespace: "b"},
		{Command: "/nonexistent/journalctl"},
	} {
		if cfg.Command == "" {
			cfg.Command = "/bin/true"
		}
		if _, err := New(cfg); err == nil {
			t.Errorf("New(%+v) gave no error", cfg)
		}
	}
}
