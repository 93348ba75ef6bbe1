#!/bin/sh
# tarball.sh VERSION OUT: makes OUT/exile-VERSION.tar.gz from the commit. Two runs give the same bytes.
set -eu
if ! [ -e .git ] || [ -n "$(git status --porcelain --untracked-files=no)" ]; then
	echo "make dist: the source tarball is made from a commit: run this in a clone without changes, or run make package" >&2
	exit 1
fi
git archive --format=tar --prefix="exile-$1/" HEAD | gzip -9n >"$2/exile-$1.tar.gz"
