package tally

import (
	"encoding/json"
	"math"
	"math/bits"
)

// Distinct estimates how many different things were added, in 512 bytes: HyperLogLog of Flajolet and others ("HyperLogLog: the analysis of a
// near-optimal cardinality estimation algorithm", 2007), whose standard error with 512 registers is 1.04/√512, 4.6 %. Few things are
// counted almost exactly, by how many registers are still empty. The same things added on several days, on one or on several hosts, can be
// united. The zero Distinct is ready.
//
// Hashes are not secret, because what was counted before a restart must be found again after it. Whoever knows that can make a count wrong,
// but nothing else: no decision depends on it.
type Distinct [registers]uint8

const (
	indexBits = 9
	registers = 1 << indexBits
)

// Add adds a thing by its hash.
func (d *Distinct) Add(hash uint64) {
	at := hash >> (64 - indexBits)
	rank := uint8(bits.LeadingZeros64(hash<<indexBits|1<<(indexBits-1)) + 1)
	d[at] = max(d[at], rank)
}

// Unite adds all things of another.
func (d *Distinct) Unite(other *Distinct) {
	for i, rank := range other {
		d[i] = max(d[i], rank)
	}
}

// Estimate returns about how many different things were added.
func (d *Distinct) Estimate() uint64 {
	sum, empty := 0.0, 0
	for _, rank := range d {
		sum += math.Ldexp(1, -int(rank))
		if rank == 0 {
			empty++
		}
	}
	const m = float64(registers)
	estimate := 0.7213 / (1 + 1.079/m) * m * m / sum
	if estimate <= 2.5*m && empty > 0 {
		estimate = m * math.Log(m/float64(empty))
	}
	return uint64(math.Round(estimate))
}

// mix spreads the bits of a number, so that each bit of the result depends on all of them: the finalizer of SplitMix64, of Vigna.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// distinctJSON is the form of a Distinct for programs.
type distinctJSON struct {
	About     uint64 `json:"about"`
	Registers []byte `json:"registers"` // base64, with which others can be united
}

// MarshalJSON implements json.Marshaler.
func (d Distinct) MarshalJSON() ([]byte, error) {
	return json.Marshal(distinctJSON{d.Estimate(), d[:]})
}

// UnmarshalJSON implements json.Unmarshaler.
func (d *Distinct) UnmarshalJSON(text []byte) error {
	var from distinctJSON
	if err := json.Unmarshal(text, &from); err != nil {
		return err
	}
	if len(from.Registers) != registers {
		return ErrDamaged
	}
	copy(d[:], from.Registers)
	return nil
}
