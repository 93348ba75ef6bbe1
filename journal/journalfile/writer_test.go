package journalfile

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"

	"exile/journal"
)

// writer makes small journal files in memory, in every format: systemd's tools cannot be told to write XZ or LZ4, and
// never write less than 8 MiB. journalctl reads them (TestWriter).
type writer struct {
	layout
	compress byte
	b        []byte
	data     map[string]uint64
	fields   map[string]uint64
	last     uint64 // offset of the last object
	seqnum   uint64
}

const (
	writerHeader  = 272
	writerBuckets = 7
)

func newWriter(compact, keyed bool, compress byte) *writer {
	w := &writer{compress: compress, data: map[string]uint64{}, fields: map[string]uint64{}}
	w.compact, w.keyed, w.fileID = compact, keyed, journal.ID{1, 2, 3, 4, 5, 6, 7, 8, 9}
	w.b = make([]byte, writerHeader)
	copy(w.b, signature)
	flags := uint32(0)
	for bit, on := range map[uint32]bool{
		flagCompact: compact, flagKeyedHash: keyed, flagXZ: compress == compressedXZ, flagLZ4: compress == compressedLZ4,
		flagZSTD: compress == compressedZSTD,
	} {
		if on {
			flags |= bit
		}
	}
	binary.LittleEndian.PutUint32(w.b[8:], 2) // TAIL_ENTRY_BOOT_ID
	binary.LittleEndian.PutUint32(w.b[12:], flags)
	copy(w.b[24:], w.fileID[:])
	copy(w.b[40:], bytes.Repeat([]byte{7}, 16)) // machine
	copy(w.b[72:], bytes.Repeat([]byte{9}, 16)) // seqnum id
	w.put(88, writerHeader)
	w.dataTable, w.dataN = w.object(4, 0, make([]byte, writerBuckets*bucketSize))+objectHeader, writerBuckets
	w.fieldsTab, w.fieldsN = w.object(5, 0, make([]byte, writerBuckets*bucketSize))+objectHeader, writerBuckets
	w.put(104, w.dataTable)
	w.put(112, w.dataN*bucketSize)
	w.put(120, w.fieldsTab)
	w.put(128, w.fieldsN*bucketSize)
	return w
}

func (w *writer) put(off, v uint64) { binary.LittleEndian.PutUint64(w.b[off:], v) }
func (w *writer) get(off uint64) uint64 {
	return binary.LittleEndian.Uint64(w.b[off:])
}
func (w *writer) inc(off uint64) uint64 { w.put(off, w.get(off)+1); return w.get(off) }

// object appends an object and returns its offset.
func (w *writer) object(kind, flags byte, body []byte) uint64 {
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
func (w *writer) hashed(kind, flags byte, table, n, hash, fixed uint64, payload []byte) uint64 {
	body := make([]byte, fixed-objectHeader, int(fixed)+len(payload))
	binary.LittleEndian.PutUint64(body, hash)
	off := w.object(kind, flags, append(body, payload...))
	bucket := table + hash%n*bucketSize
	if w.get(bucket) == 0 {
		w.put(bucket, off)
	} else {
		w.put(w.get(bucket+8)+dataNextHash, off)
	}
	w.put(bucket+8, off)
	return off
}

func (w *writer) dataObject(data string) uint64 {
	if off, ok := w.data[data]; ok {
		return off
	}
	payload, flags := w.squeeze([]byte(data))
	off := w.hashed(typeData, flags, w.dataTable, w.dataN, w.hash([]byte(data)), w.dataPayload(), payload)
	w.data[data] = off
	w.inc(208)
	name, _, _ := bytes.Cut([]byte(data), []byte("="))
	field, ok := w.fields[string(name)]
	if !ok {
		field = w.hashed(typeField, 0, w.fieldsTab, w.fieldsN, w.hash(name), fieldPayload, name)
		w.fields[string(name)] = field
		w.inc(216)
	}
	w.put(off+dataNextField, w.get(field+32))
	w.put(field+32, off)
	return off
}

// squeeze compresses what journald would.
func (w *writer) squeeze(p []byte) ([]byte, byte) {
	if len(p) < 512 || w.compress == 0 {
		return p, 0
	}
	var out bytes.Buffer
	switch w.compress {
	case compressedZSTD:
		e, err := zstd.NewWriter(nil)
		if err != nil {
			panic(err)
		}
		return e.EncodeAll(p, nil), w.compress
	case compressedLZ4:
		block := make([]byte, lz4.CompressBlockBound(len(p)))
		n, err := lz4.CompressBlock(p, block, nil)
		if err != nil || n == 0 {
			return p, 0
		}
		return append(binary.LittleEndian.AppendUint64(nil, uint64(len(p))), block[:n]...), w.compress
	case compressedXZ:
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

// entry appends an entry.
func (w *writer) entry(e Entry, data ...string) {
	w.seqnum++
	body := binary.LittleEndian.AppendUint64(nil, w.seqnum)
	body = binary.LittleEndian.AppendUint64(body, e.Realtime)
	body = binary.LittleEndian.AppendUint64(body, e.Monotonic)
	body = append(body, e.Boot[:]...)
	data = append(data, "_BOOT_ID="+e.Boot.String())
	var xor uint64
	var offs []uint64
	for _, d := range data {
		xor ^= lookup3([]byte(d))
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
		if n := w.get(d + dataEntries); n == 0 {
			w.put(d+dataEntry, off)
		} else {
			w.push(d+dataArray, n-1, off)
		}
		w.inc(d + dataEntries)
	}
	if w.seqnum == 1 {
		w.put(168, 1)
		w.put(184, e.Realtime)
	}
	w.put(160, w.seqnum)
	w.put(192, e.Realtime)
	w.put(200, e.Monotonic)
	copy(w.b[56:], e.Boot[:])
}

// push sets the i-th item of the chain of arrays whose first offset is at head.
func (w *writer) push(head, i, off uint64) {
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

// bytes is the file as it is now.
func (w *writer) bytes() []byte {
	for len(w.b)%8 != 0 {
		w.b = append(w.b, 0)
	}
	w.put(96, uint64(len(w.b))-writerHeader)
	return bytes.Clone(w.b)
}

// small makes a file of n entries of two boots.
func small(n int, compact, keyed bool, compress byte) []byte {
	w := newWriter(compact, keyed, compress)
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range n {
		e := Entry{Realtime: 1700000000000000 + uint64(i)*1000, Monotonic: uint64(i+1) * 1000, Boot: journal.ID{1}}
		if i >= n/2 {
			e.Boot, e.Monotonic = journal.ID{2}, uint64(i-n/2+1)*1000
		}
		unit := "_SYSTEMD_UNIT=ssh.service"
		if i%4 == 3 {
			unit = "_SYSTEMD_UNIT=ssh@" + string(rune('a'+i%26)) + ".service"
		}
		message := "MESSAGE=Failed password for root"
		if i%3 == 0 {
			long := bytes.Repeat([]byte("long "), 200)
			long[rnd.IntN(len(long))] = 0
			message = "MESSAGE=" + string(long)
		}
		w.entry(e, "_UID=0", "_PID="+string(rune('1'+i%9)), "_TRANSPORT=syslog", "SYSLOG_IDENTIFIER=sshd", unit, message)
	}
	return w.bytes()
}

// formats calls each with the file of small in every format.
func formats(n int, each func(name string, file []byte)) {
	for compress, name := range map[byte]string{0: "none", compressedXZ: "xz", compressedLZ4: "lz4", compressedZSTD: "zstd"} {
		each("compact-keyed-"+name, small(n, true, true, compress))
		each("classic-keyed-"+name, small(n, false, true, compress))
		each("classic-jenkins-"+name, small(n, false, false, compress))
	}
}

func writeFile(tb testing.TB, path string, b []byte) {
	tb.Helper()
	if err := writeAll(path, b); err != nil {
		tb.Fatal(err)
	}
}
