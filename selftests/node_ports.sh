#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout: 200
#
# What the node's settings do to node ports, and which flows end with an
# address. The topology is that of lib/node.sh.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib/node.sh"

# A service on the node with its endpoint in "left", asked from "right".
topo_nodeport()
{
	reset_node
	addr_lan
	addr_wan
	ip -n "$right" route replace default via 198.51.100.1
	ip -n "$right" route replace default via 2001:db8:2::1
	ip -n "$left" route replace default via 192.0.2.1
	ip -n "$left" route replace default via 2001:db8:1::1
	ks "$node" svc add web vip 10.96.0.1:80/tcp vip "[fd00:96::1]:80/tcp" \
		node-port 31000 ep 192.0.2.2:80 ep "[2001:db8:1::2]:80"
	ks "$node" svc add dns vip 10.96.0.2:53/udp vip "[fd00:96::2]:53/udp" \
		node-port 31000/udp ep 192.0.2.2:53 ep "[2001:db8:1::2]:53"
}

# Which of the node's addresses answer on the node port.
answering()
{
	local a list=()

	for a in 192.0.2.1 198.51.100.1 2001:db8:1::1 2001:db8:2::1; do
		! ask "$right" -t 1 tcp $a 31000 > /dev/null || list+=("$a")
	done
	echo "${list[*]}"
}

nodeport_addresses()	# VALUE ANSWERING...
{
	topo_nodeport
	ks "$node" node set nodeport-addresses "$1"
	shift
	expect "$(answering)" "$*" "addresses that answer"
}

nodeport_primary_follows()
{
	topo_nodeport
	expect "$(answering)" "192.0.2.1 2001:db8:1::1" "addresses that answer"
	ks "$node" node set ip 198.51.100.1 ip 2001:db8:2::1
	expect "$(answering)" "198.51.100.1 2001:db8:2::1" \
		"addresses that answer"
}

# "all" leaves out loopback, which is no address that others could reach.
nodeport_loopback()
{
	topo_nodeport
	ks "$node" node set nodeport-addresses all
	ask "$node" -t 1 tcp 192.0.2.1 31000 || fail "node to itself"
	expect "$(ask "$node" -t 1 tcp 127.0.0.1 31000 || :)" \
		"error ECONNREFUSED" "127.0.0.1"
	expect "$(ask "$node" -t 1 tcp ::1 31000 || :)" \
		"error ECONNREFUSED" "::1"
}

# Flows that a service has given the node's address end with the address,
# although they leave through another device.
flows_end()	# set|found OLD NEW ENDPOINT
{
	local how=$1 old=$2 new=$3 ep=$4 answer

	no_flows()
	{
		! in_ns "$node" conntrack -L -f "$5" 2>/dev/null |
			grep "src=$1 dst=$2 sport=53 "
	}

	topo_nodeport
	if [ "$how" = set ]; then
		ks "$node" node set ip 198.51.100.1 ip 2001:db8:2::1
	else
		# Found on wan0, while the endpoint is behind lan0.
		ip -n "$node" route add default via 198.51.100.2
		ip -n "$node" route add default via 2001:db8:2::2
	fi
	answer=$(ask "$right" -p 40000 udp "$old" 31000) || fail "$answer"
	expect_match "$answer" "^dns $old " answer
	! no_flows "$ep" "$old" 0 0 "$([[ $old == *:* ]] && echo ipv6 ||
		echo ipv4)" > /dev/null || fail "no such flow"
	if [[ $old == *:* ]]; then
		addr_add "$node" wan0 "$new/64"
		ip -n "$node" addr del "$old/64" dev wan0
		slowwait 10 no_flows "$ep" "$old" 0 0 ipv6 > /dev/null || fail "it lives on"
	else
		addr_add "$node" wan0 "$new/25"
		ip -n "$node" addr del "$old/24" dev wan0
		slowwait 10 no_flows "$ep" "$old" 0 0 ipv4 > /dev/null || fail "it lives on"
	fi
}

# An address that is only not the first any more keeps its flows.
flows_stay()
{
	local answer

	topo_nodeport
	ks "$node" node set ip 198.51.100.1
	answer=$(ask "$right" -p 40000 udp 198.51.100.1 31000) || fail "$answer"
	ks "$node" node set ip 192.0.2.1
	# What ends flows is done in the order it was asked for: once the
	# flow of a later change is gone, the first change has been seen to.
	ask "$right" -p 40001 udp 192.0.2.1 31000 || fail "no answer"
	ip -n "$node" addr del 192.0.2.1/24 dev lan0
	addr_add "$node" lan0 192.0.2.3/24
	gone()
	{
		! in_ns "$node" conntrack -L 2>/dev/null | grep "sport=40001"
	}
	slowwait 10 gone > /dev/null || fail "the flow of an address that is gone"
	in_ns "$node" conntrack -L 2>/dev/null | grep "sport=40000" ||
		fail "the flow of an address that is there is gone"
}

serve "$left" web tcp:80 || tap_bail "no server"
serve "$left" dns udp:53 || tap_bail "no server"
run_test "node ports on the primary address" \
	nodeport_addresses primary 192.0.2.1 2001:db8:1::1
run_test "node ports on all addresses" nodeport_addresses all \
	192.0.2.1 198.51.100.1 2001:db8:1::1 2001:db8:2::1
run_test "node ports on prefixes" nodeport_addresses \
	198.51.100.0/24,2001:db8:2::/64,203.0.113.0/24 \
	198.51.100.1 2001:db8:2::1
run_test "node ports on prefixes of one family" \
	nodeport_addresses 198.51.0.0/16 198.51.100.1
run_test "node ports follow the primary address" nodeport_primary_follows
run_test "node ports are not on loopback" nodeport_loopback
run_test "flows end with the address that was found, v4" \
	flows_end found 198.51.100.1 198.51.100.5 192.0.2.2
run_test "flows end with the address that was found, v6" \
	flows_end found 2001:db8:2::1 2001:db8:2::5 2001:db8:1::2
run_test "flows end with the address that was set, v4" \
	flows_end set 198.51.100.1 198.51.100.5 192.0.2.2
run_test "flows end with the address that was set, v6" \
	flows_end set 2001:db8:2::1 2001:db8:2::5 2001:db8:1::2
run_test "flows stay with an address that stays" flows_stay
tap_end
