#!/bin/sh
# Tells a host of exile's files, after a package or make install has put them there.
#
# The first time (dpkg: configure "", rpm: 1) exiled is enabled and started. An upgrade (configure VERSION, 2) restarts it and
# leaves what the administrator has disabled as it is. The bans stay in the kernel meanwhile.
set -e
case $1:$2 in
configure: | 1:*) first=yes ;;
configure:* | 2:*) first= ;;
*) exit 0 ;; # dpkg takes something back: exiled was never stopped
esac

systemd-sysusers exile.conf
# Up to 0.1 systemd gave /etc/exile to the daemon's user, who then could have root follow a link there. From the top down, so
# that nothing can be exchanged in what is root's already; nobody but that user can have made a link that is his.
install -d -m 755 /etc/exile
find /etc/exile -xdev -user exile ! -type l \( -type d -o -links 1 \) -exec chown -h root:root {} \;
find /etc/exile -xdev -user exile -type l -delete
journalctl --update-catalog || :
helper='exiled-accounts.path exiled-accounts.service'
# shellcheck disable=SC2086 # several units
[ -z "$first" ] || systemctl -q enable exiled.service $helper
[ -d /run/systemd/system ] || exit 0 # an image is being made: exiled starts when that boots
systemctl daemon-reload
busctl -q call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig || : # no bus, nothing to reload

if [ -z "$first" ] && ! exilectl -q check-config; then
	echo "exile: this version does not take the configuration above; the exiled that runs goes on." >&2
	echo "exile: after a correction, which 'exilectl check-config' confirms: systemctl restart exiled" >&2
	exit 0
fi
restart() {
	if [ -n "$DPKG_MAINTSCRIPT_NAME" ]; then
		deb-systemd-invoke restart "$@" # heeds policy-rc.d, and starts nothing that is disabled
	elif [ -n "$first" ]; then
		systemctl restart "$@" # enable --now would leave an older version running
	else
		systemctl try-restart "$@"
	fi
}
# shellcheck disable=SC2086
restart $helper || echo "exile: which accounts have no password is not known; see journalctl -u exiled-accounts" >&2
restart exiled.service || echo "exile: exiled did not start and tries again; see journalctl -u exiled" >&2
