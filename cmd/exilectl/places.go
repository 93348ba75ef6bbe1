package main

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"

	"exile/internal/geoip"
)

// places are the databases of countries and networks that this host's configuration names. Nil is none.
type places struct{ *geoip.Databases }

// openPlaces opens them; nil if they are not wanted, or the configuration names none, or is not that of the daemon which is asked.
func (o *options) openPlaces(wanted bool) *places {
	if !wanted || o.bridge() != nil {
		return nil
	}
	cfg, err := loadConfig(nil)
	if err != nil || len(cfg.GeoIP) == 0 {
		return nil // what is wrong with the configuration says check-config
	}
	return &places{geoip.Open(cfg.GeoIP, time.Now())}
}

// close closes the files.
func (p *places) close() {
	if p != nil {
		p.Close()
	}
}

// location is what the databases say of an address, in JSON.
type location struct {
	Country string `json:"country"` // a code of two letters; empty: unknown
	ASN     uint32 `json:"asn"`     // 0: unknown
	Org     string `json:"as_organization"`
}

// of returns what the databases say of an address or, of a network, of its first one; nil if they say nothing.
func (p *places) of(prefix netip.Prefix) *location {
	if p == nil {
		return nil
	}
	at, ok := p.At(prefix.Addr())
	if !ok {
		return nil
	}
	return &location{at.Country.String(), at.ASN, at.Org}
}

// String is one line for people: DE, AS64496 (Example Net).
func (l *location) String() string {
	parts := []string{l.Country, geoip.FormatASN(l.ASN)}
	text := strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
	if l.Org != "" {
		text += " (" + clean(l.Org) + ")"
	}
	return text
}

// columns are those of what the databases say.
func (p *places) columns() []column {
	if p == nil {
		return nil
	}
	return []column{{"COUNTRY", false}, {"ASN", false}, {"NETWORK OF", false}}
}

// cells are those of a prefix.
func (p *places) cells(of netip.Prefix) []cell {
	if p == nil {
		return nil
	}
	at := cmp.Or(p.of(of), new(location))
	return []cell{orDash(at.Country), orDash(geoip.FormatASN(at.ASN)), orDash(clean(at.Org))}
}

// document adds to a document, an object, what the databases say of a prefix.
func (p *places) document(doc any, of netip.Prefix) any {
	if p == nil {
		return doc
	}
	text, err := json.Marshal(doc)
	if err != nil || len(text) == 0 || text[len(text)-1] != '}' {
		return doc
	}
	more, err := json.Marshal(cmp.Or(p.of(of), new(location)))
	if err != nil {
		return doc
	}
	return json.RawMessage(append(append(text[:len(text)-1], ','), more[1:]...))
}
