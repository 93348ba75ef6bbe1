package ipset

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"exile/firewall"
	"exile/firewall/firewalltest"
)

// TestWithoutSetMatch asks for a match that this kernel does not have, as one without xt_set or nft_compat answers: the
// error says what to load, and nothing is left behind, but for what was there before.
func TestWithoutSetMatch(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	lacking := func() *Backend {
		b, err := connect(Config{NetNS: ns.FD})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		b.rules.extension = "exile-none"
		return b
	}
	err := lacking().build()
	if !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "load modules nft_compat and xt_set") {
		t.Errorf("error %v, want ENOENT with the remedy", err)
	}
	if left := ns.Exec(t, "sh", "-c", "ipset list -n; nft list tables"); left != "" {
		t.Errorf("left behind:\n%s", left)
	}

	bans := firewalltest.Many(10, false, time.Now().Add(time.Hour))
	b := open(t, Config{NetNS: ns.FD})
	unprotect(t, b)
	if err := b.Apply(t.Context(), firewall.Change{Add: bans}); err != nil {
		t.Fatal(err)
	}
	if err := lacking().build(); err == nil {
		t.Error("no error beside a backend at work")
	}
	holds(t, b, bans)
}

// TestWithoutNFTables has the kernel answer as one that knows no nftables.
func TestWithoutNFTables(t *testing.T) {
	t.Parallel()
	for _, errno := range []unix.Errno{unix.EINVAL, unix.EOPNOTSUPP} {
		conn, err := nftables.New(nftables.WithTestDial(func([]netlink.Message) ([]netlink.Message, error) { return nil, errno }))
		if err != nil {
			t.Fatal(err)
		}
		r := rules{conn: conn, name: "exile"}
		if err := explain(r.refuseForeign()); !errors.Is(err, errno) || !strings.Contains(err.Error(), "load module nf_tables") {
			t.Errorf("error %v, want %v with the remedy", err, errno)
		}
	}
}

// TestWithoutSets has the kernel answer as one that lacks ipset, or some of its types: the error says what to load, and
// nothing is left behind.
func TestWithoutSets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		set    string // the first that it cannot make
		errno  syscall.Errno
		remedy string
	}{
		{"exile4", unix.EINVAL, "load module ip_set: "},
		{"exile4", errFindType, "load modules ip_set_hash_net and ip_set_hash_netport"},
		{"exile4-port", errFindType, "load modules ip_set_hash_net and ip_set_hash_netport"},
	} {
		ns := firewalltest.New(t)
		b, err := connect(Config{NetNS: ns.FD})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		healthy := b.kernel.call
		b.kernel.call = func(cmd, flags int, payload []byte, each func([]byte)) error {
			if cmd == cmdCreate && bytes.Contains(payload, append([]byte(c.set), 0)) {
				return c.errno
			}
			return healthy(cmd, flags, payload, each)
		}
		if err := b.build(); !errors.Is(err, c.errno) || !strings.Contains(err.Error(), c.remedy) {
			t.Errorf("%s cannot be made: error %v, want %v with %q", c.set, err, c.errno, c.remedy)
		}
		if left := ns.Exec(t, "sh", "-c", "ipset list -n; nft list tables"); left != "" {
			t.Errorf("%s cannot be made, and left behind is\n%s", c.set, left)
		}
	}
}
