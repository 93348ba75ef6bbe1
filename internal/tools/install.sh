#!/bin/sh
# install.sh install|uninstall|put DESTDIR PREFIX SOURCE:DESTINATION...
#
# Puts the files below DESTDIR/PREFIX, or removes them; put does no more than that. On a live system only (no DESTDIR, systemd running) it also tells
# systemd, as the packages do. Nothing here ever writes to a file in /etc/exile or /var/lib/exile: those belong to the
# administrator and the daemon.
set -eu
verb=$1 dest=$2 prefix=$3
shift 3

live() { [ -z "$dest" ] && [ -d /run/systemd/system ]; }

put() {
	mode=644
	[ -x "$1" ] && mode=755
	install -D -m "$mode" "$1" "$dest$prefix/$2"
	case $prefix:$2 in /usr:*) ;; *.service) # units name the files of /usr
		sed -i "s|/usr/lib/exile/|$prefix/lib/exile/|; s|/usr/bin/exile|$prefix/bin/exile|" "$dest$prefix/$2" ;;
	esac
}

case $verb in
put) for f; do put "${f%%:*}" "${f#*:}"; done ;;
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
	for d in lib/systemd/system/ssh.service.d lib/systemd/system/sshd.service.d lib/exile share/exile share/doc/exile/examples/actions share/doc/exile/examples/lists share/doc/exile/examples/edge share/doc/exile/examples/ansible/defaults share/doc/exile/examples/ansible/handlers share/doc/exile/examples/ansible/tasks share/doc/exile/examples/ansible share/doc/exile/examples share/doc/exile/monitoring share/doc/exile share/cockpit/exile share/cockpit; do
		rmdir "$dest$prefix/$d" 2>/dev/null || :
	done
	! live || sh units/package/postremove.sh 0
	;;
esac
