package varlink

import "exile/internal/control"

// The parameters of calls and replies, as org.exile1.varlink describes them. Pointers and omitempty are its optional fields.
// Their records are those of internal/control.

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

type jailCall struct {
	Jail string `json:"jail,omitempty"`
}

type nameCall struct {
	Jail string          `json:"jail,omitempty"`
	Name control.AnyText `json:"name"`
}

type pageCall struct {
	Jail  string `json:"jail,omitempty"`
	After string `json:"after,omitempty"`
	Max   int    `json:"max,omitempty"`
}

type addressCall struct {
	Address string `json:"address"`
}

type historyCall struct {
	Jail  string `json:"jail,omitempty"`
	Since int64  `json:"since_usec,omitempty"`
	Until int64  `json:"until_usec,omitempty"`
}

type banCall struct {
	Jail      string `json:"jail,omitempty"`
	Address   string `json:"address"`
	Duration  int64  `json:"duration_usec,omitempty"`
	Permanent bool   `json:"permanent,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Force     bool   `json:"force,omitempty"`
}

type rememberCall struct {
	Jail     string `json:"jail,omitempty"`
	Address  string `json:"address"`
	Offences int    `json:"offences"`
	Last     int64  `json:"last_usec"`
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
	Duration *int64 `json:"duration_usec"`
}

type statusReply struct {
	Status control.Status `json:"status"`
}

type jailsReply struct {
	Jails []control.JailStatus `json:"jails"`
}

type bansReply struct {
	Bans []control.Ban `json:"bans"`
	Next string        `json:"next,omitempty"`
}

type hostsReply struct {
	Hosts []control.Host `json:"hosts"`
	Next  string         `json:"next,omitempty"`
}

type addressReply struct {
	Address control.Address `json:"address"`
}

type heldReply struct {
	Held []control.Held `json:"held"`
}

type historyReply struct {
	History control.History `json:"history"`
}

type namesReply struct {
	Names []control.Name `json:"names"`
}

type monitorReply struct {
	Event *control.Event `json:"event,omitempty"`
}

type banReply struct {
	Ban control.Ban `json:"ban"`
}

type removedReply struct {
	Removed int `json:"removed"`
}

type knownReply struct {
	Known bool `json:"known"`
}

// list is never nil, which JSON would write as null.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}
