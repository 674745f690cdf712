#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Process 1 of the VM once the root is mounted: runs the command of the job,
# cleans up, checks that the module can be unloaded, and says on a channel of
# its own how all of that went. That the kernel log is clean is for the host to
# judge: see vm.py.

JOB=/run/job
export PATH=/run/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8 USER=root SHELL=/bin/bash

port()	# NAME: device of a virtio-serial port
{
	local p

	for p in /sys/class/virtio-ports/*; do
		if [ "$(cat "$p/name" 2>/dev/null)" = "$1" ]; then
			echo "/dev/${p##*/}"
			return
		fi
	done
}

exec {VERDICT}>"$(port verdict)"
OUT=$(port out)
exec </dev/null >"$OUT" 2>&1

verdict()
{
	echo "$*" >&"$VERDICT"
}

off()
{
	verdict end
	exec {VERDICT}>&-
	busybox poweroff -f
}

verdict guest

mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
mount -t bpf bpf /sys/fs/bpf 2>/dev/null
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
mkdir -p /run/netns /run/lock /var/lib/dhcp
# Nothing of the job's directory is cached: each look at a program there would be
# the host's work.
cp -r "$JOB/bin" /run/bin
ip link set lo up
hostname k8snet-vm

# Messages of any importance reach the log from now on, and the first warning
# ends the VM.
echo 7 > /proc/sys/kernel/printk
[ -e "$JOB/warn-ok" ] || echo 1 > /proc/sys/kernel/panic_on_warn
echo 1 > /proc/sys/kernel/panic_on_oops

# The kernel's modules and k8snet.ko in updates/, as "make install" puts it;
# the index was made by the host.
if [ -d "$JOB/modules" ]; then
	rel=$(uname -r)
	mkdir -p "/lib/modules/$rel"
	cp -a "$JOB/modules/." /run/modules
	mount --bind /run/modules "/lib/modules/$rel"
fi

set -a
. "$JOB/env"
set +a
echo $((45 * K8SNET_SLOW)) > /proc/sys/kernel/hung_task_timeout_secs 2>/dev/null
# Races of the kernel's own are reported, too, and are sorted out by vm.py:
# they must not end the VM.
if [ -e /sys/kernel/debug/kcsan ]; then
	echo 0 > /proc/sys/kernel/panic_on_warn
	# More accesses are watched than by default (each 4000th, for 80 us):
	# emulated processors seldom run at the same time.
	echo 1000 > /sys/module/kcsan/parameters/skip_watch
	echo 200 > /sys/module/kcsan/parameters/udelay_task
	echo on > /sys/kernel/debug/kcsan
fi
cd "$(cat "$JOB/cwd")" || cd /

mapfile -d '' -t COMMAND < "$JOB/command"
if [ -e "$JOB/tty" ]; then
	# shellcheck disable=SC2016 # for the inner shell
	setsid -c bash -c 'stty rows "$K8SNET_ROWS" cols "$K8SNET_COLS"
		exec "$@"' tty "${COMMAND[@]}" <>/dev/hvc0 >&0 2>&1 \
		{VERDICT}>&- &
else
	setsid "${COMMAND[@]}" {VERDICT}>&- &
fi
wait $!
verdict status $?
cd /

# What is left behind is removed as a crashed job's rests would be. Process 1
# is spared by kill -1.
kill -9 -1
umount -a -t nsfs 2>/dev/null
ip -all netns del 2>/dev/null
rm -f /run/netns/*

unload()
{
	local start=$EPOCHREALTIME limit=$((SECONDS + 30 * K8SNET_SLOW)) msg=

	while [ -d /sys/module/k8snet ]; do
		msg=$(modprobe -r k8snet 2>&1) && break
		if [ $SECONDS -ge $limit ]; then
			verdict unload failed "${msg//$'\n'/ }"
			return
		fi
		read -rt 0.1 <> <(:)
	done
	verdict unload $(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
}

# What leaked is reported after it is gone, when its addresses have no names any
# more: vm.py puts these in.
grep '\[k8snet' /proc/kallsyms > "$JOB/out/symbols"
unload
if [ -d /sys/module/k8snet_planted ]; then
	rmmod k8snet_planted
fi

# Coverage of a module that counted it; it outlives the module. cat, since files
# of this kind do not know their size.
gcov=/sys/kernel/debug/gcov
if [ -e $gcov/reset ]; then
	find $gcov -name '*.gcda' | while read -r f; do
		mkdir -p "$JOB/out/gcov${f%/*}"
		cat "$f" > "$JOB/out/gcov$f"
	done
fi

# Two scans: an object is reported by the second one that sees no pointer to it.
if [ -e /sys/kernel/debug/kmemleak ]; then
	echo scan > /sys/kernel/debug/kmemleak
	echo scan > /sys/kernel/debug/kmemleak
	cat /sys/kernel/debug/kmemleak > "$JOB/out/kmemleak"
	verdict kmemleak "$(grep -c '^unreferenced object' "$JOB/out/kmemleak")"
fi
dmesg > "$JOB/out/dmesg"
off
