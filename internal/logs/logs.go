// Package logs opens, for exiled, the logs that only root may read: the client in exiled and the server in its helper exiled-logs.
//
// A client connects to a socket of packets and sends a path. The answer is one byte, 0 or an errno, and with 0 comes a descriptor that is
// open for reading. Then the server hangs up.
//
// The server opens only what the patterns of root's own configuration match, so that whoever has taken over exiled gets no further with it
// than root wanted. It also opens the folders of these logs, to be listed. The descriptor of a folder opens nothing in it that is
// closed: for each file the kernel asks what the process may do that opens it, not the one that opened the folder. A folder that is open
// itself, below one that is closed, is not passed.
package logs

import (
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Socket is where the helper listens.
const Socket = "/run/exile/logs"

// patience is for one question and its answer; neither side waits longer for the other.
const patience = 5 * time.Second

// parse returns the path that a packet asks for: an absolute one without "..", or anything else that would have to be resolved first.
func parse(packet []byte) (name string, ok bool) {
	name = string(packet)
	ok = len(name) < unix.PathMax && path.IsAbs(name) && path.Clean(name) == name && strings.IndexByte(name, 0) < 0
	return name, ok
}
