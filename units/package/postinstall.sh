#!/bin/sh
# Makes the system pick up exile's files, after a package or make install has put them there.
#
# The first installation (dpkg: configure "", rpm: 1) enables and starts exiled. An upgrade (configure VERSION, 2) restarts it
# and leaves disabled what the administrator has disabled. The bans stay in the kernel meanwhile.
set -e
case $1:$2 in
configure: | 1:*) first=yes ;;
configure:* | 2:*) first= ;;
*) exit 0 ;; # dpkg undoes something: exiled was never stopped
esac

systemd-sysusers exile.conf
# Before 0.1.0 systemd gave /etc/exile to the daemon's user, which could then make root follow a link there. Go from the top
# down, so that nothing can be replaced in directories that root owns already. Only that user can have made links it owns.
install -d -m 755 /etc/exile
find /etc/exile -xdev -user exile ! -type l \( -type d -o -links 1 \) -exec chown -h root:root {} \;
find /etc/exile -xdev -user exile -type l -delete
journalctl --update-catalog || :
helper='exiled-accounts.path exiled-accounts.service'
# shellcheck disable=SC2086 # several units
[ -z "$first" ] || systemctl -q enable exiled.service exiled-actions.service $helper
[ -d /run/systemd/system ] || exit 0 # an image is being built: exiled starts when that boots
systemctl daemon-reload
busctl -q call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig || : # no bus, nothing to reload

# exiled is restarted whatever the check says, and runs with the last configuration that worked. The check reads what the
# daemon's user owns: whoever took over the old version must not be able to keep the new one away.
if [ -z "$first" ] && ! exilectl -q check-config; then
	echo "exile: this version does not accept the configuration above; it uses the last one that worked until that is corrected." >&2
fi
restart() {
	if [ -n "$DPKG_MAINTSCRIPT_NAME" ]; then
		deb-systemd-invoke restart "$@" # obeys policy-rc.d, and starts nothing that is disabled
	elif [ -n "$first" ]; then
		systemctl restart "$@" # enable --now would leave an older version running
	else
		systemctl try-restart "$@"
	fi
}
# shellcheck disable=SC2086
restart $helper || echo "exile: could not find out which accounts have no password; see journalctl -u exiled-accounts" >&2
restart exiled-actions.service || echo "exile: exiled-actions did not start and tries again; see journalctl -u exiled-actions" >&2
restart exiled.service || echo "exile: exiled did not start and tries again; see journalctl -u exiled" >&2
