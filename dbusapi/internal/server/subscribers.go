package server

import (
	"maps"
	"slices"

	"exile/dbusapi/internal/bus"
)

// Limits on subscriptions: each subscriber is sent every announcement.
const (
	maxSubscribers        = 256
	maxSubscribersPerUser = 16 // does not bind root
	checkSignals          = 10_000
)

// subscribers are the peers that announcements go to. They belong to the session's goroutine.
type subscribers struct {
	users map[string]uint32 // by unique name
	sent  int               // signals since it was last checked that they read
}

// add is idempotent: the tabs of a browser share one connection. A peer that has left is not added, because nothing would
// remove it: the gate hears that a peer has left before the session does.
func (s *subscribers) add(name string, user uint32, left bool) error {
	_, already := s.users[name]
	switch {
	case already || left:
	case s.full(user):
		return bus.Errorf(bus.LimitsExceeded, "There are %d subscribers already, or %d of yours.", maxSubscribers, maxSubscribersPerUser)
	default:
		s.users[name] = user
	}
	return nil
}

// full reports whether a user may have no more subscribers.
func (s *subscribers) full(user uint32) bool {
	mine := 0
	for _, u := range s.users {
		if u == user {
			mine++
		}
	}
	return len(s.users) >= maxSubscribers || user != 0 && mine >= maxSubscribersPerUser
}

func (s *subscribers) remove(name string) { delete(s.users, name) }

// count notes one more signal to each. Once in a while it returns the names of all, of which those that do not read are to
// be removed.
func (s *subscribers) count() []string {
	if s.sent += len(s.users); s.sent < checkSignals {
		return nil
	}
	s.sent = 0
	return slices.Collect(maps.Keys(s.users))
}
