#!/bin/sh
# debian.sh SUITE: prints the root file system of that Debian, for tests that boot it; made once, then kept in /var/cache/exile.
#
# Where Debian's archive cannot be reached it says so loudly and prints nothing.
set -eu
suite=$1
packages='systemd systemd-sysv dbus dbus-broker dbus-user-session polkitd libpam-systemd openssh-server iproute2 nftables ipset iptables firewalld ufw procps kmod cockpit-ws cockpit-bridge systemd-journal-remote'
# Another list of packages is another root.
sum=$(echo "$packages" | cksum)
root=/var/cache/exile/$suite-${sum%% *}
mkdir -p /var/cache/exile
exec 9>/var/cache/exile/lock
flock 9 # somebody else may be making it
if [ ! -d "$root" ]; then
	new=$(mktemp -d /var/cache/exile/new.XXXXXX)
	trap 'rm -rf "$new"' EXIT
	trap 'exit 130' INT TERM
	# In a mount namespace, so that what it mounts goes with it; it starts no services.
	if ! unshare --mount debootstrap --variant=minbase --include="$(echo "$packages" | tr ' ' ,)" "$suite" "$new" >"$new.log" 2>&1; then
		tail -n 5 "$new.log" >&2
		echo "SKIPPED, NOTHING WAS TESTED ON DEBIAN $suite: its archive cannot be reached, see $new.log" >&2
		exit 0
	fi
	rm -rf "$new.log" "$new"/var/cache/apt/archives/*.deb /var/cache/exile/"$suite"-*
	mv "$new" "$root"
fi
echo "$root"
