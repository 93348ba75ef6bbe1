package ipset

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Answers that are expected now and then.
const (
	hashFull = syscall.Errno(nl.IPSET_ERR_TYPE_SPECIFIC) // a hash set has as many elements as it may
	setBusy  = syscall.Errno(nl.IPSET_ERR_BUSY)          // a rule uses the set
)

// errNoTables is what nftables' messages come back with where nobody reads them.
var errNoTables = errors.New("the kernel has no nftables")

// errNoSets is the same of ipset.
var errNoSets = errors.New("the kernel has no ipset")

// remedies say what to do about errors of the kernel; numbers from 4096 on are ipset's own.
var remedies = []struct {
	err    error
	remedy string
}{
	{unix.EPERM, "exiled needs CAP_NET_ADMIN (AmbientCapabilities= in its unit), and nobody else may own the table"},
	{unix.ENOBUFS, "the kernel is short of memory or buffers"},
	{os.ErrDeadlineExceeded, "the kernel did not answer in time"},
	{errNoTables, "load module nf_tables"},
	{errNoSets, "load module ip_set"},
	{syscall.Errno(nl.IPSET_ERR_PROTOCOL), "the kernel does not understand the message: its ipset is too old or too new"},
	{syscall.Errno(nl.IPSET_ERR_FIND_TYPE), "the kernel has no such type of set: load modules ip_set_hash_net and ip_set_hash_netport"},
	{syscall.Errno(nl.IPSET_ERR_MAX_SETS), "the kernel has as many sets as it may: remove some, or load ip_set with a larger max_sets"},
	{setBusy, "another program's rules use the set: remove them"},
	{syscall.Errno(nl.IPSET_ERR_REFERENCED), "another program's rules use the set: remove them"},
	{syscall.Errno(nl.IPSET_ERR_TIMEOUT), "the set was made by another program, without timeouts: destroy it (ipset destroy NAME)"},
	{hashFull, "the set is full"},
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
