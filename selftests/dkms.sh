#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# dkms.sh: tests the installation by DKMS. The module is built by the real dkms
# into trees of its own on this machine, against the headers of the VM's
# kernel; in the VM that build is installed as on a node, loaded by "modprobe
# k8snet", and removed again. TAP.
#
# dkms.sh supported RELEASE: says whether that kernel is one to build for, with
# a sentence and status 2 where not.

HERE=$(dirname "$(realpath "$0")")
TOP=$(realpath "$HERE/..")
BUILD=${K8SNET_BUILD:-$TOP/build}
K=${K8SNET_KERNEL:-6.1}

supported()	# RELEASE
{
	. "$TOP/dkms.conf"
	[[ $1 =~ $BUILD_EXCLUSIVE_KERNEL ]] || {
		echo "k8snet: kernel $1 is not supported, only 6.1 to 7.2 are" >&2
		return 2
	}
}

if [ "$1" = supported ]; then
	supported "$2"
	exit
fi

N=0
FAILED=0

result()	# STATUS DESCRIPTION LOG
{
	N=$((N + 1))
	[ "$1" != 0 ] || { echo "ok $N $2"; return; }
	FAILED=$((FAILED + 1))
	echo "not ok $N $2"
	tail -n 30 "$3" | sed 's/^/# /'
	return 1
}

# --- in the VM: TREE, SOURCE are what the host has built ----------------

if [ "$1" = guest ]; then
	TREE=$2
	SOURCE=$3
	LOG=/tmp/dkms.log
	REL=$(uname -r)
	VERSION=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$TOP/dkms.conf")
	mkdir -p /var/lib/dkms
	mount -t tmpfs dkms /var/lib/dkms
	mount -t tmpfs src /usr/src
	cp -a "$TREE/." /var/lib/dkms/
	cp -a "$SOURCE/." /usr/src/
	ln -sfn "/usr/src/k8snet-$VERSION" "/var/lib/dkms/k8snet/$VERSION/source"

	make -C "$TOP" dkms-install KVER="$REL" > $LOG 2>&1
	result $? "make dkms-install" $LOG

	dkms status "k8snet/$VERSION" > $LOG 2>&1
	grep -q "$REL.*: installed" $LOG
	result $? "dkms says it is installed" $LOG

	# As after a new kernel: built, but not installed.
	{ dkms uninstall -k "$REL" "k8snet/$VERSION" &&
		! modinfo k8snet && dkms autoinstall -k "$REL" &&
		dkms status "k8snet/$VERSION" | grep -q "$REL.*: installed"
	} > $LOG 2>&1
	result $? "dkms autoinstall installs it again" $LOG

	{ modinfo -n k8snet && modprobe k8snet && [ -d /sys/module/k8snet ]; } > $LOG 2>&1 &&
		grep -q "/lib/modules/$REL/updates/dkms/k8snet.ko" $LOG
	result $? "modprobe k8snet loads what dkms installed" $LOG

	{ ip link add kb0 type k8snet && ip -d link show kb0 &&
		ip link del kb0; } > $LOG 2>&1
	result $? "a link of its kind can be made" $LOG

	modprobe -r k8snet > $LOG 2>&1
	result $? "it can be unloaded" $LOG

	{ make -C "$TOP" dkms-remove KVER="$REL" &&
		! modinfo k8snet && ! modprobe k8snet &&
		[ -z "$(dkms status "k8snet/$VERSION")" ] &&
		[ ! -e "/usr/src/k8snet-$VERSION" ]; } > $LOG 2>&1
	result $? "make dkms-remove leaves nothing" $LOG
	echo "1..$N"
	[ $FAILED = 0 ]
	exit
fi

# --- on the host -------------------------------------------------------

TREES=$BUILD/dkms
LOG=$BUILD/dkms.log
VM_OUT=$BUILD/dkms.vm

echo "TAP version 13"
mkdir -p "$BUILD"
exec {lock}>"$BUILD/.dkms-lock"
flock "$lock"
rm -rf "$TREES"
mkdir -p "$TREES/tree" "$TREES/source"
KERNEL_DIR=$("$HERE/vm/kernel.sh" "$K") || exit
REL=$(cat "$KERNEL_DIR/release")
DKMS=(--dkmstree "$TREES/tree" --sourcetree "$TREES/source"
	--kernelsourcedir "$KERNEL_DIR/headers")

all_supported()
{
	local r

	for r in 6.1.0-56-amd64 6.12.95+deb12-amd64 7.2.13+deb14-amd64 6.6.1; do
		supported "$r" || return
	done
	for r in 5.15.0-1-amd64 6.0.1 7.3.1 7.20.1 8.1; do
		! supported "$r" || return 1
	done
}
all_supported > "$LOG" 2>&1
result $? "kernels 6.1 to 7.2 and no others are built for" "$LOG"

{
	make -C "$TOP" dkms-source DKMS_SOURCE="$TREES/source" &&
		dkms add "${DKMS[@]}" "$TREES/source"/k8snet-*
} > "$LOG" 2>&1
result $? "dkms add" "$LOG"
ID=k8snet/$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$TOP/dkms.conf")

dkms build "${DKMS[@]}" -k 5.15.0-1-amd64 "$ID" > "$LOG" 2>&1
[ $? = 77 ]
result $? "dkms refuses a kernel out of range" "$LOG"

make -C "$TOP" dkms-install KVER=5.15.0-1-amd64 DKMSFLAGS="${DKMS[*]}" > "$LOG" 2>&1
[ $? = 2 ] && grep -q '^k8snet: kernel 5.15.0-1-amd64 is not supported' "$LOG"
result $? "make dkms-install says which kernels are supported" "$LOG"

# sid's headers ask for sid's compiler: the same words as kernel.sh uses instead.
FLAGS=$(sed -n "s/^exec make -C '[^']*' \(.*\) \"\$@\"$/\1/p" "$KERNEL_DIR/make" |
	tr -d "'")
MAKEFLAGS="-- $FLAGS" dkms build "${DKMS[@]}" -k "$REL" "$ID" > "$LOG" 2>&1
RC=$?
cat "$TREES/tree/$ID/build/make.log" >> "$LOG" 2>/dev/null
result $RC "dkms build" "$LOG"

! grep -iE '\b(warning|error):' "$TREES/tree/$ID/$REL/x86_64/log/make.log" > "$LOG" 2>&1
result $? "it builds without a warning" "$LOG"

"$HERE/vm/run.sh" -k "$K" -M -T -n dkms -- "$HERE/dkms.sh" guest \
	"$TREES/tree" "$TREES/source" > "$VM_OUT" 2>&1
RC=$?
# Its cases are ours, numbered on.
while read -r line; do
	case $line in
	"ok "*)
		N=$((N + 1))
		line=${line#ok } ; echo "ok $N ${line#* }" ;;
	"not ok "*)
		N=$((N + 1))
		FAILED=$((FAILED + 1))
		line=${line#not ok } ; echo "not ok $N ${line#* }" ;;
	"#"*) echo "$line" ;;
	esac
done < "$VM_OUT"
grep -q '^1\.\.' "$VM_OUT" && ! grep -q '^k8snet: trouble' "$VM_OUT"
result $? "the VM ran to its end" "$VM_OUT"
echo "1..$N"
[ $FAILED = 0 ] && [ $RC = 0 ]
