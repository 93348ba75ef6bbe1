// Package peers takes reports about the other end of a connection, from any program that holds the connection: in the protocol of NetBSD's
// blocklistd, whose client library is in many daemons. The kernel says who the other end is; the address in a message is ignored.
package peers

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A message is, in the sender's byte order, which is this host's: the length of the whole, the version, the type, the length of an address, the
// address in 128 bytes (struct sockaddr_storage), and a text; see bl.c of blocklistd.
const (
	headLen    = 16
	addrLen    = 128
	messageMin = headLen + addrLen
	messageMax = 2048
	version    = 1
)

// The types of messages.
const (
	typeFailure = 1 // a login failed
	typeSuccess = 2 // and one did not
	typeAbuse   = 3
	typeBadUser = 4 // nobody has that name
)

// parse returns whether a login went well. The address and the text are the sender's, and are not looked at.
func parse(m []byte) (success bool, err error) {
	if len(m) < messageMin {
		return false, fmt.Errorf("a message of %d bytes, want at least %d", len(m), messageMin)
	}
	number := func(i int) uint32 { return binary.NativeEndian.Uint32(m[4*i:]) }
	if int(number(0)) != len(m) {
		return false, fmt.Errorf("a message of %d bytes says that it has %d", len(m), number(0))
	}
	if number(1) != version {
		return false, fmt.Errorf("version %d of the protocol, want %d", number(1), version)
	}
	switch number(2) {
	case typeFailure, typeAbuse, typeBadUser:
		return false, nil
	case typeSuccess:
		return true, nil
	}
	return false, errors.New("a message of no known type")
}
