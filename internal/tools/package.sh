#!/bin/sh
# package.sh VERSION ROOT OUT: makes OUT/*.deb and OUT/*.rpm for GOARCH from what make install put below ROOT, and the bill of
# materials of both.
#
# Two runs give the same bytes: all times are that of the last commit, or SOURCE_DATE_EPOCH.
set -eu
umask 022
root=$2 out=$3
epoch=${SOURCE_DATE_EPOCH:-$(internal/tools/version.sh --date)}
date=$(LC_ALL=C date -uR -d "@$epoch")
version=$1
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
env -u GOOS -u GOARCH go run ./internal/bom "$version" "$notices/copyright" \
	"$root"/usr/lib/exile/exiled* "$root/usr/bin/exilectl" >"$out/exile_${version}_$arch.cdx.json"
