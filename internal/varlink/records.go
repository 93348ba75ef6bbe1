package varlink

import (
	"maps"
	"time"

	"exile/internal/control"
)

// The records of the interface, as org.exile1.varlink has them. Pointers and omitempty are its optional fields.

type serviceInfo struct {
	Vendor     string   `json:"vendor"`
	Product    string   `json:"product"`
	Version    string   `json:"version"`
	URL        string   `json:"url"`
	Interfaces []string `json:"interfaces"`
}

type serviceText struct {
	Description string `json:"description"`
}

type banRecord struct {
	Jail     string `json:"jail"`
	Address  string `json:"address"`
	Since    int64  `json:"sinceUSec"`
	Until    *int64 `json:"untilUSec,omitempty"`
	Failures int    `json:"failures"`
	Offence  int    `json:"offence"`
	Origin   string `json:"origin"`
	Reason   string `json:"reason,omitempty"`
}

type hostRecord struct {
	Jail     string `json:"jail"`
	Address  string `json:"address"`
	Failures int    `json:"failures"`
	First    int64  `json:"firstUSec"`
	Last     int64  `json:"lastUSec"`
}

type jailRecord struct {
	Name      string   `json:"name"`
	State     string   `json:"state"`
	Units     []string `json:"units"`
	Detection string   `json:"detection"`
	Why       string   `json:"detectionReason"`
	Rule      string   `json:"rule"`
	MaxRetry  int      `json:"maxRetry"`
	FindTime  int64    `json:"findTimeUSec"`
	BanTime   *int64   `json:"banTimeUSec,omitempty"`
	Protected []string `json:"protected"`
	Banned    int      `json:"banned"`
	Failing   int      `json:"failing"`
	Bans      uint64   `json:"bans"`
	Failures  uint64   `json:"failures"`
	LastBan   *int64   `json:"lastBanUSec,omitempty"`
	Spared    uint64   `json:"protections"`
	Denied    uint64   `json:"loginsDenied"`
	Forgeable bool     `json:"forgeable"`
}

type dayRecord struct {
	Date      int64  `json:"dateUSec"`
	Passed    uint64 `json:"passed"`
	Dropped   uint64 `json:"dropped"`
	Bans      uint64 `json:"bans"`
	Protected uint64 `json:"protections"`
	Denied    uint64 `json:"loginsDenied"`
}

type statusRecord struct {
	Version        string   `json:"version"`
	State          string   `json:"state"`
	Degraded       []string `json:"degraded"`
	Remedies       []string `json:"remedies"`
	Backend        string   `json:"backend"`
	Why            string   `json:"backendReason"`
	Started        int64    `json:"startedUSec"`
	PausedTo       *int64   `json:"pausedUntilUSec,omitempty"`
	Jails          int      `json:"jails"`
	Banned         int      `json:"banned"`
	Enforced       int      `json:"enforced"`
	Failing        int      `json:"failing"`
	Entries        uint64   `json:"entries"`
	Failures       uint64   `json:"failures"`
	Bans           uint64   `json:"bans"`
	Unbans         uint64   `json:"unbans"`
	Evicted        uint64   `json:"evictedBans"`
	Repairs        uint64   `json:"repairs"`
	Gaps           uint64   `json:"gaps"`
	Suppressed     uint64   `json:"suppressed"`
	Skipped        uint64   `json:"skippedFiles"`
	Undated        uint64   `json:"undatedLines"`
	KernelErrors   uint64   `json:"kernelErrors"`
	DiskErrors     uint64   `json:"diskErrors"`
	ReloadFailures uint64   `json:"reloadFailures"`
	LastRepair     *int64   `json:"lastRepairUSec,omitempty"`
	LastEntry      *int64   `json:"lastEntryUSec,omitempty"`
	Lag            int64    `json:"lagUSec"`
	Cursor         string   `json:"cursor,omitempty"`

	Dropped map[string]uint64 `json:"dropped,omitempty"`
	Days    []dayRecord       `json:"days"`
}

type addressRecord struct {
	Address   string         `json:"address"`
	Bans      []banRecord    `json:"bans"`
	Protected string         `json:"protected,omitempty"`
	Failures  map[string]int `json:"failures"`
	Offences  int            `json:"offences"`
	Detail    []string       `json:"detail"`
}

type eventRecord struct {
	Kind    string     `json:"kind"`
	Time    int64      `json:"timeUSec"`
	Ban     *banRecord `json:"ban,omitempty"`
	Reason  string     `json:"reason,omitempty"`
	Count   int        `json:"count,omitempty"`
	Latency int64      `json:"latencyUSec,omitempty"`
}

// The parameters of calls and replies.

type pageCall struct {
	Jail  string `json:"jail,omitempty"`
	After string `json:"after,omitempty"`
	Max   int    `json:"max,omitempty"`
}

type addressCall struct {
	Address string `json:"address"`
}

type banCall struct {
	Jail      string `json:"jail,omitempty"`
	Address   string `json:"address"`
	Duration  int64  `json:"durationUSec,omitempty"`
	Permanent bool   `json:"permanent,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Force     bool   `json:"force,omitempty"`
}

type unbanCall struct {
	Jail    string `json:"jail,omitempty"`
	Address string `json:"address"`
}

type reportCall struct {
	Jail    string `json:"jail,omitempty"`
	Address string `json:"address"`
	User    string `json:"user,omitempty"`
	Success bool   `json:"success,omitempty"`
}

type pauseCall struct {
	Duration *int64 `json:"durationUSec"`
}

type statusReply struct {
	Status statusRecord `json:"status"`
}

type jailsReply struct {
	Jails []jailRecord `json:"jails"`
}

type bansReply struct {
	Bans []banRecord `json:"bans"`
	Next string      `json:"next,omitempty"`
}

type hostsReply struct {
	Hosts []hostRecord `json:"hosts"`
	Next  string       `json:"next,omitempty"`
}

type addressReply struct {
	Address addressRecord `json:"address"`
}

type monitorReply struct {
	Event *eventRecord `json:"event,omitempty"`
}

type banReply struct {
	Ban banRecord `json:"ban"`
}

type removedReply struct {
	Removed int `json:"removed"`
}

// each translates a list; the result is never nil, which JSON would write as null.
func each[In, Out any](list []In, f func(In) Out) []Out {
	out := make([]Out, 0, len(list))
	for _, v := range list {
		out = append(out, f(v))
	}
	return out
}

func same(s string) string { return s }

func toBan(b control.Ban) banRecord {
	return banRecord{
		Jail: b.Jail, Address: control.FormatPrefix(b.Prefix), Since: micros(b.Since), Until: optional(b.Until),
		Failures: b.Failures, Offence: b.Offence, Origin: string(b.Origin), Reason: b.Reason,
	}
}

func (r banRecord) ban() (control.Ban, error) {
	p, err := control.ParsePrefix(r.Address)
	return control.Ban{
		Jail: r.Jail, Prefix: p, Since: fromMicros(&r.Since), Until: fromMicros(r.Until),
		Failures: r.Failures, Offence: r.Offence, Origin: control.Origin(r.Origin), Reason: r.Reason,
	}, err
}

func toHost(h control.Host) hostRecord {
	return hostRecord{h.Jail, control.FormatPrefix(h.Prefix), h.Failures, micros(h.First), micros(h.Last)}
}

func (r hostRecord) host() (control.Host, error) {
	p, err := control.ParsePrefix(r.Address)
	return control.Host{
		Jail: r.Jail, Prefix: p, Failures: r.Failures, First: fromMicros(&r.First), Last: fromMicros(&r.Last),
	}, err
}

func toJail(j control.JailStatus) jailRecord {
	r := jailRecord{
		Name: j.Name, State: j.State, Units: each(j.Units, same), Detection: j.Detection, Why: j.Why, Rule: j.Rule, MaxRetry: j.MaxRetry,
		FindTime: j.FindTime.Microseconds(), Protected: each(j.Protected, same), Banned: j.Banned, Failing: j.Failing,
		Bans: j.Total, Failures: j.Failures, LastBan: optional(j.LastBan), Spared: j.Spared, Denied: j.Denied,
		Forgeable: j.Forgeable,
	}
	if us := j.BanTime.Microseconds(); j.BanTime >= 0 {
		r.BanTime = &us
	}
	return r
}

func (r jailRecord) jail() control.JailStatus {
	j := control.JailStatus{
		Name: r.Name, State: r.State, Units: r.Units, Detection: r.Detection, Why: r.Why, Rule: r.Rule, MaxRetry: r.MaxRetry,
		FindTime: time.Duration(r.FindTime) * time.Microsecond, BanTime: -1, Protected: r.Protected,
		Banned: r.Banned, Failing: r.Failing, Total: r.Bans, Failures: r.Failures, LastBan: fromMicros(r.LastBan), Spared: r.Spared, Denied: r.Denied,
		Forgeable: r.Forgeable,
	}
	if r.BanTime != nil {
		j.BanTime = time.Duration(*r.BanTime) * time.Microsecond
	}
	return j
}

func toDay(d control.Day) dayRecord {
	return dayRecord{micros(d.Date), d.Passed, d.Dropped, d.Bans, d.Protected, d.Denied}
}

func (r dayRecord) day() control.Day {
	return control.Day{
		Date: fromMicros(&r.Date).UTC(), Passed: r.Passed, Dropped: r.Dropped, Bans: r.Bans, Protected: r.Protected, Denied: r.Denied,
	}
}

func toStatus(s control.Status) statusRecord {
	return statusRecord{
		Version: s.Version, State: s.State, Degraded: each(s.Degraded, same), Remedies: each(s.Remedies, same),
		Backend: s.Backend, Why: s.Why, Started: micros(s.Started), PausedTo: optional(s.PausedTo),
		Jails: s.Jails, Banned: s.Banned, Enforced: s.Enforced, Failing: s.Failing,
		Entries: s.Entries, Failures: s.Failures, Bans: s.Bans, Unbans: s.Unbans, Evicted: s.Evicted, Repairs: s.Repairs,
		Gaps: s.Gaps, Suppressed: s.Suppressed, Skipped: s.Skipped, Undated: s.Undated, KernelErrors: s.KernelErrors,
		DiskErrors: s.DiskErrors, ReloadFailures: s.ReloadFailures,
		LastRepair: optional(s.LastRepair), LastEntry: optional(s.LastEntry), Lag: max(s.Lag, 0).Microseconds(), Cursor: s.Position,
		Dropped: s.Dropped, Days: each(s.Days, toDay),
	}
}

func (r statusRecord) status() control.Status {
	return control.Status{
		Version: r.Version, State: r.State, Degraded: r.Degraded, Remedies: r.Remedies,
		Backend: r.Backend, Why: r.Why, Started: fromMicros(&r.Started), PausedTo: fromMicros(r.PausedTo),
		Jails: r.Jails, Banned: r.Banned, Enforced: r.Enforced, Failing: r.Failing,
		Entries: r.Entries, Failures: r.Failures, Bans: r.Bans, Unbans: r.Unbans, Evicted: r.Evicted, Repairs: r.Repairs,
		Gaps: r.Gaps, Suppressed: r.Suppressed, Skipped: r.Skipped, Undated: r.Undated, KernelErrors: r.KernelErrors,
		DiskErrors: r.DiskErrors, ReloadFailures: r.ReloadFailures,
		LastRepair: fromMicros(r.LastRepair), LastEntry: fromMicros(r.LastEntry), Lag: time.Duration(r.Lag) * time.Microsecond, Position: r.Cursor,
		Dropped: r.Dropped, Days: each(r.Days, dayRecord.day),
	}
}

func toAddress(a control.Address) addressRecord {
	r := addressRecord{
		Address: control.FormatPrefix(a.Prefix), Bans: each(a.Bans, toBan), Protected: a.Protected,
		Failures: map[string]int{}, Offences: a.Offences, Detail: each(a.Detail, same),
	}
	maps.Copy(r.Failures, a.Failures)
	return r
}

func (r addressRecord) address() (control.Address, error) {
	p, err := control.ParsePrefix(r.Address)
	if err != nil {
		return control.Address{}, err
	}
	bans, err := parse(r.Bans, banRecord.ban)
	return control.Address{
		Prefix: p, Bans: bans, Protected: r.Protected, Failures: r.Failures, Offences: r.Offences, Detail: r.Detail,
	}, err
}

func toEvent(e control.Event) *eventRecord {
	r := &eventRecord{
		Kind: string(e.Kind), Time: micros(e.Time), Reason: e.Reason, Count: e.Count, Latency: e.Latency.Microseconds(),
	}
	if e.Ban.Prefix.IsValid() {
		b := toBan(e.Ban)
		r.Ban = &b
	}
	return r
}

func (r eventRecord) event() (e control.Event, err error) {
	e = control.Event{
		Kind: control.EventKind(r.Kind), Time: fromMicros(&r.Time), Reason: r.Reason, Count: r.Count,
		Latency: time.Duration(r.Latency) * time.Microsecond,
	}
	if r.Ban != nil {
		e.Ban, err = r.Ban.ban()
	}
	return e, err
}

// parse translates a list whose records may be wrong.
func parse[In, Out any](list []In, f func(In) (Out, error)) ([]Out, error) {
	out := make([]Out, 0, len(list))
	for _, v := range list {
		o, err := f(v)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// micros is a time in microseconds since 1970; 0 for the zero Time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// optional is nil for the zero Time.
func optional(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	us := t.UnixMicro()
	return &us
}

func fromMicros(us *int64) time.Time {
	if us == nil || *us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(*us)
}
