package adaptive

import (
	"math"
	"net/netip"

	"exile/jail/internal/netkey"
)

// place is where an address is, for each of the memories.
type place struct {
	host   netkey.Key // what counts as one address: IPv4, a /64 of IPv6, or a single address among strangers
	id     netkey.ID  // of the host
	net    netkey.ID  // the neighbourhood: /24 or /64
	region netkey.ID  // where the other addresses of an owner are likely to be: /16 or /48
	around [2]wideID  // the networks that may be banned because of the address, see around
}

// place says where an address is. A stranger has no neighbours.
func (d *Detector) place(a netip.Addr) place {
	if d.cfg.Strangers.Hold(a) {
		id := d.hostID(a)
		return place{host: netkey.Of(d.host(a)), id: id, net: id, region: id}
	}
	host := netkey.OfAddr(a)
	if a.Is4() {
		id := netkey.ID(host.Low)
		return place{host, id, id &^ math.MaxUint8, id &^ math.MaxUint16, widesAround(id)}
	}
	id := netkey.ID(host.High)
	return place{netkey.Key{High: host.High}, id, id, id &^ math.MaxUint16, widesAround(id)}
}

// host is what counts as one address.
func (d *Detector) host(a netip.Addr) netip.Prefix { return d.cfg.Strangers.Unit(a, 32, 64) }

// hostID is the number of the host of an address.
func (d *Detector) hostID(a netip.Addr) netkey.ID { return d.names.secret.ID(d.host(a)) }

// hostOf is the host with that key.
func hostOf(k netkey.Key) netip.Prefix { return k.Prefix(32, 64) }

// around are the networks that may be banned because of an address: none because of a stranger's.
func (d *Detector) around(a netip.Addr) [2]wideID {
	if d.cfg.Strangers.Hold(a) {
		return [2]wideID{}
	}
	return widesAround(netkey.IDOf(a))
}

// wideID is the ID of an IPv4 /24 or of an IPv6 /56 or /48, with that length in its last byte, which is free. 0: none.
type wideID uint64

// wideOf returns the number of a network, if it can be one of those.
func wideOf(p netip.Prefix) (wideID, bool) {
	a, bits := p.Addr(), p.Bits()
	if a.Is4() && bits != 24 || a.Is6() && bits != 56 && bits != 48 || !netkey.Counted(a) || p != p.Masked() {
		return 0, false
	}
	return wideID(netkey.IDOf(a)) | wideID(bits), true
}

func (w wideID) bits() int { return int(w & math.MaxUint8) }

// net is the network without its length.
func (w wideID) net() netkey.ID { return netkey.ID(w &^ math.MaxUint8) }

func (w wideID) prefix() netip.Prefix { return netip.PrefixFrom(w.net().Addr(), w.bits()) }

// holds reports whether n, an address or a network, lies in w.
func (w wideID) holds(n netkey.ID) bool {
	if w.net().Is4() {
		return n&^math.MaxUint8 == w.net()
	}
	return n&^(math.MaxUint64>>w.bits()) == w.net()
}

// widesAround are the networks around an address, the narrowest first; 0 where there is no other.
func widesAround(n netkey.ID) [2]wideID {
	if n.Is4() {
		return [...]wideID{wideID(n&^math.MaxUint8) | 24, 0}
	}
	return [...]wideID{wideID(n&^math.MaxUint8) | 56, wideID(n&^math.MaxUint16) | 48}
}
