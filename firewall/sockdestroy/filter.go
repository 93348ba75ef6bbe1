package sockdestroy

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// From linux/inet_diag.h.
const (
	attrBytecode = 1 // INET_DIAG_REQ_BYTECODE
	opJump       = 1 // INET_DIAG_BC_JMP
	opRemote     = 8 // INET_DIAG_BC_D_COND
	sizeofOp     = 4
)

// appendFilter appends the attribute with which the kernel shows only sockets whose remote address lies in one of the
// prefixes, at most atMost of them. Each prefix is a condition, followed by a jump to the end, which accepts, if it holds. If
// the last condition does not hold, it jumps four bytes beyond the end, which rejects.
func appendFilter(b []byte, prefixes []netip.Prefix) []byte {
	size := 0
	for _, p := range prefixes {
		size += conditionSize(p) + sizeofOp
	}
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofNlAttr+size))
	b = binary.NativeEndian.AppendUint16(b, attrBytecode)
	for _, p := range prefixes {
		condition := conditionSize(p)
		otherwise := condition + sizeofOp // over the jump to the next condition
		size -= otherwise
		if size == 0 {
			otherwise += sizeofOp
		}
		b = appendOp(b, opRemote, condition, otherwise)
		b = appendHost(b, p)
		b = appendOp(b, opJump, sizeofOp, sizeofOp+size)
	}
	return b
}

func conditionSize(p netip.Prefix) int {
	return sizeofOp + 8 + p.Addr().BitLen()/8
}

// appendOp appends a struct inet_diag_bc_op. A jump always takes the branch otherwise.
func appendOp(b []byte, code byte, yes, otherwise int) []byte {
	return binary.NativeEndian.AppendUint16(append(b, code, byte(yes)), uint16(otherwise))
}

// appendHost appends a struct inet_diag_hostcond: family, length of the prefix, padding, any port, address.
func appendHost(b []byte, p netip.Prefix) []byte {
	family := byte(unix.AF_INET6)
	if p.Addr().Is4() {
		family = unix.AF_INET
	}
	b = append(b, family, byte(p.Bits()), 0, 0)
	b = binary.NativeEndian.AppendUint32(b, ^uint32(0))
	return append(b, p.Addr().AsSlice()...)
}
