#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The pod bridge as a link, and the traffic it carries on one node:
#
#   node  cnio0 10.200.0.1/24 fd00:10:200::1/64
#           |                  |
#          pod1               pod2
#     10.200.0.2           10.200.0.3
#     fd00:10:200::2       fd00:10:200::3

. "$(dirname "$0")/lib.sh"

stat_of()	# NODE COUNTER
{
	ks "$1" stats | awk -v n="$2" '$1 == n { print $2 }'
}

link_of()	# NODE DEVICE JQ-LIKE-KEY: a field of ip -j -d link
{
	ip -n "$1" -j -d link show dev "$2" |
		python3 -c 'import json, sys
x = json.load(sys.stdin)[0]
for k in sys.argv[1].split("."):
    x = x.get(k) if isinstance(x, dict) else None
print(x)' "$3"
}

pings()		# NAMESPACE ADDRESS [OPTION...]
{
	local ns=$1 addr=$2

	shift 2
	in_ns "$ns" ping -c 2 -i 0.05 -W 3 "$@" "$addr"
}

# --- the link, in a node of its own

setup_ns lone

link_kind()
{
	ip -n "$lone" link add br0 type k8snet
	expect "$(link_of "$lone" br0 linkinfo.info_kind)" k8snet kind
	expect "$(link_of "$lone" br0 mtu)" 1500 mtu
	ip -n "$lone" link del br0
	expect_status 1 ip -n "$lone" link show dev br0
}

link_mac()
{
	ip -n "$lone" link add br0 type k8snet
	ip -n "$lone" addr add 10.9.8.7/24 dev br0
	expect "$(link_of "$lone" br0 address)" 0a:58:0a:09:08:07 "MAC by IPv4"
	ip -n "$lone" link add br1 type k8snet
	addr_add "$lone" br1 fd00::a1b2:c3d4/64
	busywait 5 mac_is br1 0a:58:a1:b2:c3:d4
	ip -n "$lone" addr add 10.9.8.8/24 dev br1
	expect "$(link_of "$lone" br1 address)" 0a:58:0a:09:08:08 \
		"IPv4 before IPv6"
	ip -n "$lone" link add br2 address 02:00:00:00:00:05 type k8snet
	ip -n "$lone" addr add 10.9.7.7/24 dev br2
	expect "$(link_of "$lone" br2 address)" 02:00:00:00:00:05 "MAC as set"
	for b in br0 br1 br2; do ip -n "$lone" link del $b; done
}
mac_is() { [ "$(link_of "$lone" "$1" address)" = "$2" ]; }

link_mtu()
{
	ip -n "$lone" link add br0 type k8snet
	ip -n "$lone" link add a0 mtu 1400 type veth peer name a1
	ip -n "$lone" link add b0 mtu 1300 type veth peer name b1
	ip -n "$lone" link set a0 master br0
	expect "$(link_of "$lone" br0 mtu)" 1400 "of the only port"
	ip -n "$lone" link set b0 master br0
	expect "$(link_of "$lone" br0 mtu)" 1300 "the least"
	ip -n "$lone" link set b0 mtu 1350
	expect "$(link_of "$lone" br0 mtu)" 1350 "follows the port"
	ip -n "$lone" link set b0 nomaster
	expect "$(link_of "$lone" br0 mtu)" 1400 "without the port"
	ip -n "$lone" link set br0 mtu 1280
	ip -n "$lone" link set b0 master br0
	ip -n "$lone" link set b0 nomaster
	expect "$(link_of "$lone" br0 mtu)" 1280 "as set"
	ip -n "$lone" link del br0
	ip -n "$lone" link add br0 mtu 9000 type k8snet
	ip -n "$lone" link set a0 master br0
	expect "$(link_of "$lone" br0 mtu)" 9000 "as made"
	for d in br0 a0 b0; do ip -n "$lone" link del $d; done
}

link_refusals()
{
	ip -n "$lone" link add br0 type k8snet
	ip -n "$lone" link add br1 type k8snet
	ip -n "$lone" link add lb0 type bridge
	ip -n "$lone" link add a0 type veth peer name a1
	ip -n "$lone" link add tun0 type ipip local 127.0.0.1
	ip -n "$lone" link add mv0 link a1 type macvlan

	expect_status 2 ip -n "$lone" link set lo master br0
	expect_match "$OUTPUT" "loopback device cannot be a port"
	expect_status 2 ip -n "$lone" link set br1 master br0
	expect_match "$OUTPUT" "cannot be the port of another"
	expect_status 2 ip -n "$lone" link set lb0 master br0
	expect_match "$OUTPUT" "a bridge cannot be a port"
	expect_status 2 ip -n "$lone" link set tun0 master br0
	expect_match "$OUTPUT" "must be an Ethernet device"
	expect_status 2 ip -n "$lone" link set a1 master br0
	expect_match "$OUTPUT" "already a port or has a macvlan"
	expect_status 2 ip -n "$lone" link set br0 netns "$other"
	expect_status 2 ip -n "$lone" link add br0.5 link br0 type vlan id 5
	expect_status 2 ip -n "$lone" link add br2 address 01:00:00:00:00:05 \
		type k8snet
	expect_match "$OUTPUT" "must be a unicast address"
	expect "$(link_of "$lone" br0 promiscuity)" 0
	expect "$(ks "$lone" port list)" "" "no port"

	ip -n "$lone" link set a0 master br0
	expect "$(link_of "$lone" a0 master)" br0
	expect "$(link_of "$lone" a0 promiscuity)" 1
	ip -n "$lone" link set a0 master br1
	expect "$(ks "$lone" port list)" "a0 bridge br1 antispoof on spoofed 0"
	ip -n "$lone" link set a0 nomaster
	expect "$(link_of "$lone" a0 promiscuity)" 0
	for d in tun0 mv0 a0 lb0 br1 br0; do
		ip -n "$lone" link del $d
	done
}
setup_ns other

link_ethtool()
{
	ip -n "$lone" link add br0 type k8snet
	in_ns "$lone" ethtool -i br0 | grep -qx 'driver: k8snet'
	ip -n "$lone" link set br0 up
	in_ns "$lone" ethtool br0 | grep -q 'Link detected: yes'
	in_ns "$lone" ethtool -k br0 | grep -q 'tcp-segmentation-offload: on'
	ip -n "$lone" link del br0
}

bridge_show()
{
	ip -n "$lone" link add br0 type k8snet
	ip -n "$lone" addr add 10.9.8.7/24 dev br0
	addr_add "$lone" br0 fd00:9::1/64
	expect_match "$(ks "$lone" bridge show br0)" \
		"^br0 addr 10\.9\.8\.7/24 addr fd00:9::1/64 mtu 1500 lladdr 0a:58:0a:09:08:07 down ports 0$"
	ip -n "$lone" link set br0 up name brx
	expect_match "$(ks "$lone" bridge show)" "^brx .* up ports 0$"
	expect_status 1 ks "$lone" bridge show lo
	expect_match "$OUTPUT" "not a pod bridge"
	ip -n "$lone" link del brx
}

run_test "a link of kind k8snet is made and removed" link_kind
run_test "the MAC follows the first address until one is set" link_mac
run_test "the MTU is that of the ports until one is set" link_mtu
run_test "what cannot be a port is refused with a reason" link_refusals
run_test "ethtool knows the driver, link and offloads" link_ethtool
run_test "bridge show tells addresses, MAC and state" bridge_show

# --- traffic on one node

setup_ns node pod1 pod2
bridge_add "$node" cnio0 10.200.0.0/24 fd00:10:200::/64 ||
	tap_bail "no pod bridge"
pod_add "$node" cnio0 "$pod1" 10.200.0.2,fd00:10:200::2 &&
	pod_add "$node" cnio0 "$pod2" 10.200.0.3,fd00:10:200::3 ||
	tap_bail "no pods"
serve "$pod2" pod2 tcp:80 udp:80 || tap_bail "no server"
serve "$node" node tcp:81 || tap_bail "no server"

reach()		# NAMESPACE ADDRESS SEEN-AS PORT NAME
{
	pings "$1" "$2"
	expect_match "$(ask "$1" tcp "$2" "$4")" "^$5 $3 [0-9]+ from $2 $4$"
}

run_test "pod to pod, IPv4" reach "$pod1" 10.200.0.3 10.200.0.2 80 pod2
run_test "pod to pod, IPv6" reach "$pod1" fd00:10:200::3 fd00:10:200::2 80 pod2
run_test "pod to node, IPv4" reach "$pod1" 10.200.0.1 10.200.0.2 81 node
run_test "pod to node, IPv6" reach "$pod1" fd00:10:200::1 fd00:10:200::2 81 node
run_test "node to pod, IPv4" reach "$node" 10.200.0.3 10.200.0.1 80 pod2
run_test "node to pod, IPv6" reach "$node" fd00:10:200::3 fd00:10:200::1 80 pod2

bulk()		# NAMESPACE ADDRESS
{
	expect_match "$(ask "$1" -t 60 -g 1000000 tcp "$2" 80)" "get ok$"
	expect_match "$(ask "$1" -t 60 -u 1000000 tcp "$2" 80)" "put ok$"
}

run_test "1 MB each way between pods, IPv4" bulk "$pod1" 10.200.0.3
run_test "1 MB each way between pods, IPv6" bulk "$pod1" fd00:10:200::3

no_offload()
{
	in_ns "$pod1" ethtool -K eth0 tx off tso off gso off gro off > /dev/null
	in_ns "$node" ethtool -K "$(pod_port "$pod2")" tx off gso off gro on \
		> /dev/null
	bulk "$pod1" 10.200.0.3
	bulk "$pod1" fd00:10:200::3
	in_ns "$pod1" ethtool -K eth0 tx on tso on gso on gro on > /dev/null
	in_ns "$node" ethtool -K "$(pod_port "$pod2")" tx on gso on gro off \
		> /dev/null
}
run_test "1 MB each way without offloads" no_offload

fragments()	# NAMESPACE ADDRESS
{
	expect_match "$(ask "$1" -d 4000 -s 4000 udp "$2" 80)" "^pod2 .* from $2 80$"
}
run_test "datagrams in fragments, IPv4" fragments "$pod1" 10.200.0.3
run_test "datagrams in fragments, IPv6" fragments "$pod1" fd00:10:200::3

no_redirect()
{
	local before after

	before=$(icmp_redirects)
	pings "$pod1" 10.200.0.3
	pings "$pod1" fd00:10:200::3
	after=$(icmp_redirects)
	expect "$after" "$before" "redirects received and sent"
	expect "$(in_ns "$pod1" ip route show cache)" "" "route cache"
}
icmp_redirects()
{
	in_ns "$node" nstat -asz IcmpOutRedirects Icmp6OutRedirects |
		awk '/Redirects/ { print $2 }'
	in_ns "$pod1" nstat -asz IcmpInRedirects Icmp6InRedirects |
		awk '/Redirects/ { print $2 }'
}
run_test "the node sends pods no redirects" no_redirect

conntracked()
{
	in_ns "$node" conntrack -F 2> /dev/null
	ask "$pod1" tcp 10.200.0.3 80
	in_ns "$node" conntrack -L -p tcp --dport 80 2> /dev/null |
		grep -q 'src=10.200.0.2 dst=10.200.0.3 .*src=10.200.0.3 dst=10.200.0.2'
}
run_test "conntrack sees pod to pod, untranslated" conntracked

filtered()
{
	in_ns "$node" nft -f - <<-END
		table inet t {
			chain c {
				type filter hook forward priority 0
				iifname cnio0 oifname cnio0 tcp dport 80 counter drop
			}
		}
	END
	expect "$(ask "$pod1" -t 1 tcp 10.200.0.3 80)" timeout
	expect "$(ask "$pod1" -t 1 tcp fd00:10:200::3 80)" timeout
	in_ns "$node" nft list table inet t | grep -q 'packets [1-9]'
	in_ns "$node" nft delete table inet t
	ask "$pod1" tcp 10.200.0.3 80
}
run_test "a firewall in FORWARD judges pod to pod" filtered

# What pod2 hears of pod1's broadcasts, with a unicast as the end mark.
isolated()
{
	local out=$TMP/sniffed

	in_ns "$pod2" timeout 20 tcpdump -lnni eth0 --immediate-mode -Q in \
		'icmp or icmp6 or udp or arp' > "$out" 2> "$out.err" &
	busywait 10 grep -q 'listening on' "$out.err"
	in_ns "$pod1" python3 "$LIB_DIR/lib/frame.py" eth0 "10.200.0.2>10.200.0.1" \
		udp:src=10.200.0.2,dst=10.200.0.255,dport=777 \
		udp:src=10.200.0.2,dst=255.255.255.255,dport=777 \
		udp:src=10.200.0.2,dst=224.0.0.251,dport=777,ed=01:00:5e:00:00:fb \
		udp:src=fd00:10:200::2,dst=ff02::fb,dport=777,ed=33:33:00:00:00:fb \
		udp:src=10.200.0.2,dst=10.200.0.3,dport=777 \
		arp:sip=10.200.0.2,tip=10.200.0.3 > /dev/null
	pings "$pod1" 10.200.0.3 > /dev/null
	busywait 10 grep -q 'ICMP echo request' "$out"
	kill %1 2> /dev/null || :
	wait
	if grep -E '\.777: |224\.0\.0|ff02::fb|ARP, Request' "$out"; then
		fail "pod2 heard pod1"
	fi
}
run_test "pods do not hear each other's broadcast and multicast" isolated

multicast_from_node()	# ADDRESS
{
	expect_match "$(ask "$node" ping "$1%cnio0")" "^reply from fe80"
}
run_test "multicast from the node reaches pods, their answers the node" \
	multicast_from_node ff02::1

floods()
{
	local pod

	for pod in pod1 pod2; do
		in_ns "${!pod}" timeout 20 tcpdump -lnni eth0 --immediate-mode \
			-Q in 'udp port 5353' > "$TMP/$pod" 2> "$TMP/$pod.err" &
		busywait 10 grep -q 'listening on' "$TMP/$pod.err"
	done
	in_ns "$node" python3 "$LIB_DIR/lib/frame.py" cnio0 - \
		udp:src=10.200.0.1,dst=10.200.0.255,dport=5353,ed=ff:ff:ff:ff:ff:ff \
		udp:src=10.200.0.1,dst=224.0.0.251,dport=5353,ed=01:00:5e:00:00:fb \
		udp:src=fd00:10:200::1,dst=ff02::fb,dport=5353,ed=33:33:00:00:00:fb
	for pod in pod1 pod2; do
		busywait 10 grep -q '10.200.0.255.5353' "$TMP/$pod"
		busywait 10 grep -q '224.0.0.251.5353' "$TMP/$pod"
		busywait 10 grep -q 'ff02::fb.5353' "$TMP/$pod"
	done
	kill %1 %2 2> /dev/null || :
	wait
}
run_test "broadcast and multicast from the node reaches every pod" floods

hears()
{
	local out=$TMP/heard

	in_ns "$node" timeout 20 tcpdump -lnni cnio0 --immediate-mode -Q in \
		'udp port 5353' > "$out" 2> "$out.err" &
	busywait 10 grep -q 'listening on' "$out.err"
	in_ns "$pod1" python3 "$LIB_DIR/lib/frame.py" eth0 - \
		udp:src=10.200.0.2,dst=224.0.0.251,dport=5353,ed=01:00:5e:00:00:fb \
		udp:src=fd00:10:200::2,dst=ff02::fb,dport=5353,ed=33:33:00:00:00:fb
	busywait 10 grep -q '224.0.0.251.5353' "$out"
	busywait 10 grep -q 'ff02::fb.5353' "$out"
	kill %1 2> /dev/null || :
	wait
}
run_test "multicast from pods reaches the node" hears

link_local()
{
	local ll

	ll=$(ip -n "$node" -6 -o addr show dev cnio0 scope link |
		awk '{ sub("/.*", "", $4); print $4; exit }')
	pings "$pod1" "$ll%eth0"
	ll=$(ip -n "$pod1" -6 -o addr show dev eth0 scope link |
		awk '{ sub("/.*", "", $4); print $4; exit }')
	pings "$node" "$ll%cnio0"
}
run_test "link-local addresses of node and pod reach each other" link_local

counted()
{
	local rx tx out before

	before=$(stat_of "$node" to_pod)
	rx=$(in_sys "$node" cnio0/statistics/rx_packets)
	tx=$(in_sys "$node" cnio0/statistics/tx_packets)
	in_ns "$pod1" ping -c 10 -i 0.02 10.200.0.3
	out=$(stat_of "$node" to_pod)
	[ $((out - before)) -ge 20 ] || fail "to_pod: $before, then $out"
	[ "$(in_sys "$node" cnio0/statistics/rx_packets)" \
		-ge $((rx + 20)) ]
	[ "$(in_sys "$node" cnio0/statistics/tx_packets)" \
		-ge $((tx + 20)) ]
}
run_test "what passes is counted" counted

unknown()
{
	local before after

	before=$(stat_of "$node" neigh_unanswered)
	expect_status 1 in_ns "$pod1" ping -c 1 -W 5 10.200.0.77
	expect_match "$OUTPUT" "From 10.200.0.2 .*Unreachable"
	after=$(stat_of "$node" neigh_unanswered)
	[ "$after" -gt "$before" ] || fail "not counted"
	expect_status 1 in_ns "$node" ping -c 1 -W 5 10.200.0.78
	expect_match "$OUTPUT" "Host Unreachable"
}
run_test "an address of no pod is unreachable" unknown

port_down()
{
	local before after

	before=$(stat_of "$node" port_down)
	ip -n "$pod2" link set eth0 down
	expect_status 1 in_ns "$pod1" ping -c 1 -W 1 10.200.0.3
	after=$(stat_of "$node" port_down)
	[ "$after" -gt "$before" ] || fail "not counted"
	ip -n "$pod2" link set eth0 up
	ip -n "$pod2" route add default via 10.200.0.1
	addr_add "$pod2" eth0 fd00:10:200::3/64
	ip -n "$pod2" route add default via fd00:10:200::1
	pings "$pod1" 10.200.0.3
	pings "$pod1" fd00:10:200::3
}
run_test "a pod whose link is down: counted, and back when it is up" port_down

bridge_down()
{
	ip -n "$node" link set cnio0 down
	expect_status 1 in_ns "$pod1" ping -c 1 -W 1 10.200.0.3
	ip -n "$node" link set cnio0 up
	pings "$pod1" 10.200.0.3
	addr_add "$node" cnio0 fd00:10:200::1/64
	pings "$pod1" fd00:10:200::3
}
run_test "a bridge that is down carries nothing, and all again when up" \
	bridge_down

tap_end
