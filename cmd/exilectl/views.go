package main

import (
	"exile/dbusapi"
	"exile/internal/control"
)

// The views are what --json prints. Times and durations are in microseconds, and null for never or for ever.

type statusView struct {
	Version     string     `json:"version"`
	State       string     `json:"state"`
	Degraded    []string   `json:"degraded"`
	Remedies    []string   `json:"remedies"`
	Backend     string     `json:"backend"`
	Why         string     `json:"backend_reason"`
	Started     *int64     `json:"started"`
	PausedUntil *int64     `json:"paused_until"`
	TrialUntil  *int64     `json:"trial_until"`
	Banned      int        `json:"banned"`
	Enforced    int        `json:"enforced"`
	Failing     int        `json:"failing"`
	Entries     uint64     `json:"entries"`
	Failures    uint64     `json:"failures"`
	Bans        uint64     `json:"bans"`
	Unbans      uint64     `json:"unbans"`
	Evicted     uint64     `json:"evicted_bans"`
	Repairs     uint64     `json:"repairs"`
	LastRepair  *int64     `json:"last_repair"`
	Gaps        uint64     `json:"gaps"`
	Suppressed  uint64     `json:"suppressed"`
	Skipped     uint64     `json:"skipped_files"`
	Undated     uint64     `json:"undated_lines"`
	KernelErrs  uint64     `json:"kernel_errors"`
	DiskErrs    uint64     `json:"disk_errors"`
	ReloadErrs  uint64     `json:"reload_failures"`
	LastEntry   *int64     `json:"last_entry"`
	Lag         int64      `json:"lag"`
	Cursor      string     `json:"journal_cursor"`
	Jails       []jailView `json:"jails"`
}

func toStatusView(s control.Status, jails []control.JailStatus) statusView {
	v := statusView{
		Version: s.Version, State: s.State, Degraded: s.Degraded, Remedies: s.Remedies, Backend: s.Backend, Why: s.Why,
		Started: micros(s.Started), PausedUntil: micros(s.PausedTo), TrialUntil: micros(s.TrialTo), Banned: s.Banned, Enforced: s.Enforced,
		Failing: s.Failing, Entries: s.Entries, Failures: s.Failures, Bans: s.Bans, Unbans: s.Unbans, Evicted: s.Evicted, Repairs: s.Repairs,
		LastRepair: micros(s.LastRepair), Gaps: s.Gaps, Suppressed: s.Suppressed, Skipped: s.Skipped, Undated: s.Undated,
		KernelErrs: s.KernelErrors, DiskErrs: s.DiskErrors, ReloadErrs: s.ReloadFailures,
		LastEntry: micros(s.LastEntry), Lag: s.Lag.Microseconds(), Cursor: s.Position, Jails: []jailView{},
	}
	for _, j := range jails {
		v.Jails = append(v.Jails, toJailView(j))
	}
	return v
}

type jailView struct {
	Jail      string   `json:"jail"`
	State     string   `json:"state"`
	Units     []string `json:"units"`
	Detection string   `json:"detection"`
	Why       string   `json:"detection_reason"`
	Rule      string   `json:"rule"`
	MaxRetry  int      `json:"maxretry"`
	FindTime  int64    `json:"findtime"`
	BanTime   *int64   `json:"bantime"` // null: permanent
	Protected []string `json:"protected"`
	Banned    int      `json:"banned"`
	Failing   int      `json:"failing"`
	Total     uint64   `json:"total"`
	Failures  uint64   `json:"failures"`
	LastBan   *int64   `json:"last_ban"`
	Forgeable bool     `json:"forgeable"`
}

func toJailView(j control.JailStatus) jailView {
	v := jailView{
		Jail: j.Name, State: j.State, Units: j.Units, Detection: j.Detection, Why: j.Why, Rule: j.Rule, MaxRetry: j.MaxRetry,
		FindTime: j.FindTime.Microseconds(), Protected: j.Protected, Banned: j.Banned, Failing: j.Failing,
		Total: j.Total, Failures: j.Failures, LastBan: micros(j.LastBan), Forgeable: j.Forgeable,
	}
	if j.BanTime >= 0 {
		us := j.BanTime.Microseconds()
		v.BanTime = &us
	}
	return v
}

type addressView struct {
	Address   string         `json:"address"`
	Banned    bool           `json:"banned"`
	Bans      []banRow       `json:"bans"`
	Protected string         `json:"protected,omitempty"`
	Failures  map[string]int `json:"failures"`
	Offences  int            `json:"offences"`
	Detail    []string       `json:"detail"`
}

func toAddressView(a control.Address, jails []control.JailStatus) addressView {
	v := addressView{
		Address: dbusapi.FormatPrefix(a.Prefix), Banned: inForce(jails, a.Bans, ""), Bans: []banRow{}, Protected: a.Protected,
		Failures: a.Failures, Offences: a.Offences, Detail: a.Detail,
	}
	for _, b := range a.Bans {
		row := toBanRow(b)
		row.Simulated = simulates(jails, b.Jail)
		v.Bans = append(v.Bans, row)
	}
	return v
}
