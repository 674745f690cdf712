#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Packets too big for the way: between nodes whose network takes less than the
# bridge does, and to a pod whose port does. Senders are told; what may be cut
# is cut; transfers go on. The topology is that of lib.sh with two nodes and a
# node network of 1300 bytes.

. "$(dirname "$0")/lib.sh"

stat_of()	# NODE COUNTER
{
	ks "$1" stats | awk -v n="$2" '$1 == n { print $2 }'
}

grows()		# NODE COUNTER COMMAND...: COMMAND makes the counter grow
{
	local node=$1 counter=$2 before after

	shift 2
	before=$(stat_of "$node" "$counter")
	"$@"
	after=$(stat_of "$node" "$counter")
	[ "$after" -gt "$before" ] || fail "$counter: $before, then $after"
}

topo_cluster 2 2 || tap_bail "no cluster"
for n in "$w0" "$w1"; do
	ip -n "$n" link set eth0 mtu 1300
done
serve "$p10" p10 tcp:80 udp:80 || tap_bail "no server"
serve "$p01" p01 tcp:80 udp:80 || tap_bail "no server"

forget()	# NAMESPACE: what it has learnt
{
	in_ns "$1" ip route flush cache
	in_ns "$1" ip -6 route flush cache
}

told_mtu()	# NAMESPACE ADDRESS MTU: one ping with DF, then the MTU is known
{
	forget "$1"
	expect_status 1 in_ns "$1" ping -M "do" -s 1400 -c 3 -i 0.1 -W 1 "$2"
	expect_match "$OUTPUT" "mtu ?= ?$3"
	expect_match "$(ip -n "$1" route get "$2")" "mtu $3"
	in_ns "$1" ping -M "do" -s $(($3 - 48)) -c 1 -W 3 "$2"
}

run_test "a pod is told the MTU of the node network, IPv4" \
	told_mtu "$p00" 10.200.1.2 1300
run_test "a pod is told the MTU of the node network, IPv6" \
	told_mtu "$p00" fd00:10:200:1::2 1300
run_test "a node is told, IPv4" told_mtu "$w0" 10.200.1.2 1300
run_test "a node is told, IPv6" told_mtu "$w0" fd00:10:200:1::2 1300

bulk()		# NAMESPACE ADDRESS
{
	forget "$1"
	expect_match "$(ask "$1" -t 60 -g 1000000 tcp "$2" 80)" "get ok$"
	expect_match "$(ask "$1" -t 60 -u 1000000 tcp "$2" 80)" "put ok$"
}
run_test "1 MB each way between pods of two nodes, IPv4" bulk "$p00" 10.200.1.2
run_test "1 MB each way between pods of two nodes, IPv6" \
	bulk "$p00" fd00:10:200:1::2
run_test "1 MB each way from a node, IPv4" bulk "$w0" 10.200.1.2
run_test "1 MB each way from a node, IPv6" bulk "$w0" fd00:10:200:1::2

counted()
{
	local n

	# A server that has learnt tells its clients, by its MSS.
	for n in "$w0" "$w1" "$p00" "$p10"; do
		forget "$n"
	done
	grows "$w0" too_big ask "$p00" -t 60 -u 100000 tcp 10.200.1.2 80
}
run_test "what is too big is counted" counted

# Without DF the node cuts, and the other end puts together.
cut()		# ADDRESS
{
	forget "$p00"
	in_ns "$p00" ping -M dont -s 1400 -c 2 -i 0.1 -W 3 "$1"
	in_ns "$p00" ping -M dont -s 8000 -c 2 -i 0.1 -W 3 "$1"
}
run_test "what may be cut is cut, IPv4" cut 10.200.1.2

udp_v6()
{
	forget "$p00"
	ask "$p00" -t 1 -d 2600 udp fd00:10:200:1::2 80 || :
	expect_match "$(ask "$p00" -d 2600 -s 10 udp fd00:10:200:1::2 80)" "^p10 "
}
run_test "IPv6 datagrams are cut anew by their sender" udp_v6

# A pod whose link takes less than the bridge was told to.
small_port()	# ADDRESS
{
	expect_match "$(ip -n "$w0" link show cnio0)" " mtu 1500 "
	forget "$p00"
	expect_status 1 in_ns "$p00" ping -M "do" -s 1400 -c 3 -i 0.1 -W 1 "$1"
	expect_match "$OUTPUT" "mtu ?= ?1280"
	bulk "$p00" "$1"
	bulk "$w0" "$1"
}
# Setting what is there would not be a change.
ip -n "$w0" link set cnio0 mtu 1400
ip -n "$w0" link set cnio0 mtu 1500
ip -n "$p01" link set eth0 mtu 1280
ip -n "$w0" link set "$(pod_port "$p01")" mtu 1280
run_test "the least MTU of a port, where the bridge's is set, IPv4" \
	small_port 10.200.0.3
run_test "the least MTU of a port, where the bridge's is set, IPv6" \
	small_port fd00:10:200::3

# The bridge's MTU is followed by the routes that lead there.
jumbo()
{
	ip -n "$w0" link set cnio0 mtu 9000
	ip -n "$w0" link set "$(pod_port "$p00")" mtu 9000
	ip -n "$p00" link set eth0 mtu 9000
	told_mtu "$p00" 10.200.1.2 1300
	bulk "$p00" 10.200.1.2
	bulk "$p00" fd00:10:200:1::2
}
run_test "a bridge with jumbo frames before a small network" jumbo

tap_end
