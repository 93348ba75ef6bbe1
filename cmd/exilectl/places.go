package main

import (
	"encoding/json"
	"net/netip"
	"time"

	"exile/internal/geoip"
)

// places are the databases of countries and networks that this host's configuration names. Nil is none.
type places struct{ *geoip.Databases }

// openPlaces opens them; nil if the configuration names none, or is not that of the daemon which is asked.
func (o *options) openPlaces() *places {
	if o.bridge() != nil {
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
	at, _ := p.At(of.Addr())
	return []cell{orDash(at.Country.String()), orDash(geoip.FormatASN(at.ASN)), orDash(clean(at.Org))}
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
	at, _ := p.At(of.Addr())
	more, err := json.Marshal(struct {
		Country string `json:"country"`
		ASN     uint32 `json:"asn"` // 0: unknown
		Org     string `json:"as_organization"`
	}{at.Country.String(), at.ASN, at.Org})
	if err != nil {
		return doc
	}
	return json.RawMessage(append(append(text[:len(text)-1], ','), more[1:]...))
}
