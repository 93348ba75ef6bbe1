package control

import (
	"fmt"
	"slices"
)

// Action is what a caller has to be let do; its name for polkit is "org.exile1." and the action.
type Action string

// The actions; units/polkit/org.exile1.policy describes them to people.
const (
	// Public is what everybody may ask: the answers hold no address, and no name that somebody typed. See Status.Public.
	Public       Action = ""
	MayInspect   Action = "inspect" // addresses, names and reasons: what the system journal tells as well
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

// ActionOf returns what a method needs, by its name, which means the same on the bus and on the Varlink socket. A method that
// is not listed is nobody's.
func ActionOf(method string) (a Action, ok bool) {
	a, ok = actions()[method]
	return a, ok
}

// actions is the one table of who may call what.
func actions() map[string]Action {
	return map[string]Action{
		"Describe":    Public, // without what only MayInspect shows
		"GetStatus":   Public, // likewise
		"ListJails":   Public, // likewise
		"GetJail":     Public,
		"Unsubscribe": Public,

		"DescribeAddress":          MayInspect,
		"DumpByFileDescriptor":     MayInspect,
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

// Actions lists the methods that ActionOf knows, for tests that compare it with what a face has.
func Actions() []string {
	var names []string
	for name := range actions() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Peer is who calls, as the kernel noted it when the caller connected.
type Peer struct {
	UID    uint32
	Groups []uint32
	PID    int32 // 0: it is not known
}

// Gate says who may do what without polkit being asked. Its zero value knows root only.
type Gate struct {
	// Readers are the groups whose members may read the system journal, where all that MayInspect shows can be read as well.
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

// Denied is why somebody may not, and what to do about it.
func Denied(a Action) string {
	if a == MayInspect {
		return "addresses and names are shown to those who may read the system journal: use sudo, or join the group systemd-journal"
	}
	return fmt.Sprintf("only root may, and whom a rule of polkit lets %s: use sudo", a.ID())
}

// Public returns the status without what only MayInspect shows.
func (s Status) Public() Status {
	return s
}

// Public returns the jail without what only MayInspect shows: the addresses that are protected.
func (j JailStatus) Public() JailStatus {
	j.Protected = nil
	return j
}
