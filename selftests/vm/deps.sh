#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# deps.sh GROUP...: installs the packages of those groups of ../deps that are
# missing. apt is not called when none is.

HERE=$(dirname "$(realpath "$0")")

for group in "$@"; do
	words=$(sed -n "s/^$group://p" "$HERE/../deps")
	[ -n "$words" ] || {
		echo "k8snet: no group $group in selftests/deps" >&2
		exit 2
	}
	wanted="$wanted $words"
done

command -v dpkg-query >/dev/null || {
	echo "k8snet: not a Debian system; needed are:$wanted" >&2
	exit 2
}

missing=
for package in $wanted; do
	case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
	*"ok installed") ;;
	*) case " $missing " in
	   *" $package "*) ;;
	   *) missing="$missing $package" ;;
	   esac ;;
	esac
done
[ -n "$missing" ] || exit 0

[ "$(id -u)" = 0 ] || {
	echo "k8snet: these packages are missing, run this as root:" \
		"apt-get install$missing" >&2
	exit 2
}
echo "k8snet: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
LOG=$(mktemp)
trap 'rm -f "$LOG"' EXIT
# shellcheck disable=SC2086 # a list
{
	apt-get update -qq &&
		apt-get install -qq -y --no-install-recommends $missing
} > "$LOG" 2>&1 </dev/null || {
	tail -n 30 "$LOG" >&2
	echo "k8snet: packages could not be installed" >&2
	exit 2
}
