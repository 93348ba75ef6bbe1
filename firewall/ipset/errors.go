package ipset

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// errNoTables is for a kernel where nothing reads the messages of nftables.
var errNoTables = errors.New("the kernel has no nftables")

// errNoSets is for a kernel where nothing reads the messages of ipset.
var errNoSets = errors.New("the kernel has no ipset")

// remedies say what to do about errors of the kernel.
var remedies = []struct {
	err    error
	remedy string
}{
	{unix.EPERM, "exiled needs CAP_NET_ADMIN (AmbientCapabilities= in its unit), and no other program may own the table"},
	{unix.ENOBUFS, "the kernel is short of memory or buffers"},
	{os.ErrDeadlineExceeded, "the kernel did not answer in time"},
	{errNoTables, "load module nf_tables"},
	{errNoSets, "load module ip_set"},
	{errProtocol, "the kernel does not understand the message: its ipset is too old or too new"},
	{errFindType, "the kernel has no such type of set: load modules ip_set_hash_net and ip_set_hash_netport"},
	{errMaxSets, "the kernel has as many sets as it may: remove some, or load ip_set with a larger max_sets"},
	{errBusy, "another program's rules use the set: remove them"},
	{errReferenced, "another program's rules use the set: remove them"},
	{errTimeout, "the set was made by another program, without timeouts: destroy it (ipset destroy NAME)"},
	{errHashFull, "the set is full"},
}

// explain adds the remedy. The errno stays reachable for errors.Is.
func explain(err error) error {
	for _, r := range remedies {
		if errors.Is(err, r.err) {
			return fmt.Errorf("%s: %w", r.remedy, err)
		}
	}
	return err
}
