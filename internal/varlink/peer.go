package varlink

import (
	"errors"
	"fmt"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"

	"exile/internal/control"
)

// maxGroups is how many groups a process may have: NGROUPS_MAX.
const maxGroups = 65536

// Peer returns the process that connected, with the groups that it had then, as recorded by the kernel.
func Peer(conn *net.UnixConn) (p control.Peer, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return p, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); failed != nil {
			return
		}
		p.UID, p.PID = cred.Uid, cred.Pid
		p.Groups, failed = peerGroups(fd)
		p.Groups = append(p.Groups, cred.Gid)
	})
	if err := errors.Join(err, failed); err != nil {
		return control.Peer{}, fmt.Errorf("ask who connected: %w", err)
	}
	return p, nil
}

// peerGroups returns the supplementary groups; x/sys/unix has no function for them.
func peerGroups(fd uintptr) ([]uint32, error) {
	groups := make([]uint32, 64)
	for {
		size := uint32(len(groups) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		n := int(size / 4)
		switch {
		case errno == unix.ERANGE && n > len(groups) && n <= maxGroups:
			groups = make([]uint32, n)
		case errno != 0:
			return nil, errno
		default:
			return groups[:n], nil
		}
	}
}
