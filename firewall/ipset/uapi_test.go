package ipset

import (
	"testing"

	"github.com/vishvananda/netlink/nl"
)

// The numbers are those that another reader of the kernel's header found.
func TestHeader(t *testing.T) {
	t.Parallel()
	for name, c := range map[string][2]int{
		"maxNameLen": {maxNameLen, nl.IPSET_MAXNAMELEN},
		"cmdCreate":  {cmdCreate, nl.IPSET_CMD_CREATE}, "cmdDestroy": {cmdDestroy, nl.IPSET_CMD_DESTROY}, "cmdFlush": {cmdFlush, nl.IPSET_CMD_FLUSH},
		"cmdSwap": {cmdSwap, nl.IPSET_CMD_SWAP},
		"cmdList": {cmdList, nl.IPSET_CMD_LIST}, "cmdAdd": {cmdAdd, nl.IPSET_CMD_ADD}, "cmdDel": {cmdDel, nl.IPSET_CMD_DEL},
		"cmdGetByName": {cmdGetByName, nl.IPSET_CMD_TYPE + 1}, // which it does not know
		"attrProtocol": {attrProtocol, nl.IPSET_ATTR_PROTOCOL}, "attrSetName": {attrSetName, nl.IPSET_ATTR_SETNAME},
		"attrTypeName": {attrTypeName, nl.IPSET_ATTR_TYPENAME}, "attrSetName2": {attrSetName2, nl.IPSET_ATTR_SETNAME2},
		"attrRevision": {attrRevision, nl.IPSET_ATTR_REVISION}, "attrFamily": {attrFamily, nl.IPSET_ATTR_FAMILY},
		"attrFlags": {attrFlags, nl.IPSET_ATTR_FLAGS}, "attrData": {attrData, nl.IPSET_ATTR_DATA}, "attrADT": {attrADT, nl.IPSET_ATTR_ADT},
		"attrLineNo": {attrLineNo, nl.IPSET_ATTR_LINENO}, "attrIndex": {attrIndex, nl.IPSET_ATTR_PROTOCOL_MIN + 1}, // likewise
		"attrIP": {attrIP, nl.IPSET_ATTR_IP}, "attrIPv4": {attrIPv4, nl.IPSET_ATTR_IPADDR_IPV4}, "attrIPv6": {attrIPv6, nl.IPSET_ATTR_IPADDR_IPV6},
		"attrCIDR": {attrCIDR, nl.IPSET_ATTR_CIDR}, "attrPort": {attrPort, nl.IPSET_ATTR_PORT}, "attrTimeout": {attrTimeout, nl.IPSET_ATTR_TIMEOUT},
		"attrProto": {attrProto, nl.IPSET_ATTR_PROTO}, "attrCADTFlags": {attrCADTFlags, nl.IPSET_ATTR_CADT_FLAGS},
		"attrHashSize": {attrHashSize, nl.IPSET_ATTR_HASHSIZE}, "attrMaxElem": {attrMaxElem, nl.IPSET_ATTR_MAXELEM},
		"attrElements": {attrElements, nl.IPSET_ATTR_ELEMENTS}, "attrBytes": {attrBytes, nl.IPSET_ATTR_BYTES},
		"attrPackets": {attrPackets, nl.IPSET_ATTR_PACKETS}, "flagCounts": {flagCounts, nl.IPSET_FLAG_WITH_COUNTERS}, "flagNoMatch": {flagNoMatch, nl.IPSET_FLAG_NOMATCH},
		"errProtocol": {int(errProtocol), nl.IPSET_ERR_PROTOCOL}, "errFindType": {int(errFindType), nl.IPSET_ERR_FIND_TYPE},
		"errMaxSets": {int(errMaxSets), nl.IPSET_ERR_MAX_SETS}, "errBusy": {int(errBusy), nl.IPSET_ERR_BUSY},
		"errTimeout": {int(errTimeout), nl.IPSET_ERR_TIMEOUT}, "errReferenced": {int(errReferenced), nl.IPSET_ERR_REFERENCED},
		"errHashFull": {int(errHashFull), nl.IPSET_ERR_TYPE_SPECIFIC},
	} {
		if c[0] != c[1] {
			t.Errorf("%s is %d, and %d elsewhere", name, c[0], c[1])
		}
	}
}
