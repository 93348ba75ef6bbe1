package geoip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// marker begins the metadata, within so many bytes of the end of the file.
	marker      = "\xab\xcd\xefMaxMind.com"
	maxMetadata = 128 << 10
	// separator is the number of bytes between the tree and the data.
	separator = 16
	// maxBits is the number of bits of the longest address.
	maxBits = 128
	// v4Bits is how many zero bits come before an IPv4 address in a tree of IPv6.
	v4Bits = 96
)

// file is an open database: a binary tree of the bits of addresses, whose leaves point into the data.
type file struct {
	io.Closer
	name   string
	r      io.ReaderAt
	nodes  uint32
	width  int // bytes of a node: 6, 7 or 8
	v6     bool
	v4     uint32 // the node at which an IPv4 address begins
	built  time.Time
	data   data
	record [8]byte // of the node read last
}

// open opens a database and reads its metadata. The error names the file, and the remedy.
func open(path string) (*file, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO must not block
	if err != nil {
		return nil, fmt.Errorf("open database: %w%s", err, remedy(err))
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a file")
	}
	var db *file
	if err == nil {
		db, err = read(f, info.Size())
	}
	if err != nil {
		_ = f.Close() // it was only read
		return nil, fmt.Errorf("%s: %w; name a database in the MaxMind DB format, or get this one again", path, err)
	}
	db.name, db.Closer = path, f
	return db, nil
}

func remedy(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "; exiled reads it as the user exile: let others read the file and search its folders"
	case errors.Is(err, fs.ErrNotExist):
		return "; run geoipupdate, or name the database that you have"
	}
	return ""
}

// read reads the metadata of a file of that size.
func read(r io.ReaderAt, size int64) (*file, error) {
	end := make([]byte, min(size, maxMetadata))
	if _, err := r.ReadAt(end, size-int64(len(end))); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	at := bytes.LastIndex(end, []byte(marker))
	if at < 0 {
		return nil, errors.New("no metadata: it is no such database, or only a part of one")
	}
	begin := size - int64(len(end)) + int64(at)
	meta := newData(r, begin+int64(len(marker)), size)
	m, err := meta.metadata()
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	f := &file{r: r, nodes: uint32(m.nodes), width: int(m.record / 4), v6: m.version == 6, built: time.Unix(int64(m.built), 0).UTC()}
	tree := int64(f.nodes) * int64(f.width)
	if tree+separator > begin {
		return nil, errors.New("it ends within its tree")
	}
	f.data = newData(r, tree+separator, begin)
	if f.v6 {
		f.v4, err = f.walk(0, new([16]byte), 0, v4Bits)
	}
	return f, err
}

// metadata is what counts of the metadata.
type metadata struct{ nodes, record, version, format, built uint64 }

func (d *data) metadata() (m metadata, err error) {
	fields := map[string]*uint64{
		"node_count": &m.nodes, "record_size": &m.record, "ip_version": &m.version, "binary_format_major_version": &m.format, "build_epoch": &m.built,
	}
	err = d.each(0, func(key string, at int64) error {
		if field := fields[key]; field != nil {
			n, ok, err := d.number(at)
			if err == nil && !ok {
				err = fmt.Errorf("%s is no number", key)
			}
			*field = n
			return err
		}
		return nil
	})
	switch {
	case err != nil:
	case m.format != 2:
		err = fmt.Errorf("format %d, not 2", m.format)
	case m.record != 24 && m.record != 28 && m.record != 32:
		err = fmt.Errorf("records of %d bits, not 24, 28 or 32", m.record)
	case m.version != 4 && m.version != 6:
		err = fmt.Errorf("IP version %d, not 4 or 6", m.version)
	case m.nodes == 0 || m.nodes >= 1<<m.record:
		err = fmt.Errorf("%d nodes", m.nodes)
	case m.built > 1<<40:
		err = errors.New("the time when it was made is beyond all years")
	}
	return m, err
}

// outdated returns an error if the database is too old.
func (f *file) outdated(now time.Time) error {
	age := now.Sub(f.built)
	if age <= MaxAge {
		return nil
	}
	return fmt.Errorf("%s: made %d days ago; get a newer one, as geoipupdate does each week", f.name, age/(24*time.Hour))
}

// children returns both records of a node.
func children(node []byte) (left, right uint32) {
	switch len(node) {
	case 6:
		return uint32(node[0])<<16 | uint32(node[1])<<8 | uint32(node[2]), uint32(node[3])<<16 | uint32(node[4])<<8 | uint32(node[5])
	case 7:
		left = uint32(node[3]>>4)<<24 | uint32(node[0])<<16 | uint32(node[1])<<8 | uint32(node[2])
		return left, uint32(node[3]&0x0f)<<24 | uint32(node[4])<<16 | uint32(node[5])<<8 | uint32(node[6])
	}
	return binary.BigEndian.Uint32(node), binary.BigEndian.Uint32(node[4:])
}

// walk follows bits of an address, from one to before another, from a node on, until there is no node any more.
func (f *file) walk(node uint32, bits *[16]byte, from, to int) (uint32, error) {
	b := f.record[:f.width]
	for i := from; i < to && node < f.nodes; i++ {
		if _, err := f.r.ReadAt(b, int64(node)*int64(f.width)); err != nil {
			return 0, err
		}
		left, right := children(b)
		if node = left; bits[i/8]>>(7-i%8)&1 == 1 {
			node = right
		}
	}
	return node, nil
}

// at follows the bits of an address to its leaf, and reads that.
func (f *file) at(a netip.Addr) (Place, error) {
	node, from, bits := uint32(0), 0, a.As16()
	switch {
	case a.Is4():
		node, from = f.v4, v4Bits
	case !f.v6:
		return Place{}, nil
	}
	record, err := f.walk(node, &bits, from, maxBits)
	if err != nil {
		return Place{}, err
	}
	return f.leaf(record)
}

var errDeep = errors.New("its tree is deeper than addresses are long")

// leaf returns the place that a record stands for which is no node.
func (f *file) leaf(record uint32) (Place, error) {
	switch {
	case record < f.nodes:
		return Place{}, errDeep
	case record == f.nodes:
		return Place{}, nil
	case record < f.nodes+separator:
		return Place{}, errDamaged
	}
	return f.data.place(int64(record - f.nodes - separator))
}
