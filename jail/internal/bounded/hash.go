package bounded

import (
	"hash/maphash"
	"math/bits"
)

// HashAny returns a hash of keys of any type, with a random seed of its own.
func HashAny[K comparable]() func(K) uint64 {
	seed := maphash.MakeSeed()
	return func(k K) uint64 { return maphash.Comparable(seed, k) }
}

// HashNumber returns a hash of numbers, with a random seed of its own.
func HashNumber[K ~uint64]() func(K) uint64 {
	a, b, c := Secret(), Secret(), Secret()
	return func(k K) uint64 { return Mix(c, Mix(uint64(k)^a, uint64(k)^b)) }
}

// Mix folds the product of two numbers. A hash of two numbers x and y is Mix(c, Mix(x^a, y^b)) with three secrets: that is
// wyhash, what Go's runtime does where the processor has no AES. It takes a quarter of the time of maphash.Comparable,
// which looks at the type first.
func Mix(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}

// Secret is a random number.
func Secret() uint64 { return maphash.Bytes(maphash.MakeSeed(), nil) }
