#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# qemu.sh: prints the QEMU to run tests with, one word a line.
#
# QEMU 10 of bookworm-backports, unpacked into the cache: bookworm's QEMU 7.2
# sometimes runs a stale translation of kernel text that was just patched, and
# the guest then dies of an "Oops: int3" that is nobody's fault. The installed
# one is used, with a message, when the other cannot be had.

. "$(dirname "$(realpath "$0")")/common.sh"

LAST=$CACHE/qemu
PKGS="qemu-system-x86 qemu-system-common qemu-system-data seabios"

installed()
{
	command -v qemu-system-x86_64 || die "qemu-system-x86_64 is not installed"
	exit 0
}

answer()
{
	local dir

	dir=$(realpath "$LAST")
	printf '%s\n' "$dir/usr/bin/qemu-system-x86_64" \
		-L "$dir/usr/share/qemu" -L "$dir/usr/share/seabios" \
		-L /usr/share/seabios -L /usr/share/qemu
	exit 0
}

[ -z "$K8SNET_QEMU" ] || { printf '%s\n' "$K8SNET_QEMU"; exit 0; }

mkdir -p "$CACHE" || exit 2
exec {lock}>"$CACHE/.lock-qemu"
flock "$lock"
[ ! -e "$LAST/ok" ] || answer

( apt_own_update ) || installed
VER=$(apt_own_version qemu-system-x86 'bpo12')
[ -n "$VER" ] || { say "no QEMU 10 in bookworm-backports: using the installed one"; installed; }

TMP=$(mktemp -d "$CACHE/.new-qemu.XXXXXX")
trap 'rm -rf "$TMP"' EXIT
cd "$TMP" || exit 2
say "fetching QEMU $VER"
for p in $PKGS; do
	case $p in
	qemu-*) apt_own apt-get download -qq "$p=$VER" >&2 ;;
	*) apt_own apt-get download -qq "$p" -t bookworm >&2 ;;
	esac || { say "QEMU $VER cannot be fetched: using the installed one"; installed; }
done
for p in *.deb; do
	dpkg-deb -x "$p" . || exit 2
done
rm -f ./*.deb
# It is built for this distribution, but its libraries are those of the
# installed QEMU: a missing one shows here.
if ! usr/bin/qemu-system-x86_64 -version >/dev/null 2>&1; then
	say "QEMU $VER does not start here: using the installed one"
	installed
fi
touch ok
chmod 755 .
DIR=qemu-${VER//[^0-9a-z.]/_}
rm -rf "${CACHE:?}/$DIR"
mv "$TMP" "$CACHE/$DIR" || exit 2
ln -sfn "$DIR" "$LAST"
answer
