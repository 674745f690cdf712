#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# planted.sh debug|kcsan: makes each mistake of k8snet_planted.c on that kernel,
# and checks that it is reported and that the VM's run fails for it. TAP.
#
# planted.sh make MISTAKE...: in the VM.

. "$(dirname "$(realpath "$0")")/../vm/common.sh"

HERE=$(dirname "$(realpath "$0")")
K=$1

make_one()	# MISTAKE
{
	echo "<6>k8snet-test: begin $1" > /dev/kmsg
	[ "$1" != reference ] || ip link add planted0 type dummy
	echo "$1" > /sys/module/k8snet_planted/parameters/plant
	if [ "$1" = reference ]; then
		# Says every ten seconds that it waits, and never ends.
		ip link del planted0 &
		timeout 100 grep -qm 1 'waiting for planted0' /dev/kmsg
	fi
}

if [ "$K" = make ]; then
	insmod "$2" || exit
	shift 2
	for mistake in "$@"; do
		make_one "$mistake"
	done
	exit 0
fi

# --- on the host -------------------------------------------------------

KERNEL_DIR=$(kernel_dir "$K") || exit
OBJ=$BUILD/planted/$K
KO=$OBJ/k8snet_planted.ko
N=0
FAILED=0

mkdir -p "$OBJ" "$BUILD/log"
cp "$HERE/Kbuild" "$HERE/k8snet_planted.c" "$OBJ/"
env -u MAKEFLAGS -u MFLAGS "$KERNEL_DIR/make" -s M="$OBJ" modules \
	> "$OBJ/log" 2>&1 || { cat "$OBJ/log"; exit 2; }

vm()	# NAME ARGUMENT...
{
	local name=$1

	shift
	"$VM_DIR/run.sh" -k "$K" -M -T -n "$name" "$@" > "$OBJ/out" 2>&1
	RC=$?
	LOG=$BUILD/log/$name
}

result()	# STATUS DESCRIPTION: with the run's output where it is not 0
{
	N=$((N + 1))
	[ "$1" != 0 ] || { echo "ok $N $2"; return; }
	FAILED=$((FAILED + 1))
	echo "not ok $N $2"
	tail -n 30 "$OBJ/out" | sed 's/^/# /'
}

# Between its beginning and that of the next one.
reported()	# MISTAKE PATTERN
{
	sed -n "/k8snet-test: begin $1/,/k8snet-test: begin/p" \
		"$LOG/kernel.log" | tr -d '\r' | grep -E -- "$2" > /dev/null
	result $? "$1 is reported"
}

fails()
{
	[ "$RC" = 1 ] && grep -q '^k8snet: VM run .* failed' "$OBJ/out"
	result $? "$1"
}

echo "TAP version 13"
if [ "$K" = debug ]; then
	# lockdep, which a first report turns off: what needs it first, and
	# its own report only after that.
	vm planted-debug -w -- "$HERE/planted.sh" make "$KO" rcu sleep-in-atomic \
		lock-inversion undefined timer list out-of-bounds \
		use-after-free leak
	reported rcu 'suspicious (RCU|rcu_dereference)'
	reported sleep-in-atomic 'sleeping function called from invalid context'
	reported lock-inversion 'possible circular locking dependency'
	reported undefined 'UBSAN: shift-out-of-bounds'
	reported timer 'ODEBUG: free active'
	reported list 'list_add (double add|corruption)'
	reported out-of-bounds 'KASAN: slab-out-of-bounds'
	reported use-after-free 'KASAN: (slab-)?use-after-free'
	grep -q 'plant_leak' "$LOG/job/kmemleak"
	result $? "leak is reported"
	grep -q '^k8snet: memory leaked' "$OBJ/out"
	result $? "a leak is said"
	fails "the run fails"
	# The first report ends the VM where warnings are not allowed.
	vm planted-debug-uaf -- "$HERE/planted.sh" make "$KO" use-after-free
	reported use-after-free 'Kernel panic.*(KASAN|panic_on_warn)'
	fails "the run fails at once"
	vm planted-debug-leak -- "$HERE/planted.sh" make "$KO" leak
	fails "a leak alone makes the run fail"
	vm planted-debug-ref -- "$HERE/planted.sh" make "$KO" reference
	reported reference 'unregister_netdevice: waiting|ref_tracker:'
	fails "a lost reference makes the run fail"
else
	vm planted-kcsan -- "$HERE/planted.sh" make "$KO" race
	reported race 'KCSAN: data-race in plant_racer'
	fails "the run fails"
fi
echo "1..$N"
[ $FAILED = 0 ]
