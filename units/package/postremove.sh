#!/bin/sh
# After exile's files are gone. Purging takes away what the daemon and its administrator have written, too.
set -e
case $1 in
remove | purge | 0) ;;
*) exit 0 ;;
esac
if [ "$1" = purge ]; then
	rm -rf /var/lib/exile /etc/exile /run/exile /run/exile-accounts /run/exilectl
	find /etc/systemd/system -type l -lname '*/lib/systemd/system/exiled*' -delete
	find /etc/systemd/system -mindepth 1 -type d -name '*.wants' -empty -delete # as systemctl disable does
	! getent passwd exile >/dev/null || userdel exile
	! getent group exile >/dev/null || groupdel exile
fi
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
journalctl --update-catalog || :
