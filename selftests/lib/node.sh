# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # namespaces of lib.sh
#
# A node between two hosts, for the tests of its settings; after lib.sh.
#
#                         node
#      left ----- lan0 192.0.2.1, 2001:db8:1::1
#     right ----- wan0 198.51.100.1, 2001:db8:2::1
#   192.0.2.2, 2001:db8:1::2   198.51.100.2, 2001:db8:2::2

setup_ns node left right
modprobe k8snet || tap_bail "no module"

link_pair "$node" lan0 "$left" eth0 || tap_bail "no links"
link_pair "$node" wan0 "$right" eth0 || tap_bail "no links"
addr_add "$left" eth0 192.0.2.2/24 2001:db8:1::2/64
addr_add "$right" eth0 198.51.100.2/24 2001:db8:2::2/64
in_ns "$node" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1

# The node as if it had just been given its devices.
reset_node()
{
	local dev

	ks "$node" flush
	ip -n "$node" -4 route flush exact default
	ip -n "$node" -6 route flush exact default
	for dev in lan0 wan0; do
		ip -n "$node" link set $dev up
		ip -n "$node" -4 addr flush dev $dev
		ip -n "$node" -6 addr flush dev $dev scope global
	done
}

addr_lan()
{
	addr_add "$node" lan0 192.0.2.1/24 2001:db8:1::1/64
}

addr_wan()
{
	addr_add "$node" wan0 198.51.100.1/24 2001:db8:2::1/64
}
