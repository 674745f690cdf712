#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# kbuild.sh debug|kcsan|gcov|clang: builds a kernel of our own from Debian's 6.1
# source into the cache, if it is not there, and prints its directory, which has
# the layout that kernel.sh describes, but a bzImage instead of vmlinux: the PVH
# entry of 6.1 is watched by KASAN before that has its memory, and dies. The
# configuration is common.config and the kernel's own, such as debug.config, of
# this directory. "clang" is no kernel, but what is needed to compile modules with
# clang.
#
# It takes 10 to 20 minutes on two processors. The cache is keyed by source
# version, configuration, compiler and this recipe; a build that was interrupted
# goes on where it stopped.

. "$(dirname "$(realpath "$0")")/common.sh"

K=$1
CC=gcc-12
RECIPE=build
FRAGMENTS="$VM_DIR/common.config"
case $K in
debug|kcsan|gcov)
	FRAGMENTS="$FRAGMENTS $VM_DIR/$K.config" ;;
clang)
	CC=clang-14
	RECIPE=prepare ;;
*)
	die "usage: kbuild.sh debug|kcsan|gcov|clang" ;;
esac
# Comments are not part of the recipe.
plain() { sed 's/^[[:space:]]*#.*//; /^$/d' "$@"; }

SRC=$("$VM_DIR/source.sh") || exit
# shellcheck disable=SC2086 # a list
CONFIG=$(plain $FRAGMENTS)
KEY=$({
	cat "$SRC/.version-debian"
	printf '%s\n' "$CONFIG" "$CACHE"
	$CC -dumpfullversion
	plain "$0" | sed -n "/^$RECIPE()/,/^}/p"
} | sha256sum | cut -c1-16)
LAST=$CACHE/kernels/$K
FINAL=$CACHE/kernels/$K-$KEY
WORK=$CACHE/kernels/.build-$K-$KEY

# Options that are not in the configuration as asked for: misspelt, or with
# dependencies that are not met.
missing()	# CONFIG-FILE
{
	printf '%s\n' "$CONFIG" | while IFS= read -r line; do
		case $line in
		CONFIG_*=n)
			! grep -q "^${line%=n}=" "$1" || printf ' %s' "$line" ;;
		CONFIG_*)
			grep -qxF "$line" "$1" || printf ' %s' "$line" ;;
		esac
	done
}

build()	# DIR; errors end the subshell it is run in
{
	local obj=$1/obj wrong rel

	mkdir -p "$obj" "$1/root"
	printf '%s\n' "$CONFIG" > "$1/wanted.config"
	set -- "$1" nice -n 10 make -s -C "$SRC" O="$obj" CC=$CC HOSTCC=$CC \
		KBUILD_BUILD_USER=k8snet KBUILD_BUILD_HOST=k8snet
	# A configuration that exists is not made again: make would then
	# compile everything again.
	if [ ! -e "$1/configured" ]; then
		"${@:2}" KCONFIG_ALLCONFIG="$1/wanted.config" allnoconfig
		wrong=$(missing "$obj/.config")
		[ -z "$wrong" ] || {
			say "kernel $K: not in the configuration:$wrong"
			false
		}
		touch "$1/configured"
	fi
	"${@:2}" -j"$(nproc)" bzImage modules
	"${@:2}" INSTALL_MOD_PATH="$1/root" modules_install
	rel=$(cat "$obj/include/config/kernel.release")
	rm -f "$1/root/lib/modules/$rel/build" "$1/root/lib/modules/$rel/source"
	cp "$obj/arch/x86/boot/bzImage" "$1/bzImage"
	# Objects are not needed to build modules against it.
	find "$obj" \( -name '*.o' -o -name '*.a' -o -name '.*.cmd' \
		-o -name '*.mod.c' \) ! -path '*/scripts/*' \
		! -path '*/tools/*' -delete
	rm -rf "$obj"/.tmp_vmlinux* "$obj/vmlinux" "$obj/arch/x86/boot"
	ln -sfn obj "$1/headers"
	ln -sfn "root/lib/modules/$rel" "$1/modules"
	printf '%s\n' "$rel" > "$1/release"
	printf '#!/bin/sh\nexec make -C %s CC=%s "$@"\n' \
		"'$FINAL/headers'" $CC > "$1/make"
	chmod +x "$1/make"
}

prepare()	# DIR; likewise
{
	local obj=$1/obj

	mkdir -p "$obj"
	printf '%s\n' "$CONFIG" > "$1/wanted.config"
	set -- "$1" nice -n 10 make -s -C "$SRC" O="$obj" LLVM=-14 \
		KBUILD_BUILD_USER=k8snet KBUILD_BUILD_HOST=k8snet
	"${@:2}" KCONFIG_ALLCONFIG="$1/wanted.config" allnoconfig
	"${@:2}" -j"$(nproc)" modules_prepare
	ln -sfn obj "$1/headers"
	printf '#!/bin/sh\nexec make -C %s LLVM=-14 "$@"\n' \
		"'$FINAL/headers'" > "$1/make"
	chmod +x "$1/make"
}

mkdir -p "$CACHE/kernels" || exit 2
exec {lock}>"$CACHE/kernels/.lock-$K"
flock "$lock"
if [ ! -e "$FINAL/make" ]; then
	[ $RECIPE = prepare ] ||
		say "kernel $K: building, which takes 10 to 20 minutes"
	START=$SECONDS
	mkdir -p "$WORK" || exit 2
	# Not in a condition: bash ignores set -e there.
	( set -e; $RECIPE "$WORK" ) > "$WORK/log" 2>&1
	[ -x "$WORK/make" ] || {
		tail -n 40 "$WORK/log" >&2
		die "kernel $K could not be built, see $WORK/log"
	}
	rm -rf "$FINAL"
	mv "$WORK" "$FINAL" || exit 2
	say "kernel $K: built in $((SECONDS - START)) s"
fi
ln -sfn "$(basename "$FINAL")" "$LAST"
find "$CACHE/kernels" -mindepth 1 -maxdepth 1 -type d \
	\( -name "$K-*" -o -name ".build-$K-*" \) -mtime +1 \
	! -name "$(basename "$FINAL")" -exec rm -rf {} +
printf '%s\n' "$FINAL"
