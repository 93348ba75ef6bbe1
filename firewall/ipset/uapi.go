package ipset

import "syscall"

// What linux/netfilter/ipset/ip_set.h says; a test compares it with what others read there.

// protocol is the version of the ipset protocol that knows sets by index: Linux 4.15.
const protocol = 7

// maxNameLen is the longest name of a set, with its NUL.
const maxNameLen = 32

// Commands.
const (
	cmdCreate    = 2
	cmdDestroy   = 3
	cmdFlush     = 4
	cmdSwap      = 6
	cmdList      = 7
	cmdAdd       = 9
	cmdDel       = 10
	cmdGetByName = 14
)

// Attributes of a message.
const (
	attrProtocol = 1
	attrSetName  = 2
	attrTypeName = 3
	attrSetName2 = attrTypeName
	attrRevision = 4
	attrFamily   = 5
	attrFlags    = 6
	attrData     = 7
	attrADT      = 8
	attrLineNo   = 9
	attrIndex    = 11
)

// Attributes of a set or an element.
const (
	attrIP        = 1
	attrIPv4      = 1 // in attrIP
	attrIPv6      = 2
	attrCIDR      = 3
	attrPort      = 4
	attrTimeout   = 6
	attrProto     = 7
	attrCADTFlags = 8
	attrHashSize  = 18
	attrMaxElem   = 19
	attrElements  = 24 // of a set
	attrBytes     = 24 // of an element
	attrPackets   = 25 // of an element
)

const (
	listHeader  = 1 << 2 // of attrFlags: no elements
	flagNoMatch = 1 << 2 // of attrCADTFlags, of an element: an exception
	flagCounts  = 1 << 3 // of attrCADTFlags, of a set: elements count
)

// The errors of ipset begin at 4096.
const (
	errProtocol   = syscall.Errno(4097)
	errFindType   = syscall.Errno(4098)
	errMaxSets    = syscall.Errno(4099)
	errBusy       = syscall.Errno(4100) // a rule uses the set
	errTimeout    = syscall.Errno(4107)
	errReferenced = syscall.Errno(4108)
	errHashFull   = syscall.Errno(4352) // a hash set has as many elements as it may
)
