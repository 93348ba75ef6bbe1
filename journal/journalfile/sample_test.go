package journalfile

import (
	"bytes"
	"math/rand/v2"
	"os"
	"testing"

	"exile/journal"
	"exile/journal/internal/makejournal"
)

// small makes a file of n entries of two boots.
func small(n int, compact, keyed bool, compress byte) []byte {
	w := makejournal.NewWriter(compact, keyed, compress)
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range n {
		boot, monotonic := journal.ID{1}, uint64(i+1)*1000
		if i >= n/2 {
			boot, monotonic = journal.ID{2}, uint64(i-n/2+1)*1000
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
		w.Add(boot, 1700000000000000+uint64(i)*1000, monotonic, "_UID=0", "_PID="+string(rune('1'+i%9)), "_TRANSPORT=syslog", "SYSLOG_IDENTIFIER=sshd", unit, message)
	}
	return w.Bytes()
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
	if err := os.WriteFile(path, b, 0o600); err != nil {
		tb.Fatal(err)
	}
}
