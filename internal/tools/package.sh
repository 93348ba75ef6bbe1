#!/bin/sh
# package.sh VERSION ROOT OUT: makes OUT/*.deb and OUT/*.rpm of what make install put below ROOT.
#
# Two runs give the same bytes: all times are those of the last commit, or SOURCE_DATE_EPOCH.
set -eu
umask 022
root=$2 out=$3
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
date=$(LC_ALL=C date -uR -d "@$epoch")
case $1 in
v[0-9]*) version=${1#v} ;;
[0-9]*.*) version=$1 ;;
*) version=0~$(date -u -d "@$epoch" +%Y%m%d%H%M).$1 ;; # no tag yet: older than any release
esac
version=$(echo "$version" | tr - +) # a dash would begin the revision
arch=$(go env GOARCH)
maintainer='exile maintainers <exile@example.org>'

doc=$root/usr/share/doc/exile notices=$root.notices
mkdir -p "$doc" "$notices" "$out"
go list -deps -json ./cmd/... >"$root.linked"
env -u GOOS -u GOARCH go run ./internal/notices <"$root.linked" >"$notices/copyright"
cp LICENSE "$notices/Apache-2.0"
printf 'exile (%s) unstable; urgency=medium\n\n  * See /usr/share/doc/exile/CHANGELOG.md.gz.\n\n -- %s  %s\n' \
	"$version" "$maintainer" "$date" | gzip -9n >"$doc/changelog.gz"
gzip -9n <CHANGELOG.md >"$doc/CHANGELOG.md.gz"
find "$root/usr/share/man" -type f ! -name '*.gz' -exec gzip -9n {} +
cp units/package/lintian-overrides "$root.lintian-overrides"
find "$root" "$notices" "$root.lintian-overrides" -exec touch -h -d "@$epoch" {} +

export SOURCE_DATE_EPOCH="$epoch" VERSION="$version" ARCH="$arch" MAINTAINER="$maintainer" ROOT="$root" HOMEPAGE=https://example.org/exile
for kind in deb rpm; do
	bin/nfpm package --config units/package/nfpm.yaml --packager $kind --target "$out/"
done
