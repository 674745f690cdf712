#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
#
# The node's settings: what "node set" takes and refuses, which address is
# found to be the node's own and how it follows the world. The topology is that
# of lib/node.sh.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib/node.sh"

# Values of one word of "node show", one after the other.
shown()		# WORD
{
	# shellcheck disable=SC2046 # words
	set -- "$1" $(ks "$node" node show)
	local word=$1 values=()

	shift
	while [ $# -gt 1 ]; do
		[ "$1" != "$word" ] || values+=("$2")
		shift
	done
	echo "${values[*]}"
}

# What the module has said by itself, without being asked: "node show" would
# look for the addresses anew.
monitor_start()
{
	background monitor "$node" "$K8SNETCTL" monitor
	MONITOR=$PID
	# It listens once it has told of a change.
	monitor_ready()
	{
		ks "$node" node set nodeport-range 30000-32766 &&
			ks "$node" node set nodeport-range 30000-32767 &&
			grep -q 30000-32766 "$TMP/monitor"
	}
	slowwait 10 monitor_ready || fail "no monitor"
}

# Until the last change that was told has exactly these addresses.
told()		# ADDRESS...
{
	local want="${*/#/address }"

	told_last()
	{
		tail -n 1 "$TMP/monitor" |
			awk -v want="$want" '{
				got = ""
				for (i = 1; i < NF; i++)
					if ($i == "address")
						got = got " address " $(i + 1)
				exit got != (want ? " " want : "")
			}'
	}
	slowwait 10 told_last ||
		fail "wanted '$want', told: $(cat "$TMP/monitor")"
	expect "$(shown address)" "$*" "address shown"
}

monitor_stop()
{
	stop "$MONITOR" || :
}

# --- settings ----------------------------------------------------------

defaults()
{
	reset_node
	expect "$(ks "$node" -j node show | python3 -c '
import json, sys
print(json.dumps(json.load(sys.stdin), sort_keys=True))')" \
		'[{"address": [], "cluster-cidr": [], "dead-ports": "reject", "fastpath": "auto", "flow-max": 262144, "ip": [], "nodeport-addresses": "primary", "nodeport-localhost": false, "nodeport-range": "30000-32767", "service-cidr": [], "unassigned-ips": "drop"}]'
}

settings_all()
{
	ks "$node" node set ip 203.0.113.5 ip 2001:db8:9::5 \
		nodeport-addresses 192.0.2.0/24,2001:db8::/32 \
		nodeport-range 20000-20100 cluster-cidr 10.200.0.0/16 \
		cluster-cidr fd00:10:200::/48 fastpath established \
		service-cidr 10.32.0.0/16 dead-ports drop unassigned-ips pass \
		flow-max 5000
}

set_all()
{
	settings_all
	expect "$(shown ip)" "203.0.113.5 2001:db8:9::5" ip
	expect "$(shown address)" "203.0.113.5 2001:db8:9::5" address
	expect "$(shown nodeport-addresses)" 192.0.2.0/24,2001:db8::/32 \
		nodeport-addresses
	expect "$(shown nodeport-range)" 20000-20100 nodeport-range
	expect "$(shown cluster-cidr)" "10.200.0.0/16 fd00:10:200::/48" \
		cluster-cidr
	expect "$(shown fastpath)" established fastpath
	expect "$(shown service-cidr)" 10.32.0.0/16 service-cidr
	expect "$(shown dead-ports)" drop dead-ports
	expect "$(shown unassigned-ips)" pass unassigned-ips
	expect "$(shown flow-max)" 5000 flow-max
}

# Every setting but one. Addresses follow from "ip".
others()	# WORD
{
	ks "$node" node show | tr -s '[:space:]' '\n' | awk -v word="$1" '
		NR % 2 { name = $0; next }
		name != word && name != "address" { print name, $0 }'
}

# One word changes one thing.
set_one()	# WORD VALUE
{
	local before

	settings_all
	before=$(others "$1")
	[ "$(wc -l <<< "$before")" -ge 8 ] || fail "settings: $before"
	ks "$node" node set "$1" "$2"
	expect "$(others "$1")" "$before" "other settings"
	expect "$(shown "$1")" "$2" "$1"
}

set_none()
{
	settings_all
	addr_lan
	ks "$node" node set ip none
	expect "$(shown ip)" "" ip
	expect "$(shown address)" "192.0.2.1 2001:db8:1::1" address
	ks "$node" node set cluster-cidr none
	expect "$(shown cluster-cidr)" "" cluster-cidr
	reset_node
}

# A list that is given replaces the old one, the other family included.
set_replaces()
{
	settings_all
	ks "$node" node set ip 203.0.113.6
	expect "$(shown ip)" 203.0.113.6 ip
	ks "$node" node set nodeport-addresses 198.51.100.0/24
	expect "$(shown nodeport-addresses)" 198.51.100.0/24 nodeport-addresses
	reset_node
}

refused()	# STATUS EXTENDED-REGEX WORD...
{
	local before status=$1 re=$2

	shift 2
	settings_all
	before=$(ks "$node" node show)
	expect_status "$status" ks "$node" node set "$@"
	expect_match "$OUTPUT" "$re" sentence
	expect "$(ks "$node" node show)" "$before" "settings after"
}

unchanged_is_silent()
{
	local before

	reset_node
	monitor_start
	ks "$node" node set ip 203.0.113.5 cluster-cidr 10.200.0.0/16
	told 203.0.113.5
	before=$(wc -l < "$TMP/monitor")
	ks "$node" node set ip 203.0.113.5 cluster-cidr 10.200.0.0/16
	ks "$node" node set nodeport-range 20000-20001
	slowwait 10 grep -q 20000-20001 "$TMP/monitor" || fail "not told"
	expect "$(wc -l < "$TMP/monitor")" $((before + 1)) "changes told"
	monitor_stop
	reset_node
}

other_namespace()
{
	settings_all
	expect_match "$(ks "$left" node show)" \
		"nodeport-addresses primary nodeport-range 30000-32767"
	reset_node
}

flushed()
{
	settings_all
	ks "$node" flush
	expect_match "$(ks "$node" node show)" \
		"^nodeport-addresses primary nodeport-range 30000-32767 dead-ports reject unassigned-ips drop nodeport-localhost off fastpath auto flow-max 262144 *$"
}

# --- the address -------------------------------------------------------

# Without a default route: the device that came first.
first_device()
{
	reset_node
	monitor_start
	addr_wan
	told 198.51.100.1 2001:db8:2::1
	addr_lan
	told 192.0.2.1 2001:db8:1::1
	monitor_stop
}

default_route()
{
	reset_node
	addr_lan
	addr_wan
	monitor_start
	ip -n "$node" route add default via 198.51.100.2
	told 198.51.100.1 2001:db8:1::1
	ip -n "$node" route add default via 2001:db8:2::2
	told 198.51.100.1 2001:db8:2::1
	ip -n "$node" route replace default via 192.0.2.2
	ip -n "$node" route replace default via 2001:db8:1::2
	told 192.0.2.1 2001:db8:1::1
	monitor_stop
}

preferred_source()
{
	reset_node
	addr_lan
	addr_wan
	addr_add "$node" wan0 198.51.100.77/24 2001:db8:2::77/64
	monitor_start
	ip -n "$node" route add default via 198.51.100.2 src 198.51.100.77
	ip -n "$node" route add default via 2001:db8:2::2 src 2001:db8:2::77
	told 198.51.100.77 2001:db8:2::77
	monitor_stop
}

address_removed()
{
	reset_node
	addr_lan
	addr_wan
	ip -n "$node" route add default via 198.51.100.2
	monitor_start
	# Of another length, so that it is not a secondary address.
	addr_add "$node" wan0 198.51.100.9/25
	ip -n "$node" addr del 198.51.100.1/24 dev wan0
	told 198.51.100.9 2001:db8:1::1
	# The last one of the device takes the default route along.
	ip -n "$node" addr del 198.51.100.9/25 dev wan0
	told 192.0.2.1 2001:db8:1::1
	ip -n "$node" addr del 2001:db8:1::1/64 dev lan0
	told 192.0.2.1 2001:db8:2::1
	ip -n "$node" addr del 192.0.2.1/24 dev lan0
	told 2001:db8:2::1
	monitor_stop
}

link_flap()
{
	reset_node
	addr_lan
	addr_wan
	monitor_start
	ip -n "$node" link set lan0 down
	told 198.51.100.1 2001:db8:2::1
	ip -n "$node" link set lan0 up
	# IPv6 addresses went with the device.
	told 192.0.2.1 2001:db8:2::1
	ip -n "$node" link set lan0 down
	ip -n "$node" link set wan0 down
	told
	monitor_stop
	reset_node
}

device_removed()
{
	reset_node
	addr_lan
	monitor_start
	ip -n "$node" link set lan0 down
	ip -n "$node" link add extra0 type dummy
	ip -n "$node" link set extra0 up
	addr_add "$node" extra0 203.0.113.9/24 2001:db8:9::9/64
	told 203.0.113.9 2001:db8:9::9
	ip -n "$node" link del extra0
	told
	monitor_stop
	reset_node
}

# An address is nobody's until duplicate address detection has passed.
tentative()
{
	reset_node
	in_ns "$node" sysctl -qw net.ipv6.conf.wan0.accept_dad=1 \
		net.ipv6.conf.wan0.dad_transmits=2
	monitor_start
	ip -n "$node" addr add 2001:db8:2::1/64 dev wan0
	ip -n "$node" addr show dev wan0 | grep "2001:db8:2::1.*tentative" ||
		fail "too fast to see"
	expect "$(shown address)" "" "address while tentative"
	told 2001:db8:2::1
	monitor_stop
	in_ns "$node" sysctl -qw net.ipv6.conf.wan0.accept_dad=0
}

unusable()
{
	reset_node
	ip -n "$node" addr add 192.0.2.1/24 dev lan0 scope link
	ip -n "$node" addr add 2001:db8:1::1/64 dev lan0 nodad preferred_lft 0
	ip -n "$node" addr add 203.0.113.1/32 dev lo
	ip -n "$node" addr add 2001:db8:9::1/128 dev lo
	expect "$(shown address)" "" "address"
	addr_wan
	expect "$(shown address)" "198.51.100.1 2001:db8:2::1" "address"
	ip -n "$node" addr del 203.0.113.1/32 dev lo
	ip -n "$node" addr del 2001:db8:9::1/128 dev lo
}

# A pod bridge's gateway address is not what the world knows the node by.
not_the_bridge()
{
	reset_node
	bridge_add "$node" cnio0 10.200.0.0/24 fd00:10:200::/64
	expect "$(shown address)" "" "address"
	addr_lan
	expect "$(shown address)" "192.0.2.1 2001:db8:1::1" "address"
	ks "$node" bridge del cnio0
}

set_wins()
{
	reset_node
	addr_lan
	addr_wan
	ks "$node" node set ip 198.51.100.1
	expect "$(shown address)" "198.51.100.1 2001:db8:1::1" address
	ip -n "$node" addr del 198.51.100.1/24 dev wan0
	expect "$(shown address)" "198.51.100.1 2001:db8:1::1" address
	ks "$node" node set ip none
	expect "$(shown address)" "192.0.2.1 2001:db8:1::1" address
}

run_test "defaults" defaults
run_test "all settings" set_all
run_test "ip alone" set_one ip 203.0.113.7
run_test "nodeport-addresses alone" set_one nodeport-addresses all
run_test "nodeport-range alone" set_one nodeport-range 1-65535
run_test "cluster-cidr alone" set_one cluster-cidr 10.0.0.0/8
run_test "fastpath alone" set_one fastpath off
run_test "service-cidr alone" set_one service-cidr fd00:10:32::/112
run_test "dead-ports alone" set_one dead-ports pass
run_test "unassigned-ips alone" set_one unassigned-ips reject
run_test "flow-max alone" set_one flow-max 100
run_test "none empties a list" set_none
run_test "a list replaces the old one" set_replaces
NOT_UNICAST="node ip is not a unicast address of global scope"
for a in 0.0.0.0 127.0.0.1 224.0.0.1 255.255.255.255 :: ::1 ff02::1 \
	fe80::1 ::ffff:192.0.2.1; do
	run_test "ip $a is refused" refused 1 "$NOT_UNICAST" ip $a
done
run_test "two ip of a family are refused" \
	refused 2 "one address a family" ip 192.0.2.1 ip 192.0.2.2
run_test "a bad setting beside good ones changes nothing" \
	refused 1 "$NOT_UNICAST" fastpath off nodeport-range 5-6 ip 127.0.0.1
run_test "a range that ends before it begins is refused" \
	refused 2 "range" nodeport-range 300-200
run_test "port 0 is refused" refused 2 "" nodeport-range 0-200
run_test "host bits in a prefix are refused" \
	refused 2 "" cluster-cidr 10.200.0.1/16
run_test "a change that changes nothing is not told" unchanged_is_silent
run_test "settings are the namespace's own" other_namespace
run_test "flush resets" flushed
run_test "without a default route the first device counts" first_device
run_test "the default route decides" default_route
run_test "the default route's preferred source" preferred_source
run_test "an address is removed" address_removed
run_test "links go down and up" link_flap
run_test "a device is removed" device_removed
run_test "a tentative address waits" tentative
run_test "link scope, deprecated and loopback addresses do not count" unusable
run_test "a pod bridge's addresses do not count" not_the_bridge
run_test "an address that is set wins" set_wins
tap_end
