#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# noipv6.sh: the module on a node that was booted with ipv6.disable=1, where the
# kernel has no IPv6 tables to look into. TAP; boots a VM of its own.
#
# noipv6.sh guest: in the VM.

HERE=$(dirname "$(realpath "$0")")
K=${K8SNET_KERNEL:-6.1}
N=0
FAILED=0

result()	# STATUS DESCRIPTION
{
	N=$((N + 1))
	[ "$1" != 0 ] || { echo "ok $N $2"; return; }
	FAILED=$((FAILED + 1))
	echo "not ok $N $2"
	sed 's/^/# /' "$LOG"
}

if [ "$1" != guest ]; then
	exec "$HERE/vm/run.sh" -k "$K" -n "noipv6-$K" -a ipv6.disable=1 \
		${K8SNET_MODULE:+-m "$K8SNET_MODULE"} -- "$HERE/noipv6.sh" guest
fi

LOG=/tmp/noipv6.log
set -o pipefail

pod()
{
	k8snetctl bridge add cnio0 addr 10.200.0.1/24 &&
	ip netns add pod &&
	ip link add vp type veth peer name eth0 netns pod &&
	ip link set vp up &&
	ip -n pod link set eth0 up &&
	ip -n pod addr add 10.200.0.2/24 dev eth0 &&
	ip -n pod route add default via 10.200.0.1 &&
	k8snetctl pod add 10.200.0.2 port vp bridge cnio0
}

# Refused with a sentence that says why.
refused()	# WORD...
{
	local text

	text=$(k8snetctl "$@" 2>&1)
	[ $? = 1 ] || { echo "$text"; return 1; }
	grep -q 'IPv6 is disabled' <<< "$text" || { echo "$text"; return 1; }
}

counter()	# NAME
{
	k8snetctl -j stats | python3 -c 'import json, sys
for item in json.load(sys.stdin):
    if item["name"] == sys.argv[1]:
        print(item["value"])' "$1"
}

# A pod may write such frames where it has a raw socket. None may reach code that
# looks into IPv6's tables.
frames()
{
	local before after mac

	before=$(counter port_rx_protocol) || return
	mac=$(cat /sys/class/net/cnio0/address)
	ip netns exec pod python3 "$HERE/lib/frame.py" eth0 \
		'10.200.0.2>10.200.0.1' \
		"ns:src=fe80::2,target=fe80::1" \
		"ns:src=fd00::2,target=fd00::1" \
		"udp:src=fd00::2,dst=fd00::3,dport=53,ed=$mac,n=3" || return
	after=$(counter port_rx_protocol) || return
	[ $((after - before)) = 5 ] || { echo "$before, $after"; return 1; }
}

uname -r > $LOG
[ ! -e /proc/sys/net/ipv6 ]
result $? "the kernel has no IPv6"
pod > $LOG 2>&1
result $? "a bridge and a pod"
ip netns exec pod ping -n -c1 -W10 10.200.0.1 > $LOG 2>&1
result $? "IPv4 works"
refused pod add fd00::2 port vp bridge cnio0 > $LOG 2>&1
result $? "an IPv6 pod is refused"
refused route add fd00:1::/64 via fd00::1 > $LOG 2>&1
result $? "an IPv6 pod route is refused"
k8snetctl svc add six vip '[fd00::5]:80/tcp' vip 10.32.0.5:80/tcp \
	ep '[fd00::9]:80' ep 10.200.0.2:80 > $LOG 2>&1
result $? "a service of both families"
k8snetctl lookup tcp fd00::1 '[fd00::5]:80' > $LOG 2>&1
result $? "lookup by IPv6"
frames > $LOG 2>&1
result $? "a pod's IPv6 frames are dropped and counted"
k8snetctl flush > $LOG 2>&1
result $? "flush"
echo "1..$N"
[ $FAILED = 0 ]
