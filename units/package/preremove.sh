#!/bin/sh
# Runs before exile's files are removed: stops the daemon and cleans up the kernel. Before an upgrade it stops nothing.
# EXILED is the path of the daemon, if it is not installed in /usr.
set -e
case $1 in
remove | 0) ;;
*) exit 0 ;;
esac
units='exiled.socket exiled-metrics.socket exiled-report.socket exiled-names.socket exiled-logs.socket exiled-logs.service exiled-accounts.path exiled-accounts.service exiled-mail-report.timer exiled-mail-report.service exiled-actions-program.socket exiled-actions-network.socket exiled-actions-mail.socket exiled-actions-reload.socket exiled-actions.service exiled.service'
if [ -d /run/systemd/system ]; then
	# shellcheck disable=SC2086 # several units; sockets first, so that nobody starts the daemon again
	systemctl -q stop $units || :
	systemctl -q stop 'exiled-lists@*.timer' 'exiled-lists@*.service' || : # patterns, which systemctl reads
	# Stopping leaves the bans in place.
	"${EXILED:-/usr/lib/exile/exiled}" --reset-firewall || echo "exile: bans may be left in the kernel until the next boot" >&2
fi
# With dpkg the links stay, so that units are still enabled after a later installation; purge removes them.
# shellcheck disable=SC2086
[ "$1" = remove ] || systemctl -q disable $units || :
