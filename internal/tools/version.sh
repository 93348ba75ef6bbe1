#!/bin/sh
# version.sh [--date]: prints the version of this tree; with --date, the time of its commit in seconds since 1970.
#
# The version is the newest release in CHANGELOG.md. A commit without that release's tag is named as well, with its time:
# after a tilde, which deb and rpm sort before the release, until the release is tagged, and after a plus, which they sort
# after it, from then on. Outside of git, git archive has written the facts about the commit here: its description by tags, if
# there are any, its time and its hash.
set -eu
cd "$(dirname "$0")/../.."
archived='$Format:%(describe:tags,match=v[0-9]*),%ct,%H$'

release=$(sed -n 's/^## \[\([0-9][0-9.]*\)\] - .*/\1/p' CHANGELOG.md | head -n 1)
: "${release:?CHANGELOG.md has no release}"
case $archived in
*%H*) # not an archive
	if [ ! -e .git ]; then
		tag=v$release head=0,
	elif head=$(git log -1 --format=%ct,%H); then
		tag=$(git describe --tags --match='v[0-9]*' 2>/dev/null || :)
		[ -z "$(git status --porcelain --untracked-files=no)" ] || changed=.changed
	else
		tag= head=0,unknown
	fi
	archived=$tag,$head
	;;
esac
tag=${archived%%,*} time=${archived#*,} commit=${archived##*,}
time=${time%,*} commit=$(echo "$commit" | cut -c 1-12)${changed-}
if [ "${1-}" = --date ]; then
	echo "$time"
	exit
fi
case $tag in
"v$release") [ -n "${changed-}" ] && sign=+ || sign= ;;
"v$release"-*) sign=+ ;;
*) sign='~' ;;
esac
echo "$release${sign:+${sign}git$(date -u -d "@$time" +%Y%m%d%H%M).$commit}"
