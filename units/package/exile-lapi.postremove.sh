#!/bin/sh
# Runs after exile-lapi's files are gone. Purging also removes its book and the keys.
set -e
case $1 in
remove | purge | 0) ;;
*) exit 0 ;;
esac
if [ "$1" = purge ]; then
	rm -rf /var/lib/exile-lapi /etc/exile/lapi.keys
	! getent passwd exile-lapi >/dev/null || userdel exile-lapi
	! getent group exile-lapi >/dev/null || groupdel exile-lapi
fi
[ ! -d /run/systemd/system ] || systemctl daemon-reload
