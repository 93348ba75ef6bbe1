// Package journalfile reads journal files of systemd, without systemd.
//
// It knows the whole documented format: classic and compact layout, keyed and Jenkins hashes, XZ, LZ4 and ZSTD payloads,
// sealed files, and files that journald is writing at the same time. A File has Cursors, which walk the entries that a
// journal.Selector selects, in both directions, and seek by sequence number and time without scanning.
//
// Files are mapped into memory, to see without a system call whether they have grown. Small reads are copies, which cost less
// than touching pages. Nothing in a file is trusted before it is checked: a damaged or hostile file causes errors, not
// crashes, endless loops or large allocations. A file that shrinks while it is mapped causes ErrUnreadable. No slice of the
// mapping ever leaves the package.
package journalfile
