package engine

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"

	"exile/internal/actions"
	"exile/journal"
)

// maxQueue is how many events wait for an action; of more, the oldest are dropped.
const maxQueue = 10_000

// The buckets of the file.
var (
	metaBucket   = []byte("meta")   // positionKey: a journal.Position
	queuesBucket = []byte("queues") // a bucket for each action: numbers in order, with an actions.Event
	toldBucket   = []byte("told")   // likewise: addresses, with the time in seconds since 1970
	positionKey  = []byte("position")
)

// Queue keeps, in a file, the events that actions have yet to be told, and the position in the journal up to which they are there. Several
// goroutines may use it.
type Queue struct{ db *bolt.DB }

// item is an event in the queue of an action.
type item struct {
	number uint64
	event  actions.Event
}

// OpenQueue opens the file, or makes it. One that cannot be read is moved aside, and the error says so; the queue is usable nevertheless,
// unless it is nil.
func OpenQueue(path string) (*Queue, error) {
	q, err := tryOpen(path)
	if _, disk := errors.AsType[unix.Errno](err); q != nil || disk || errors.Is(err, bolterrors.ErrTimeout) {
		return q, err // a full disk, for example, is no fault of the file
	}
	if moved := os.Rename(path, path+".broken"); moved != nil {
		return nil, errors.Join(err, moved)
	}
	q, again := tryOpen(path)
	return q, errors.Join(fmt.Errorf("%w: moved to %s.broken, events in it are lost", err, path), again)
}

func tryOpen(path string) (q *Queue, err error) {
	defer func() {
		if r := recover(); r != nil { // the database trusts what it reads
			q, err = nil, fmt.Errorf("open %s: %v", path, r)
		}
	}()
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: 5 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{metaBucket, queuesBucket, toldBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		var first error
		for err := range tx.Check() {
			first = cmp.Or(first, err)
		}
		return first
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	return &Queue{db}, nil
}

// Close closes the file.
func (q *Queue) Close() error { return q.db.Close() }

// Position is up to where events are in the queues; the zero Position if that is unknown.
func (q *Queue) Position() (p journal.Position) {
	_ = q.db.View(func(tx *bolt.Tx) (err error) { // the error is that of this function
		p, err = journal.ParsePosition(string(tx.Bucket(metaBucket).Get(positionKey)))
		return err
	})
	return p
}

// Keep removes the queues of all other actions, and returns how many events were in them.
func (q *Queue) Keep(names []string) (dropped int, err error) {
	err = q.db.Update(func(tx *bolt.Tx) error {
		for _, parent := range [][]byte{queuesBucket, toldBucket} {
			var gone [][]byte
			all := tx.Bucket(parent)
			_ = all.ForEachBucket(func(name []byte) error {
				if !slices.Contains(names, string(name)) {
					gone = append(gone, slices.Clone(name))
				}
				return nil
			})
			for _, name := range gone {
				if string(parent) == string(queuesBucket) {
					dropped += length(all.Bucket(name))
				}
				if err := all.DeleteBucket(name); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return dropped, err
}

// Add puts events into the queues of actions, and moves the position: both or nothing. It returns how many events it dropped, by action.
func (q *Queue) Add(p journal.Position, events map[string][]actions.Event) (dropped map[string]int, err error) {
	dropped = map[string]int{}
	err = q.db.Update(func(tx *bolt.Tx) error {
		for name, list := range events {
			b, err := tx.Bucket(queuesBucket).CreateBucketIfNotExists([]byte(name))
			if err != nil {
				return err
			}
			if dropped[name], err = put(b, list); err != nil {
				return err
			}
		}
		return tx.Bucket(metaBucket).Put(positionKey, []byte(p.String()))
	})
	return dropped, err
}

// put appends events to a queue, and drops the oldest of too many.
func put(b *bolt.Bucket, events []actions.Event) (dropped int, err error) {
	for _, e := range events {
		n, err := b.NextSequence()
		if err != nil {
			return 0, err
		}
		data, err := json.Marshal(e)
		if err != nil {
			return 0, err
		}
		if err := b.Put(binary.BigEndian.AppendUint64(nil, n), data); err != nil {
			return 0, err
		}
	}
	c := b.Cursor()
	for k, _ := c.First(); k != nil && length(b) > maxQueue; k, _ = c.First() {
		if err := c.Delete(); err != nil {
			return dropped, err
		}
		dropped++
	}
	return dropped, nil
}

// length is how many events are in a queue: they are removed in order.
func length(b *bolt.Bucket) int {
	if b == nil {
		return 0
	}
	first, _ := b.Cursor().First()
	last, _ := b.Cursor().Last()
	if len(first) != 8 || len(last) != 8 {
		return 0
	}
	return int(binary.BigEndian.Uint64(last) - binary.BigEndian.Uint64(first) + 1)
}

// Waiting is how many events are in the queue of an action.
func (q *Queue) Waiting(action string) (n int, err error) {
	err = q.db.View(func(tx *bolt.Tx) error {
		n = length(tx.Bucket(queuesBucket).Bucket([]byte(action)))
		return nil
	})
	return n, err
}

// Head returns the oldest events of an action, at most n. An event that cannot be read has no ID.
func (q *Queue) Head(action string, n int) (items []item, err error) {
	err = q.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(queuesBucket).Bucket([]byte(action))
		if b == nil {
			return nil
		}
		c := b.Cursor()
		for k, v := c.First(); k != nil && len(items) < n; k, v = c.Next() {
			it := item{number: binary.BigEndian.Uint64(k)}
			if json.Unmarshal(v, &it.event) != nil {
				it.event = actions.Event{}
			}
			items = append(items, it)
		}
		return nil
	})
	return items, err
}

// Done removes the oldest events of an action, up to and including that number; told are the addresses that it was told of.
func (q *Queue) Done(action string, upTo uint64, told []string, now time.Time) error {
	return q.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(queuesBucket).Bucket([]byte(action))
		if b == nil {
			return nil
		}
		c := b.Cursor()
		for k, _ := c.First(); k != nil && binary.BigEndian.Uint64(k) <= upTo; k, _ = c.First() {
			if err := c.Delete(); err != nil {
				return err
			}
		}
		if len(told) == 0 {
			return nil
		}
		t, err := tx.Bucket(toldBucket).CreateBucketIfNotExists([]byte(action))
		for _, address := range told {
			if err == nil && address != "" {
				err = t.Put([]byte(address), binary.BigEndian.AppendUint64(nil, uint64(now.Unix())))
			}
		}
		return err
	})
}

// Told reports whether the action was told of the address since then.
func (q *Queue) Told(action, address string, since time.Time) (told bool, err error) {
	err = q.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(toldBucket).Bucket([]byte(action))
		if b == nil {
			return nil
		}
		at := b.Get([]byte(address))
		told = len(at) == 8 && int64(binary.BigEndian.Uint64(at)) > since.Unix()
		return nil
	})
	return told, err
}

// Forget forgets the addresses that the action was told of before that, and of too many others those that it was told of first.
func (q *Queue) Forget(action string, before time.Time, most int) error {
	return q.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(toldBucket).Bucket([]byte(action))
		if b == nil {
			return nil
		}
		var all [][]byte // the time, 8 bytes, and the address
		err := b.ForEach(func(k, at []byte) error {
			all = append(all, slices.Concat(at, k))
			return nil
		})
		slices.SortFunc(all, bytes.Compare)
		for i, told := range all {
			if int64(binary.BigEndian.Uint64(told)) > before.Unix() && len(all)-i <= most {
				break
			}
			err = errors.Join(err, b.Delete(told[8:]))
		}
		return err
	})
}
