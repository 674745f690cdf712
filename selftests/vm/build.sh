#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# build.sh KERNEL [MAKE-ARGUMENT...]: builds the module and prints the path of
# k8snet.ko. KERNEL is one of the kernels of run.sh, a directory as kernel.sh
# makes it, or a directory of kernel headers (built in $BUILD/host then). Each
# kernel has an object directory of its own with links to the sources, since an
# external module's objects are made beside its sources.

. "$(dirname "$(realpath "$0")")/common.sh"

K=$1
shift
NAME=${K##*/}
KERNEL_DIR=$(kernel_dir "$K") || exit
if [ -x "$KERNEL_DIR/make" ]; then
	MAKE=("$KERNEL_DIR/make")
else
	NAME=host
	MAKE=(make -C "$KERNEL_DIR")
fi
OBJ=$BUILD/$NAME

mkdir -p "$OBJ/src" || exit 2
exec {lock}>"$OBJ/.lock"
flock "$lock"
# Objects of another kernel package cannot be kept.
ID=$(realpath "$KERNEL_DIR")
if [ "$(cat "$OBJ/.kernel" 2>/dev/null)" != "$ID" ]; then
	rm -rf "$OBJ/src"
	mkdir "$OBJ/src"
	printf '%s\n' "$ID" > "$OBJ/.kernel"
fi
# Sources only: objects that a build in place left would be shared.
cd "$TOP" || exit 2
find Kbuild dkms.conf module uapi -type f \
	\( -name '*.[ch]' -o -name Kbuild -o -name dkms.conf \) |
	while read -r f; do
		# Not another checkout's, either.
		[ "$OBJ/src/$f" -ef "$TOP/$f" ] && continue
		mkdir -p "$OBJ/src/$(dirname "$f")"
		ln -sf "$TOP/$f" "$OBJ/src/$f"
	done
find "$OBJ/src" -xtype l -delete
# make's own flags must not reach kbuild: "make -n" apart, they are ours.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL
# W=1 always: other flags than last time would make all objects anew.
"${MAKE[@]}" M="$OBJ/src" -j"$(nproc)" W=1 modules "$@" >&2 || exit 2
printf '%s\n' "$OBJ/src/k8snet.ko"
