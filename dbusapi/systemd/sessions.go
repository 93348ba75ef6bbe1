package systemd

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/bus"
	"exile/internal/control"
)

// The names of systemd-logind, see org.freedesktop.login1(5).
const (
	logindName    = "org.freedesktop.login1"
	logindPath    = dbus.ObjectPath("/org/freedesktop/login1")
	logindManager = logindName + ".Manager"
	logindSession = logindName + ".Session"
)

// maxSessions bounds how many sessions are looked at.
const maxSessions = 1024

// listedSession is one entry of ListSessions.
type listedSession struct {
	ID   string
	UID  uint32
	User string
	Seat string
	Path dbus.ObjectPath
}

// RemoteSessions asks logind on the bus at address ("" is the system bus) who is logged in from another host.
func RemoteSessions(ctx context.Context, address string) ([]control.Session, error) {
	conn, err := bus.Connect(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("ask logind for sessions: %w", err)
	}
	defer conn.Close()
	var listed []listedSession
	manager := conn.Object(logindName, logindPath)
	if err := manager.CallWithContext(ctx, logindManager+".ListSessions", 0).Store(&listed); err != nil {
		return nil, fmt.Errorf("ask logind for sessions: %w", err)
	}
	var sessions []control.Session
	for _, l := range listed[:min(len(listed), maxSessions)] {
		if s, ok := remoteSession(ctx, conn.Object(logindName, l.Path)); ok {
			s.User = l.User
			sessions = append(sessions, s)
		}
	}
	return sessions, nil
}

// remoteSession reads one session; false when it is over by now, local, or from a host of which only a name is known.
func remoteSession(ctx context.Context, o dbus.BusObject) (s control.Session, ok bool) {
	var p map[string]dbus.Variant
	if err := o.CallWithContext(ctx, bus.Properties+".GetAll", 0, logindSession).Store(&p); err != nil {
		return s, false
	}
	host, _ := p["RemoteHost"].Value().(string)
	leader, _ := p["Leader"].Value().(uint32)
	since, _ := p["Timestamp"].Value().(uint64)
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return s, false
	}
	return control.Session{Leader: int32(leader), From: addr.Unmap().WithZone(""), Since: time.UnixMicro(int64(since))}, true
}
