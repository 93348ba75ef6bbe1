#!/bin/sh
# Installs what building, testing and the demo need and this machine lacks. It is silent and works offline when nothing is
# missing. It starts nothing that it installs, and does not enable the new servers: the tests only want the files.
set -eu

# A file that shows that the package is there, the package's name in Debian, in Fedora.
need='
/usr/bin/gcc                              gcc                    gcc
/usr/include/stdio.h                      libc6-dev              glibc-devel
/usr/include/systemd/sd-journal.h         libsystemd-dev         systemd-devel
/usr/lib/systemd/systemd                  systemd                systemd
/usr/bin/unshare                          util-linux             util-linux
/usr/bin/dbus-daemon                      dbus                   dbus-daemon
/usr/bin/dbus-broker                      dbus-broker            dbus-broker
/usr/sbin/sshd                            openssh-server         openssh-server
/usr/bin/ssh                              openssh-client         openssh-clients
/usr/sbin/ip                              iproute2               iproute
/usr/sbin/nft                             nftables               nftables
/usr/sbin/ipset                           ipset                  ipset
/usr/sbin/iptables                        iptables               iptables-nft
/usr/sbin/firewalld                       firewalld              firewalld
/usr/sbin/ufw                             ufw                    ufw
/usr/bin/mandoc                           mandoc                 mandoc
/usr/bin/sqlite3                          sqlite3                sqlite
/usr/share/bash-completion/bash_completion bash-completion       bash-completion
/usr/bin/zsh                              zsh                    zsh
/usr/bin/fish                             fish                   fish
/usr/lib/systemd/systemd-journal-remote   systemd-journal-remote systemd-journal-remote
/usr/share/polkit-1/actions/org.freedesktop.policykit.policy polkitd polkit
/usr/bin/rpm                              rpm                    rpm
/usr/bin/promtool                         prometheus             /usr/bin/promtool
/usr/sbin/debootstrap                     debootstrap            debootstrap
/usr/share/cockpit/static/login.html      cockpit-ws             cockpit-ws
/usr/bin/cockpit-bridge                   cockpit-bridge         cockpit-bridge
/usr/bin/qemu-s390x                       qemu-user              qemu-user
/usr/bin/python3                          python3                python3
/usr/sbin/bird                            bird2                  bird
'
# Servers that the tests attack, as Debian configures them. It installs only one for FTP: the tests unpack the other's package by themselves.
attacked='
/usr/sbin/nginx           nginx
/usr/sbin/apache2         apache2
/usr/sbin/postfix         postfix
/usr/lib/dovecot/imap     dovecot-imapd
/usr/sbin/proftpd         proftpd-core
/usr/bin/pg_createcluster postgresql
/usr/sbin/named           bind9
/usr/sbin/haproxy         haproxy
/usr/sbin/mariadbd        mariadb-server
'
unpacked=/var/cache/exile/vsftpd.deb
pam_systemd=$(find /usr/lib /lib -name pam_systemd.so -print -quit 2>/dev/null || :)

missing() { # COLUMN
	{ echo "$need"; [ "$1" != deb ] || echo "$attacked"; } | while read -r file deb rpm; do
		[ -z "$file" ] || [ -e "$file" ] || [ -e "${file#/usr}" ] || eval "echo \$$1"
	done
	# Only Debian has a checker of .deb files.
	[ "$1" != deb ] || [ -e /usr/bin/lintian ] || echo lintian
	[ -e /usr/bin/chromium ] || [ -e /usr/bin/chromium-browser ] || echo chromium
	[ -n "$pam_systemd" ] || case $1 in deb) echo libpam-systemd ;; rpm) echo systemd-pam ;; esac
}

# Debian's packages of fail2ban are compared with, and not installed.
if [ -e /usr/bin/apt-get ] && [ "$(id -u)" = 0 ]; then
	"$(dirname "$0")"/fail2ban.sh
fi
packages=$(missing deb)
[ -n "$packages" ] || [ ! -e "$unpacked" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "make deps: missing: $(echo $packages) and perhaps $unpacked; run 'make deps' as root" >&2
	exit 1
fi
servers='dbus-broker.service ssh.service sshd.service ssh.socket prometheus.service firewalld.service ufw.service cockpit.socket vsftpd.service nginx.service
apache2.service postfix.service dovecot.service dovecot.socket proftpd.service proftpd.socket postgresql.service named.service haproxy.service mariadb.service bird.service'
off=$(for s in $servers; do systemctl -q is-enabled "$s" 2>/dev/null || echo "$s"; done)

if command -v apt-get >/dev/null; then
	# Debian starts what it installs unless this file says no (101).
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT
		trap 'exit 130' INT TERM
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
		chmod 755 /usr/sbin/policy-rc.d
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt="apt-get -q -y --no-remove -o DPkg::Lock::Timeout=300"
	install() {
		# shellcheck disable=SC2086 # one word per package
		[ -z "$packages" ] || $apt install --no-install-recommends $packages || return
		[ -e "$unpacked" ] || unpacked
	}
	unpacked() {
		mkdir -p "${unpacked%/*}"
		(cd "${unpacked%/*}" && $apt download vsftpd && mv vsftpd_*.deb "$unpacked")
	}
	install || { $apt update && install; }
elif command -v dnf >/dev/null; then
	# shellcheck disable=SC2046
	dnf -q -y install --setopt=install_weak_deps=False $(missing rpm)
else
	echo "make deps: neither apt-get nor dnf here; install by hand: $packages" >&2
	exit 1
fi

for s in $off; do
	systemctl disable "$s" >/dev/null 2>&1 || :
	systemctl --global disable "$s" >/dev/null 2>&1 || : # also for the users' buses
done
