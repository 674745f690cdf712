#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout: 400
#
# Masquerade, on a node whose pods come through an ordinary link, so that
# nothing but the rules is tested; and once through a pod bridge.
#
#      pod                 node                   world
#   10.200.0.2 ----- 10.200.0.1   198.51.100.1 ----- 198.51.100.2
#   fd00:10:200::2   fd00:10:200::1  2001:db8:1::1   2001:db8:1::2
#                       pods0     wan0               and on lo:
#                                                    203.0.113.1, 2001:db8:2::1
#                                                    10.200.9.1, fd00:10:200:9::1
#
# The world can reach the pod without translation, so that a flow that is left
# alone is answered too: what differs is only the client that the server sees.

. "$(dirname "$0")/lib.sh"

POD=10.200.0.2
POD6=fd00:10:200::2
NODE=198.51.100.1
NODE6=2001:db8:1::1
WORLD=198.51.100.2
WORLD6=2001:db8:1::2

setup_ns node pod world
modprobe sctp
in_ns "$node" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
link_pair "$node" pods0 "$pod" eth0 || tap_bail "no links"
link_pair "$node" wan0 "$world" eth0 || tap_bail "no links"
addr_add "$node" pods0 10.200.0.1/24 fd00:10:200::1/64
addr_add "$node" wan0 $NODE/24 $NODE6/64
addr_add "$pod" eth0 $POD/24 $POD6/64
addr_add "$world" eth0 $WORLD/24 $WORLD6/64
addr_add "$world" lo 203.0.113.1/32 2001:db8:2::1/128 \
	10.200.9.1/32 fd00:10:200:9::1/128
for gw in 10.200.0.1 fd00:10:200::1; do
	ip -n "$pod" route add default via "$gw"
done
for gw in $WORLD $WORLD6; do
	ip -n "$node" route add default via "$gw"
done
for gw in $NODE $NODE6; do
	ip -n "$world" route add default via "$gw"
done
serve "$world" world tcp:80 udp:80 sctp:80 || tap_bail "no server"

rules_default()
{
	ks "$node" masq add 10.200.0.0/16 except 203.0.113.0/24 &&
		ks "$node" masq add fd00:10:200::/48 except 2001:db8:2::/64
}

# The address that the server saw.
seen()		# ASK-ARGUMENT...
{
	local answer

	answer=$(ask "$pod" "$@") || fail "no answer: $answer"
	# shellcheck disable=SC2086 # words
	set -- $answer
	echo "$2"
}

stat_of()	# COUNTER: of the node
{
	ks "$node" stats | awk -v c="$1" '$1 == c { print $2; found = 1 }
		END { exit !found }'
}

rule_counter()	# CIDR flows|exempt
{
	ks "$node" masq list | awk -v r="$1" -v c="$2" '$1 == r {
		for (i = 2; i < NF; i++)
			if ($i == c) { print $(i + 1); found = 1 }
	} END { exit !found }'
}

# --- which flows -------------------------------------------------------

masqueraded()	# PROTO SERVER NODE
{
	expect "$(seen "$1" "$2" 80)" "$3" "client of $1 to $2"
}

left_alone()	# PROTO SERVER POD
{
	expect "$(seen "$1" "$2" 80)" "$3" "client of $1 to $2"
}

# What the server cannot tell: pings, by what the node translated them to.
ping_translated()	# SERVER PROTO REPLY-DESTINATION
{
	local entry

	in_ns "$node" conntrack -F 2>/dev/null
	ask "$pod" ping "$1" > /dev/null || fail "no answer to ping $1"
	entry=$(in_ns "$node" conntrack -L -p "$2" 2>/dev/null)
	expect_match "$entry" "dst=$1 .* src=$1 dst=$3 " "conntrack entry"
}

related_error()	# SERVER
{
	# A port without a listener: the ICMP error must come back through
	# the translation.
	expect "$(ask "$pod" cudp "$1" 81 || :)" "error ECONNREFUSED" "udp $1"
}

# A datagram to a group or broadcast address from an address in the rule's
# prefix: what source does the world see? Names a source, sends until the
# receiver has heard one.
announced()	# FAMILY GROUP SOURCE
{
	local out=$TMP/heard

	rm -f "$out" "$out.ready"
	background announce "$world" python3 -IS -c '
import socket, struct, sys
family, group, out = sys.argv[1:]
v6 = family == "6"
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET,
                  socket.SOCK_DGRAM)
s.settimeout(20)
s.bind(("::" if v6 else "", 5353))
dev = socket.if_nametoindex("eth0")
if v6:
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                 socket.inet_pton(socket.AF_INET6, group) +
                 struct.pack("@I", dev))
elif group.startswith("239."):
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                 socket.inet_aton(group) + bytes(4) + struct.pack("@I", dev))
open(out + ".ready", "w")
peer = s.recvfrom(100)[1]
open(out + ".new", "w").write("%s %d" % peer[:2])
import os
os.rename(out + ".new", out)
' "$1" "$2" "$out"
	busywait 20 test -e "$out.ready" || fail "no receiver"
	in_ns "$node" python3 -IS -c '
import socket, sys, time, os
family, group, source, out = sys.argv[1:]
v6 = family == "6"
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET,
                  socket.SOCK_DGRAM)
dev = socket.if_nametoindex("wan0")
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wan0")
if v6:
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, dev)
s.bind((source, 31234))
for _ in range(100):
    s.sendto(b"hello", (group, 5353))
    if os.path.exists(out):
        break
    time.sleep(0.1)
' "$1" "$2" "$3" "$out" || fail "cannot send to $2"
	busywait 5 test -e "$out" || fail "nothing heard of $2"
	expect "$(cat "$out")" "$3 31234" "source of a datagram to $2"
}

cluster_cidr()
{
	local s

	ks "$node" node set cluster-cidr 198.51.100.0/24
	s=$(seen udp $WORLD 80)
	ks "$node" node set cluster-cidr none
	expect "$s" $POD "client within the cluster's prefix"
	expect "$(seen udp $WORLD 80)" $NODE "client without it"
}

longest_prefix()
{
	local flows exempt s

	ks "$node" masq add $POD/32 except 198.51.100.0/24
	flows=$(rule_counter 10.200.0.0/16 flows)
	s=$(seen udp $WORLD 80)
	exempt=$(rule_counter $POD/32 exempt)
	expect "$(rule_counter 10.200.0.0/16 flows)" "$flows" "the wide rule's flows"
	ks "$node" masq del $POD/32
	expect "$s" $POD "client that the narrow rule exempts"
	expect "$exempt" 1 "the narrow rule's exempt flows"
	expect "$(seen udp $WORLD 80)" $NODE "client of the wide rule"
}

no_address()
{
	local before rc=0

	# Without IPv6 addresses of its own the node has nothing to give.
	before=$(stat_of snat_no_address)
	ip -n "$node" addr del $NODE6/64 dev wan0
	ip -n "$node" addr del fd00:10:200::1/64 dev pods0
	ip -n "$node" route add fd00:10:200::/64 dev pods0
	ip -n "$node" route replace default via fe80::1 dev wan0
	ip -n "$node" neigh replace fe80::1 dev wan0 \
		lladdr "$(in_sys "$world" eth0/address)"
	ip -n "$pod" neigh replace fd00:10:200::1 dev eth0 \
		lladdr "$(in_sys "$node" pods0/address)"
	ask "$pod" -t 1 udp $WORLD6 80 || rc=$?
	ip -n "$pod" neigh del fd00:10:200::1 dev eth0
	ip -n "$node" route del fd00:10:200::/64 dev pods0
	addr_add "$node" pods0 fd00:10:200::1/64
	addr_add "$node" wan0 $NODE6/64
	ip -n "$node" route replace default via $WORLD6
	expect $rc 1 "status of a client that cannot be translated"
	[ "$(stat_of snat_no_address)" -gt "$before" ] || fail "not counted"
	expect "$(seen udp $WORLD6 80)" $NODE6 "client, all put back"
}

# --- counters ----------------------------------------------------------

counters()
{
	local cidr=$1 to=$2 except=$3 flows exempt all snat

	flows=$(rule_counter "$cidr" flows)
	exempt=$(rule_counter "$cidr" exempt)
	all=$(stat_of masq_flows)
	snat=$(stat_of snat_flows)
	ask "$pod" -o -c 7 udp "$to" 80 > /dev/null
	ask "$pod" -o -c 5 udp "$except" 80 > /dev/null
	# A second packet of a flow is no second flow.
	ask "$pod" -c 4 -k udp "$to" 80 > /dev/null
	expect "$(rule_counter "$cidr" flows)" $((flows + 8)) "flows"
	expect "$(rule_counter "$cidr" exempt)" $((exempt + 5)) "exempt"
	expect "$(stat_of masq_flows)" $((all + 8)) "masq_flows"
	expect "$(stat_of snat_flows)" $((snat + 8)) "snat_flows"
}

# --- source ports ------------------------------------------------------

# What the server saw of N flows, each from another port: a source port a line.
ports_seen()	# N [ASK-OPTION...]
{
	local n=$1

	shift
	ask "$pod" -o -c "$n" "$@" udp $WORLD 80 | awk '$1 == "world" { print $3 }'
}

in_range()	# LOW HIGH: all lines of standard input, at least one
{
	awk -v low="$1" -v high="$2" '
		$1 < low || $1 > high { print "port " $1; bad = 1 }
		END { exit bad || !NR }'
}

ports_default()
{
	local ports steps

	in_ns "$node" conntrack -F 2>/dev/null
	ports=$(ports_seen 200)
	expect "$(wc -l <<< "$ports")" 200 "answers"
	in_range 1024 65535 <<< "$ports" || fail "port out of range"
	! awk '$1 >= 30000 && $1 <= 32767' <<< "$ports" | grep . ||
		fail "a node port as a source"
	# 200 of 61,744: more than a few doubles would not be random.
	[ "$(sort -u <<< "$ports" | wc -l)" -ge 195 ] || fail "ports repeat"
	# The client's own ports rise; what comes of them must not.
	steps=$(awk 'NR > 1 && $1 > last && $1 < last + 64 { n++ }
		{ last = $1 } END { print n + 0 }' <<< "$ports")
	[ "$steps" -le 5 ] || fail "$steps of 200 ports follow their predecessor"
	# Both sides of the node ports are used.
	awk '$1 < 30000' <<< "$ports" | grep -q . || fail "none below"
	awk '$1 > 32767' <<< "$ports" | grep -q . || fail "none above"
}

# A client that itself uses a node port as its source.
ports_from_nodeport()
{
	local p

	for p in 30000 31000 32767; do
		ports_seen 1 -p $p | in_range 1024 65535
		! ports_seen 1 -p $p | awk '$1 >= 30000 && $1 <= 32767' |
			grep . || fail "source $p stays a node port"
	done
}

ports_set()
{
	ks "$node" node set nodeport-range 2000-65500
	# A client's port used again would continue an earlier flow.
	in_ns "$node" conntrack -F 2>/dev/null
	ports_seen 40 | awk '$1 > 1999 && $1 < 65501 { print; bad = 1 }
		END { exit bad || NR != 40 }' || fail "port in 2000-65500"
}

ports_reserved()
{
	# 36 ports are left by the node-port range, 6 of them not reserved.
	ks "$node" node set nodeport-range 1024-65499
	in_ns "$node" sysctl -qw net.ipv4.ip_local_reserved_ports=65500-65529
	in_ns "$node" conntrack -F 2>/dev/null
	ports_seen 6 | in_range 65530 65535
}

ports_reset()
{
	ks "$node" node set nodeport-range 30000-32767
	in_ns "$node" sysctl -qw net.ipv4.ip_local_reserved_ports=
	in_ns "$node" conntrack -F 2>/dev/null
}

# With 36 ports, 36 flows to one server find one each, whatever it costs; the
# next is dropped and counted, and does not get a node port instead.
ports_exhausted()
{
	local ports clash exhausted

	ks "$node" node set nodeport-range 1024-65499
	in_ns "$node" conntrack -F 2>/dev/null
	clash=$(stat_of snat_port_clash)
	exhausted=$(stat_of snat_port_exhausted)
	ports=$(ports_seen 36)
	expect "$(sort -u <<< "$ports" | wc -l)" 36 "different ports"
	in_range 65500 65535 <<< "$ports" || fail "port out of range"
	[ "$(stat_of snat_port_clash)" -gt "$clash" ] || fail "no clash counted"
	expect "$(stat_of snat_port_exhausted)" "$exhausted" "exhausted so far"
	# By a port that is none of the 36.
	expect "$(ports_seen 1 -t 1 -p 20000)" "" "answer to the 37th"
	expect "$(stat_of snat_port_exhausted)" $((exhausted + 1)) "exhausted"
	# Another server, another set of ports.
	expect "$(seen udp $WORLD6 80)" $NODE6 "client by the other family"
}

ports_none()
{
	local before

	ks "$node" node set nodeport-range 1-65535
	in_ns "$node" conntrack -F 2>/dev/null
	before=$(stat_of snat_port_exhausted)
	expect "$(ports_seen 1 -t 1)" "" "answer"
	expect "$(stat_of snat_port_exhausted)" $((before + 1)) "exhausted"
	# Protocols without ports do not need one.
	ask "$pod" ping $WORLD
}

# --- life of flows -----------------------------------------------------

entries()	# ADDRESS: flows whose replies go there
{
	{
		in_ns "$node" conntrack -L -f ipv4
		in_ns "$node" conntrack -L -f ipv6
	} 2>/dev/null | grep "dst=$1 sport=80"
}

no_entries()
{
	! entries "$1" > /dev/null
}

# The address goes: the flow is ended, and its next packet gets the new one.
address_change()	# SERVER OLD/LEN NEW/LEN
{
	local to=$1 old=${2%/*} new=${3%/*} s

	expect "$(seen -p 40000 udp "$to" 80)" "$old" "client before"
	entries "$old" > /dev/null || fail "no entry"
	addr_add "$node" wan0 "$3"
	ip -n "$node" addr del "$2" dev wan0
	slowwait 10 no_entries "$old" || fail "the flow lives on: $(entries "$old")"
	s=$(seen -p 40000 udp "$to" 80)
	addr_add "$node" wan0 "$2"
	ip -n "$node" addr del "$3" dev wan0
	# Routes through the address went with it.
	ip -n "$node" route replace default via $WORLD
	ip -n "$node" route replace default via $WORLD6
	expect "$s" "$new" "client after"
}

link_down()
{
	expect "$(seen -p 40001 udp $WORLD 80)" $NODE "client before"
	entries $NODE > /dev/null || fail "no entry"
	ip -n "$node" link set wan0 down
	slowwait 10 no_entries $NODE || fail "the flow lives on"
	ip -n "$node" link set wan0 up
	addr_add "$node" wan0 $NODE6/64 || :
	ip -n "$node" route replace default via $WORLD
	ip -n "$node" route replace default via $WORLD6
	slowwait 10 ask "$pod" -t 1 udp $WORLD 80 || fail "no way back"
}

# --- the rules as objects ----------------------------------------------

rules_listed()
{
	local json

	expect_match "$(ks "$node" masq list)" \
		"10.200.0.0/16 except 203.0.113.0/24 flows [0-9]+ exempt [0-9]+"
	json=$(ks "$node" -j masq list)
	python3 -c '
import json, sys
rules = {r["cidr"]: r for r in json.loads(sys.argv[1])}
assert len(rules) == 2, rules
assert rules["fd00:10:200::/48"]["except"] == ["2001:db8:2::/64"], rules
assert rules["10.200.0.0/16"]["flows"] == 0, rules
assert rules["10.200.0.0/16"]["exempt"] == 0, rules
' "$json"
}

refused()	# STATUS EXTENDED-REGEX WORD...
{
	local before status=$1 re=$2

	shift 2
	before=$(ks "$node" masq list)
	expect_status "$status" ks "$node" masq "$@"
	expect_match "$OUTPUT" "$re"
	expect "$(ks "$node" masq list)" "$before" "the rules after"
}

many_rules()
{
	local i

	# Another 254 rules fit, and one dump shows them all.
	for ((i = 0; i < 254; i++)); do
		echo "masq add 172.16.$i.0/24 except 192.0.2.0/24 except 198.18.0.0/15"
	done | ks "$node" -b -
	expect "$(ks "$node" masq list | wc -l)" 256 "rules"
	expect_status 1 ks "$node" masq add 172.17.0.0/16
	expect_match "$OUTPUT" "too many masquerade rules"
	expect "$(seen udp $WORLD 80)" $NODE "client among many rules"
	for ((i = 0; i < 254; i++)); do
		echo "masq del 172.16.$i.0/24"
	done | ks "$node" -b -
	expect "$(ks "$node" masq list | wc -l)" 2 "rules"
}

rules_removed()
{
	ks "$node" masq del 10.200.0.0/16
	expect "$(seen udp $WORLD 80)" $POD "client without the rule"
	expect "$(seen udp $WORLD6 80)" $NODE6 "client of the other"
	ks "$node" flush
	expect "$(ks "$node" masq list)" "" "rules after flush"
	expect "$(seen udp $WORLD6 80)" $POD6 "client after flush"
	rules_default
	expect "$(seen udp $WORLD 80)" $NODE "client, rules back"
}

monitored()
{
	local pid

	background monitor "$node" "$K8SNETCTL" -j monitor
	pid=$PID

	# It says nothing when it is ready: change until it speaks.
	change()
	{
		ks "$node" masq add 192.168.0.0/16 &&
			ks "$node" masq del 192.168.0.0/16 &&
			[ "$(grep -c 192.168.0.0/16 "$TMP/monitor")" -ge 2 ]
	}
	slowwait 10 change || fail "monitor said: $(cat "$TMP/monitor")"
	stop "$pid" || :
}

# --- with a pod bridge -------------------------------------------------

bridge_pod()
{
	setup_ns bpod
	bridge_add "$node" cnio0 10.200.5.0/24 fd00:10:200:5::/64
	# shellcheck disable=SC2154 # set by setup_ns
	pod_add "$node" cnio0 "$bpod" 10.200.5.2,fd00:10:200:5::2
	expect "$(ask "$bpod" tcp $WORLD 80 | cut -d' ' -f2)" $NODE "client"
	expect "$(ask "$bpod" tcp $WORLD6 80 | cut -d' ' -f2)" $NODE6 "client"
	expect "$(ask "$bpod" tcp 203.0.113.1 80 | cut -d' ' -f2)" 10.200.5.2 \
		"client to an exception"
	# Into the bridge nothing is masqueraded, not even from outside the
	# bridge's prefix.
	serve "$bpod" bpod tcp:8080 udp:8080
	expect "$(ask "$pod" tcp 10.200.5.2 8080 | cut -d' ' -f2)" $POD "client"
	ks "$node" masq add 198.51.100.0/24
	expect "$(ask "$world" udp 10.200.5.2 8080 | cut -d' ' -f2)" $WORLD \
		"client from the world"
	ks "$node" masq del 198.51.100.0/24
	ks "$node" bridge del cnio0
}

expect_status 0 rules_default
run_test "rules are listed" rules_listed
for proto in tcp udp sctp; do
	run_test "$proto v4 gets the node's address" masqueraded $proto $WORLD $NODE
	run_test "$proto v6 gets the node's address" masqueraded $proto $WORLD6 $NODE6
	run_test "$proto v4 to an exception is left alone" \
		left_alone $proto 203.0.113.1 $POD
	run_test "$proto v6 to an exception is left alone" \
		left_alone $proto 2001:db8:2::1 $POD6
	run_test "$proto v4 within the prefix is left alone" \
		left_alone $proto 10.200.9.1 $POD
	run_test "$proto v6 within the prefix is left alone" \
		left_alone $proto fd00:10:200:9::1 $POD6
done
run_test "icmp gets the node's address" ping_translated $WORLD icmp $NODE
run_test "icmpv6 gets the node's address" ping_translated $WORLD6 icmpv6 $NODE6
run_test "icmp to an exception is left alone" \
	ping_translated 203.0.113.1 icmp $POD
run_test "icmpv6 to an exception is left alone" \
	ping_translated 2001:db8:2::1 icmpv6 $POD6
run_test "icmp errors come back" related_error $WORLD
run_test "icmpv6 errors come back" related_error $WORLD6
run_test "multicast v4 is never masqueraded" announced 4 239.1.2.3 10.200.0.1
run_test "multicast v6 is never masqueraded" announced 6 ff15::1:2:3 fd00:10:200::1
run_test "link-local multicast v4 is never masqueraded" \
	announced 4 239.255.255.250 10.200.0.1
run_test "broadcast to all is never masqueraded" \
	announced 4 255.255.255.255 10.200.0.1
run_test "broadcast to the subnet is never masqueraded" \
	announced 4 198.51.100.255 10.200.0.1
run_test "what the cluster's prefixes hold is left alone" cluster_cidr
run_test "the longest prefix decides" longest_prefix
run_test "without an address the flow is dropped and counted" no_address
run_test "flows and exemptions are counted, v4" \
	counters 10.200.0.0/16 $WORLD 203.0.113.1
run_test "flows and exemptions are counted, v6" \
	counters fd00:10:200::/48 $WORLD6 2001:db8:2::1
run_test "source ports are random and never node ports" ports_default
run_test "a node port as the client's source is changed" ports_from_nodeport
run_test "another node-port range is respected" ports_set
run_test "reserved ports are respected" ports_reserved
ports_reset
run_test "clashes find the last free port, exhaustion drops" ports_exhausted
ports_reset
run_test "with no port at all the flow is dropped" ports_none
ports_reset
run_test "an address that goes ends its flows, v4" \
	address_change $WORLD $NODE/24 198.51.100.7/25
run_test "an address that goes ends its flows, v6" \
	address_change $WORLD6 $NODE6/64 2001:db8:1::7/64
run_test "a device that goes down ends its flows" link_down
run_test "the same prefix again is refused" \
	refused 1 "a masquerade rule has this prefix already" add 10.200.0.0/16
run_test "removal of what is not there is refused" \
	refused 1 "no masquerade rule has this prefix" del 10.200.0.0/17
run_test "an exception of the other family is refused" \
	refused 2 "except is of another family" \
	add 10.201.0.0/16 except fd00::/64
run_test "many rules" many_rules
run_test "changes are told to listeners" monitored
run_test "flows after a rule's removal are left alone" rules_removed
run_test "pods on a bridge" bridge_pod
tap_end
