#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Pod routes: pods of three nodes reach each other, without NAT, and the nodes
# reach them; the FIB says so; changes of links, addresses and neighbours are
# followed. The topology is that of lib.sh, with strict reverse path filtering
# on every node.

. "$(dirname "$0")/lib.sh"

stat_of()	# NODE COUNTER
{
	ks "$1" stats | awk -v n="$2" '$1 == n { print $2 }'
}

pings()		# NAMESPACE ADDRESS [OPTION...]
{
	local ns=$1 addr=$2

	shift 2
	in_ns "$ns" ping -c 2 -i 0.05 -W 3 "$@" "$addr"
}

fib_of()	# NODE PREFIX: its route in the main table
{
	case $2 in
	*:*) ip -n "$1" -6 route show table main exact "$2" ;;
	*) ip -n "$1" route show table main exact "$2" ;;
	esac
}

has_fib()	# NODE PREFIX
{
	fib_of "$@" | grep -q 'dev cnio0 proto static'
}

topo_cluster 3 2 || tap_bail "no cluster"
for n in "$w0" "$w1" "$w2"; do
	in_ns "$n" sysctl -qw net.ipv4.conf.all.rp_filter=1 \
		net.ipv4.conf.eth0.rp_filter=1 net.ipv4.conf.cnio0.rp_filter=1
done
for p in "$p00" "$p10" "$p21"; do
	serve "$p" "${p%%-*}" tcp:80 udp:80 || tap_bail "no server"
done
serve "$w1" w1 tcp:81 || tap_bail "no server"

reach()		# NAMESPACE ADDRESS SEEN-AS NAME [PORT]
{
	pings "$1" "$2"
	expect_match "$(ask "$1" tcp "$2" "${5:-80}")" \
		"^$4 $3 [0-9]+ from $2 ${5:-80}$"
}

run_test "pod to pod of another node, IPv4" \
	reach "$p00" 10.200.1.2 10.200.0.2 p10
run_test "pod to pod of another node, IPv6" \
	reach "$p00" fd00:10:200:1::2 fd00:10:200::2 p10
run_test "and to the third, IPv4" reach "$p11" 10.200.2.3 10.200.1.3 p21
run_test "and to the third, IPv6" \
	reach "$p11" fd00:10:200:2::3 fd00:10:200:1::3 p21
run_test "node to pod of another node, IPv4" \
	reach "$w0" 10.200.1.2 10.200.0.1 p10
run_test "node to pod of another node, IPv6" \
	reach "$w0" fd00:10:200:1::2 fd00:10:200::1 p10
run_test "pod to another node, IPv4" \
	reach "$p00" 10.240.0.21 10.200.0.2 w1 81
run_test "pod to another node, IPv6" \
	reach "$p00" fd00:10:240::21 fd00:10:200::2 w1 81
run_test "pod to the gateway address of another node" \
	reach "$p00" 10.200.1.1 10.200.0.2 w1 81

# The node's own packet is the first that needs the neighbour: it must not be
# asked for by an address that the other node does not expect on its uplink.
first_contact()	# ADDRESS
{
	ip -n "$w0" neigh flush dev eth0
	ip -n "$w1" neigh flush dev eth0
	in_ns "$w0" ping -c 1 -W 3 "$1"
	ip -n "$w1" neigh show dev eth0 | grep -E '^10\.200|^fd00:10:200' &&
		fail "asked by the bridge's address"
	return 0
}
run_test "a node's first packet to a pod of another node, IPv4" \
	first_contact 10.200.1.2
run_test "a node's first packet to a pod of another node, IPv6" \
	first_contact fd00:10:200:1::2

route_get()
{
	expect_match "$(ip -n "$w0" route get 10.200.1.2)" \
		"^10.200.1.2 dev cnio0 src 10.200.0.1 "
	expect_match "$(ip -n "$w0" -6 route get fd00:10:200:1::2)" \
		"^fd00:10:200:1::2 .*dev cnio0 .*src fd00:10:200::1 "
}
run_test "ip route get says the bridge" route_get

listed()
{
	expect "$(ks "$w0" route list | sort)" \
"10.200.1.0/24 via 10.240.0.21 dev cnio0
10.200.2.0/24 via 10.240.0.22 dev cnio0
fd00:10:200:1::/64 via fd00:10:240::21 dev cnio0
fd00:10:200:2::/64 via fd00:10:240::22 dev cnio0"
	has_fib "$w0" 10.200.1.0/24
	has_fib "$w0" fd00:10:200:1::/64
}
run_test "routes are listed and are in the FIB" listed

untranslated()
{
	in_ns "$w0" conntrack -F 2> /dev/null
	ask "$p00" tcp 10.200.1.2 80
	in_ns "$w0" conntrack -L -p tcp --dport 80 2> /dev/null | grep -q \
		'src=10.200.0.2 dst=10.200.1.2 .*src=10.200.1.2 dst=10.200.0.2'
}
run_test "no address is translated on the way" untranslated

bulk()		# NAMESPACE ADDRESS
{
	expect_match "$(ask "$1" -t 60 -g 1000000 tcp "$2" 80)" "get ok$"
	expect_match "$(ask "$1" -t 60 -u 1000000 tcp "$2" 80)" "put ok$"
}
run_test "1 MB each way, IPv4" bulk "$p00" 10.200.1.2
run_test "1 MB each way, IPv6" bulk "$p00" fd00:10:200:1::2
run_test "1 MB each way from a node" bulk "$w0" 10.200.1.2

fragments()	# ADDRESS
{
	expect_match "$(ask "$p00" -d 4000 -s 4000 udp "$1" 80)" "from $1 80$"
}
run_test "datagrams in fragments, IPv4" fragments 10.200.1.2
run_test "datagrams in fragments, IPv6" fragments fd00:10:200:1::2

redirects()
{
	in_ns "$w0" nstat -asz IcmpOutRedirects Icmp6OutRedirects
	in_ns "$p00" nstat -asz IcmpInRedirects Icmp6InRedirects
}
no_redirect()
{
	local before

	before=$(redirects)
	pings "$p00" 10.200.1.2
	pings "$p00" fd00:10:200:1::2
	expect "$(redirects)" "$before"
}
run_test "no redirects" no_redirect

# What claims to be a remote pod's, but does not come from its node.
rp_filter()
{
	local before after

	setup_ns liar
	link_pair "$w0" up9 "$liar" eth0
	addr_add "$w0" up9 10.99.0.1/24
	addr_add "$liar" eth0 10.99.0.2/24 10.200.1.66/32
	ip -n "$liar" route add 10.200.0.0/24 via 10.99.0.1 src 10.200.1.66
	in_ns "$w0" sysctl -qw net.ipv4.conf.up9.rp_filter=1
	pings "$liar" 10.99.0.1
	before=$(in_ns "$p00" nstat -asz IcmpInEchos | awk '/Echos/ { print $2 }')
	in_ns "$liar" ping -c 2 -i 0.1 -W 1 -I 10.200.1.66 10.200.0.2 || :
	after=$(in_ns "$p00" nstat -asz IcmpInEchos | awk '/Echos/ { print $2 }')
	expect "$after" "$before" "echo requests that came through"
	ip -n "$w0" link del up9
}
run_test "reverse path filtering holds for everybody else" rp_filter

refused()	# MESSAGE WORD...
{
	local message=$1

	shift
	expect_status 1 ks "$w0" route add "$@"
	expect_match "$OUTPUT" "$message"
	expect "$(ks "$w0" route list | wc -l)" 4 routes
}
run_test "refused: a prefix that has a route" refused \
	"pod route to this prefix exists" 10.200.1.0/24 via 10.240.0.22
run_test "refused: by this node" refused "is this node" \
	10.200.9.0/24 via 10.240.0.20
run_test "refused: by this node, IPv6" refused "is this node" \
	fd00:10:200:9::/64 via fd00:10:240::20
run_test "refused: by an address in the prefix" refused \
	"inside the routed prefix" 10.240.0.0/16 via 10.240.0.21
run_test "refused: by a broadcast, multicast, loopback address" refused \
	"not a unicast address" 10.200.9.0/24 via 224.0.0.1
run_test "refused: by the network's broadcast address" refused \
	"broadcast address" 10.200.9.0/24 via 10.240.0.255
run_test "refused: loopback as outgoing device" refused \
	"outgoing device of the route is a pod bridge or loopback" \
	10.200.9.0/24 via 10.240.0.21 dev lo
run_test "refused: a multicast prefix" refused "not unicast" \
	224.1.0.0/16 via 10.240.0.21

# Of the two devices that the node could be reached by, the named one is used.
by_device()
{
	local mac

	setup_ns twin
	link_pair "$w0" up7 "$twin" eth0
	addr_add "$twin" eth0 10.240.0.22/24
	addr_add "$twin" lo 10.200.9.9/32
	# The node would not answer it for pods, with strict filtering and its
	# route to this network by another device.
	mac=$(ip -n "$w0" -br link show dev up7 | awk '{ print $3 }')
	ip -n "$twin" route add 10.200.0.0/24 dev eth0
	ip -n "$twin" neigh add 10.200.0.2 lladdr "$mac" dev eth0
	addr_add "$w0" up7 10.240.0.120/32
	ip -n "$w0" route add 10.240.0.0/24 dev up7 metric 500
	ks "$w0" route add 10.200.9.0/24 via 10.240.0.22 dev up7
	expect_match "$(ks "$w0" route list)" "10.200.9.0/24 via 10.240.0.22 dev up7"
	pings "$p00" 10.200.9.9
	ip -n "$w0" link del up7
	expect_status 1 in_ns "$p00" ping -c 1 -W 1 10.200.9.9
	ks "$w0" route del 10.200.9.0/24
}
run_test "a route by a named device" by_device

fib_conflict()
{
	ip -n "$w0" route add 10.200.9.0/24 via 10.240.0.22
	refused "the FIB refused the route" 10.200.9.0/24 via 10.240.0.21
	expect_match "$(fib_of "$w0" 10.200.9.0/24)" "via 10.240.0.22"
	ip -n "$w0" route del 10.200.9.0/24
}
run_test "refused: what the FIB has another route to" fib_conflict

del_add()
{
	local before after

	ks "$w0" route del 10.200.1.0/24
	expect "$(fib_of "$w0" 10.200.1.0/24)" "" "in the FIB"
	expect_status 1 in_ns "$p00" ping -c 1 -W 1 10.200.1.2
	expect_status 1 ks "$w0" route del 10.200.1.0/24
	expect_match "$OUTPUT" "no pod route to this prefix"
	ks "$w0" route add 10.200.1.0/24 via 10.240.0.21
	pings "$p00" 10.200.1.2
	# With the FIB's copy gone already.
	ip -n "$w0" route del 10.200.1.0/24 dev cnio0
	ks "$w0" route del 10.200.1.0/24
	ks "$w0" route add 10.200.1.0/24 via 10.240.0.21
	# A packet of the node's own, to an address that nobody is behind.
	before=$(stat_of "$w0" no_pod)
	ip -n "$w0" route add 10.200.7.0/24 dev cnio0
	ip -n "$w0" neigh add 10.200.7.7 lladdr 02:00:00:00:00:07 dev cnio0
	expect_status 1 in_ns "$w0" ping -c 1 -W 1 10.200.7.7
	after=$(stat_of "$w0" no_pod)
	[ "$after" -gt "$before" ]
	ip -n "$w0" route del 10.200.7.0/24
}
run_test "a route is removed and comes again" del_add

longest()
{
	ks "$w0" route add 10.200.1.3/32 via 10.240.0.22
	expect_status 1 in_ns "$p00" ping -c 1 -W 1 10.200.1.3 -t 2
	pings "$p00" 10.200.1.2
	ks "$w0" route del 10.200.1.3/32
	pings "$p00" 10.200.1.3
}
run_test "the longest prefix wins" longest

bridge_down_up()
{
	ip -n "$w0" link set cnio0 down
	expect "$(fib_of "$w0" 10.200.1.0/24)" "" "in the FIB"
	ks "$w0" route add 10.200.8.0/24 via 10.240.0.21
	ip -n "$w0" link set cnio0 up
	addr_add "$w0" cnio0 fd00:10:200::1/64
	for p in 10.200.1.0/24 10.200.2.0/24 10.200.8.0/24 \
		fd00:10:200:1::/64 fd00:10:200:2::/64; do
		busywait 5 has_fib "$w0" $p || fail "no $p"
	done
	ks "$w0" route del 10.200.8.0/24
	expect "$(fib_of "$w0" 10.200.8.0/24)" "" "in the FIB"
	pings "$p00" 10.200.1.2
	pings "$p00" fd00:10:200:1::2
}
run_test "a bridge that comes up gets its routes back" bridge_down_up

link_flap()
{
	local before after

	before=$(stat_of "$w0" no_route)
	ip -n "$w0" link set eth0 down
	expect_status 1 in_ns "$p00" ping -c 1 -W 1 10.200.1.2
	after=$(stat_of "$w0" no_route)
	[ "$after" -gt "$before" ] || fail "not counted"
	ip -n "$w0" link set eth0 up
	addr_add "$w0" eth0 fd00:10:240::20/64
	pings "$p00" 10.200.1.2
	pings "$p00" fd00:10:200:1::2
}
run_test "a flap of the uplink" link_flap

# The other node changes its MAC; then its address, and so does the route.
neighbour_change()
{
	ip -n "$w1" link set eth0 down
	ip -n "$w1" link set eth0 address 02:11:22:33:44:55
	ip -n "$w1" link set eth0 up
	addr_add "$w1" eth0 fd00:10:240::21/64
	# It asks, and is known by its new one.
	slowwait 10 pings "$w1" 10.240.0.20
	slowwait 10 pings "$w1" fd00:10:240::20
	slowwait 20 pings "$p00" 10.200.1.2
	slowwait 20 pings "$p00" fd00:10:200:1::2
	ip -n "$w1" addr del 10.240.0.21/24 dev eth0
	ip -n "$w1" addr add 10.240.0.31/24 dev eth0
	busywait 5 pings "$w1" 10.240.0.20
	ks "$w0" route del 10.200.1.0/24
	ks "$w0" route add 10.200.1.0/24 via 10.240.0.31
	pings "$p00" 10.200.1.2
}
run_test "a node's MAC and address change" neighbour_change

# Behind a router: the node of a route need not be on-link.
off_link()
{
	setup_ns far rtr
	link_pair "$w0" up8 "$rtr" ra
	link_pair "$rtr" rb "$far" eth0
	addr_add "$w0" up8 10.98.0.1/24 fd00:98::1/64
	addr_add "$rtr" ra 10.98.0.2/24 fd00:98::2/64
	addr_add "$rtr" rb 10.97.0.1/24 fd00:97::1/64
	addr_add "$far" eth0 10.97.0.2/24 fd00:97::2/64
	addr_add "$far" lo 10.200.7.2/32 fd00:10:200:7::2/128
	in_ns "$rtr" sysctl -qw net.ipv4.ip_forward=1 \
		net.ipv6.conf.all.forwarding=1
	ip -n "$rtr" route add 10.200.7.0/24 via 10.97.0.2
	ip -n "$rtr" route add fd00:10:200:7::/64 via fd00:97::2
	ip -n "$rtr" route add 10.200.0.0/24 via 10.98.0.1
	ip -n "$rtr" route add fd00:10:200::/64 via fd00:98::1
	ip -n "$far" route add default via 10.97.0.1
	ip -n "$far" route add default via fd00:97::1
	ip -n "$w0" route add 10.97.0.0/24 via 10.98.0.2
	ip -n "$w0" route add fd00:97::/64 via fd00:98::2
	ks "$w0" route add 10.200.7.0/24 via 10.97.0.2
	ks "$w0" route add fd00:10:200:7::/64 via fd00:97::2
	pings "$p00" 10.200.7.2
	pings "$p00" fd00:10:200:7::2
	ip -n "$w0" link del up8
	expect_status 1 in_ns "$p00" ping -c 1 -W 1 10.200.7.2
	ks "$w0" route del 10.200.7.0/24
	ks "$w0" route del fd00:10:200:7::/64
}
run_test "a node that is not on-link is reached by its route" off_link

# A node that only the bridge leads to must not go round in circles.
no_loop()
{
	local before after

	ks "$w0" route add 10.200.6.0/24 via 10.200.0.99
	before=$(stat_of "$w0" no_route)
	expect_status 1 in_ns "$p00" ping -c 1 -W 1 10.200.6.1
	after=$(stat_of "$w0" no_route)
	[ "$after" -gt "$before" ] || fail "not counted"
	ks "$w0" route del 10.200.6.0/24
}
run_test "a node behind the bridge itself is no way" no_loop

two_bridges()
{
	bridge_add "$w2" br2 10.211.0.0/24
	expect_status 1 ks "$w2" route add 10.200.9.0/24 via 10.240.0.20
	expect_match "$OUTPUT" "more than one pod bridge: name one"
	ks "$w2" route add 10.200.9.0/24 via 10.240.0.20 dev br2
	expect_match "$(fib_of "$w2" 10.200.9.0/24)" "dev br2"
	ks "$w2" bridge del br2
	expect "$(fib_of "$w2" 10.200.9.0/24)" "" "in the FIB"
	expect "$(ks "$w2" route list | grep -c 10.200.9.0)" 0
}
run_test "of two bridges one is named, and takes its routes along" two_bridges

tap_end
