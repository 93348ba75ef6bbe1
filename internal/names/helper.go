package names

import (
	"context"
	"fmt"
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// Answer reads a question from a connection and answers it from the files and the name servers of this host. This is what exiled-names
// does.
func Answer(ctx context.Context, conn io.ReadWriter) error { return answer(ctx, conn, own()) }

func answer(ctx context.Context, conn io.ReadWriter, by *net.Resolver) error {
	var q query
	if err := read(conn, &q); err != nil {
		return fmt.Errorf("read the question: %w", err)
	}
	if q.Method != method {
		return fmt.Errorf("the method %q is not known", q.Method)
	}
	addrs, err := lookup(ctx, by, q.Parameters.Name)
	var r reply
	switch {
	case err != nil:
		r.Error, r.Parameters.Message = lookupFailed, err.Error()
	case len(addrs) == 0:
		r.Error = noSuchRecord
	}
	for _, a := range addrs {
		one := address{Family: unix.AF_INET6}
		if a.Is4() {
			one.Family = unix.AF_INET
		}
		for _, b := range a.AsSlice() {
			one.Address = append(one.Address, uint8Number(b))
		}
		r.Parameters.Addresses = append(r.Parameters.Addresses, one)
	}
	return write(conn, r)
}
