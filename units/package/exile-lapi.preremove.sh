#!/bin/sh
# Stops exile-lapi before its files go.
set -e
case $1 in
remove | 0) ;;
*) exit 0 ;; # an upgrade
esac
[ ! -d /run/systemd/system ] || systemctl stop exile-lapi.socket exile-lapi.service || :
systemctl -q disable exile-lapi.socket exile-lapi.service || :
