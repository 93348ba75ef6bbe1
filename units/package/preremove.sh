#!/bin/sh
# Before exile's files go: ends the daemon and gives the host its kernel back as it was. Before an upgrade nothing is ended.
# EXILED is where the daemon is installed, if not in /usr.
set -e
case $1 in
remove | 0) ;;
*) exit 0 ;;
esac
units='exiled.socket exiled-metrics.socket exiled-accounts.path exiled-accounts.service exiled.service'
if [ -d /run/systemd/system ]; then
	# shellcheck disable=SC2086 # several units; the sockets first, so that nobody starts the daemon again
	systemctl -q stop $units || :
	# Stopping leaves the bans in place.
	"${EXILED:-/usr/lib/exile/exiled}" --reset-firewall || echo "exile: bans may be left in the kernel until the next boot" >&2
fi
# dpkg keeps the links, so that a later installation finds enabled what was; they go with purge.
# shellcheck disable=SC2086
[ "$1" = remove ] || systemctl -q disable $units || :
