#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# build.sh KERNEL [MAKE-ARGUMENT...]: builds the module against one of the
# fetched kernels, or a directory as kernel.sh makes it, and prints the path of k8snet.ko. Each kernel has an object
# directory of its own with links to the sources, since an external module's
# objects are made beside its sources.

. "$(dirname "$(realpath "$0")")/common.sh"

K=$1
shift
case $K in
*/*) KERNEL_DIR=$K ;;
*) KERNEL_DIR=$("$VM_DIR/kernel.sh" "$K") || exit ;;
esac
OBJ=$BUILD/${K##*/}

mkdir -p "$OBJ" || exit 2
exec {lock}>"$OBJ/.lock"
flock "$lock"
# Objects of another kernel package cannot be kept.
if [ "$(cat "$OBJ/.kernel" 2>/dev/null)" != "$KERNEL_DIR" ]; then
	rm -rf "$OBJ/src"
	printf '%s\n' "$KERNEL_DIR" > "$OBJ/.kernel"
fi
mkdir -p "$OBJ/src"
cp -asf "$TOP/Kbuild" "$TOP/module" "$TOP/uapi" "$OBJ/src/" || exit 2
find "$OBJ/src" -xtype l -delete
"$KERNEL_DIR/make" M="$OBJ/src" -j"$(nproc)" modules "$@" >&2 || exit 2
printf '%s\n' "$OBJ/src/k8snet.ko"
