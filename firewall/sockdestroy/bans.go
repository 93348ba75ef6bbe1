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
	whole    *bart.Lite            // banned from every port
	byPort   map[uint16]*bart.Lite // banned from one port
	spared   map[firewall.Spared]struct{}
}

// newBans leaves out what does not concern TCP.
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

// spare makes have return false for these.
func (b *bans) spare(all []firewall.Spared) {
	b.spared = make(map[firewall.Spared]struct{}, len(all))
	for _, s := range all {
		b.spared[s] = struct{}{}
	}
}

// spares reports whether a connection, or its whole address, is spared.
func (b bans) spares(s socket) bool {
	_, connection := b.spared[s.ends()]
	_, whole := b.spared[firewall.Spared{Remote: netip.AddrPortFrom(s.remote(), 0)}]
	return connection || whole
}

func (b bans) have(s socket) bool {
	if b.spares(s) {
		return false
	}
	remote := s.remote()
	limited, ok := b.byPort[s.port()]
	return b.whole.Contains(remote) || ok && limited.Contains(remote)
}
