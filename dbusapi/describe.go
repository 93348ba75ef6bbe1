package dbusapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"exile/internal/control"
)

// The documents that Describe and its kin return. Times are microseconds since 1970 and null for never or for ever.

type statusDoc struct {
	Version   string   `json:"version"`
	State     string   `json:"state"`
	Degraded  []string `json:"degraded"`
	Remedies  []string `json:"remedies"`
	Backend   string   `json:"backend"`
	Why       string   `json:"backend_reason"`
	Started   *uint64  `json:"started_usec"`
	PausedTo  *uint64  `json:"paused_until_usec"`
	TrialTo   *uint64  `json:"trial_until_usec"`
	Jails     int      `json:"n_jails"`
	Banned    int      `json:"n_banned"`
	Enforced  int      `json:"n_enforced"`
	Failing   int      `json:"n_failing"`
	Entries   uint64   `json:"entries"`
	Failures  uint64   `json:"failures"`
	Bans      uint64   `json:"bans"`
	Unbans    uint64   `json:"unbans"`
	Evicted   uint64   `json:"evicted_bans"` // lifted early because there were too many
	Repairs   uint64   `json:"repairs"`
	Gaps      uint64   `json:"gaps"`
	Suppress  uint64   `json:"suppressed"`
	Skipped   uint64   `json:"skipped_files"`
	Undated   uint64   `json:"undated_lines"` // of text logs, whose time could not be read
	Kernel    uint64   `json:"kernel_errors"`
	Disk      uint64   `json:"disk_errors"`
	Reload    uint64   `json:"reload_failures"`
	LastFix   *uint64  `json:"last_repair_usec"`
	LastEntry *uint64  `json:"last_entry_usec"`
	Lag       uint64   `json:"journal_lag_usec"`
	Position  string   `json:"journal_cursor"`
	// Dropped are packets by the set whose rule dropped them; null: the backend does not count.
	Dropped map[string]uint64 `json:"dropped"`
	Days    []dayDoc          `json:"days"`
	List    []jailDoc         `json:"jails"`
}

// dayDoc is control.Day: guesses that got through, packets that did not, and whom it hit.
type dayDoc struct {
	Date      string `json:"date"` // UTC
	Passed    uint64 `json:"passed"`
	Dropped   uint64 `json:"dropped"`
	Bans      uint64 `json:"bans"`
	Protected uint64 `json:"protected"`
	Denied    uint64 `json:"denied"`
}

type jailDoc struct {
	Name      string   `json:"jail"`
	State     string   `json:"state"`
	Units     []string `json:"units"`
	Detection string   `json:"detection"`
	Why       string   `json:"detection_reason"` // "built-in", or the place in a file that chose it
	Rule      string   `json:"rule"`             // what makes a ban and how long it is, for people
	MaxRetry  int      `json:"maxretry"`
	FindTime  uint64   `json:"findtime_usec"`
	BanTime   *uint64  `json:"bantime_usec"` // null: for ever
	Protected []string `json:"protected"`
	Banned    int      `json:"banned"`
	Failing   int      `json:"failing"`
	Total     uint64   `json:"total"`
	Failures  uint64   `json:"failures"`
	LastBan   *uint64  `json:"last_ban_usec"`
	Spared    uint64   `json:"protections"`   // bans not made because the address is protected
	Denied    uint64   `json:"logins_denied"` // bans behind which somebody logged in later
	Forgeable bool     `json:"forgeable"`     // it reads a text log in which any local user can write as the service
}

type banDoc struct {
	Jail     string  `json:"jail"`
	Address  string  `json:"address"`
	Since    *uint64 `json:"since_usec"`
	Until    *uint64 `json:"until_usec"` // null: permanent
	Failures int     `json:"failures"`
	Bans     int     `json:"bans"`
	Origin   string  `json:"origin"`
	Reason   string  `json:"reason"`
}

type addressDoc struct {
	Address   string         `json:"address"`
	Bans      []banDoc       `json:"bans"`
	Protected *string        `json:"protected"` // the rule; null: it is not
	Failures  map[string]int `json:"failures"`
	Offences  int            `json:"offences"`
	Detail    []string       `json:"detail"`
}

func toStatusDoc(s control.Status, jails []control.JailStatus) statusDoc {
	d := statusDoc{
		Version: s.Version, State: s.State, Degraded: list(s.Degraded...), Remedies: list(s.Remedies...),
		Backend: s.Backend, Why: s.Why, Started: usecDoc(s.Started), PausedTo: usecDoc(s.PausedTo), TrialTo: usecDoc(s.TrialTo),
		Jails: s.Jails, Banned: s.Banned, Enforced: s.Enforced, Failing: s.Failing,
		Entries: s.Entries, Failures: s.Failures, Bans: s.Bans, Unbans: s.Unbans, Evicted: s.Evicted, Repairs: s.Repairs,
		Gaps: s.Gaps, Suppress: s.Suppressed, Skipped: s.Skipped, Undated: s.Undated, Kernel: s.KernelErrors, Disk: s.DiskErrors,
		Reload: s.ReloadFailures, LastFix: usecDoc(s.LastRepair),
		LastEntry: usecDoc(s.LastEntry), Lag: durationUSec(max(s.Lag, 0)), Position: s.Position, List: []jailDoc{},
		Dropped: s.Dropped, Days: []dayDoc{},
	}
	for _, day := range s.Days {
		d.Days = append(d.Days, toDayDoc(day))
	}
	for _, j := range jails {
		d.List = append(d.List, toJailDoc(j))
	}
	return d
}

func toDayDoc(d control.Day) dayDoc {
	return dayDoc{d.Date.Format(time.DateOnly), d.Passed, d.Dropped, d.Bans, d.Protected, d.Denied}
}

func (d dayDoc) day() control.Day {
	date, _ := time.Parse(time.DateOnly, d.Date) // zero: whoever wrote it said no date
	return control.Day{Date: date, Passed: d.Passed, Dropped: d.Dropped, Bans: d.Bans, Protected: d.Protected, Denied: d.Denied}
}

func (d statusDoc) status() control.Status {
	var days []control.Day
	for _, day := range d.Days {
		days = append(days, day.day())
	}
	return control.Status{
		Version: d.Version, State: d.State, Degraded: d.Degraded, Remedies: d.Remedies,
		Backend: d.Backend, Why: d.Why, Started: docUSec(d.Started), PausedTo: docUSec(d.PausedTo), TrialTo: docUSec(d.TrialTo),
		Jails: d.Jails, Banned: d.Banned, Enforced: d.Enforced, Failing: d.Failing,
		Entries: d.Entries, Failures: d.Failures, Bans: d.Bans, Unbans: d.Unbans, Evicted: d.Evicted, Repairs: d.Repairs,
		Gaps: d.Gaps, Suppressed: d.Suppress, Skipped: d.Skipped, Undated: d.Undated, KernelErrors: d.Kernel, DiskErrors: d.Disk,
		ReloadFailures: d.Reload, LastRepair: docUSec(d.LastFix),
		LastEntry: docUSec(d.LastEntry), Lag: fromDurationUSec(d.Lag), Position: d.Position, Dropped: d.Dropped, Days: days,
	}
}

func toJailDoc(j control.JailStatus) jailDoc {
	d := jailDoc{
		Name: j.Name, State: j.State, Units: list(j.Units...), Detection: j.Detection, Why: j.Why, Rule: j.Rule, MaxRetry: j.MaxRetry,
		FindTime: durationUSec(j.FindTime), Protected: list(j.Protected...), Banned: j.Banned, Failing: j.Failing,
		Total: j.Total, Failures: j.Failures, LastBan: usecDoc(j.LastBan), Spared: j.Spared, Denied: j.Denied,
		Forgeable: j.Forgeable,
	}
	if us := durationUSec(j.BanTime); us != infinity {
		d.BanTime = &us
	}
	return d
}

func (d jailDoc) jail() control.JailStatus {
	j := control.JailStatus{
		Name: d.Name, State: d.State, Units: d.Units, Detection: d.Detection, Why: d.Why, Rule: d.Rule, MaxRetry: d.MaxRetry,
		FindTime: fromDurationUSec(d.FindTime), BanTime: -1, Protected: d.Protected, Banned: d.Banned, Failing: d.Failing,
		Total: d.Total, Failures: d.Failures, LastBan: docUSec(d.LastBan), Spared: d.Spared, Denied: d.Denied,
		Forgeable: d.Forgeable,
	}
	if d.BanTime != nil {
		j.BanTime = fromDurationUSec(*d.BanTime)
	}
	return j
}

func toBanDoc(b control.Ban) banDoc {
	return banDoc{
		Jail: b.Jail, Address: FormatPrefix(b.Prefix), Since: usecDoc(b.Since), Until: usecDoc(b.Until),
		Failures: b.Failures, Bans: b.Offence, Origin: string(b.Origin), Reason: b.Reason,
	}
}

func (d banDoc) ban() (control.Ban, error) {
	p, err := ParsePrefix(d.Address)
	return control.Ban{
		Jail: d.Jail, Prefix: p, Since: docUSec(d.Since), Until: docUSec(d.Until),
		Failures: d.Failures, Offence: d.Bans, Origin: control.Origin(d.Origin), Reason: d.Reason,
	}, err
}

func toAddressDoc(a control.Address) addressDoc {
	d := addressDoc{
		Address: FormatPrefix(a.Prefix), Bans: []banDoc{}, Failures: map[string]int{},
		Offences: a.Offences, Detail: list(a.Detail...),
	}
	for _, b := range a.Bans {
		d.Bans = append(d.Bans, toBanDoc(b))
	}
	maps.Copy(d.Failures, a.Failures)
	if a.Protected != "" {
		d.Protected = &a.Protected
	}
	return d
}

func (d addressDoc) address() (control.Address, error) {
	p, err := ParsePrefix(d.Address)
	a := control.Address{Prefix: p, Failures: d.Failures, Offences: d.Offences, Detail: d.Detail}
	if d.Protected != nil {
		a.Protected = *d.Protected
	}
	for _, b := range d.Bans {
		ban, banErr := b.ban()
		if banErr != nil {
			return a, banErr
		}
		a.Bans = append(a.Bans, ban)
	}
	return a, err
}

func usecDoc(t time.Time) *uint64 {
	if t.IsZero() {
		return nil
	}
	us := usec(t)
	return &us
}

func docUSec(us *uint64) time.Time {
	if us == nil {
		return time.Time{}
	}
	return fromUSec(*us)
}

// asJSON is the reply of a Describe method.
func asJSON(doc any) ([]any, error) {
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("write description: %w", err)
	}
	return []any{string(text)}, nil
}

func describeStatus(c *call) ([]any, error) {
	status, jails, err := c.session.service.ask(c.ctx)
	if err != nil {
		return nil, err
	}
	if !c.inspects() {
		status = status.Public()
		for i, j := range jails {
			jails[i] = j.Public()
		}
	}
	return asJSON(toStatusDoc(status, jails))
}

func describeAddress(c *call) ([]any, error) {
	p, err := ParsePrefix(c.str(0))
	if err != nil {
		return nil, err
	}
	a, err := c.session.service.cfg.Reader.Address(c.ctx, p)
	if err != nil {
		return nil, err
	}
	return asJSON(toAddressDoc(a))
}
