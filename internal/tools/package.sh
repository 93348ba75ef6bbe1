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

doc=$root/usr/share/doc/exile
mkdir -p "$doc" "$out"
{
	printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: exile\n\n'
	printf 'Files: *\nCopyright: %s The exile authors\nLicense: Apache-2.0\n' "$(date -u -d "@$epoch" +%Y)"
	printf ' On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.\n'
	printf '\nFiles: cockpit/exile/patternfly.css\nCopyright: 2019 Red Hat, Inc.\nLicense: Expat\n'
	sed -n '/^Permission/,/^SOFTWARE/{s/^/ /;s/^ $/ ./;p}' cockpit/exile/patternfly.css
} >"$doc/copyright"
printf 'exile (%s) unstable; urgency=medium\n\n  * See /usr/share/doc/exile/CHANGELOG.md.gz.\n\n -- %s  %s\n' \
	"$version" "$maintainer" "$date" | gzip -9n >"$doc/changelog.gz"
gzip -9n <CHANGELOG.md >"$doc/CHANGELOG.md.gz"
find "$root/usr/share/man" -type f ! -name '*.gz' -exec gzip -9n {} +
cp units/package/lintian-overrides "$root.lintian-overrides"
find "$root" "$root.lintian-overrides" -exec touch -h -d "@$epoch" {} +

export SOURCE_DATE_EPOCH="$epoch" VERSION="$version" ARCH="$arch" MAINTAINER="$maintainer" ROOT="$root" HOMEPAGE=https://example.org/exile
for kind in deb rpm; do
	bin/nfpm package --config units/package/nfpm.yaml --packager $kind --target "$out/"
done
