package control

import (
	"fmt"
	"slices"
)

// This file says who may ask and do what, in one table for the bus and the Varlink socket.

// Action is what a caller must be allowed to do; its name for polkit is "org.exile1." plus the action.
type Action string

// The actions; units/polkit/org.exile1.policy describes them to people.
const (
	// Public is what everybody may ask: the answers hold no address, and no name that somebody typed. See Status.Public.
	Public       Action = ""
	MayInspect   Action = "inspect" // addresses, names and reasons: what the system journal also contains
	MayBan       Action = "ban"
	MayUnban     Action = "unban"
	MayUnbanAll  Action = "unban-all"
	MayReload    Action = "reload"
	MayManage    Action = "manage"
	MayReport    Action = "report"
	MayConfigure Action = "configure"
)

// ID is the name of the action for polkit.
func (a Action) ID() string { return "org.exile1." + string(a) }

// ActionOf returns what a method needs, by its name, which means the same on the bus and on the Varlink socket. Nobody may
// call a method that is not listed.
func ActionOf(method string) (a Action, ok bool) {
	a, ok = actions()[method]
	return a, ok
}

// IsQuestion reports whether a method only asks, so that it may be called again if its answer was lost. A command may have
// been carried out: the second time, some would report that there was nothing to do, and a Report would count twice.
func IsQuestion(method string) bool {
	switch method {
	case "GetTrial", "ExportStateByFileDescriptor": // what they tell is for few
		return true
	}
	a, ok := ActionOf(method)
	return ok && (a == Public || a == MayInspect)
}

// actions is the one table of permissions.
func actions() map[string]Action {
	return map[string]Action{
		"Describe":    Public, // without what only MayInspect shows
		"GetStatus":   Public, // likewise
		"ListJails":   Public, // likewise
		"GetJail":     Public,
		"Unsubscribe": Public,

		"DescribeAddress":          MayInspect,
		"DescribeHistory":          MayInspect,
		"DescribeKernel":           MayInspect,
		"ListBans":                 MayInspect,
		"ListBansByFileDescriptor": MayInspect,
		"ListFailures":             MayInspect,
		"ListHosts":                MayInspect,
		"ListNames":                MayInspect,
		"Monitor":                  MayInspect,
		"QueryAddress":             MayInspect,
		"Subscribe":                MayInspect,

		"Ban":           MayBan,
		"BanMany":       MayBan,
		"Remember":      MayBan,
		"Unban":         MayUnban,
		"ForgetAddress": MayUnban,
		"Flush":         MayUnbanAll,
		"Reload":        MayReload,
		"Report":        MayReport,

		"ExportStateByFileDescriptor": MayManage,
		"ForgetName":                  MayManage,
		"Pause":                       MayManage,
		"ResetFirewall":               MayManage,
		"ResetStatistics":             MayManage,

		"GetTrial":         MayConfigure,
		"TryConfiguration": MayConfigure,
	}
}

// Actions lists the methods that ActionOf knows, for tests that compare it with the methods of a face.
func Actions() []string {
	var names []string
	for name := range actions() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Peer is the caller, as recorded by the kernel when it connected.
type Peer struct {
	UID    uint32
	Groups []uint32
	PID    int32 // 0: unknown
}

// Gate says what callers may do without asking polkit. Its zero value trusts only root.
type Gate struct {
	// Readers are the groups whose members may read the system journal, which also contains everything that MayInspect shows.
	Readers []uint32
}

// Opens reports whether polkit need not be asked.
func (g Gate) Opens(p Peer, a Action) bool {
	if a == Public || p.UID == 0 {
		return true
	}
	reads := func(group uint32) bool { return slices.Contains(g.Readers, group) }
	return a == MayInspect && slices.ContainsFunc(p.Groups, reads)
}

// Denied says why somebody may not do it, and what to do about that.
func Denied(a Action) string {
	if a == MayInspect {
		return "only users who may read the system journal can see addresses and names: use sudo, or join the group systemd-journal"
	}
	return fmt.Sprintf("only root may do this, and users whom polkit grants %s: use sudo", a.ID())
}

// Reason is a reason for being degraded, and what to do about it.
type Reason struct{ Word, Remedy string }

// Public returns the status without what only MayInspect shows: it has Instead in place of the reasons that name somebody, each once.
func (s Status) Public() Status {
	all := s
	s.Degraded, s.Remedies, s.Instead = nil, nil, nil
	for i, word := range all.Degraded {
		shown, named := all.Instead[word]
		if !named {
			shown.Word = word
			if i < len(all.Remedies) {
				shown.Remedy = all.Remedies[i]
			}
		}
		if !slices.Contains(s.Degraded, shown.Word) {
			s.Degraded, s.Remedies = append(s.Degraded, shown.Word), append(s.Remedies, shown.Remedy)
		}
	}
	return s
}

// Public returns the jail without what only MayInspect shows: the addresses that are protected.
func (j JailStatus) Public() JailStatus {
	j.Protected = nil
	return j
}
