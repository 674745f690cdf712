#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ARP and neighbour discovery: what the bridge answers to pods and to the node,
# and what it leaves alone. pod1 asks by hand; each question is followed by one
# whose answer is certain, so that silence is seen and not waited for.
#
#   node  cnio0 10.200.0.1/24 fd00:10:200::1/64, 0a:58:0a:c8:00:01
#           |                  |
#          pod1               pod2
#     10.200.0.2           10.200.0.3        both with 02:00:00:00:00:0<n>
#     fd00:10:200::2       fd00:10:200::3
#
# 10.200.1.0/24 and fd00:10:200:1::/64 are behind another node.

. "$(dirname "$0")/lib.sh"

GW=0a:58:0a:c8:00:01
M1=02:00:00:00:00:02
M2=02:00:00:00:00:03
NS="src=fd00:10:200::2"

stat_of()	# COUNTER
{
	ks "$node" stats | awk -v n="$1" '$1 == n { print $2 }'
}

# Sends frames from pod1, prints the answers to them.
frames()
{
	in_ns "$pod1" python3 "$LIB_DIR/lib/frame.py" eth0 \
		"10.200.0.2>10.200.0.1" "$@"
}

# The frames get exactly that answer.
answered()	# ANSWER FRAME...
{
	local want=$1

	shift
	expect "$(frames "$@")" "$want" answer
}

# The frames get none, and COUNTER (of "stats") grows by as many, if one is
# named.
unanswered()	# COUNTER|- FRAME...
{
	local counter=$1 before=0 after=0

	shift
	[ "$counter" = - ] || before=$(stat_of "$counter")
	expect "$(frames "$@")" "" answer
	[ "$counter" = - ] || after=$(stat_of "$counter")
	[ "$counter" = - ] || expect $((after - before)) $# "$counter"
}

setup_ns node pod1 pod2
bridge_add "$node" cnio0 10.200.0.0/24 fd00:10:200::/64 ||
	tap_bail "no pod bridge"
ip -n "$node" link add up0 type veth peer name up1
addr_add "$node" up0 10.240.0.20/24 fd00:10:240::20/64
ip -n "$node" link set up0 up
ip -n "$node" link set up1 up
ks "$node" route add 10.200.1.0/24 via 10.240.0.21 &&
	ks "$node" route add fd00:10:200:1::/64 via fd00:10:240::21 ||
	tap_bail "no pod routes"

# Pods by hand, for their MACs.
for i in 1 2; do
	pod=pod$i
	ip -n "$node" link add v$i type veth peer name eth0 \
		address 02:00:00:00:00:0$((i + 1)) netns "${!pod}"
	ip -n "$node" link set v$i up
	ip -n "${!pod}" link set eth0 up
	addr_add "${!pod}" eth0 10.200.0.$((i + 1))/24 \
		fd00:10:200::$((i + 1))/64
	ks "$node" pod add 10.200.0.$((i + 1)),fd00:10:200::$((i + 1)) \
		port v$i bridge cnio0 || tap_bail "no pod"
done

run_test "ARP: the gateway is the bridge" answered \
	"arp 2 10.240.0.20 $GW to $M1" arp:sip=10.200.0.2,tip=10.240.0.20
run_test "ARP: another pod is the bridge" answered \
	"arp 2 10.200.0.3 $GW to $M1" arp:sip=10.200.0.2,tip=10.200.0.3
run_test "ARP: a pod of another node is the bridge" answered \
	"arp 2 10.200.1.99 $GW to $M1" arp:sip=10.200.0.2,tip=10.200.1.99
run_test "ARP: an unknown address is not answered" unanswered neigh_unanswered \
	arp:sip=10.200.0.2,tip=10.200.0.9 arp:sip=10.200.0.2,tip=192.0.2.1
run_test "ARP: loopback is not answered" unanswered neigh_unanswered \
	arp:sip=10.200.0.2,tip=127.0.0.1
run_test "ARP: a probe for the own address is not answered" unanswered - \
	arp:sip=0.0.0.0,tip=10.200.0.2
run_test "ARP: a probe for another's address is answered" answered \
	"arp 2 10.200.0.3 $GW to $M1" arp:sip=0.0.0.0,tip=10.200.0.3
run_test "ARP: announcements and replies are taken silently" unanswered - \
	arp:sip=10.200.0.2,tip=10.200.0.2 arp:sip=10.200.0.2,tip=10.200.0.3,op=2
run_test "ARP: what cannot be parsed is counted" unanswered port_rx_invalid \
	raw:type=0x806,hex=0001 \
	raw:type=0x806,hex=00010800060400010200000000020ac80002 \
	raw:type=0x806,hex=000608000604000102000000000200c80002000000000000000000000000

dad_v4()
{
	in_ns "$pod1" arping -D -q -c 1 -w 1 -I eth0 10.200.0.9
	expect_status 1 in_ns "$pod1" arping -D -q -c 1 -w 3 -I eth0 10.200.0.3
}
run_test "ARP: arping -D finds an address that is taken" dad_v4

run_test "ND: the gateway is the bridge" answered \
	"na fd00:10:200::1 fd00:10:200::1 $GW rso to fd00:10:200::2" \
	"ns:$NS,target=fd00:10:200::1"
run_test "ND: an address of the node is the bridge" answered \
	"na fd00:10:240::20 fd00:10:240::20 $GW rso to fd00:10:200::2" \
	"ns:$NS,target=fd00:10:240::20"
run_test "ND: another pod is the bridge" answered \
	"na fd00:10:200::3 fd00:10:200::3 $GW rso to fd00:10:200::2" \
	"ns:$NS,target=fd00:10:200::3"
run_test "ND: a pod of another node is the bridge" answered \
	"na fd00:10:200:1::99 fd00:10:200:1::99 $GW rso to fd00:10:200::2" \
	"ns:$NS,target=fd00:10:200:1::99"
run_test "ND: a unicast solicitation without option" answered \
	"na fd00:10:200::3 fd00:10:200::3 $GW rso to fd00:10:200::2" \
	"ns:$NS,target=fd00:10:200::3,dst=fd00:10:200::3,sll=none"
run_test "ND: asked from a link-local address" answered \
	"na fd00:10:200::3 fd00:10:200::3 $GW rso to fe80::7" \
	"ns:src=fe80::7,target=fd00:10:200::3"
run_test "ND: an unknown address is not answered" unanswered neigh_unanswered \
	"ns:$NS,target=fd00:10:200::9" "ns:$NS,target=2001:db8::1"
run_test "ND: another pod's link-local address is not answered" unanswered \
	neigh_unanswered "ns:$NS,target=fe80::9"
run_test "ND: duplicate detection of the own address" unanswered - \
	ns:src=::,sll=none,target=fd00:10:200::2
run_test "ND: duplicate detection of another's address" answered \
	"na fd00:10:200::3 fd00:10:200::3 $GW ro to ff02::1" \
	ns:src=::,sll=none,target=fd00:10:200::3
run_test "ND: bad solicitations are dropped and counted" unanswered \
	port_rx_invalid \
	"ns:$NS,target=fd00:10:200::3,hl=64" \
	"ns:$NS,target=fd00:10:200::3,code=1" \
	"ns:$NS,target=fd00:10:200::3,sum=bad" \
	"ns:$NS,target=fd00:10:200::3,opt=zero" \
	"ns:$NS,target=fd00:10:200::3,ext=1" \
	"ns:$NS,target=ff02::1" \
	"ns:src=::,target=fd00:10:200::3" \
	"ns:src=::,sll=none,target=fd00:10:200::3,dst=fd00:10:200::3"

ll_of()		# NAMESPACE DEVICE
{
	ip -n "$1" -6 -o addr show dev "$2" scope link |
		awk '{ sub("/.*", "", $4); print $4; exit }'
}

bridge_link_local()
{
	local ll

	ll=$(ll_of "$node" cnio0)
	in_ns "$pod1" ip -6 neigh flush all
	in_ns "$pod1" ping -c 1 -W 3 "$ll%eth0"
	in_ns "$pod1" ip -6 neigh get "$ll" dev eth0 | grep -q "$GW"
}
run_test "ND: the bridge's link-local address is the stack's" bridge_link_local

real_dad()
{
	in_ns "$pod1" sysctl -qw net.ipv6.conf.eth0.accept_dad=1
	ip -n "$pod1" addr add fd00:10:200::3/64 dev eth0
	busywait 10 dad_failed
	ip -n "$pod1" addr del fd00:10:200::3/64 dev eth0
}
dad_failed()
{
	ip -n "$pod1" -6 addr show dev eth0 | grep -q 'fd00:10:200::3/64.*dadfailed'
}
run_test "ND: a real duplicate detection finds another's address" real_dad

# --- the node's own neighbour table

neigh_of()	# ADDRESS: MAC that the node has for it, after it was used
{
	in_ns "$node" ping -c 1 -W 3 "$1" > /dev/null || :
	ip -n "$node" neigh get "$1" dev cnio0 2> /dev/null |
		awk '{ for (i = 1; i < NF; i++) if ($i == "lladdr") print $(i + 1) }'
}

node_table()
{
	expect "$(neigh_of 10.200.0.2)" $M1
	expect "$(neigh_of 10.200.0.3)" $M2
	expect "$(neigh_of fd00:10:200::2)" $M1
	expect "$(neigh_of fd00:10:200::3)" $M2
	expect "$(neigh_of 10.200.1.5)" $GW "behind a pod route"
	expect "$(neigh_of fd00:10:200:1::5)" $GW "behind a pod route"
	expect "$(neigh_of 10.200.0.9)" "" "unknown"
}
run_test "the node gets the pods' MACs, and its own for pod routes" node_table

pod_removed()
{
	expect "$(neigh_of 10.200.0.3)" $M2
	ks "$node" pod del 10.200.0.3
	ip -n "$node" neigh show dev cnio0 | grep -E '10.200.0.3 |200::3 ' |
		grep -v FAILED && fail "still there"
	expect_status 1 in_ns "$node" ping -c 1 -W 1 10.200.0.3
	expect_status 1 in_ns "$node" ping -c 1 -W 1 fd00:10:200::3
	answered "" arp:sip=10.200.0.2,tip=10.200.0.3
}
run_test "a removed pod is forgotten at once" pod_removed

pod_moved()
{
	ip -n "$pod2" link set eth0 address 02:00:00:00:00:33
	ks "$node" pod add 10.200.0.3,fd00:10:200::3 port v2 bridge cnio0
	in_ns "$node" ping -c 1 -W 3 10.200.0.3
	in_ns "$node" ping -c 1 -W 3 fd00:10:200::3
	expect "$(neigh_of 10.200.0.3)" 02:00:00:00:00:33
	in_ns "$pod1" ping -c 1 -W 3 10.200.0.3
}
run_test "a pod with another MAC is reached at once" pod_moved

# The bridge goes by its table, whatever the stack's neighbour entry says.
stale_mac()
{
	ip -n "$node" neigh replace 10.200.0.3 lladdr 02:00:00:00:00:99 \
		dev cnio0 nud permanent
	in_ns "$node" ping -c 1 -W 3 10.200.0.3
	ip -n "$node" neigh del 10.200.0.3 dev cnio0
}
run_test "a wrong neighbour entry of the node does no harm" stale_mac

tap_end
