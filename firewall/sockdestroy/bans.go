package sockdestroy

import (
	"net/netip"

	"github.com/gaissmai/bart"
	"golang.org/x/sys/unix"

	"exile/firewall"
)

// bans are keys, to be looked up by connection.
type bans struct {
	prefixes []netip.Prefix        // of all keys, each once
	whole    *bart.Lite            // those that are banned from every port
	byPort   map[uint16]*bart.Lite // and those that are from one
}

// newBans leaves out what concerns no TCP connection.
func newBans(keys []firewall.Key) bans {
	all := new(bart.Lite)
	b := bans{whole: new(bart.Lite), byPort: make(map[uint16]*bart.Lite)}
	for _, k := range keys {
		switch k.Port.Proto {
		case 0:
			b.whole.Insert(k.Prefix)
		case unix.IPPROTO_TCP:
			if b.byPort[k.Port.Number] == nil {
				b.byPort[k.Port.Number] = new(bart.Lite)
			}
			b.byPort[k.Port.Number].Insert(k.Prefix)
		default:
			continue
		}
		if !all.Get(k.Prefix) {
			all.Insert(k.Prefix)
			b.prefixes = append(b.prefixes, k.Prefix)
		}
	}
	return b
}

func (b bans) have(s socket) bool {
	remote := s.remote()
	limited, ok := b.byPort[s.port()]
	return b.whole.Contains(remote) || ok && limited.Contains(remote)
}
