package nftables

import (
	"strings"
	"testing"

	nft "github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"exile/firewall"
)

// TestWithoutNFTables has the kernel answer as one that knows no nftables: whatever is asked of the backend, it says so.
func TestWithoutNFTables(t *testing.T) {
	t.Parallel()
	for _, errno := range []unix.Errno{unix.EINVAL, unix.EOPNOTSUPP} {
		conn, err := nft.New(nft.WithTestDial(refusal(errno)))
		if err != nil {
			t.Fatal(err)
		}
		b := &Backend{config: Config{Table: "exile"}, conn: conn, flush: conn.FlushWithGenID, sets: map[class]*set{}}
		_, listErr := b.List(t.Context())
		_, countErr := b.Count(t.Context())
		for _, err := range []error{listErr, countErr, b.Apply(t.Context(), firewall.Change{Add: everyClass()}), b.Destroy(t.Context())} {
			if err == nil || !strings.Contains(err.Error(), "without module nf_tables") || !strings.Contains(err.Error(), errno.Error()) {
				t.Errorf("error %v, want %v with the remedy", err, errno)
			}
		}
	}
}

// refusal answers each request with errno, once.
func refusal(errno unix.Errno) func([]netlink.Message) ([]netlink.Message, error) {
	pending := false
	return func(requests []netlink.Message) ([]netlink.Message, error) {
		if len(requests) > 0 {
			pending = true
			return nil, nil
		}
		if !pending {
			return nil, nil
		}
		pending = false
		return nil, errno
	}
}
