package actions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// StateDir is where the engine keeps its queues, its status and its lists.
const StateDir = "/var/lib/exile-actions"

// The files in it.
const (
	StatusFile  = "status.json"
	MetricsFile = "metrics.prom" // for node_exporter's textfile collector
	ListDir     = "lists"
)

// Status is how the actions are doing.
type Status struct {
	Written  time.Time      `json:"written"`
	Position string         `json:"journal_cursor"` // up to where exile's events are in the queues
	Problems []string       `json:"problems"`       // what keeps actions from being told, or from being used
	Actions  []ActionStatus `json:"actions"`        // by name
}

// ActionStatus is how one action is doing. The counters begin with the engine.
type ActionStatus struct {
	Name        string    `json:"action"`
	Kind        Kind      `json:"kind"`
	Waiting     int       `json:"waiting"` // events that it will be told
	Done        uint64    `json:"done"`    // runs that succeeded
	Failures    uint64    `json:"failures"`
	Dropped     uint64    `json:"dropped"` // events given up: after too many failures, too old, or too many
	Skipped     uint64    `json:"skipped"` // events of addresses told of shortly before
	LastSuccess time.Time `json:"last_success"`
	LastFailure time.Time `json:"last_failure"`
	LastError   string    `json:"last_error"`
}

// Failing reports whether the last run failed.
func (s *ActionStatus) Failing() bool { return s.LastFailure.After(s.LastSuccess) }

// maxStatus is the largest status file that is read, in bytes.
const maxStatus = 1 << 20

// ReadStatus reads the status in the folder.
func ReadStatus(dir string) (s Status, err error) {
	f, err := os.OpenFile(filepath.Join(dir, StatusFile), os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return s, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxStatus+1))
	if err == nil && len(data) > maxStatus {
		err = errors.New("the file is too large")
	}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return s, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	return s, nil
}

// Metrics writes the status in the text format of Prometheus.
func (s *Status) Metrics() []byte {
	var b bytes.Buffer
	for _, m := range []struct {
		name, kind, help string
		value            func(*ActionStatus) any
	}{
		{"waiting", "gauge", "Events that the action will be told", func(a *ActionStatus) any { return a.Waiting }},
		{"done_total", "counter", "Runs that succeeded", func(a *ActionStatus) any { return a.Done }},
		{"failures_total", "counter", "Runs that failed", func(a *ActionStatus) any { return a.Failures }},
		{"dropped_total", "counter", "Events that were given up", func(a *ActionStatus) any { return a.Dropped }},
		{"skipped_total", "counter", "Events of addresses that the action was told of shortly before", func(a *ActionStatus) any { return a.Skipped }},
		{"last_success_timestamp_seconds", "gauge", "Last run that succeeded", func(a *ActionStatus) any { return seconds(a.LastSuccess) }},
		{"failing", "gauge", "Whether the last run failed", func(a *ActionStatus) any {
			if a.Failing() {
				return 1
			}
			return 0
		}},
	} {
		fmt.Fprintf(&b, "# HELP exile_action_%s %s.\n# TYPE exile_action_%s %s\n", m.name, m.help, m.name, m.kind)
		for i := range s.Actions {
			a := &s.Actions[i]
			fmt.Fprintf(&b, "exile_action_%s{action=%q,kind=%q} %v\n", m.name, a.Name, a.Kind, m.value(a))
		}
	}
	fmt.Fprintf(&b, "# HELP exile_actions_problems What keeps actions from working.\n# TYPE exile_actions_problems gauge\nexile_actions_problems %d\n",
		len(s.Problems))
	return b.Bytes()
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// WriteFile replaces a file at once: its readers see all of the old or all of the new one. It has one writer: what one that was killed left
// behind is overwritten.
func WriteFile(name string, data []byte, mode os.FileMode) error {
	temporary := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".new")
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // it is there only if something failed
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return os.Rename(f.Name(), name)
}

// ListPath is where the list of an action is.
func ListPath(dir, action string) string {
	return filepath.Join(dir, ListDir, action+".list")
}
