#!/bin/sh
# debian.sh SUITE: prints the path of a root file system with that Debian, for tests that boot it. It is made once and kept in
# /var/cache/exile.
#
# If Debian's archive cannot be reached, it says so loudly and prints nothing.
set -eu
suite=$1
packages='systemd systemd-sysv dbus dbus-broker dbus-user-session polkitd libpam-systemd openssh-server iproute2 nftables ipset iptables firewalld ufw procps kmod cockpit-ws cockpit-bridge systemd-journal-remote'
servers='nginx apache2 postfix dovecot-imapd proftpd-core postgresql bind9 haproxy mariadb-server'
# The tests start what they attack.
off='nginx apache2 apache-htcacheclean postfix dovecot.service dovecot.socket proftpd.service proftpd.socket postgresql named haproxy mariadb'
# A different list of packages gives a different root.
sum=$(echo "$packages $servers" | cksum)
root=/var/cache/exile/$suite-${sum%% *}
mkdir -p /var/cache/exile
exec 9>/var/cache/exile/lock
flock 9 # another process may be making it
if [ ! -d "$root" ]; then
	new=$(mktemp -d /var/cache/exile/new.XXXXXX)
	trap 'rm -rf "$new"' EXIT
	trap 'exit 130' INT TERM
	# In a mount namespace, so that its mounts disappear with it. debootstrap starts no services, and cannot install the servers: some need
	# others set up first. Debian starts what apt-get installs unless policy-rc.d says no (101).
	# shellcheck disable=SC2016 # the shell within expands these
	if ! unshare --mount sh -euc '
		chmod 755 "$2" # for servers that are not root
		debootstrap --variant=minbase --include="$(echo "$3" | tr " " ,)" "$1" "$2"
		mount -t proc proc "$2/proc"
		printf "#!/bin/sh\nexit 101\n" >"$2/usr/sbin/policy-rc.d"
		chmod 755 "$2/usr/sbin/policy-rc.d"
		export DEBIAN_FRONTEND=noninteractive
		chroot "$2" apt-get -q update
		chroot "$2" apt-get -q -y --no-install-recommends install $4
		chroot "$2" sh -ec "mkdir /var/cache/exile; cd /var/cache/exile; apt-get -q download vsftpd; mv *.deb vsftpd.deb" # see deps.sh
		systemctl -q --root="$2" disable $5
		rm "$2/usr/sbin/policy-rc.d"' sh "$suite" "$new" "$packages" "$servers" "$off" >"$new.log" 2>&1; then
		tail -n 5 "$new.log" >&2
		echo "SKIPPED, NOTHING WAS TESTED ON DEBIAN $suite: its archive cannot be reached, see $new.log" >&2
		exit 0
	fi
	rm -rf "$new.log" "$new"/var/cache/apt/archives/*.deb /var/cache/exile/"$suite"-*
	mv "$new" "$root"
fi
echo "$root"
