package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// The buckets of the file, and the one that says what the file is.
const (
	aboutBucket    = "about"
	marksBucket    = "marks"
	bansBucket     = "bans"
	pastBucket     = "past"
	repeatsBucket  = "repeats"
	reportsBucket  = "reports"
	snapshotBucket = "snapshots"
	historyBucket  = "history"
)

// dataBuckets are those of a schema; each schema has those of the one before it.
func dataBuckets(schema uint32) []string {
	buckets := []string{marksBucket, bansBucket, pastBucket, snapshotBucket}
	if schema >= 2 {
		buckets = append(buckets, repeatsBucket)
	}
	if schema >= 3 {
		buckets = append(buckets, reportsBucket)
	}
	if schema >= 4 {
		buckets = append(buckets, historyBucket)
	}
	return buckets
}

// The keys of the bucket about the file.
const (
	schemaKey        = "exile schema"
	pausedKey        = "paused until"
	trialKey         = "configuration on trial"
	daysKey          = "days"
	announcementsKey = "announcements"
	flushedKey       = "flushed"
)

// schema is the number of migrations that a file has had.
const schema = 4

// migrations lead from each schema to the next; 0 is an empty file.
func migrations() []func(*bolt.Tx) error {
	return []func(*bolt.Tx) error{
		func(tx *bolt.Tx) error { return addBuckets(tx, append(dataBuckets(1), aboutBucket)) },
		func(tx *bolt.Tx) error { return addBuckets(tx, dataBuckets(2)) },
		func(tx *bolt.Tx) error { return addBuckets(tx, dataBuckets(3)) },
		func(tx *bolt.Tx) error { return addBuckets(tx, dataBuckets(4)) },
	}
}

func addBuckets(tx *bolt.Tx, names []string) error {
	for _, name := range names {
		if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	return nil
}

func migrate(tx *bolt.Tx) error { return migrateWith(tx, migrations()) }

func migrateWith(tx *bolt.Tx, steps []func(*bolt.Tx) error) error {
	have, err := schemaOf(tx, uint32(len(steps)))
	if err != nil || have == uint32(len(steps)) {
		return err
	}
	for _, step := range steps[have:] {
		if err := step(tx); err != nil {
			return err
		}
	}
	return tx.Bucket([]byte(aboutBucket)).Put([]byte(schemaKey), binary.BigEndian.AppendUint32(nil, uint32(len(steps))))
}

// schemaOf returns the schema of a file; 0 for an empty one.
func schemaOf(tx *bolt.Tx, newest uint32) (uint32, error) {
	if first, _ := tx.Cursor().First(); first == nil {
		return 0, nil
	}
	about := tx.Bucket([]byte(aboutBucket))
	if about == nil {
		return 0, fmt.Errorf("%w: it is a database of another program", ErrCorrupt)
	}
	v := about.Get([]byte(schemaKey))
	if len(v) != 4 {
		return 0, fmt.Errorf("%w: it does not say which schema it has", ErrCorrupt)
	}
	n := binary.BigEndian.Uint32(v)
	if n > newest {
		return 0, fmt.Errorf("%w: it has schema %d of a newer version, this one knows %d", ErrCorrupt, n, newest)
	}
	return n, nil
}

// write puts a batch into the file.
func (b *Batch) write(tx *bolt.Tx) error {
	lifted := slices.Collect(maps.Keys(b.Lifted))
	return errors.Join(
		flushAll(tx, b.Flushed),
		forgetAll(tx, b.Forgotten),
		deleteAll(tx, bansBucket, lifted, Who.key),
		putAll(tx, marksBucket, b.Marks, nameKey, encodeMark),
		putAll(tx, bansBucket, b.Bans, Who.key, encodeBan),
		putAll(tx, pastBucket, b.Past, Who.key, encodePast),
		putAll(tx, repeatsBucket, b.Repeats, prefixKey, encodeTimes),
		putAll(tx, reportsBucket, b.Reports, numberKey, encodeReport),
		putAll(tx, snapshotBucket, b.Snapshots, nameKey, encodeSnapshot),
		putAll(tx, historyBucket, b.History, dayKey, slices.Clone[[]byte]),
		writeAbout(tx, pausedKey, b.Paused, encodeTime),
		writeAbout(tx, trialKey, b.Trial, encodeTrial),
		writeAbout(tx, daysKey, b.Days, encodeDays),
		writeAbout(tx, announcementsKey, b.Announcements, encodeEvents),
	)
}

// flushAll deletes all bans of some jails, and notes when that was.
func flushAll(tx *bolt.Tx, jails map[string]time.Time) error {
	if len(jails) == 0 {
		return nil
	}
	flushed := readFlushed(tx)
	for jail, at := range jails {
		flushed[jail] = at
		ofJail := func(k, _ []byte) bool { return bytes.HasPrefix(k, jailKey(jail)) }
		if err := deleteWhere(tx, bansBucket, ofJail); err != nil {
			return err
		}
	}
	return writeAbout(tx, flushedKey, &flushed, encodeFlushed)
}

// forgetAll deletes the past of some jails before a time.
func forgetAll(tx *bolt.Tx, jails map[string]time.Time) error {
	for jail, before := range jails {
		old := func(k, sealed []byte) bool {
			if !bytes.HasPrefix(k, jailKey(jail)) {
				return false
			}
			v, _ := unseal(k, sealed)
			d := &decoder{data: v}
			return decodePast(d).Latest().Before(before) && !d.bad // what is damaged is found when it is read
		}
		if err := deleteWhere(tx, pastBucket, old); err != nil {
			return err
		}
	}
	return nil
}

// readFlushed returns nothing if the value is damaged: then pardoned addresses are banned again for what is in the log.
func readFlushed(tx *bolt.Tx) map[string]time.Time {
	flushed := make(map[string]time.Time)
	if readAbout(tx, flushedKey, &flushed, decodeFlushed) != nil || flushed == nil {
		return make(map[string]time.Time)
	}
	return flushed
}

// deleteWhere deletes the selected keys. If few others are left, these are written to a new bucket: deleting a million keys one by one takes
// the database seconds.
func deleteWhere(tx *bolt.Tx, bucket string, goes func(k, v []byte) bool) error {
	var going [][]byte
	var staying []*pair
	err := tx.Bucket([]byte(bucket)).ForEach(func(k, v []byte) error {
		if goes(k, v) {
			going = append(going, k)
		} else {
			staying = append(staying, &pair{k, v})
		}
		return nil
	})
	if err != nil || len(going) == 0 {
		return err
	}
	if len(staying) < len(going) {
		return rewrite(tx, bucket, staying)
	}
	for _, k := range going {
		if err := tx.Bucket([]byte(bucket)).Delete(bytes.Clone(k)); err != nil {
			return err
		}
	}
	return nil
}

// rewrite replaces the contents of a bucket by the pairs, which are sorted and sealed.
func rewrite(tx *bolt.Tx, bucket string, pairs []*pair) error {
	for _, p := range pairs {
		p.key, p.value = bytes.Clone(p.key), bytes.Clone(p.value)
	}
	b, err := emptied(tx, bucket)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		if err := b.Put(p.key, p.value); err != nil {
			return err
		}
	}
	return nil
}

// writeAbout writes a single value, if it has changed.
func writeAbout[V any](tx *bolt.Tx, key string, v *V, encode func(V) []byte) error {
	if v == nil {
		return nil
	}
	return putAll(tx, aboutBucket, map[string]V{key: *v}, nameKey, encode)
}

// pair is what is to be written; without a value the key is deleted.
type pair struct{ key, value []byte }

// putAll writes the pairs, and deletes those without a value.
func putAll[K comparable, V any](tx *bolt.Tx, bucket string, m map[K]V, keyOf func(K) []byte, encode func(V) []byte) error {
	pairs := make([]*pair, 0, len(m))
	for k, v := range m {
		makeWay(len(pairs))
		key := keyOf(k)
		pairs = append(pairs, &pair{key, encode(v)})
	}
	return writeAll(tx, bucket, pairs)
}

// sortPairs sorts pointers, because sorting another type would add 20 kB to the program.
func sortPairs(pairs []*pair) {
	slices.SortFunc(pairs, func(a, b *pair) int { return bytes.Compare(a.key, b.key) })
}

// writeAll writes in the order of the keys: otherwise the database moves half of a large batch for each new key.
func writeAll(tx *bolt.Tx, bucket string, pairs []*pair) error {
	sortPairs(pairs)
	for i, p := range pairs {
		makeWay(i)
		if err := putOne(tx.Bucket([]byte(bucket)), p.key, p.value); err != nil {
			return err
		}
	}
	return nil
}

func putOne(b *bolt.Bucket, key, value []byte) error {
	if len(value) == 0 {
		return b.Delete(key)
	}
	return b.Put(key, seal(key, value))
}

func deleteAll[K any](tx *bolt.Tx, bucket string, keys []K, keyOf func(K) []byte) error {
	pairs := make([]*pair, len(keys))
	for i, k := range keys {
		pairs[i] = &pair{key: keyOf(k)}
	}
	return writeAll(tx, bucket, pairs)
}

func clearBuckets(tx *bolt.Tx) error {
	for _, name := range dataBuckets(schema) {
		if _, err := emptied(tx, name); err != nil {
			return err
		}
	}
	return tx.Bucket([]byte(aboutBucket)).Delete([]byte(flushedKey)) // else it would be added to
}

// emptied recreates a bucket, to be filled in order.
func emptied(tx *bolt.Tx, name string) (*bolt.Bucket, error) {
	if err := tx.DeleteBucket([]byte(name)); err != nil {
		return nil, err
	}
	b, err := tx.CreateBucket([]byte(name))
	if err != nil {
		return nil, err
	}
	b.FillPercent = fullPages
	return b, nil
}

// fullPages is how full the pages are of what is written at once, and in order.
const fullPages = 0.95

// read fills c with the contents of the file; a map that is nil stays nil. What it cannot read is ErrCorrupt, except a snapshot, which is left
// out because its detector can do without.
func (c *Contents) read(tx *bolt.Tx) error {
	have, err := schemaOf(tx, schema)
	if err != nil || have == 0 {
		return err
	}
	for _, name := range dataBuckets(have) {
		if err := c.readBucket(tx, name); err != nil {
			return err
		}
	}
	if readAbout(tx, daysKey, &c.Days, decodeDays) != nil {
		c.Days = nil // damaged, but not essential
	}
	if readAbout(tx, announcementsKey, &c.Announcements, decodeEvents) != nil {
		c.Announcements = nil // likewise
	}
	c.Flushed = readFlushed(tx)
	return errors.Join(readAbout(tx, pausedKey, &c.Paused, (*decoder).time), readAbout(tx, trialKey, &c.Trial, decodeTrial))
}

// readAbout reads a single value, if it was ever written.
func readAbout[V any](tx *bolt.Tx, key string, into *V, decode func(*decoder) V) error {
	sealed := tx.Bucket([]byte(aboutBucket)).Get([]byte(key))
	if sealed == nil {
		return nil
	}
	v, ok := unseal([]byte(key), sealed)
	d := &decoder{data: v}
	*into = decode(d)
	if !ok || d.bad || len(d.data) > 0 {
		return fmt.Errorf("%w: wrong %s", ErrCorrupt, key)
	}
	return nil
}

// readBucket reads one of the data buckets.
func (c *Contents) readBucket(tx *bolt.Tx, name string) error {
	readers := map[string]func(key, value []byte) error{
		marksBucket:    func(k, v []byte) error { return store(c.Marks, string(k), v, decodeMark) },
		bansBucket:     func(k, v []byte) error { return storeWho(c.Bans, k, v, decodeBan) },
		pastBucket:     func(k, v []byte) error { return storeWho(c.Past, k, v, decodePast) },
		repeatsBucket:  func(k, v []byte) error { return storePrefix(c.Repeats, k, v, decodeTimes) },
		reportsBucket:  func(k, v []byte) error { return storeNumber(c.Reports, k, v, decodeReport) },
		snapshotBucket: func(k, v []byte) error { return store(c.Snapshots, string(k), v, decodeSnapshot) },
		historyBucket:  func(k, v []byte) error { return storeDay(c.History, k, v) },
	}
	read := readers[name]
	bucket := tx.Bucket([]byte(name))
	if bucket == nil {
		return fmt.Errorf("%w: it has no %s", ErrCorrupt, name)
	}
	return bucket.ForEach(func(k, sealed []byte) error {
		v, ok := unseal(k, sealed)
		var err error
		if ok {
			err = read(k, v)
		}
		switch {
		case ok && err == nil, name == snapshotBucket, name == historyBucket:
			return nil
		case !ok:
			return fmt.Errorf("%w: wrong checksum of %q in %s", ErrCorrupt, k, name)
		default:
			return fmt.Errorf("%w: %q in %s: %w", ErrCorrupt, k, name, err)
		}
	})
}

func store[K comparable, V any](into map[K]V, key K, data []byte, decode func(*decoder) V) error {
	d := &decoder{data: data}
	v := decode(d)
	if d.bad || len(d.data) > 0 {
		return errValue
	}
	if into != nil { // else it is only looked at
		into[key] = v
	}
	return nil
}

func storeWho[V any](into map[Who]V, key, data []byte, decode func(*decoder) V) error {
	who, err := parseWho(key)
	if err != nil {
		return err
	}
	return store(into, who, data, decode)
}

func storePrefix[V any](into map[netip.Prefix]V, key, data []byte, decode func(*decoder) V) error {
	var p netip.Prefix
	if p.UnmarshalBinary(key) != nil || !p.IsValid() {
		return errKey
	}
	return store(into, p, data, decode)
}

func storeNumber[V any](into map[uint64]V, key, data []byte, decode func(*decoder) V) error {
	if len(key) != 8 {
		return errKey
	}
	return store(into, binary.BigEndian.Uint64(key), data, decode)
}
