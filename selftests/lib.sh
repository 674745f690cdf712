# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced by the tests: TAP, namespaces, nodes, pods, servers. A test is
#
#   #!/bin/bash
#   . "$(dirname "$0")/lib.sh"
#
#   setup_ns left right            # $left, $right: names with a random suffix
#
#   reaches() { ask "$left" tcp 10.0.0.1 80 | grep -q '^web '; }
#
#   run_test "left reaches right" reaches
#   tap_end
#
# Each case runs in a subshell with "set -e", so a failed command fails the
# case but not the test; what it printed follows the "not ok" line as "# "
# lines. Namespaces and background programs are gone when the test ends.
#
# For other users: LIB_NO_TAP prints no TAP header, LIB_PLAIN_NAMES gives
# namespaces their names without a suffix.

LIB_DIR=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
K8SNETCTL=${K8SNETCTL:-k8snetctl}

KSFT_PASS=0
KSFT_FAIL=1
KSFT_SKIP=4

[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP needs root"; exit $KSFT_SKIP; }

# --- TAP ---------------------------------------------------------------

TAP_COUNT=0
TAP_FAILED=0
TAP_SKIPPED=0
TAP_PLAN=
TMP=$(mktemp -d "${TMPDIR:-/tmp}/k8snet-test.XXXXXX")

[ -n "$LIB_NO_TAP" ] || echo "TAP version 13"

tap_plan()	# N
{
	TAP_PLAN=$1
	echo "1..$1"
}

tap_ok()	# DESCRIPTION
{
	TAP_COUNT=$((TAP_COUNT + 1))
	echo "ok $TAP_COUNT $1"
}

tap_not_ok()	# DESCRIPTION [TEXT]: TEXT becomes diagnostic lines
{
	TAP_COUNT=$((TAP_COUNT + 1))
	TAP_FAILED=$((TAP_FAILED + 1))
	echo "not ok $TAP_COUNT $1"
	[ -z "$2" ] || printf '%s\n' "$2" | sed 's/^/# /'
}

tap_skip()	# DESCRIPTION REASON
{
	TAP_COUNT=$((TAP_COUNT + 1))
	TAP_SKIPPED=$((TAP_SKIPPED + 1))
	echo "ok $TAP_COUNT $1 # SKIP $2"
}

tap_note()	# TEXT
{
	printf '%s\n' "$*" | sed 's/^/# /'
}

# Prints the plan, if it was not, and ends the test.
tap_end()
{
	[ -n "$TAP_PLAN" ] || echo "1..$TAP_COUNT"
	[ "$TAP_FAILED" = 0 ] || exit $KSFT_FAIL
	[ "${TAP_PLAN:-$TAP_COUNT}" = "$TAP_COUNT" ] || exit $KSFT_FAIL
	[ "$TAP_COUNT" != "$TAP_SKIPPED" ] || exit $KSFT_SKIP
	exit $KSFT_PASS
}

# The test cannot go on: what is missing is a failure, not a gap in the plan.
tap_bail()	# REASON
{
	echo "Bail out! $*"
	exit $KSFT_FAIL
}

run_test()	# DESCRIPTION COMMAND [ARGUMENT...]
{
	local desc=$1 rc errexit=$- start=$SECONDS

	shift
	# The subshell must not be part of a condition: set -e is ignored there.
	set +e
	(
		set -e
		"$@"
	) > "$TMP/case" 2>&1
	rc=$?
	case $errexit in *e*) set -e ;; esac
	case $rc in
	0)
		tap_ok "$desc"
		[ -z "$K8SNET_VERBOSE" ] || sed 's/^/# /' "$TMP/case" ;;
	"$KSFT_SKIP")
		tap_skip "$desc" "$(tail -n 1 "$TMP/case")" ;;
	*)
		tap_not_ok "$desc" "$(printf 'status %s\n' "$rc"
			tail -n 40 "$TMP/case")" ;;
	esac
	[ $((SECONDS - start)) -lt 10 ] ||
		echo "# it took $((SECONDS - start)) s"
}

# --- assertions: for use inside a case ---------------------------------

fail()		# MESSAGE: ends the case
{
	printf '%s\n' "$*" >&2
	exit $KSFT_FAIL
}

skip()		# REASON: ends the case
{
	printf '%s\n' "$*"
	exit $KSFT_SKIP
}

expect()	# GOT WANTED [WHAT]
{
	[ "$1" = "$2" ] || fail "${3:-value}: got '$1', wanted '$2'"
}

expect_match()	# GOT EXTENDED-REGEX [WHAT]
{
	[[ $1 =~ $2 ]] || fail "${3:-value}: got '$1', wanted a match of '$2'"
}

# Runs COMMAND, which must end with STATUS; what it printed is in $OUTPUT.
expect_status()	# STATUS COMMAND [ARGUMENT...]
{
	local want=$1 rc=0

	shift
	OUTPUT=$("$@" 2>&1) || rc=$?
	[ "$rc" = "$want" ] ||
		fail "status $rc, wanted $want: $*"$'\n'"$OUTPUT"
}

# --- waiting -----------------------------------------------------------

# A kernel with instruments is slower by K8SNET_SLOW.
wait_until()	# SECONDS PAUSE COMMAND [ARGUMENT...]
{
	local end=$((${EPOCHREALTIME/./} + $1 * ${K8SNET_SLOW:-1} * 1000000))
	local pause=$2

	shift 2
	until "$@"; do
		[ "${EPOCHREALTIME/./}" -lt "$end" ] || return 1
		sleep "$pause"
	done
}

# Until COMMAND succeeds, at most that long; 1 when it never did.
slowwait()	# SECONDS COMMAND [ARGUMENT...]
{
	local limit=$1

	shift
	wait_until "$limit" 0.2 "$@"
}

busywait()	# SECONDS COMMAND [ARGUMENT...]
{
	local limit=$1

	shift
	wait_until "$limit" 0.02 "$@"
}

# --- namespaces and background programs --------------------------------

# Kept in files, so that a case, being a subshell, can add to them too.
NS_LIST=$TMP/namespaces
PID_LIST=$TMP/pids
: > "$NS_LIST"
: > "$PID_LIST"

# setup_ns a b: makes two namespaces with lo up, their names in $a and $b.
setup_ns()
{
	local name ns

	for name in "$@"; do
		ns=${name//_/-}
		[ -n "$LIB_PLAIN_NAMES" ] ||
			ns+=-$(printf '%04x%04x' $RANDOM $RANDOM)
		ip netns add "$ns" || tap_bail "cannot make namespace $ns"
		echo "$ns" >> "$NS_LIST"
		printf -v "$name" %s "$ns"
		in_ns "$ns" sysctl -qw \
			net.ipv6.conf.all.accept_dad=0 \
			net.ipv6.conf.default.accept_dad=0 \
			net.ipv6.conf.default.router_solicitations=0
		ip -n "$ns" link set lo up
	done
}

# Ends what runs in the namespaces, then removes them.
cleanup_ns()	# NAMESPACE...
{
	local ns pids

	for ns in "$@"; do
		pids=$(ip netns pids "$ns" 2>/dev/null)
		# shellcheck disable=SC2086 # a list
		[ -z "$pids" ] || kill -9 $pids 2>/dev/null
		ip netns del "$ns" 2>/dev/null
	done
}

cleanup()
{
	local rc=$? pid all

	trap - EXIT
	# The shell's own messages about killed jobs are not the test's.
	exec 2>/dev/null
	while read -r pid; do
		kill -9 "$pid" 2>/dev/null
	done < "$PID_LIST"
	wait
	mapfile -t all < "$NS_LIST"
	cleanup_ns "${all[@]}"
	rm -rf "$TMP"
	exit $rc
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Its network only: "ip netns exec" also mounts the namespace's /sys, which hardly
# any command looks at.
in_ns()		# NAMESPACE COMMAND [ARGUMENT...]
{
	local ns=$1

	shift
	nsenter --net="/run/netns/$ns" -- "$@"
}

# What is in a file of /sys/class/net.
in_sys()	# NAMESPACE FILE
{
	ip netns exec "$1" cat "/sys/class/net/$2"
}

# Starts a program that ends with the test at the latest; its id is in $PID,
# what it prints in $TMP/NAME.
background()	# NAME NAMESPACE COMMAND [ARGUMENT...]
{
	local name=$1 ns=$2

	shift 2
	# Not in_ns(), or PID would be that of a shell.
	nsenter --net="/run/netns/$ns" -- "$@" > "$TMP/$name" 2>&1 &
	PID=$!
	echo "$PID" >> "$PID_LIST"
}

stop()		# PID...
{
	kill "$@" 2>/dev/null
	wait "$@" 2>/dev/null
	return 0
}

# The tool in a namespace.
ks()		# NAMESPACE WORD...
{
	local ns=$1

	shift
	"$K8SNETCTL" -N "$ns" "$@"
}

# --- links -------------------------------------------------------------

# A veth pair between two namespaces, both ends up.
link_pair()	# NS1 DEV1 NS2 DEV2
{
	ip -n "$1" link add "$2" type veth peer name "$4" netns "$3" &&
		ip -n "$1" link set "$2" up && ip -n "$3" link set "$4" up
}

addr_add()	# NAMESPACE DEVICE ADDRESS/LEN...
{
	local ns=$1 dev=$2 a

	shift 2
	for a in "$@"; do
		case $a in
		*:*) echo "addr add $a dev $dev nodad" ;;
		*) echo "addr add $a dev $dev" ;;
		esac
	done | ip -n "$ns" -batch -
}

# A pod bridge with its gateway addresses, by the tool.
bridge_add()	# NODE BRIDGE CIDR...
{
	local node=$1 bridge=$2 c args=()

	shift 2
	for c in "$@"; do
		args+=(addr "$c")
	done
	ks "$node" bridge add "$bridge" "${args[@]}" &&
		fastpath_set "$node"
}

# The whole suite is to pass with each setting of the fast path.
fastpath_set()	# NODE
{
	[ -z "$K8SNET_FASTPATH" ] ||
		ks "$1" node set fastpath "$K8SNET_FASTPATH"
}

# A pod: a namespace connected to the bridge of a node by a veth pair, with
# default routes to the bridge, known to k8snet. The node's end is
# v<last part of the pod's name>.
pod_add()	# NODE BRIDGE POD ADDR[,ADDR6]
{
	local node=$1 bridge=$2 pod=$3 addrs=${4//,/ } dev a gw

	dev=$(pod_port "$pod")
	ip -n "$node" link add "$dev" type veth peer name eth0 netns "$pod" ||
		return
	ip -n "$node" link set "$dev" up || return
	ip -n "$pod" link set eth0 up || return
	for a in $addrs; do
		gw=$(gateway_of "$a")
		case $a in
		*:*) echo "addr add $a/64 dev eth0 nodad" ;;
		*) echo "addr add $a/24 dev eth0" ;;
		esac
		echo "route add default via $gw dev eth0"
	done | ip -n "$pod" -batch - || return
	ks "$node" pod add "$4" port "$dev" bridge "$bridge"
}

pod_port()	# POD: name of the node's end, 15 bytes at most
{
	local name=v$1

	echo "${name:0:15}"
}

gateway_of()	# POD-ADDRESS in a /24 or /64 in the form that topo_cluster uses
{
	case $1 in
	*:*) echo "${1%:*}:1" ;;
	*) echo "${1%.*}.1" ;;
	esac
}

# --- servers and clients -----------------------------------------------

# A server in a namespace that answers "NAME CLIENT-ADDRESS CLIENT-PORT"; see
# serve.py for LISTEN. Returns once it listens; its id is in $PID.
serve()		# NAMESPACE NAME LISTEN...
{
	local ns=$1 name=$2 ready

	shift 2
	ready=$TMP/ready.$name.$RANDOM
	background "serve.$name" "$ns" python3 -IS "$LIB_DIR/serve.py" \
		-n "$name" -r "$ready" "$@"
	busywait 30 test -e "$ready" || {
		tap_note "server $name does not start: $(cat "$TMP/serve.$name")"
		return 1
	}
}

# Asks a server; see ask.c for options and output. Where it is not in the PATH, as
# for a test that is run by hand, it is made at first use.
ASK=$(type -P ask || echo "$TMP/ask")
ask()		# NAMESPACE [OPTION...] PROTO ADDR PORT
{
	local ns=$1

	shift
	[ -x "$ASK" ] || "${CC:-cc}" -O1 -o "$ASK" "$LIB_DIR/ask.c" || return
	in_ns "$ns" "$ASK" "$@"
}

# --- the cluster of docs and demo --------------------------------------
#
#     out                fabric: a Linux bridge "br0"
#  10.240.0.100   ------------+-----------+-----------+
#  fd00:10:240::100           |           |           |
#                            w0          w1          w2
#                      10.240.0.20 10.240.0.21 10.240.0.22     eth0
#                      fd00:10:240::20 ...         ...::22
#                          cnio0       cnio0       cnio0
#                      10.200.0.1/24   10.200.1.1  10.200.2.1
#                      fd00:10:200::1/64 fd00:10:200:1::1 ...
#                        |    |      |    |      |    |
#                       p00  p01    p10  p11    p20  p21
#                       .2   .3     .2   .3     .2   .3
#
# The namespaces' names are in $fabric, $out, $w0.., $p00...

node_ip()	# N
{
	echo "10.240.0.2$1"
}

node_ip6()	# N
{
	echo "fd00:10:240::2$1"
}

pod_ip()	# NODE POD
{
	echo "10.200.$1.$(($2 + 2))"
}

pod_ip6()	# NODE POD
{
	echo "fd00:10:200:$1::$(($2 + 2))"
}

# A host on the node network.
node_add()	# NAMESPACE ADDRESS/LEN...
{
	local ns=$1 port

	shift
	port=n${ns##*-}
	ip -n "$fabric" link add "$port" type veth peer name eth0 netns "$ns" &&
		ip -n "$fabric" link set "$port" master br0 up &&
		ip -n "$ns" link set eth0 up &&
		addr_add "$ns" eth0 "$@"
}

topo_fabric()
{
	setup_ns fabric &&
		ip -n "$fabric" link add br0 type bridge mcast_snooping 0 &&
		ip -n "$fabric" link set br0 up
}

# Everything but services. topo_cluster [NODES [PODS-PER-NODE]]
topo_cluster()
{
	local nodes=${1:-3} pods=${2:-2} n p other node pod

	topo_fabric || return
	setup_ns out || return
	node_add "$out" 10.240.0.100/24 fd00:10:240::100/64 || return
	for ((n = 0; n < nodes; n++)); do
		setup_ns "w$n" || return
		node=w$n
		node_add "${!node}" "$(node_ip $n)/24" "$(node_ip6 $n)/64" ||
			return
		{
			echo "bridge add cnio0 addr 10.200.$n.0/24 addr fd00:10:200:$n::/64"
			echo "node set ip $(node_ip $n) ip $(node_ip6 $n) cluster-cidr 10.200.0.0/16 cluster-cidr fd00:10:200::/48"
			for ((other = 0; other < nodes; other++)); do
				[ $other != $n ] || continue
				echo "route add 10.200.$other.0/24 via $(node_ip $other)"
				echo "route add fd00:10:200:$other::/64 via $(node_ip6 $other)"
			done
			echo "masq add 10.200.0.0/16 except 10.240.0.0/24"
			echo "masq add fd00:10:200::/48 except fd00:10:240::/64"
		} | ks "${!node}" -b - && fastpath_set "${!node}" || return
		for ((p = 0; p < pods; p++)); do
			setup_ns "p$n$p" || return
			pod=p$n$p
			pod_add "${!node}" cnio0 "${!pod}" \
				"$(pod_ip $n $p),$(pod_ip6 $n $p)" || return
		done
	done
}

# --- the module --------------------------------------------------------

module_loaded()
{
	[ -d /sys/module/k8snet ]
}

# Lines of the kernel log since mark_log.
mark_log()
{
	LOG_MARK="k8snet-test: mark $RANDOM$RANDOM"
	echo "<6>$LOG_MARK" > /dev/kmsg
}

log_since_mark()
{
	dmesg | sed "1,/$LOG_MARK/d"
}
