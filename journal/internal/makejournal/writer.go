package makejournal

import (
	"bytes"
	"encoding/binary"

	"github.com/dchest/siphash"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"

	"exile/journal"
	"exile/journal/internal/lookup3"
)

// Writer makes small journal files in memory, in every format: systemd's tools cannot be told to write XZ or LZ4, and
// never write less than 8 MiB. journalctl reads them (TestFormats of package journalfile).
type Writer struct {
	SeqnumID journal.ID // of the next Bytes
	Seqnum   uint64     // of the last entry; the next one has the next

	compact, keyed        bool
	fileID                journal.ID
	dataTable, fieldTable uint64
	compress              byte
	b                     []byte
	data                  map[string]uint64
	fields                map[string]uint64
}

// Flags of data objects.
const (
	XZ   = 1
	LZ4  = 2
	ZSTD = 4
)

const (
	headerSize   = 272
	buckets      = 7
	bucketSize   = 16
	objectHeader = 16
	fieldPayload = 40
	arrayItems   = 24

	flagXZ      = 1
	flagLZ4     = 2
	flagKeyed   = 4
	flagZSTD    = 8
	flagCompact = 16

	typeData       = 1
	typeField      = 2
	typeEntry      = 3
	typeEntryArray = 6
)

// NewWriter returns a writer of an empty file. compress is a flag of data objects; 0: nothing is compressed.
func NewWriter(compact, keyed bool, compress byte) *Writer {
	w := &Writer{compress: compress, data: map[string]uint64{}, fields: map[string]uint64{}}
	w.compact, w.keyed, w.fileID = compact, keyed, journal.ID{1, 2, 3, 4, 5, 6, 7, 8, 9}
	w.SeqnumID = journal.ID(bytes.Repeat([]byte{9}, 16))
	w.b = make([]byte, headerSize)
	copy(w.b, "LPKSHHRH")
	flags := uint32(0)
	for bit, on := range map[uint32]bool{
		flagCompact: compact, flagKeyed: keyed, flagXZ: compress == XZ, flagLZ4: compress == LZ4,
		flagZSTD: compress == ZSTD,
	} {
		if on {
			flags |= bit
		}
	}
	binary.LittleEndian.PutUint32(w.b[8:], 2) // TAIL_ENTRY_BOOT_ID
	binary.LittleEndian.PutUint32(w.b[12:], flags)
	copy(w.b[24:], w.fileID[:])
	copy(w.b[40:], bytes.Repeat([]byte{7}, 16)) // machine
	w.put(88, headerSize)
	w.dataTable = w.object(4, 0, make([]byte, buckets*bucketSize)) + objectHeader
	w.fieldTable = w.object(5, 0, make([]byte, buckets*bucketSize)) + objectHeader
	w.put(104, w.dataTable)
	w.put(112, buckets*bucketSize)
	w.put(120, w.fieldTable)
	w.put(128, buckets*bucketSize)
	return w
}

func (w *Writer) put(off, v uint64) { binary.LittleEndian.PutUint64(w.b[off:], v) }
func (w *Writer) get(off uint64) uint64 {
	return binary.LittleEndian.Uint64(w.b[off:])
}
func (w *Writer) inc(off uint64) uint64 { w.put(off, w.get(off)+1); return w.get(off) }

// object appends an object and returns its offset.
func (w *Writer) object(kind, flags byte, body []byte) uint64 {
	for len(w.b)%8 != 0 {
		w.b = append(w.b, 0)
	}
	off := uint64(len(w.b))
	w.b = append(w.b, kind, flags, 0, 0, 0, 0, 0, 0)
	w.b = binary.LittleEndian.AppendUint64(w.b, uint64(objectHeader+len(body)))
	w.b = append(w.b, body...)
	w.put(136, off)
	w.inc(144)
	return off
}

// hashed appends an object with its hash and links it into the table.
func (w *Writer) hashed(kind, flags byte, table, hash, fixed uint64, payload []byte) uint64 {
	body := make([]byte, fixed-objectHeader, int(fixed)+len(payload))
	binary.LittleEndian.PutUint64(body, hash)
	off := w.object(kind, flags, append(body, payload...))
	bucket := table + hash%buckets*bucketSize
	if w.get(bucket) == 0 {
		w.put(bucket, off)
	} else {
		w.put(w.get(bucket+8)+24, off)
	}
	w.put(bucket+8, off)
	return off
}

func (w *Writer) dataObject(data string) uint64 {
	if off, ok := w.data[data]; ok {
		return off
	}
	payload, flags := w.squeeze([]byte(data))
	off := w.hashed(typeData, flags, w.dataTable, w.hash([]byte(data)), w.dataPayload(), payload)
	w.data[data] = off
	w.inc(208)
	name, _, _ := bytes.Cut([]byte(data), []byte("="))
	field, ok := w.fields[string(name)]
	if !ok {
		field = w.hashed(typeField, 0, w.fieldTable, w.hash(name), fieldPayload, name)
		w.fields[string(name)] = field
		w.inc(216)
	}
	w.put(off+32, w.get(field+32))
	w.put(field+32, off)
	return off
}

// squeeze compresses what journald would.
func (w *Writer) squeeze(p []byte) ([]byte, byte) {
	if len(p) < 512 || w.compress == 0 {
		return p, 0
	}
	var out bytes.Buffer
	switch w.compress {
	case ZSTD:
		e, err := zstd.NewWriter(nil)
		if err != nil {
			panic(err)
		}
		return e.EncodeAll(p, nil), w.compress
	case LZ4:
		block := make([]byte, lz4.CompressBlockBound(len(p)))
		n, err := lz4.CompressBlock(p, block, nil)
		if err != nil || n == 0 {
			return p, 0
		}
		return append(binary.LittleEndian.AppendUint64(nil, uint64(len(p))), block[:n]...), w.compress
	case XZ:
		x, err := xz.WriterConfig{CheckSum: xz.CRC32, DictCap: 1 << 20}.NewWriter(&out)
		if err != nil {
			panic(err)
		}
		_, err = x.Write(p)
		if err != nil {
			panic(err)
		}
		if err := x.Close(); err != nil {
			panic(err)
		}
	}
	return out.Bytes(), w.compress
}

// Add appends an entry with the fields data, each "FIELD=value", and that of its boot.
func (w *Writer) Add(boot journal.ID, realtime, monotonic uint64, data ...string) {
	w.Seqnum++
	body := binary.LittleEndian.AppendUint64(nil, w.Seqnum)
	body = binary.LittleEndian.AppendUint64(body, realtime)
	body = binary.LittleEndian.AppendUint64(body, monotonic)
	body = append(body, boot[:]...)
	data = append(data, "_BOOT_ID="+boot.String())
	var xor uint64
	var offs []uint64
	for _, d := range data {
		xor ^= lookup3.Sum64([]byte(d))
		offs = append(offs, w.dataObject(d))
	}
	body = binary.LittleEndian.AppendUint64(body, xor)
	for i, off := range offs {
		if w.compact {
			body = binary.LittleEndian.AppendUint32(body, uint32(off))
		} else {
			body = binary.LittleEndian.AppendUint64(body, off)
			body = binary.LittleEndian.AppendUint64(body, w.hash([]byte(data[i])))
		}
	}
	off := w.object(typeEntry, 0, body)
	w.push(176, w.get(152), off)
	w.inc(152)
	for _, d := range offs {
		if n := w.get(d + 56); n == 0 {
			w.put(d+40, off)
		} else {
			w.push(d+48, n-1, off)
		}
		w.inc(d + 56)
	}
	if w.get(152) == 1 {
		w.put(168, w.Seqnum)
		w.put(184, realtime)
	}
	w.put(160, w.Seqnum)
	w.put(192, realtime)
	w.put(200, monotonic)
	copy(w.b[56:], boot[:])
}

// push sets the i-th item of the chain of arrays whose first offset is at head.
func (w *Writer) push(head, i, off uint64) {
	size, n, link := w.itemSize(), uint64(4), head
	for {
		at := w.get(link)
		if at == 0 {
			at = w.object(typeEntryArray, 0, make([]byte, 8+n*size))
			w.put(link, at)
			w.inc(232)
		}
		if i < n {
			if w.compact {
				binary.LittleEndian.PutUint32(w.b[at+arrayItems+i*4:], uint32(off))
			} else {
				w.put(at+arrayItems+i*8, off)
			}
			return
		}
		i -= n
		n *= 2
		link = at + 16
	}
}

// Bytes is the file as it is now.
func (w *Writer) Bytes() []byte {
	for len(w.b)%8 != 0 {
		w.b = append(w.b, 0)
	}
	w.put(96, uint64(len(w.b))-headerSize)
	copy(w.b[72:], w.SeqnumID[:])
	return bytes.Clone(w.b)
}

func (w *Writer) dataPayload() uint64 {
	if w.compact {
		return 72
	}
	return 64
}

func (w *Writer) itemSize() uint64 {
	if w.compact {
		return 4
	}
	return 8
}

func (w *Writer) hash(b []byte) uint64 {
	if w.keyed {
		return siphash.Hash(binary.LittleEndian.Uint64(w.fileID[:8]), binary.LittleEndian.Uint64(w.fileID[8:]), b)
	}
	return lookup3.Sum64(b)
}
