// Package report writes what happened on a host as one HTML file that needs nothing else.
package report

import (
	"time"

	"exile/internal/replay"
)

// Report is what a report tells. Its members are those of exilectl report --json.
type Report struct {
	Host    string    `json:"host"`
	Version string    `json:"version"` // of exile
	Made    time.Time `json:"made"`
	Since   time.Time `json:"since,omitzero"` // that was asked for; zero: the beginning of the log
	Until   time.Time `json:"until,omitzero"` // zero: its end
	First   time.Time `json:"first,omitzero"` // entry of the log in this time; zero: there is none
	Last    time.Time `json:"last,omitzero"`

	Jails     []string `json:"jails"`
	Entries   uint64   `json:"entries"`
	Attempts  uint64   `json:"attempts"` // Prevented and Passed together
	Prevented uint64   `json:"prevented"`
	Passed    uint64   `json:"passed"`
	Sources   int      `json:"sources"` // addresses with attempts
	Bans      int      `json:"bans"`
	Logins    uint64   `json:"logins"`

	Step  Step           `json:"step"`  // from one bin to the next
	Bins  []Bin          `json:"bins"`  // without a gap, in the order of time
	Hours [7][24]uint64  `json:"hours"` // attempts by day of the week, Sunday first, and hour, in the local time of the host
	Top   replay.Top     `json:"top"`
	False []replay.False `json:"false_bans"`

	Latency   replay.Latency    `json:"latency"`
	Detectors []replay.Detector `json:"detectors"` // the first is what the configuration says
	Troubles  []string          `json:"troubles"`  // what could not be read, each a sentence
}

// Step is how long a bin is.
type Step string

// The steps.
const (
	Hour  Step = "hour"
	Day   Step = "day"
	Week  Step = "week"
	Month Step = "month"
)

// Bin is what happened in a part of the time.
type Bin struct {
	At        time.Time `json:"at"` // its beginning
	Prevented uint64    `json:"prevented"`
	Passed    uint64    `json:"passed"`
	Bans      uint64    `json:"bans"`
}
