#!/bin/sh
# fail2ban.sh: puts the fail2ban packages of two Debians into /var/cache/exile/fail2ban/SUITE, and Munin's plugins, CrowdSec's firewall bouncer and
# Ansible into munin, bouncer and ansible beside them, unpacked and not installed, for tests that compare with them or run them. It is silent, and works offline when they are there.
#
# If Debian's archive cannot be reached, it says so loudly, and the tests skip.
set -eu
to=/var/cache/exile/fail2ban
for each in bookworm:fail2ban:bookworm trixie:fail2ban:trixie trixie:munin-plugins-core,munin-common:munin bookworm:crowdsec-firewall-bouncer:bouncer \
	bookworm:ansible-core,python3-jinja2,python3-markupsafe,python3-yaml,python3-cryptography,python3-cffi-backend,python3-packaging,python3-resolvelib:ansible; do
	suite=${each%%:*} folder=${each##*:} packages=${each#*:} packages=$(echo "${packages%:*}" | tr , " ")
	[ ! -d "$to/$folder" ] || continue
	mkdir -p "$to"
	new=$(mktemp -d "$to/new.XXXXXX")
	trap 'rm -rf "$new"' EXIT
	trap 'exit 130' INT TERM
	mkdir -p "$new/lists/partial" "$new/cache/archives/partial"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main" >"$new/sources.list"
	apt="apt-get -q -o APT::Sandbox::User=root -o Dir::Etc::sourcelist=$new/sources.list -o Dir::Etc::sourceparts=- -o Dir::State::lists=$new/lists -o Dir::Cache=$new/cache"
	# shellcheck disable=SC2086 # one word per option
	if ! { $apt update && (cd "$new" && $apt download $packages); } >"$new/log" 2>&1; then
		tail -n 5 "$new/log" >&2
		echo "SKIPPED, NOTHING IS TESTED WITH $packages OF DEBIAN $suite: its archive cannot be reached" >&2
		exit 0
	fi
	for deb in "$new"/*.deb; do
		dpkg-deb -x "$deb" "$new/root"
	done
	chmod 755 "$new/root"
	mv "$new/root" "$to/$folder"
	rm -rf "$new"
done
