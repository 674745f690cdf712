#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Everything a pod bridge depends on, and the bridge itself, goes away in every
# order while packets of both families pass. The node must stay whole: what is
# left goes on to work, nothing keeps a device, a namespace or the module.
# (That the kernel stays silent is for whoever runs this to see.)

. "$(dirname "$0")/lib.sh"

# Between packets of a flood, in seconds. All of them are ten, and are to leave
# the processors time for what is done meanwhile, with instruments as well.
PACE=$((5 * ${K8SNET_SLOW:-1}))
PACE=$(printf %d.%02d $((PACE / 100)) $((PACE % 100)))

pings()		# NAMESPACE ADDRESS
{
	in_ns "$1" ping -c 2 -i 0.05 -W 3 "$2"
}

# A node with a neighbour on its uplink, two pods and floods between all.
build()
{
	setup_ns node pod1 pod2 peer
	link_pair "$node" up0 "$peer" eth0
	addr_add "$node" up0 10.240.0.20/24 fd00:10:240::20/64
	addr_add "$peer" eth0 10.240.0.21/24 fd00:10:240::21/64
	addr_add "$peer" lo 10.200.1.2/32 fd00:10:200:1::2/128
	ip -n "$peer" route add 10.200.0.0/24 via 10.240.0.20
	ip -n "$peer" route add fd00:10:200::/64 via fd00:10:240::20
	build_bridge
	build_pod "$pod1" 2
	build_pod "$pod2" 3
	pings "$pod1" 10.200.0.3
	pings "$pod1" fd00:10:200:1::2
	flood "$pod1" 10.200.0.3 fd00:10:200::3 10.200.1.2 fd00:10:200:1::2
	flood "$node" 10.200.0.2 fd00:10:200::2
	flood "$peer" 10.200.0.3 fd00:10:200::3
}

build_bridge()
{
	bridge_add "$node" cnio0 10.200.0.0/24 fd00:10:200::/64
	ks "$node" route add 10.200.1.0/24 via 10.240.0.21
	ks "$node" route add fd00:10:200:1::/64 via fd00:10:240::21
}

build_pod()	# NAMESPACE N
{
	pod_add "$node" cnio0 "$1" "10.200.0.$2,fd00:10:200::$2"
}

flood()		# NAMESPACE ADDRESS...
{
	local ns=$1 a

	shift
	for a in "$@"; do
		background "flood.$ns.$a" "$ns" ping -q -i "$PACE" -s 1000 "$a"
	done
}

# What of it all goes is gone, and soon.
gone()		# NAMESPACE
{
	! ip netns list | grep -q "^$1\b"
}

again()		# after the bridge or a pod went: build, and see that it works
{
	pings "$pod1" 10.200.0.3
	pings "$pod1" fd00:10:200::3
	pings "$pod1" 10.200.1.2
	pings "$pod1" fd00:10:200:1::2
	pings "$node" 10.200.0.3
}

end_pods()
{
	local pids

	for ns in "$@"; do
		pids=$(ip netns pids "$ns")
		# shellcheck disable=SC2086 # a list
		[ -z "$pids" ] || kill -9 $pids
	done
}

build > /dev/null || tap_bail "no node"

pod_churn()
{
	local i

	for i in 1 2 3 4 5 6 7 8 9 10; do
		ks "$node" pod del 10.200.0.3
		ks "$node" pod add 10.200.0.3,fd00:10:200::3 \
			port "$(pod_port "$pod2")" bridge cnio0
	done
	again
}
run_test "pods removed and added under traffic" pod_churn

route_churn()
{
	local i

	for i in 1 2 3 4 5 6 7 8 9 10; do
		ks "$node" route del 10.200.1.0/24
		ks "$node" route del fd00:10:200:1::/64
		ks "$node" route add 10.200.1.0/24 via 10.240.0.21
		ks "$node" route add fd00:10:200:1::/64 via fd00:10:240::21
	done
	again
}
run_test "pod routes removed and added under traffic" route_churn

port_churn()
{
	local i dev

	dev=$(pod_port "$pod2")
	for i in 1 2 3 4 5; do
		ip -n "$node" link set "$dev" nomaster
		expect "$(ks "$node" pod list | wc -l)" 1 "pods left"
		ks "$node" pod add 10.200.0.3,fd00:10:200::3 port "$dev" bridge cnio0
	done
	again
}
run_test "a port released and enslaved under traffic" port_churn

addresses()
{
	local i

	for i in 1 2 3 4 5; do
		ip -n "$node" addr del 10.200.0.1/24 dev cnio0
		ip -n "$node" addr add 10.200.0.1/24 dev cnio0
		ip -n "$node" addr del fd00:10:200::1/64 dev cnio0
		addr_add "$node" cnio0 fd00:10:200::1/64
	done
	# The last IPv4 address has taken the device's routes along.
	slowwait 10 again
	ip -n "$node" route show 10.200.1.0/24 | grep -q 'dev cnio0 proto static'
}
run_test "the bridge's addresses change under traffic" addresses

port_gone()
{
	ip -n "$node" link del "$(pod_port "$pod2")"
	expect "$(ks "$node" port list | wc -l)" 1 "ports left"
	expect "$(ks "$node" pod list | wc -l)" 1 "pods left"
	build_pod "$pod2" 3
	again
}
run_test "a port vanishes under traffic" port_gone

port_moved()
{
	local dev

	setup_ns elsewhere
	dev=$(pod_port "$pod2")
	ip -n "$node" link set "$dev" netns "$elsewhere"
	expect "$(ks "$node" port list | wc -l)" 1 "ports left"
	ip -n "$elsewhere" link set "$dev" netns "$node"
	ip -n "$node" link set "$dev" up
	ks "$node" pod add 10.200.0.3,fd00:10:200::3 port "$dev" bridge cnio0
	again
}
run_test "a port moves to another namespace under traffic" port_moved

pod_ns_gone()
{
	end_pods "$pod2"
	ip netns del "$pod2"
	busywait 20 one_port
	expect "$(ks "$node" pod list | wc -l)" 1 "pods left"
	ip netns add "$pod2"
	build_pod "$pod2" 3
	again
}
one_port() { [ "$(ks "$node" port list | wc -l)" = 1 ]; }
run_test "a pod's namespace vanishes under traffic" pod_ns_gone

bridge_gone()
{
	local i

	for i in 1 2 3; do
		ip -n "$node" link del cnio0
		expect "$(ks "$node" pod list)$(ks "$node" route list)" "" left
		expect "$(ip -n "$node" route show table all proto static)" "" FIB
		build_bridge
		ks "$node" pod add 10.200.0.2,fd00:10:200::2 \
			port "$(pod_port "$pod1")" bridge cnio0
		ks "$node" pod add 10.200.0.3,fd00:10:200::3 \
			port "$(pod_port "$pod2")" bridge cnio0
		slowwait 10 again
	done
}
run_test "the bridge vanishes under traffic, and comes again" bridge_gone

# A pod that asks while its port has no bridge is answered by the node's stack,
# with the port's MAC: it asks again.
same_mac()
{
	expect_match "$(ip -n "$node" link show cnio0)" \
		"link/ether 0a:58:0a:c8:00:01"
	ip -n "$pod1" neigh flush dev eth0
	in_ns "$pod1" ping -nqc1 -W10 10.200.0.1
	expect_match "$(ip -n "$pod1" neigh get 10.200.0.1 dev eth0)" \
		"lladdr 0a:58:0a:c8:00:01"
}
run_test "a bridge made again has the MAC that pods remember" same_mac

uplink_gone()
{
	ip -n "$node" link del up0
	expect_status 1 in_ns "$pod1" ping -c 1 -W 1 10.200.1.2
	expect "$(ks "$node" route list | wc -l)" 2 "pod routes"
	link_pair "$node" up0 "$peer" eth0
	addr_add "$node" up0 10.240.0.20/24 fd00:10:240::20/64
	addr_add "$peer" eth0 10.240.0.21/24 fd00:10:240::21/64
	ip -n "$peer" route add 10.200.0.0/24 via 10.240.0.20
	ip -n "$peer" route add fd00:10:200::/64 via fd00:10:240::20
	slowwait 10 again
}
run_test "the uplink vanishes under traffic, and comes again" uplink_gone

flushed()
{
	ks "$node" flush
	for o in bridge port pod route; do
		expect "$(ks "$node" $o "$([ $o = bridge ] && echo show || echo list)")" \
			"" "$o left"
	done
	expect_status 1 ip -n "$node" link show dev cnio0
	build_bridge
	ks "$node" pod add 10.200.0.2,fd00:10:200::2 \
		port "$(pod_port "$pod1")" bridge cnio0
	ks "$node" pod add 10.200.0.3,fd00:10:200::3 \
		port "$(pod_port "$pod2")" bridge cnio0
	slowwait 10 again
}
run_test "flush takes all under traffic" flushed

# The module goes with everything in place.
unload()
{
	timeout 20 rmmod k8snet
	! module_loaded
	expect_status 1 ip -n "$node" link show dev cnio0
	expect_match "$(ip -n "$node" -d link show dev "$(pod_port "$pod1")")" \
		"promiscuity 0"
	modprobe k8snet
	build_bridge
	ks "$node" pod add 10.200.0.2,fd00:10:200::2 \
		port "$(pod_port "$pod1")" bridge cnio0
	ks "$node" pod add 10.200.0.3,fd00:10:200::3 \
		port "$(pod_port "$pod2")" bridge cnio0
	slowwait 10 again
}
run_test "the module is unloaded under traffic, and loaded again" unload

node_ns_gone()
{
	end_pods "$node"
	ip netns del "$node"
	gone "$node"
	# The pods' ends are gone when the namespace really is.
	busywait 20 pod_ends_gone
	timeout 20 rmmod k8snet
	modprobe k8snet
}
pod_ends_gone()
{
	! ip -n "$pod1" link show dev eth0 && ! ip -n "$pod2" link show dev eth0
} 2> /dev/null
run_test "the node's namespace vanishes with all in it" node_ns_gone

tap_end
