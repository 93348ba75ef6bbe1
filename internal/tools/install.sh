#!/bin/sh
# install.sh install|uninstall DESTDIR PREFIX SOURCE:DESTINATION...
#
# Puts the files below DESTDIR/PREFIX, or removes them. Only a live system (no DESTDIR, systemd running) is told about it, in
# the way that the packages do.
# Nothing here ever writes a file to /etc/exile or /var/lib/exile: those are the administrator's and the daemon's.
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

case $verb in
install)
	for f; do put "${f%%:*}" "${f#*:}"; done
	install -d -m 755 "$dest/etc/exile"
	live || exit 0
	sh units/package/postinstall.sh 1 ""
	systemctl --no-pager --lines=0 status exiled.service
	;;
uninstall)
	! live || EXILED="$prefix/lib/exile/exiled" sh units/package/preremove.sh 0
	for f; do rm -f "$dest$prefix/${f#*:}"; done
	rmdir "$dest$prefix/lib/exile" "$dest$prefix/share/exile" "$dest$prefix/share/cockpit/exile" "$dest$prefix/share/cockpit" 2>/dev/null || :
	! live || sh units/package/postremove.sh 0
	;;
esac
