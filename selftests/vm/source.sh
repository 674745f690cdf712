#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# source.sh: unpacks Debian's source of the 6.1 kernel into the cache, if it is
# not there, and prints its directory. Kernels of our own are built from it
# (kbuild.sh), and it has the checkers that are in no other package:
# checkpatch.pl, coccicheck. It is looked for once a day, the newest is taken.

. "$(dirname "$(realpath "$0")")/common.sh"

LAST=$CACHE/source/6.1
PKG=linux-source-6.1

# What neither a kernel for this VM nor a checker reads, in the tar archive's
# words. The Kconfig files stay: each of them is read.
skip()
{
	cat <<-'EOF'
	*/drivers/gpu/*.[ch]
	*/drivers/media/*.[ch]
	*/drivers/staging/*.[ch]
	*/drivers/net/wireless/*.[ch]
	*/drivers/net/ethernet/*.[ch]
	*/drivers/scsi/*.[ch]
	*/drivers/infiniband/*.[ch]
	*/sound/*.[ch]
	*.dts
	*.dtsi
	*/Documentation/*.rst
	*/Documentation/*.yaml
	*/Documentation/*.txt
	*/Documentation/*.svg
	*/tools/perf
	*/tools/testing
	EOF
}

# KASAN, UBSAN and KCSAN watch the networking, and what of the core and the library
# handles objects of ours (locks, timers, work, RCU, tables), but not what has
# nothing to do with us, nor what instruments spend their own time in.
watch_less()	# DIR
{
	local d=$1 f

	# shellcheck disable=SC2016 # for sed
	find "$d"/drivers "$d"/fs "$d"/block "$d"/crypto "$d"/security \
		"$d"/certs "$d"/io_uring "$d"/ipc "$d"/init "$d"/mm "$d"/arch/x86 \
		"$d"/kernel/{bpf,cgroup,dma,entry,events,futex,irq,livepatch} \
		"$d"/kernel/{module,power,printk,sched,trace} \
		"$d"/lib/z* "$d"/lib/xz "$d"/lib/lz4 \
		"$d"/lib/crypto "$d"/lib/mpi -name Makefile \
		! -path "$d/drivers/net/*" -print0 |
		xargs -0 sed -i '$a\
KASAN_SANITIZE := n\
UBSAN_SANITIZE := n\
KCSAN_SANITIZE := n' || return
	for f in kernel/{cred,exit,extable,fork,pid,ptrace,signal,sys} \
		 kernel/locking/lockdep lib/{maple_tree,vsprintf}; do
		[ -f "$d/$f.c" ] || return
		printf '%s_SANITIZE_%s.o := n\n' KASAN "${f##*/}" \
			UBSAN "${f##*/}" KCSAN "${f##*/}" \
			>> "$d/${f%/*}/Makefile" || return
	done
}

mkdir -p "$CACHE/source" || exit 2
exec {lock}>"$CACHE/source/.lock"
flock "$lock"
if [ -n "$(find "$LAST/.checked" -mtime -1 2>/dev/null)" ]; then
	realpath "$LAST"
	exit 0
fi

( apt_own_update ) && VER=$(apt_own_version $PKG '^6\.1\.')
if [ -z "$VER" ]; then
	[ -e "$LAST/Makefile" ] || die "the source of kernel 6.1 cannot be fetched"
	say "kernel source: no newer one can be had: using the one at hand"
	realpath "$LAST"
	exit 0
fi
FINAL=$CACHE/source/$VER
# With the version of what is done to it here.
DONE=$VER.2
if [ "$(cat "$FINAL/.version-debian" 2>/dev/null)" != "$DONE" ]; then
	TMP=$(mktemp -d "$CACHE/source/.new.XXXXXX")
	trap 'rm -rf "$TMP"' EXIT
	TAR=/usr/src/$PKG.tar.xz
	# shellcheck disable=SC2016 # dpkg's own variables
	if [ ! -e "$TAR" ] ||
	   [ "$(dpkg-query -W -f '${Version}' $PKG 2>/dev/null)" != "$VER" ]; then
		say "kernel source: fetching $VER"
		( cd "$TMP" && apt_own apt-get download -qq "$PKG=$VER" >&2 &&
			dpkg-deb -x ./*.deb deb && rm ./*.deb ) ||
			die "the source of kernel $VER cannot be fetched"
		TAR=$TMP/deb/usr/src/$PKG.tar.xz
	fi
	say "kernel source: unpacking $VER"
	mkdir "$TMP/src"
	skip > "$TMP/skip"
	tar -C "$TMP/src" -xf "$TAR" --strip-components=1 \
		--exclude-from="$TMP/skip" || die "$TAR cannot be unpacked"
	watch_less "$TMP/src" || exit 2
	printf '%s\n' "$DONE" > "$TMP/src/.version-debian"
	rm -rf "$FINAL"
	mv "$TMP/src" "$FINAL" || exit 2
fi
touch "$FINAL/.checked"
OLD=$(readlink "$LAST")
ln -sfn "$VER" "$LAST"
find "$CACHE/source" -mindepth 1 -maxdepth 1 -type d -mtime +1 \
	! -name "$VER" ! -name "${OLD:-none}" -exec rm -rf {} +
printf '%s\n' "$FINAL"
