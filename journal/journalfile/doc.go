// Package journalfile reads journal files of systemd, without systemd.
//
// It knows the whole documented format: classic and compact layout, keyed and Jenkins hashes, XZ, LZ4 and ZSTD payloads,
// sealed files, and files that journald is writing at the same time. A File gives Cursors, which walk the entries that a
// journal.Selector selects, in both directions, and seek by sequence number and time without scanning.
//
// Files are mapped into memory, to see without a system call whether they have grown; what is read of them is copied if it
// is not large, which costs less than touching pages. Everything in them is taken for a lie until it is checked: a damaged
// or hostile file gives errors, not crashes, endless loops or large allocations. A file that shrinks while it is mapped
// gives ErrUnreadable. No slice of the mapping ever leaves the package.
package journalfile
