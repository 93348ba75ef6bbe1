package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"exile/internal/geoip"
	"exile/jail"
)

// Places says what the country and the network (autonomous system) of an address make of its failures.
type Places struct {
	Points    Factors // of points
	BanTime   Factors // of ban times
	AllowOnly Area    // elsewhere the first failure makes a ban; empty: nowhere
}

// Factors are factors from jail.MinWeight to jail.MaxWeight. That of the zero Country is for all countries that are not named.
type Factors struct {
	Country map[geoip.Country]float64
	ASN     map[uint32]float64
}

// Area is countries and networks.
type Area struct {
	Country []geoip.Country
	ASN     []uint32
}

// Empty reports whether no place is named.
func (a *Area) Empty() bool { return len(a.Country)+len(a.ASN) == 0 }

// Used reports whether it matters where an address is.
func (p *Places) Used() bool { return !p.AllowOnly.Empty() || p.Points.any() || p.BanTime.any() }

func (f *Factors) any() bool { return len(f.Country)+len(f.ASN) > 0 }

// otherCountries stands for the countries that are not named.
const otherCountries = "other"

// placeWords are the keys of a jail that need databases.
func placeWords() []word[Jail] {
	return []word[Jail]{
		into("points.country", factorsOf(parseCountryOrOther), func(j *Jail) *map[geoip.Country]float64 { return &j.Places.Points.Country }),
		into("points.asn", factorsOf(parseASN), func(j *Jail) *map[uint32]float64 { return &j.Places.Points.ASN }),
		into("bantime.country", factorsOf(parseCountryOrOther), func(j *Jail) *map[geoip.Country]float64 { return &j.Places.BanTime.Country }),
		into("bantime.asn", factorsOf(parseASN), func(j *Jail) *map[uint32]float64 { return &j.Places.BanTime.ASN }),
		into("allow_only.country", listOf(parseCountry), func(j *Jail) *[]geoip.Country { return &j.Places.AllowOnly.Country }),
		into("allow_only.asn", listOf(parseASN), func(j *Jail) *[]uint32 { return &j.Places.AllowOnly.ASN }),
	}
}

func parseCountry(s string) (geoip.Country, error) {
	c, ok := geoip.ParseCountry(s)
	if !ok {
		return c, fmt.Errorf("%q is no country: write its code of two letters (ISO 3166-1), such as DE", s)
	}
	return c, nil
}

func parseCountryOrOther(s string) (geoip.Country, error) {
	if s == otherCountries {
		return geoip.Country{}, nil
	}
	c, err := parseCountry(s)
	if err != nil {
		err = fmt.Errorf("%w, or %s for all that are not named", err, otherCountries)
	}
	return c, err
}

func parseASN(s string) (uint32, error) {
	n, ok := geoip.ParseASN(s)
	if !ok {
		return n, fmt.Errorf("%q is no number of a network (autonomous system): write it as AS64496", s)
	}
	return n, nil
}

// maxPlaces is how many places a key may name.
const maxPlaces = 1000

// listOf returns what reads a list of places.
func listOf[K any](parse func(string) (K, error)) func(value) ([]K, error) {
	return func(v value) ([]K, error) {
		words, err := v.words()
		if err != nil {
			return nil, err
		}
		if len(words) > maxPlaces {
			return nil, fmt.Errorf("more than %d places", maxPlaces)
		}
		all := make([]K, len(words))
		for i, w := range words {
			if all[i], err = parse(w); err != nil {
				return nil, v.inItem(w, err)
			}
		}
		return all, nil
	}
}

// inItem adds the line of an item of a list to a mistake in it.
func (v value) inItem(word string, err error) error {
	for _, item := range v.items {
		if slices.Contains(split(item.text), word) {
			v.line = item.line
			return v.explain(word, err)
		}
	}
	return err
}

// factorsOf returns what reads a factor for each place. A mistake has the line of its place.
func factorsOf[K comparable](parse func(string) (K, error)) func(value) (map[K]float64, error) {
	return func(v value) (map[K]float64, error) {
		switch {
		case v.kind == null:
			return nil, nil
		case v.kind != mapping:
			return nil, errors.New("places and their factors are wanted here, as in {AS64496: 2, AS64497: 0.5}")
		case len(v.pairs) > maxPlaces:
			return nil, fmt.Errorf("more than %d places", maxPlaces)
		}
		all := make(map[K]float64, len(v.pairs))
		for _, p := range v.pairs {
			k, err := parse(p.key)
			_, twice := all[k]
			if err == nil && twice {
				err = errors.New("named twice")
			}
			if err == nil {
				all[k], err = numberIn(jail.MinWeight, jail.MaxWeight)(v.at(p))
			}
			if err != nil {
				return nil, v.at(p).explain(strconv.Quote(p.key), err)
			}
		}
		return all, nil
	}
}

// placed reports an enabled jail in which places matter, if no database knows them.
func (t *tree) placed(c *Config, j Jail) error {
	if !j.Enabled || !j.Places.Used() || len(c.GeoIP) > 0 {
		return nil
	}
	for _, w := range placeWords() {
		if v, ok := t.lookup(j.Name, w.name); ok && len(v.pairs)+len(v.items)+len(v.text) > 0 {
			return v.explain(w.name, errors.New("no database says where addresses are: name one with geoip: at the top of the file, "+
				"such as geoip: /var/lib/GeoIP/GeoLite2-Country.mmdb"))
		}
	}
	return nil
}

// Least returns the smallest factor that points may have; 1 if all are larger.
func (f *Factors) Least() float64 {
	least := 1.0
	for _, country := range append(slices.Collect(maps.Values(f.Country)), 1) {
		for _, asn := range append(slices.Collect(maps.Values(f.ASN)), 1) {
			least = min(least, country*asn)
		}
	}
	return max(least, jail.MinWeight)
}
