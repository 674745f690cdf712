#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
#
# What k8snetctl can read and what not, as a table of command lines. What
# cannot be read ends with status 2 and a sentence on stderr, before anything
# is sent; what can be read reaches the kernel, which does it or refuses it (0
# or 1). So this also runs without the module: then all that is readable ends
# with 1, because there is nobody to send it to.
#
# The lines are also read as lines of a batch, which has its own splitting.

. "$(dirname "$0")/lib.sh"

setup_ns empty
modprobe k8snet 2>/dev/null

# A command line of words in shell quoting, in a namespace without anything.
run()	# LINE
{
	local words

	eval "words=($1)"
	"$K8SNETCTL" -N "$empty" "${words[@]}" >"$TMP/out" 2>"$TMP/err" </dev/null
}

bad()	# LINE [WHAT ITS MESSAGE SAYS]
{
	local rc=0 err

	run "$1" || rc=$?
	expect "$rc" 2 status
	err=$(<"$TMP/err")
	[ ! -s "$TMP/out" ] || fail "it printed: $(<"$TMP/out")"
	expect_match "$err" '^k8snetctl: .' message
	[[ $err != *$'\n'* ]] || fail "more than one line: $err"
	[[ $err == *"$2"* ]] || fail "'$err' does not say '$2'"
}

# A refusal comes from the kernel, from what is there, or from its absence.
good()	# LINE
{
	local rc=0

	run "$1" || rc=$?
	case $rc in
	0) ;;
	1) [ -s "$TMP/err" ] || fail "status 1 and no message" ;;
	*) fail "status $rc: $(<"$TMP/err")" ;;
	esac
}

bad_in_batch()	# LINE
{
	local rc=0

	printf '%s\n' '# a comment' '' "$1" |
		"$K8SNETCTL" -N "$empty" -b - >"$TMP/out" 2>"$TMP/err" || rc=$?
	expect "$rc" 2 status
	expect_match "$(<"$TMP/err")" '^k8snetctl: stdin:3: .' message
}

# The lines of $TMP/batch: one behind them that cannot be read is the first
# that is not, and keeps them all from being sent.
good_in_batch()
{
	local rc=0

	(cat "$TMP/batch"; echo 'not a command') |
		"$K8SNETCTL" -N "$empty" -b - >"$TMP/out" 2>"$TMP/err" || rc=$?
	expect "$rc" 2 status
	expect_match "$(<"$TMP/err")" \
		"^k8snetctl: stdin:$(($(wc -l < "$TMP/batch") + 1)): unknown object 'not'" \
		message
}

bad_file()	# JSON WHAT ITS MESSAGE SAYS
{
	local verb rc

	for verb in restore apply; do
		rc=0
		"$K8SNETCTL" -N "$empty" $verb - <<< "$1" >"$TMP/out" 2>"$TMP/err" ||
			rc=$?
		expect "$rc" 2 "status of $verb"
		expect "$(<"$TMP/err")" "k8snetctl: stdin: $2" message
	done
}

help()	# TEXT WORD...
{
	local text=$1

	shift
	expect_status 0 "$K8SNETCTL" "$@"
	expect_match "$OUTPUT" "k8snetctl $text"
}

object_help()	# OBJECT
{
	help "$1" "$1" help
	help "$1" "$1" --help
	help "$1" help "$1"
}

long=$(printf '%0254d' 0)
max=$(printf '%0253d' 0)
many=$(printf ' external-ip 10.1.0.%d' {1..129})
ranges=$(printf ' source-range 10.%d.0.0/16 source-range 11.%d.0.0/16' {0..130}{,})

# Lines, a tab, and what the message says
while IFS=$'\t' read -r line says; do
	run_test "cannot be read: ${line:0:70}" bad "$line" "$says"
done <<END
bogus	unknown object
svc	the verb is missing
svc bogus	unknown verb
svc add	the service's name
svc add ''	not 1..253
svc add $long	254 bytes
svc add \$'\\xff'	not UTF-8
svc add \$'\\xc0\\xaf'	not UTF-8
svc add \$'\\xed\\xa0\\x80'	not UTF-8
svc add x vip	value is missing
svc add x vip 10.0.0.1:80	no protocol
svc add x vip 10.0.0.1/tcp	no port
svc add x vip 10.0.0.1:80/icmp	bad protocol
svc add x vip 10.0.0.1:80/TCP	bad protocol
svc add x vip 10.0.0.1:0/tcp	not in 1..65535
svc add x vip 10.0.0.1:65536/tcp	not in 1..65535
svc add x vip 10.0.0.1:99999999999/tcp	not a number
svc add x vip 10.0.0.1:+80/tcp	not a number
svc add x vip '10.0.0.1: 80/tcp'	not a number
svc add x vip 10.0.0.1:80x/tcp	not a number
svc add x vip 10.0.0.1:/tcp	not a number
svc add x vip 10.0.0.256:80/tcp	bad address
svc add x vip 10.0.1:80/tcp	bad address
svc add x vip 010.0.0.1:80/tcp	bad address
svc add x vip fd00::1:80/tcp	port
svc add x vip '[fd00::1:80/tcp'	bad address
svc add x vip '[10.0.0.1]:80/tcp'	bad address
svc add x vip '[fd00::1]80/tcp'	bad address
svc add x vip '[fe80::1%lo]:80/tcp'	bad address
svc add x vip host.example:80/tcp	bad address
svc add x vip 10.0.0.1:80/tcp vip 10.0.0.2:80/udp	one protocol
svc add x vip 10.0.0.1:80/tcp node-port 30000/udp	one protocol
svc add x vip 10.0.0.1:80/tcp vip none	not none
svc add x proto	value is missing
svc add x proto icmp	bad protocol
svc add x proto udp vip 10.0.0.1:80/tcp	one protocol
svc add x node-port 30000/sctp proto udp	one protocol
svc add x proto udp proto tcp	one protocol
svc add x vip none vip 10.0.0.1:80/tcp	not none
svc add x node-port 0	not in 1..65535
svc add x node-port 30000 node-port 30001	given twice
svc add x external-ip 192.0.2.1	no vip
svc add x external-ip 192.0.2.1/tcp	without a port
svc add x lb-ip 192.0.2.1:80/foo	bad protocol
svc add x vip 10.0.0.1:80/tcp$many	more than 128
svc add x source-range 10.0.0.1/8	10.0.0.0/8
svc add x source-range 10.0.0.0	no /LENGTH
svc add x source-range 10.0.0.0/33	not in 0..32
svc add x source-range fd00::/129	not in 0..128
svc add x source-range fd00::1/64	fd00::/64
svc add x source-range 10.0.0.0/-1	length
svc add x source-range 10.0.0.0/	length
svc add x$ranges	more than 256
svc add x scheduler wrr	random, rr, lc, maglev
svc add x scheduler rr scheduler lc	given twice
svc add x affinity -1	not a number
svc add x affinity 86401	not in 0..86400
svc add x affinity 1h	not a number
svc add x external-policy Local	cluster, local
svc add x internal-policy	value is missing
svc add x no-endpoints deny	reject, drop, pass
svc add x on-removal drop	keep, reset, reschedule
svc add x dsr geneve	none, ipip
svc add x ep 10.0.0.1	no port
svc add x ep 'fd00::1:*'	'fd00::1:*': no port
svc add x ep 10.0.0.1:80,weight=65536	not in 0..65535
svc add x ep 10.0.0.1:80,weight=	not a number
svc add x ep 10.0.0.1:80,weight=1,weight=2	two weights
svc add x ep 10.0.0.1:80,weight	unknown word
svc add x ep 10.0.0.1:80,	unknown word
svc add x ep 10.0.0.1:80,ready,not-ready	contradict
svc add x ep 10.0.0.1:80,local,remote	contradict
svc add x ep none ep 10.0.0.1:80	not none
svc add x bogus y	what is 'bogus'
svc set x	what to set
svc set	the service's name
svc set x vip none external-ip 192.0.2.1	no vip
svc del	the service's name
svc del x y	what is 'y'
svc show x y	what is 'y'
ep add x	the endpoint
ep add x 10.0.0.1	no port
ep add x 'fd00::1:*'	no port
ep add x 'fd00::1:*,weight=2'	no port
ep add x '10.0.0.1:**'	not a number
ep add x 10.0.0.1:80,bogus	unknown word
ep bogus x	unknown verb
bridge add	the bridge's name
bridge add br0	addr is missing
bridge add br0 addr	value is missing
bridge add br0 addr none addr 10.0.0.0/24	not none
bridge add br0 addr 10.0.0.1	no /LENGTH
bridge add br0 addr 10.0.0.1/33	not in 0..32
bridge add br0 addr 10.0.0.0/24 mtu 0	not in 68..65535
bridge add br0 addr 10.0.0.0/24 mtu 1500 mtu 1400	given twice
bridge add br0 addr 10.0.0.0/24 lladdr 0a:58:00:00:00	bad link-layer
bridge add sixteen-bytes-xx addr 10.0.0.0/24	bad device name
bridge add a/b addr 10.0.0.0/24	bad device name
bridge add '' addr 10.0.0.0/24	bad device name
bridge set br0 addr 10.0.0.0/24 addr none	not none
bridge del	the bridge's name
pod add	the pod's address
pod add 10.0.0.2	port is missing
pod add 10.0.0.2 port	value is missing
pod add 10.0.0.2,10.0.0.3 port eth0	one address a family
pod add 10.0.0.2, port eth0	bad address
pod add ,10.0.0.2 port eth0	bad address
pod add 10.0.0.2,fd00::2,fd00::3 port eth0	bad address
pod add 10.0.0.2 port eth0 mac 0a:58:00:00:00:0g	bad link-layer
pod add 10.0.0.2 port eth0 mac 0a:58:00:00:00:01:02	bad link-layer
pod add 10.0.0.2 port eth0 mac a:58:00:00:00:01	bad link-layer
pod del	the pod's address
pod del 10.0.0	bad address
route add	the CIDR
route add 10.0.0.0/24	via is missing
route add 10.0.0.1/24 via 10.1.0.1	host bits
route add 10.0.0.0/24 via	value is missing
route add 10.0.0.0/24 via fd00::1	another family
route add 10.0.0.0/24 via 10.1.0.1 dev	value is missing
route add 10.0.0.0/24 dev eth0	via is missing
route del	the CIDR
masq add	the CIDR
masq add 10.0.0.0/8 except	value is missing
masq add 10.0.0.0/8 except 10.0.0.1/8	host bits
masq add 10.0.0.0/8 except fd00::/8	another family
masq add 10.0.0.0/8 to 10.0.0.1	what is 'to'
node set	what to set
node set ip	value is missing
node set ip 10.0.0.1 ip 10.0.0.2	one address a family
node set ip none ip 10.0.0.1	not none
node set nodeport-range 30000	LOW-HIGH
node set nodeport-range 30001-30000	empty
node set nodeport-range 0-5	not in 1..65535
node set nodeport-addresses some	bad CIDR
node set cluster-cidr 10.0.0.1/8	host bits
node set fastpath on	auto, established, off
node set flow-max -1	flow-max
node set flow-max 4194305	flow-max
node set flow-max	flow-max
node show x	what is 'x'
port set	the device
port set eth0	what to set
port set eth0 antispoof	value is missing
port set eth0 antispoof maybe	off, on
port add eth0	bridge is missing
lookup	PROTO is missing
lookup tcp	SRC is missing
lookup tcp 10.0.0.1	DST:PORT is missing
lookup tcp 10.0.0.1 10.0.0.2	no port
lookup tcp fd00::1 fd00::2	[ADDR]:PORT
lookup tcp fd00::1 10.0.0.2:80	two families
lookup icmp 10.0.0.1 10.0.0.2:80	bad protocol
flow add	unknown verb
flow list x	what is 'x'
stats a b	what is 'b'
monitor x	what is 'x'
flush x	what is 'x'
save x	what is 'x'
restore	the file
restore a b	what is 'b'
apply	the file
apply /nonexistent/file	No such file
--bogus svc list	unknown option
-N	the namespace
-b	the batch file
-b /nonexistent/file	No such file
-b - svc list	a batch and a command
END

while read -r line; do
	run_test "cannot be read in a batch: $line" bad_in_batch "$line"
done <<'END'
svc add x vip 10.0.0.1:80
svc add "x
svc add 'x
bogus
pod del
END

: > "$TMP/batch"
while read -r line; do
	run_test "can be read: ${line:0:70}" good "$line"
	case $line in
	-*) ;;
	*) printf '%s\n' "$line" >> "$TMP/batch" ;;
	esac
done <<END
svc add default/web:http vip 10.32.0.1:80/tcp
svc add "free text, any # of it" vip 10.32.0.2:80/udp
svc add 'näme' vip '[fd00::1]:80/sctp' vip 10.32.0.3:80/sctp
svc add $max
svc add none-at-all vip none ep none source-range none external-ip none lb-ip none node-port none
svc add proto proto sctp
svc set proto proto sctp
svc add both vip 10.32.0.9:53/udp proto udp
svc add np node-port 30000
svc add npu node-port 30001/udp
svc add ext external-ip 192.0.2.1:80/tcp lb-ip '[2001:db8::1]:80'
svc add late external-ip 192.0.2.2 lb-ip 2001:db8::2 vip 10.32.0.4:80/tcp
svc add eps vip 10.32.0.5:1/tcp ep 10.0.0.1:65535,weight=65535,terminating,serving,local ep '[fd00::2]:1,weight=0,not-ready,remote'
svc add all vip 10.32.0.6:80/tcp scheduler maglev affinity 86400 external-policy local internal-policy cluster source-range 10.0.0.0/8,192.168.0.0/16 source-range 0.0.0.0/0 no-endpoints pass on-removal reschedule dsr ipip
svc set all vip none
svc set all external-ip 192.0.2.9
svc set all ep 10.0.0.9:80 node-port none
svc del all
svc del all --force
svc delete nothing --force
svc list
svc ls
svc show
svc show nothing
ep add eps 10.0.0.3:80 10.0.0.4:80,weight=3
ep add eps '10.0.0.5:*' '[fd00::1]:*,weight=3'
ep set eps 10.0.0.3:80,not-ready
ep del eps 10.0.0.3:80 10.0.0.4:80
ep list
ep list eps
bridge add br0 addr 10.200.0.0/24 addr fd00:10:200::/64 mtu 1400
bridge add br1 addr 10.201.0.1/24 lladdr 0a:58:00:00:00:01
bridge add br2 addr none lladdr 0a:58:00:00:00:02
bridge set br1 mtu 1300
bridge set br1 addr none mtu 1400
bridge show
bridge show br1
bridge del br1
pod add 10.200.0.2 port nothing
pod add 10.200.0.2,fd00::2 port nothing mac 0A:58:0a:c8:00:02 bridge br0
pod add fd00::2,10.200.0.2 port nothing
pod del 10.200.0.2
pod list
pod list 10.200.0.2
route add 10.200.1.0/24 via 10.240.0.21
route add fd00:1::/64 via fd00::21 dev lo
route del 10.200.1.0/24
route list
masq add 10.200.0.0/16
masq add fd00::/48 except fc00::/7 except 2001:db8::/32
masq del 10.200.0.0/16
masq list
node set ip 10.240.0.20 ip fd00::20
node set ip none cluster-cidr none
node set nodeport-addresses all nodeport-range 30000-32767
node set nodeport-addresses 10.0.0.0/8,fd00::/8 cluster-cidr 10.200.0.0/16 cluster-cidr fd00::/48
node set fastpath established
node set flow-max 0
node show
port list
port set nothing antispoof off
lookup tcp 10.0.0.1 10.0.0.2:80
lookup udp 10.0.0.1:1234 10.0.0.2:53
lookup sctp fd00::1 '[fd00::2]:80'
lookup sctp '[fd00::1]:5' '[fd00::2]:80'
flow list
stats
stats nothing
save
flush
-j svc list
-j -p svc list
-jp node show
--json --pretty pod list
--force svc del nothing
--netns=/proc/self/ns/net help
END

run_test "all that can be read can be in a batch" good_in_batch
batch_sends_nothing()
{
	expect_status 2 "$K8SNETCTL" -N "$empty" -b - \
		<<< $'svc add kept vip 10.99.0.1:1/tcp\nsvc add x vip bad'
	expect_status 1 "$K8SNETCTL" -N "$empty" svc show kept
}

no_command()
{
	local rc=0

	"$K8SNETCTL" > "$TMP/out" 2> "$TMP/err" || rc=$?
	expect "$rc" 2 status
	[ ! -s "$TMP/out" ] || fail "it printed on stdout"
	expect_match "$(<"$TMP/err")" '^Usage:'
}

no_room()
{
	local rc=0

	"$K8SNETCTL" help > /dev/full 2> "$TMP/err" || rc=$?
	expect "$rc" 1 status
}

run_test "cannot be read in a file: an IPv6 endpoint without brackets" bad_file \
	'{"services":[{"name":"x","ep":[{"addr":"fd00::1:*"}]}]}' \
	"services[0].ep[0].addr: bad endpoint 'fd00::1:*': no port"
run_test "a bad line keeps a batch from being sent" batch_sends_nothing
run_test "no command: usage on stderr, status 2" no_command
run_test "help is printed on stdout" help 'svc add' help
run_test "--help is printed on stdout" help 'svc add' --help
run_test "--version" expect_status 0 "$K8SNETCTL" --version
for object in node bridge port pod route masq svc ep lookup flow stats monitor \
	      save restore apply flush; do
	run_test "help about $object" object_help "$object"
done
run_test "help behind words" help svc svc add --help
run_test "a namespace that is not there" \
	expect_status 1 "$K8SNETCTL" -N no-such-namespace svc list
run_test "output that cannot be written" no_room

tap_end
