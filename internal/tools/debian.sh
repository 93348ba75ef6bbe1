#!/bin/sh
# debian.sh SUITE: prints the path of a root file system with that Debian, for tests that boot it. It is made once and kept in
# /var/cache/exile.
#
# If Debian's archive cannot be reached, it says so loudly and prints nothing.
set -eu
suite=$1
packages='systemd systemd-sysv dbus dbus-broker dbus-user-session polkitd libpam-systemd openssh-server iproute2 nftables ipset iptables firewalld ufw procps kmod cockpit-ws cockpit-bridge systemd-journal-remote vsftpd nginx'
# A different list of packages gives a different root.
sum=$(echo "$packages" | cksum)
root=/var/cache/exile/$suite-${sum%% *}
mkdir -p /var/cache/exile
exec 9>/var/cache/exile/lock
flock 9 # another process may be making it
if [ ! -d "$root" ]; then
	new=$(mktemp -d /var/cache/exile/new.XXXXXX)
	trap 'rm -rf "$new"' EXIT
	trap 'exit 130' INT TERM
	# In a mount namespace, so that its mounts disappear with it; it starts no services.
	if ! unshare --mount debootstrap --variant=minbase --include="$(echo "$packages" | tr ' ' ,)" "$suite" "$new" >"$new.log" 2>&1; then
		tail -n 5 "$new.log" >&2
		echo "SKIPPED, NOTHING WAS TESTED ON DEBIAN $suite: its archive cannot be reached, see $new.log" >&2
		exit 0
	fi
	rm -rf "$new.log" "$new"/var/cache/apt/archives/*.deb /var/cache/exile/"$suite"-*
	mv "$new" "$root"
fi
echo "$root"
