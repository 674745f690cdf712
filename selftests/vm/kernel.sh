#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# kernel.sh KERNEL: fetches one of Debian's kernels (6.1, 6.12 or 7.2) with its
# headers into the cache, if it is not there, and prints its directory:
#
#   release     what uname -r says in it
#   vmlinux     uncompressed kernel: boots by PVH, without the BIOS' detour
#   modules     its modules, those that network tests can need, uncompressed
#   headers     the tree to build modules against (KDIR)
#   make        wrapper: "make TARGET... M=DIR" with that tree
#
# Nothing is installed. The newest package of each series is taken, since older
# ones disappear from the mirrors. The cache is keyed by package versions and
# this recipe, is made in a temporary directory and renamed when complete, so
# an interrupted run leaves nothing half done.

. "$(dirname "$(realpath "$0")")/common.sh"

# Module directories that no test of a network module needs: they make the
# module index, which is made again for each boot, ten times as large.
DROP="sound drivers/gpu drivers/media drivers/net/wireless drivers/net/ethernet
drivers/infiniband drivers/scsi drivers/usb drivers/iio drivers/staging
drivers/input drivers/hid drivers/hwmon drivers/mtd drivers/target
drivers/isdn drivers/net/can drivers/net/usb drivers/net/phy drivers/video
drivers/platform drivers/md drivers/mmc drivers/comedi drivers/ata
drivers/power drivers/i2c drivers/edac drivers/rtc drivers/crypto
drivers/message drivers/pinctrl drivers/leds drivers/firewire drivers/gpio
drivers/bluetooth drivers/mfd drivers/regulator drivers/thunderbolt
drivers/watchdog drivers/accel drivers/soundwire net/bluetooth net/mac80211
net/wireless fs/btrfs fs/xfs fs/ocfs2 fs/gfs2 fs/ceph fs/cifs fs/smb fs/f2fs
fs/bcachefs fs/jfs fs/reiserfs fs/ubifs arch/x86/kvm"

release_of()	# RELEASE-REGEX: newest release that linux-image-amd64 is of
{
	apt_own apt-cache show linux-image-amd64 |
		sed -n 's/^Depends:.*linux-image-\([0-9][^ ,]*\)-amd64.*/\1/p' |
		grep -E "$1" | sort -V | tail -1
}

packages()
{
	local kbuild

	case $K in
	6.1)
		REL=$(release_of '^6\.1\.0-[0-9]+$')
		kbuild=linux-kbuild-6.1
		PKGS="linux-image-$REL-amd64" ;;
	6.12)
		REL=$(release_of '^6\.12\..*deb12$')
		kbuild=linux-kbuild-$REL
		PKGS="linux-image-$REL-amd64" ;;
	7.2)
		REL=$(release_of '^7\.2\..*deb14$')
		# sid moves on: the next series then stands in for 7.2
		[ -n "$REL" ] || REL=$(release_of '^7\..*deb1[4-9]$')
		kbuild=linux-kbuild-$REL
		# sid's image is split up, and its build programs and BTF
		# encoder need sid's C library
		PKGS="linux-base-$REL-amd64 linux-modules-$REL-amd64
			linux-binary-$REL-amd64 pahole/sid libdwarves1/sid
			libdw1t64/sid libbpf1/sid liblzma5/sid libbz2-1.0/sid
			libc6/sid libelf1t64/sid zlib1g/sid libzstd1/sid
			libssl3t64/sid" ;;
	*)
		die "no such kernel: $K (one of $KERNELS)" ;;
	esac
	[ -n "$REL" ] || die "no package of kernel $K on the mirror"
	PKGS="$PKGS linux-headers-$REL-amd64 linux-headers-$REL-common $kbuild"
}

# The versions that will be downloaded.
versions()
{
	# shellcheck disable=SC2086 # a list
	apt_own apt-get download --print-uris $PKGS | awk '{ print $2, $4 }' |
		sort
}

# Points every ELF program and library of sid below DIR at sid's own libraries.
use_sid_libc()	# DIR FINAL-DIR
{
	local sid=$1/sid/usr lib elf

	lib=$2/sid/usr/lib/x86_64-linux-gnu
	find "$1"/root/usr/lib/linux-kbuild-* "$sid/bin/pahole" -type f \
		-perm -u+x | while read -r elf; do
		[ "$(head -c 4 "$elf" | tail -c 3)" = ELF ] || continue
		patchelf --set-interpreter \
			"$2/sid/usr/lib64/ld-linux-x86-64.so.2" \
			--set-rpath "$lib" "$elf" 2>/dev/null || true
	done
	find "$sid/lib/x86_64-linux-gnu" -type f \( -name 'libdw*' \
		-o -name 'libbpf*' -o -name 'libelf*' \) |
		while read -r elf; do
		patchelf --set-rpath "$lib" "$elf" || return 1
	done
}

# gcc-12 builds for a kernel that gcc-16 built, once it is no longer told of
# what gcc-12 cannot do.
use_gcc12()	# HEADERS
{
	local c

	for c in CC_HAS_COUNTED_BY CC_HAS_COUNTED_BY_PTR \
		 CC_HAS_MIN_FUNCTION_ALIGNMENT \
		 CC_HAS_MULTIDIMENSIONAL_NONSTRING; do
		sed -i "/^CONFIG_$c=/d" "$1/include/config/auto.conf"
		sed -i "/^#define CONFIG_$c 1/d" \
			"$1/include/generated/autoconf.h"
	done
}

build()	# DIR FINAL-DIR: errors end the subshell it is run in
{
	local dir=$1 final=$2 rel=$REL-amd64 deb mods hdr pahole=pahole cc=gcc-12
	local d where

	mkdir "$dir/debs" "$dir/root" "$dir/sid"
	cd "$dir/debs"
	say "kernel $K: fetching $rel"
	# shellcheck disable=SC2086 # a list
	apt_own apt-get download -qq $PKGS >&2
	say "kernel $K: unpacking"
	for deb in *.deb; do
		case $deb in
		linux-*) where=root ;;
		*) where=sid ;;
		esac
		dpkg-deb -x "$deb" "$dir/$where"
	done
	cd "$dir"
	rm -r debs
	[ -d root/lib/modules ] || ln -s usr/lib root/lib

	mods=root/lib/modules/$rel
	for d in $DROP; do
		rm -rf "$mods/kernel/$d"
	done
	find "$mods" -name '*.ko.xz' -print0 | xargs -0 -r -P2 -n64 xz -d
	rm -f "$mods/build" "$mods/source"
	depmod -b root "$rel"
	ln -s "$mods" modules

	hdr=root/usr/src/linux-headers-$rel
	sed -i "s#\([ =]\)/usr/src/#\1$final/root/usr/src/#" "$hdr/Makefile"
	find root/usr/src -type l -lname '/usr/*' | while read -r d; do
		ln -sfn "$final/root$(readlink "$d")" "$d"
	done
	ln -s "$hdr" headers
	if [ "$K" = 7.2 ]; then
		use_sid_libc "$dir" "$final"
		use_gcc12 "$hdr"
		pahole=$final/sid/usr/bin/pahole
	fi

	for d in "root/boot/vmlinuz-$rel" "$mods/vmlinuz"; do
		[ ! -f "$d" ] || python3 "$VM_DIR/vmlinux.py" "$d" vmlinux
	done
	[ -s vmlinux ]
	printf '%s\n' "$rel" > release
	printf '%s\n' "$VERSIONS" > versions
	printf '#!/bin/sh\nexec make -C %s CC=%s PAHOLE=%s "$@"\n' \
		"'$final/headers'" "$cc" "'$pahole'" > make
	chmod +x make
}

K=$1
[ $# = 1 ] || die "usage: kernel.sh $(echo "$KERNELS" | tr ' ' '|')"
mkdir -p "$CACHE/kernels" || exit 2
exec {lock}>"$CACHE/kernels/.lock-$K"
flock "$lock"

RECIPE=$(cat "$VM_DIR/kernel.sh" "$VM_DIR/vmlinux.py" | sha256sum)
LAST=$CACHE/kernels/$K

# Once a day is enough to ask whether there is a newer one.
if [ -n "$(find "$LAST/checked" -mtime -1 2>/dev/null)" ] &&
   [ "$(cat "$LAST/recipe")" = "$RECIPE" ]; then
	realpath "$LAST"
	exit 0
fi

apt_own_update || exit 2
packages
VERSIONS=$(versions) && [ -n "$VERSIONS" ] || {
	[ -e "$LAST/make" ] || die "kernel $K cannot be fetched"
	say "kernel $K: no newer package can be had: using the one at hand"
	realpath "$LAST"
	exit 0
}
FINAL=$CACHE/kernels/$K-$(printf '%s\n' "$VERSIONS" "$RECIPE" "$CACHE" |
	sha256sum | cut -c1-16)
if [ ! -e "$FINAL/make" ]; then
	TMP=$(mktemp -d "$CACHE/kernels/.new-$K.XXXXXX")
	trap 'rm -rf "$TMP"' EXIT
	# Not in a condition: bash ignores set -e there.
	( set -e; build "$TMP" "$FINAL" )
	[ -x "$TMP/make" ] || die "kernel $K could not be made ready"
	rm -rf "$FINAL"
	mv "$TMP" "$FINAL" || exit 2
	chmod 755 "$FINAL"
fi
printf '%s' "$RECIPE" > "$FINAL/recipe"
touch "$FINAL/checked"
OLD=$(readlink "$LAST")
ln -sfn "$(basename "$FINAL")" "$LAST"
# Older ones may still be in use by a VM: they go a day later.
find "$CACHE/kernels" -mindepth 1 -maxdepth 1 -type d -name "$K-*" -mtime +1 \
	! -name "$(basename "$FINAL")" ! -name "${OLD:-none}" -exec rm -rf {} +
printf '%s\n' "$FINAL"
