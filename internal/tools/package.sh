#!/bin/sh
# package.sh VERSION ROOT OUT COMPANION...: makes OUT/*.deb and OUT/*.rpm for GOARCH from what make install put below ROOT, and the bill of
# materials of both; and the same for each companion, from what make companion put below ROOT.COMPANION.
#
# Two runs give the same bytes: all times are that of the last commit, or SOURCE_DATE_EPOCH.
set -eu
umask 022
root=$2 out=$3
epoch=${SOURCE_DATE_EPOCH:-$(internal/tools/version.sh --date)}
date=$(LC_ALL=C date -uR -d "@$epoch")
version=$1
shift 3
arch=$(go env GOARCH)
maintainer='The exile authors' # they have no address

doc=$root/usr/share/doc/exile notices=$root.notices
mkdir -p "$doc" "$notices" "$out"
go list -deps -json ./cmd/... >"$root.linked"
env -u GOOS -u GOARCH go run ./internal/notices <"$root.linked" >"$notices/copyright"
cp LICENSE "$notices/Apache-2.0"
printf 'exile (%s) unstable; urgency=medium\n\n  * See /usr/share/doc/exile/CHANGELOG.md.gz.\n\n -- %s <>  %s\n' \
	"$version" "$maintainer" "$date" | gzip -9n >"$doc/changelog.gz"
gzip -9n <CHANGELOG.md >"$doc/CHANGELOG.md.gz"
find "$root/usr/share/man" -type f ! -name '*.gz' -exec gzip -9n {} +
mv "$root"/usr/share/zsh/*/_exilectl "$root.zsh" # its place depends on the distribution
rm -r "$root/usr/share/zsh"
cp units/package/lintian-overrides "$root.lintian-overrides"
find "$root" "$notices" "$root.lintian-overrides" "$root.zsh" -exec touch -h -d "@$epoch" {} +

export SOURCE_DATE_EPOCH="$epoch" VERSION="$version" ARCH="$arch" MAINTAINER="$maintainer" ROOT="$root"
for kind in deb rpm; do
	bin/nfpm package --config units/package/nfpm.yaml --packager $kind --target "$out/"
done
bill() { # NAME PROGRAM...
	name=$1
	shift
	env -u GOOS -u GOARCH go run ./internal/bom "$version" "$notices/copyright" "$@" >"$out/${name}_${version}_$arch.cdx.json"
}
bill exile "$root"/usr/lib/exile/exiled* "$root/usr/bin/exilectl"

# A companion has its own documents, so that it can be on a host whose exile is of another version; its programs are in bin and lib/NAME.
for name; do
	tree=$root.$name doc=$root.$name/usr/share/doc/$name
	mkdir -p "$doc"
	cp "$root/usr/share/doc/exile/changelog.gz" "$doc/"
	gzip -cdn "$doc/changelog.gz" | sed "1s/^exile /$name /" | gzip -9n >"$doc/new" && mv "$doc/new" "$doc/changelog.gz"
	find "$tree/usr/share/man" -type f ! -name '*.gz' -exec gzip -9n {} +
	sed "s/^exile: /$name: /" units/package/lintian-overrides >"$tree.lintian-overrides"
	find "$tree" "$tree.lintian-overrides" -exec touch -h -d "@$epoch" {} +
	for kind in deb rpm; do
		bin/nfpm package --config "units/package/$name.yaml" --packager $kind --target "$out/"
	done
	# shellcheck disable=SC2046 # one word per program, whose names have no blanks
	bill "$name" $(find "$tree/usr/bin" "$tree/usr/lib/$name" -type f 2>/dev/null | sort)
done
