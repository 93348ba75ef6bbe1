package setup

import (
	"net/netip"
	"slices"

	"exile/internal/config"
	"exile/internal/geoip"
	"exile/jail"
)

// Atlas says where addresses are. The goroutine of the jails owns it.
type Atlas struct{ table *geoip.Table }

// Use replaces what the atlas says.
func (a *Atlas) Use(t *geoip.Table) { a.table = t }

// Weigher returns what weighs the failures of a jail by where an address is; nil if that does not matter.
func (a *Atlas) Weigher(c *config.Jail) jail.Weigher {
	if !c.Places.Used() {
		return nil
	}
	return &weigher{atlas: a, places: c.Places, least: c.Places.Points.Least()}
}

// Matters reports whether a jail of a configuration asks where addresses are.
func Matters(cfg *config.Config) bool {
	return slices.ContainsFunc(cfg.Jails, func(c config.Jail) bool { return c.Places.Used() })
}

// weigher implements jail.Weigher. Of an address that no database knows, and of all where there is no database, it knows nothing.
type weigher struct {
	atlas  *Atlas
	places config.Places
	least  float64
}

// Least implements jail.Weigher.
func (w *weigher) Least() float64 { return w.least }

// Weigh implements jail.Weigher.
func (w *weigher) Weigh(a netip.Addr) jail.Weight {
	if w.atlas.table == nil {
		return jail.Plain
	}
	p, ok := w.atlas.table.At(a)
	if !ok {
		return jail.Plain
	}
	return jail.Weight{
		Points:  factor(&w.places.Points, p),
		BanTime: factor(&w.places.BanTime, p),
		First:   outside(&w.places.AllowOnly, p),
	}
}

// factor is that of the country times that of the network.
func factor(f *config.Factors, p geoip.Place) float64 {
	country, ok := f.Country[p.Country]
	if !ok && p.Country != (geoip.Country{}) {
		country, ok = f.Country[geoip.Country{}]
	}
	if !ok || p.Country == (geoip.Country{}) {
		country = 1
	}
	asn, ok := f.ASN[p.ASN]
	if !ok {
		asn = 1
	}
	return min(max(country*asn, jail.MinWeight), jail.MaxWeight)
}

// outside reports whether a place is known to be in none of those that an area names. Where only one kind is named, the other does not matter.
func outside(a *config.Area, p geoip.Place) bool {
	switch {
	case a.Empty() || slices.Contains(a.Country, p.Country) || slices.Contains(a.ASN, p.ASN):
		return false
	case len(a.Country) > 0 && p.Country == (geoip.Country{}), len(a.ASN) > 0 && p.ASN == 0:
		return false // it may be inside
	}
	return true
}
