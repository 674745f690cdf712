#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# run.sh [OPTION...] [--] COMMAND [ARGUMENT...]
#
# Builds module and tool, boots a VM and runs COMMAND in it. The VM sees this
# machine's files (changes go to a RAM disk and are lost), runs the chosen
# kernel, and finds k8snetctl in PATH and the module by "modprobe k8snet" or by
# autoload. Standard output and error of COMMAND are printed; its exit status
# is run.sh's, except that trouble in the kernel log, a module that cannot be
# unloaded or a VM that does not come to its end make it 1. 2: not started.
#
#   selftests/vm/run.sh -- uname -r
#   selftests/vm/run.sh -k 7.2 -- bash -c 'modprobe k8snet && k8snetctl node show'
#   selftests/vm/run.sh -M ip link                  # without building a module
#   selftests/vm/run.sh -i -- bash                  # with a terminal
#
#   -k KERNEL   6.1 (default), 6.12, 7.2; debug or kcsan, which are built at
#               first use (kbuild.sh); or a directory as kernel.sh makes it
#   -t SECONDS  limit for COMMAND (default 600; 0: none)
#   -s SECONDS  limit for silence: no output for so long ends the VM
#   -n NAME     the logs go to build/log/NAME (default "run")
#   -e A=B      sets a variable for COMMAND
#   -m FILE     uses this k8snet.ko instead of building one
#   -M          no module
#   -K FILE     uses this k8snetctl instead of building one
#   -T          no tool
#   -b FILE     one more program for PATH (repeatable)
#   -c N        processors (default 2)
#   -r MB       memory (default 2048; 3072 for debug and kcsan)
#   -a WORDS    more words for the kernel's command line
#   -q WORD     one more argument for QEMU (repeatable)
#   -w          a kernel warning is reported but does not stop the VM at once
#   -x          exact: one processor, instructions counted instead of time
#   -i          interactive
#
# /run/job/out (K8SNET_OUT) in the VM is build/log/NAME/job here.
# K8SNET_SLOW multiplies limits of time (default 5 for debug, 3 for kcsan).
# K8SNET_ACCEL=kvm uses KVM, which is faster where it works.

. "$(dirname "$(realpath "$0")")/common.sh"

K=6.1
MODULE=build
TOOL=build
ARGS=()
while getopts ':k:t:s:n:e:m:MK:Tb:c:r:a:q:wxih' opt; do
	case $opt in
	k) K=$OPTARG ;;
	t) ARGS+=(--timeout "$OPTARG") ;;
	s) ARGS+=(--silence "$OPTARG") ;;
	n) ARGS+=(--name "$OPTARG") ;;
	e) ARGS+=(--env "$OPTARG") ;;
	m) MODULE=$OPTARG ;;
	M) MODULE= ;;
	K) TOOL=$OPTARG ;;
	T) TOOL= ;;
	b) ARGS+=(--bin "${OPTARG##*/}=$(realpath "$OPTARG")") ;;
	c) ARGS+=(--smp "$OPTARG") ;;
	r) ARGS+=(--memory "$OPTARG") ;;
	a) ARGS+=(--append "$OPTARG") ;;
	q) ARGS+=("--qemu=$OPTARG") ;;
	w) ARGS+=(--warn-ok) ;;
	x) ARGS+=(--smp 1 --tcg "tcg,thread=single"
		"--qemu=-icount" "--qemu=shift=0,sleep=off,align=off"
		--append "tsc=reliable clocksource=tsc") ;;
	i) ARGS+=(--interactive) ;;
	h) sed -n '4,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
	*) die "unknown option -$OPTARG; see run.sh -h" ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || die "no command; see run.sh -h"

KERNEL_DIR=$(kernel_dir "$K") || exit
[ -s "$KERNEL_DIR/vmlinux" ] || [ -s "$KERNEL_DIR/bzImage" ] ||
	die "no kernel in $KERNEL_DIR"

if [ "$MODULE" = build ]; then
	MODULE=
	if compgen -G "$TOP/module/*.c" >/dev/null; then
		ERR=$(mktemp)
		MODULE=$("$VM_DIR/build.sh" "$K" 2>"$ERR") || {
			cat "$ERR" >&2
			rm "$ERR"
			die "the module does not compile"
		}
		rm "$ERR"
	fi
fi
if [ "$TOOL" = build ]; then
	TOOL=
	if [ -e "$TOP/tool/Makefile" ]; then
		flock "$TOP/tool" make -s -C "$TOP/tool" >&2 ||
			die "the tool does not compile"
		TOOL=$TOP/tool/k8snetctl
	fi
fi
# Instruments have their price.
case $K in
debug) SLOW=5 ;;
kcsan) SLOW=3 ;;
*) SLOW=1 ;;
esac
case $K in
debug|kcsan) ARGS=(--memory 3072 "${ARGS[@]}") ;;
esac
ARGS+=(--slow "${K8SNET_SLOW:-$SLOW}")
[ -z "$MODULE" ] || ARGS+=(--module "$(realpath "$MODULE")")
[ -z "$TOOL" ] || ARGS+=(--tool "$(realpath "$TOOL")")

export K8SNET_CACHE=$CACHE
exec python3 "$VM_DIR/vm.py" --kernel "${K##*/}" --kernel-dir "$KERNEL_DIR" \
	--build "$BUILD" "${ARGS[@]}" -- "$@"
