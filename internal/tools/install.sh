#!/bin/sh
# install.sh install|uninstall|activate DESTDIR PREFIX SOURCE:DESTINATION...
#
# Puts the files below DESTDIR/PREFIX, or removes them. Only a live system (no DESTDIR, systemd running) is told about it;
# activate is that part of install alone, for files that came another way.
# Nothing here ever writes to /etc/exile or /var/lib/exile: those are the administrator's and the daemon's.
set -eu
verb=$1 dest=$2 prefix=$3
shift 3

live() { [ -z "$dest" ] && [ -d /run/systemd/system ]; }

put() {
	mode=644
	[ -x "$1" ] && mode=755
	install -D -m "$mode" "$1" "$dest$prefix/$2"
	case $prefix:$2 in /usr:*) ;; *.service) # units name the files of /usr
		sed -i "s|/usr/lib/exile/|$prefix/lib/exile/|; s|/usr/bin/exilectl|$prefix/bin/exilectl|" "$dest$prefix/$2" ;;
	esac
}

if [ "$verb" = uninstall ] && live; then
	systemctl disable --now exiled.socket exiled-metrics.socket exiled-accounts.path exiled-accounts.service 2>/dev/null || :
	systemctl disable --now exiled.service 2>/dev/null || :
	# Stopping leaves the bans in place; a host that exile leaves gets its kernel back as it was.
	"$prefix/lib/exile/exiled" --reset-firewall || :
fi
for f; do
	case $verb in
	install) put "${f%%:*}" "${f#*:}" ;;
	uninstall) rm -f "$dest$prefix/${f#*:}" ;;
	esac
done
if [ "$verb" = uninstall ]; then
	rmdir "$dest$prefix/lib/exile" "$dest$prefix/share/exile" 2>/dev/null || :
fi
live || exit 0
systemctl daemon-reload
journalctl --update-catalog
if [ "$verb" != uninstall ]; then
	systemd-sysusers "$prefix/lib/sysusers.d/exile.conf"
	busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig
	systemctl enable exiled.service
	systemctl restart exiled.service # enable --now would leave an older version running
	systemctl --no-pager --lines=0 status exiled.service
fi
