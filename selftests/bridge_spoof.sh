#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A pod that speaks with an address or MAC not its own is dropped and counted,
# unless its port allows it.
#
#   node  cnio0 10.200.0.1/24 fd00:10:200::1/64
#           | v1               | v2
#          pod1               pod2
#     10.200.0.2           10.200.0.3        with 02:00:00:00:00:0<n>
#     fd00:10:200::2       fd00:10:200::3

. "$(dirname "$0")/lib.sh"

M2=02:00:00:00:00:03
EVIL=02:00:00:00:00:66

stat_of()	# COUNTER
{
	ks "$node" stats | awk -v n="$1" '$1 == n { print $2 }'
}

spoofed_by()	# PORT
{
	ks "$node" port list | sed -n "s/^$1 .*spoofed \([0-9]*\).*/\1/p"
}

frames()
{
	in_ns "$pod1" python3 "$LIB_DIR/lib/frame.py" eth0 \
		"10.200.0.2>10.200.0.1" "$@"
}

# What the node's stack gets from the bridge, in packets.
arrived()
{
	in_sys "$node" cnio0/statistics/rx_packets
}

# Each of the frames is dropped, counted as spoofed, and answered by nobody.
dropped()	# FRAME...
{
	local node0 port0 rx0

	node0=$(stat_of spoofed) port0=$(spoofed_by v1) rx0=$(arrived)
	expect "$(frames "$@")" "" answer
	expect $(($(stat_of spoofed) - node0)) $# "node's counter"
	expect $(($(spoofed_by v1) - port0)) $# "port's counter"
	expect "$(spoofed_by v2)" 0 "another port's counter"
	expect $(($(arrived) - rx0)) 0 "packets that arrived"
}

# Each of the frames reaches the node's stack.
passed()	# FRAME...
{
	local node0 rx0

	node0=$(stat_of spoofed) rx0=$(arrived)
	frames "$@" > /dev/null
	expect $(($(stat_of spoofed) - node0)) 0 "node's counter"
	expect $(($(arrived) - rx0)) $# "packets that arrived"
}

invalid()	# COUNTER FRAME...
{
	local counter=$1 before rx0

	shift
	before=$(stat_of "$counter") rx0=$(arrived)
	frames "$@" > /dev/null
	expect $(($(stat_of "$counter") - before)) $# "$counter"
	expect $(($(arrived) - rx0)) 0 "packets that arrived"
}

setup_ns node pod1 pod2
bridge_add "$node" cnio0 10.200.0.0/24 fd00:10:200::/64 ||
	tap_bail "no pod bridge"
for i in 1 2; do
	pod=pod$i
	# No chatter of the pods' own while frames are counted.
	in_ns "${!pod}" sysctl -qw net.ipv6.conf.default.disable_ipv6=1
	ip -n "$node" link add v$i type veth peer name eth0 \
		address 02:00:00:00:00:0$((i + 1)) netns "${!pod}"
	in_ns "$node" sysctl -qw net.ipv6.conf.v$i.disable_ipv6=1
	ip -n "$node" link set v$i up
	ip -n "${!pod}" link set eth0 up
	addr_add "${!pod}" eth0 10.200.0.$((i + 1))/24
	ks "$node" pod add 10.200.0.$((i + 1)),fd00:10:200::$((i + 1)) \
		port v$i bridge cnio0 || tap_bail "no pod"
done
# The node must not answer by asking back.
in_ns "$pod1" ping -c 1 -W 3 10.200.0.1 > /dev/null

IP4="src=10.200.0.2,dst=10.200.0.255"
IP6="src=fd00:10:200::2,dst=ff02::fb"

run_test "its own IPv4 and IPv6 address pass" passed "udp:$IP4" "udp:$IP6"
run_test "IPv4: address of another pod" dropped \
	udp:src=10.200.0.3,dst=10.200.0.1
run_test "IPv4: another pod's address and MAC" dropped \
	udp:src=10.200.0.3,dst=10.200.0.1,es=$M2
run_test "IPv4: own address, another MAC" dropped "udp:$IP4,es=$EVIL"
run_test "IPv4: the gateway's, a foreign, a loopback address" dropped \
	udp:src=10.200.0.1,dst=10.200.0.255 udp:src=192.0.2.1,dst=10.200.0.255 \
	udp:src=127.0.0.1,dst=10.200.0.255
run_test "IPv4: none, but for DHCP" dropped \
	udp:src=0.0.0.0,dst=10.200.0.255,dport=67 \
	udp:src=0.0.0.0,dst=255.255.255.255,dport=68 \
	udp:src=0.0.0.0,dst=255.255.255.255,dport=67,es=$EVIL
run_test "IPv4: DHCP passes" passed udp:src=0.0.0.0,dst=255.255.255.255,dport=67
run_test "IPv6: address of another pod" dropped \
	udp:src=fd00:10:200::3,dst=ff02::fb
run_test "IPv6: own address, another MAC" dropped "udp:$IP6,es=$EVIL"
run_test "IPv6: the gateway's, a foreign, the loopback address" dropped \
	udp:src=fd00:10:200::1,dst=ff02::fb udp:src=2001:db8::1,dst=ff02::fb \
	udp:src=::1,dst=ff02::fb
run_test "IPv6: none, but for listener reports" dropped \
	udp:src=::,dst=ff02::fb mld:src=::,es=$EVIL
run_test "IPv6: listener reports pass" passed mld:src=:: mld:src=fe80::2
run_test "IPv6: a link-local address with its own MAC passes" passed \
	udp:src=fe80::2,dst=ff02::fb
run_test "IPv6: a link-local address with another MAC" dropped \
	udp:src=fe80::2,dst=ff02::fb,es=$EVIL
run_test "ARP: sender address of another pod, or of the gateway" dropped \
	arp:sip=10.200.0.3,tip=10.200.0.1 arp:sip=10.200.0.1,tip=10.200.0.1
run_test "ARP: sender MAC not that of the frame, or of no pod" dropped \
	arp:sip=10.200.0.2,tip=10.200.0.1,sha=$EVIL \
	arp:sip=10.200.0.2,tip=10.200.0.1,es=$EVIL \
	arp:sip=0.0.0.0,tip=10.200.0.3,sha=$EVIL,es=$EVIL
run_test "ND: solicitation of another pod's address or MAC" dropped \
	ns:src=fd00:10:200::3,target=fd00:10:200::1 \
	ns:src=fd00:10:200::2,target=fd00:10:200::1,sll=$EVIL \
	ns:src=fd00:10:200::2,target=fd00:10:200::1,es=$EVIL \
	ns:src=::,sll=none,target=fd00:10:200::3,es=$EVIL
run_test "ND: advertisement of another's or the gateway's address" dropped \
	na:src=fd00:10:200::2,dst=ff02::1,target=fd00:10:200::3 \
	na:src=fd00:10:200::3,dst=ff02::1,target=fd00:10:200::3 \
	na:src=fd00:10:200::2,dst=ff02::1,target=fd00:10:200::1 \
	na:src=fe80::2,dst=ff02::1,target=fe80::2,tll=$EVIL

bridge_ll()
{
	local ll

	ll=$(ip -n "$node" -6 -o addr show dev cnio0 scope link |
		awk '{ sub("/.*", "", $4); print $4; exit }')
	dropped "na:src=fe80::2,dst=ff02::1,target=$ll"
}
run_test "ND: advertisement of the bridge's link-local address" bridge_ll
run_test "ND: router advertisements and redirects of a pod" dropped \
	nd:src=fe80::2,dst=ff02::1,type=134 nd:src=fe80::2,dst=ff02::1,type=137
run_test "ND: router solicitations pass" passed \
	nd:src=fe80::2,dst=ff02::2,type=133 nd:src=::,dst=ff02::2,type=133

run_test "other protocols and VLAN tags are dropped and counted" invalid \
	port_rx_protocol raw:type=0x88cc,hex=0000 raw:type=0x8100,hex=0005080045000014000000004011000001020304 \
	raw:type=0x8863,hex=1109000000000000
run_test "frames cut short or with a group source are counted" invalid \
	port_rx_invalid raw:type=0x0800,hex=450000 raw:type=0x86dd,hex=6000 \
	raw:type=0x0800,hex=25000014000000004011000001020304050607080000 \
	raw:type=0x0800,hex=42000014000000004011000001020304050607080000 \
	"udp:$IP4,es=01:00:00:00:00:01" "udp:$IP4,es=00:00:00:00:00:00"

allowed()
{
	ks "$node" port set v1 antispoof off
	expect_match "$(ks "$node" port list)" "v1 bridge cnio0 antispoof off"
	passed udp:src=192.0.2.1,dst=10.200.0.255 "udp:$IP4,es=$EVIL" \
		udp:src=2001:db8::1,dst=ff02::fb
	ks "$node" port set v1 antispoof on
	dropped udp:src=192.0.2.1,dst=10.200.0.255 \
		udp:src=2001:db8::1,dst=ff02::fb
}
run_test "a port may allow all of it" allowed

no_pod()
{
	ks "$node" pod del 10.200.0.2
	expect_status 1 in_ns "$pod1" ping -c 1 -W 1 10.200.0.1
	ks "$node" pod add 10.200.0.2,fd00:10:200::2 port v1 bridge cnio0
	in_ns "$pod1" ping -c 1 -W 3 10.200.0.1
}
run_test "a port without a pod is silent" no_pod

tap_end
