#!/bin/sh
# Runs after exile's files are gone. Purging also removes what the daemon and its administrator have written.
set -e
case $1 in
remove | purge | 0) ;;
*) exit 0 ;;
esac
rm -rf /run/exile /run/exile-accounts /run/exile-actions /run/exilectl
if [ "$1" = purge ]; then
	rm -rf /var/lib/exile /var/lib/exile-actions /var/lib/exile-lists /etc/exile
	find /etc/systemd/system -type l -lname '*/lib/systemd/system/exiled*' -delete
	find /etc/systemd/system -mindepth 1 -type d -name '*.wants' -empty -delete # as systemctl disable does
	for name in exile exile-actions exile-lists; do
		! getent passwd "$name" >/dev/null || userdel "$name"
		! getent group "$name" >/dev/null || groupdel "$name"
	done
fi
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
journalctl --update-catalog || :
