package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
)

// The database trusts every page: it follows a page that leads back to itself forever, and allocates memory for a list of free pages of any
// claimed length. So the pages of a file that may be damaged are checked first, in the format of go.etcd.io/bbolt (internal/common/page.go
// and meta.go there): numbers in native byte order, and each page with a header of its number, kind, count of elements and number of
// overflow pages.

const (
	pageHead    = 16
	elementSize = 16 // of a branch: position, length of key, page; of a leaf: flags, position, lengths of key and value
	metaSize    = 64
	bucketHead  = 16 // of a bucket: its root page, or 0, and a number

	branchPage = 0x01
	leafPage   = 0x02
	freePages  = 0x10

	bucketElement = 0x01               // flag: the value is a bucket
	noFreePages   = math.MaxUint64     // in place of the page of free pages
	metaMagic     = uint32(0xED0CDAED) // of version 2, the only one
)

// pages are the pages of a file, as its meta page describes them.
type pages struct {
	file  io.ReaderAt
	size  uint64 // of one page, bytes
	n     uint64
	root  uint64
	free  uint64
	txid  uint64
	known map[uint64]bool
}

// checkPages follows all pages from the root, and checks that no page is reached twice, lies outside the file, or is of a kind that its place
// does not allow. It reads each page once.
func checkPages(file io.ReaderAt, size int64) error {
	p, err := openPages(file)
	if err != nil {
		return err
	}
	if p.n > uint64(size)/p.size {
		return fmt.Errorf("%w: it has %d bytes and should have %d pages of %d", ErrCorrupt, size, p.n, p.size)
	}
	for todo := []uint64{p.root}; len(todo) > 0; {
		id := todo[len(todo)-1]
		kind, count, data, err := p.read(id)
		if err != nil {
			return err
		}
		children, ok := childrenOf(kind, count, data)
		if !ok {
			return p.wrong(id)
		}
		todo = append(todo[:len(todo)-1], children...)
	}
	return p.checkFree()
}

// openPages reads the meta page that the database would choose: the newer intact one.
func openPages(file io.ReaderAt) (*pages, error) {
	var newest *pages
	for at := int64(0); at <= 64<<10; at = max(2*at, 1<<10) { // the second one follows at the distance of a page
		m, ok := readMeta(file, at)
		if ok && (at == 0 || m.size == uint64(at)) && (newest == nil || m.txid > newest.txid) {
			newest = m
		}
	}
	if newest == nil {
		return nil, fmt.Errorf("%w: it is no database", ErrCorrupt)
	}
	return newest, nil
}

func readMeta(file io.ReaderAt, at int64) (*pages, bool) {
	b := make([]byte, metaSize)
	if _, err := file.ReadAt(b, at+pageHead); err != nil {
		return nil, false
	}
	u32 := func(i int) uint64 { return uint64(binary.NativeEndian.Uint32(b[i:])) }
	u64 := func(i int) uint64 { return binary.NativeEndian.Uint64(b[i:]) }
	sum := fnv.New64a()
	_, _ = sum.Write(b[:56]) // never fails
	p := &pages{file: file, size: u32(8), root: u64(16), free: u64(32), n: u64(40), txid: u64(48), known: make(map[uint64]bool)}
	return p, uint32(u32(0)) == metaMagic && sum.Sum64() == u64(56) && p.size >= 1<<10 && p.size <= 64<<10
}

func (p *pages) wrong(id uint64) error {
	return fmt.Errorf("%w: page %d is not what it should be", ErrCorrupt, id)
}

// read reads a page that has not been read yet.
func (p *pages) read(id uint64) (kind uint16, count int, data []byte, err error) {
	head := make([]byte, pageHead)
	if id < 2 || id >= p.n {
		return 0, 0, nil, p.wrong(id)
	}
	if _, err := p.file.ReadAt(head, int64(id*p.size)); err != nil {
		return 0, 0, nil, p.failed(err)
	}
	length := 1 + uint64(binary.NativeEndian.Uint32(head[12:]))
	if binary.NativeEndian.Uint64(head) != id || length > p.n-id {
		return 0, 0, nil, p.wrong(id)
	}
	for i := range length {
		if p.known[id+i] {
			return 0, 0, nil, p.wrong(id)
		}
		p.known[id+i] = true
	}
	data = make([]byte, length*p.size)
	if _, err := p.file.ReadAt(data, int64(id*p.size)); err != nil {
		return 0, 0, nil, p.failed(err)
	}
	return binary.NativeEndian.Uint16(data[8:]), int(binary.NativeEndian.Uint16(data[10:])), data, nil
}

// failed tells a file that is too short from a disk that cannot be read.
func (p *pages) failed(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// childrenOf returns the pages that a page leads to; false if it is damaged.
func childrenOf(kind uint16, count int, data []byte) (children []uint64, ok bool) {
	if pageHead+count*elementSize > len(data) {
		return nil, false
	}
	for i := range count {
		at := pageHead + i*elementSize
		e := data[at : at+elementSize]
		switch kind {
		case branchPage:
			children = append(children, binary.NativeEndian.Uint64(e[8:]))
		case leafPage:
			flags, pos, key := binary.NativeEndian.Uint32(e), binary.NativeEndian.Uint32(e[4:]), binary.NativeEndian.Uint32(e[8:])
			value := uint64(at) + uint64(pos) + uint64(key)
			end := value + uint64(binary.NativeEndian.Uint32(e[12:]))
			if end > uint64(len(data)) {
				return nil, false
			}
			if flags&bucketElement == 0 {
				continue
			}
			if end < value+bucketHead {
				return nil, false
			}
			root := binary.NativeEndian.Uint64(data[value:])
			if root != 0 {
				children = append(children, root)
			} else if !isInline(data[value+bucketHead : end]) {
				return nil, false
			}
		}
	}
	return children, kind == branchPage && count > 0 || kind == leafPage
}

// isInline reports whether a bucket inside a value is valid: a small leaf without buckets.
func isInline(data []byte) bool {
	if len(data) < pageHead || binary.NativeEndian.Uint16(data[8:]) != leafPage {
		return false
	}
	count := int(binary.NativeEndian.Uint16(data[10:]))
	for i := range min(count, len(data)/elementSize) {
		if at := pageHead + i*elementSize; at+4 > len(data) || binary.NativeEndian.Uint32(data[at:])&bucketElement != 0 {
			return false
		}
	}
	_, ok := childrenOf(leafPage, count, data)
	return ok
}

// checkFree checks the list of free pages, which must fit into its pages.
func (p *pages) checkFree() error {
	_, err := p.freePages()
	return err
}

// freePages returns how many pages are listed as free.
func (p *pages) freePages() (uint64, error) {
	if p.free == noFreePages {
		return 0, nil
	}
	kind, count, data, err := p.read(p.free)
	if err != nil {
		return 0, err
	}
	words, n := uint64(len(data)-pageHead)/8, uint64(count)
	if count == math.MaxUint16 && words > 0 { // the first word has the count
		n = binary.NativeEndian.Uint64(data[pageHead:])
		words--
	}
	if kind != freePages || n > words {
		return 0, p.wrong(p.free)
	}
	return n, nil
}
