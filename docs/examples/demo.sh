#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What "make demo" runs in a VM: the cluster of worker-N.k8snet, and a walk
# through what Kubernetes asks of a node's network. Each step prints commands
# and what they print, and checks itself; the first that fails ends the walk.
#
# The prompt says where a command runs: each node and each pod is a network
# namespace of that name.
#
# What "check" calls, shellcheck takes for never called:
# shellcheck disable=SC2317

HERE=$(dirname "$(realpath "$0")")
LIB_NO_TAP=1
LIB_PLAIN_NAMES=1
# shellcheck source=selftests/lib.sh
. "$HERE/../../selftests/lib.sh"
cd "$HERE" || exit 1

# --- what the walk is told with ----------------------------------------

BOLD='' RED='' DIM='' PLAIN=''
if [ -t 1 ]; then
	BOLD=$'\e[1m' RED=$'\e[31m' DIM=$'\e[2m' PLAIN=$'\e[0m'
fi

STEPS=0
CHECKS=0
STEP=
OUT=		# what the last command printed
RC=0		# its exit status

section()	# TITLE
{
	printf '\n%s== %s ==%s\n' "$BOLD" "$*" "$PLAIN"
}

step()		# WHAT-IS-SHOWN
{
	STEPS=$((STEPS + 1))
	STEP=$*
	printf '\n%s%d. %s%s\n' "$BOLD" "$STEPS" "$STEP" "$PLAIN"
}

fail()		# WHAT-IS-NOT-SO
{
	printf '   %sFAILED: %s%s\n' "$RED" "$1" "$PLAIN"
	[ -z "$OUT" ] || printf '%s\n' "   status $RC, printed:" "$OUT"
	printf '\n%sdemo: FAILED at step %d: %s%s\n' "$RED" "$STEPS" \
		"$STEP" "$PLAIN"
	exit 1
}

check()		# WHAT COMMAND...
{
	local what=$1

	shift
	CHECKS=$((CHECKS + 1))
	"$@" || fail "$what"
	printf '   %sok: %s%s\n' "$DIM" "$what" "$PLAIN"
}

# Words as a shell would take them.
words()
{
	local word

	for word in "$@"; do
		[[ $word =~ ^[][a-zA-Z0-9_.,:/@%+=?-]+$ ]] || word=\'$word\'
		printf '%s ' "$word"
	done
}

# Prints and runs a command on a node or in a pod. $OUT and $RC are its.
run()		# WHERE COMMAND [WORD...]
{
	local where=$1 text

	shift
	text=$(words "$@")
	printf '   %s# %s\n' "$BOLD$where$PLAIN" "${text% }"
	run_only "$where" "$@"
	[ -z "$OUT" ] || printf '%s\n' "$OUT" | sed 's/^/   /'
}

run_only()	# WHERE COMMAND [WORD...]
{
	local where=$1

	shift
	OUT=$(ip netns exec "$where" "$@" 2>&1)
	RC=$?
}

# A piece of shell, as it would be typed.
run_sh()	# WHERE TEXT
{
	printf '   %s# %s\n' "$BOLD$1$PLAIN" "$2"
	run_only "$1" bash -c "$2"
	[ -z "$OUT" ] || printf '%s\n' "$OUT" | sed 's/^/   /'
}

# conntrack -L, without the line that counts.
run_conntrack()	# WHERE WORD...
{
	local where=$1

	shift
	run_sh "$where" "conntrack -L $* 2>/dev/null"
}

# --- what checks are made of -------------------------------------------

succeeded() { [ "$RC" = 0 ]; }
ended_with() { [ "$RC" = "$1" ]; }
printed() { [[ $OUT == *"$1"* ]]; }
printed_not() { [[ $OUT != *"$1"* ]]; }
printed_like() { [[ $OUT =~ $1 ]]; }
printed_nothing() { [ -z "$OUT" ]; }
n_lines() { [ "$(printf '%s\n' "$OUT" | grep -c .)" = "$1" ]; }
# All answers of the HTTP servers named this client.
clients_all() { succeeded && printed client_address= &&
	! printf '%s\n' "$OUT" | grep client_address= |
		grep -vqF "client_address=$1 "; }
answered_by() { printed "pod=$1"; }
is_above() { [ "$1" -gt "$2" ]; }
equal() { [ "$1" = "$2" ]; }

# A field of the first object of a listing.
field()		# NODE FIELD WORD...
{
	local where=$1 name=$2

	shift 2
	ip netns exec "$where" "$K8SNETCTL" -j "$@" | python3 -ISc \
		"import json, sys; print(json.load(sys.stdin)[0]['$name'])"
}

# --- the cluster -------------------------------------------------------

# What a CNI plugin does before it calls k8snetctl: a namespace, a veth pair,
# addresses and default routes.
pod_wire()	# NODE POD-VARIABLE
{
	setup_ns "$2" || return
	ip -n "$1" link add "$(port_of "$2")" type veth \
		peer name eth0 netns "${!2}" || return
	ip -n "$1" link set "$(port_of "$2")" up
	ip -n "${!2}" link set eth0 up
}

port_of()	# POD-VARIABLE
{
	echo "veth-${1//_/-}"
}

pod_addresses()	# POD ADDR ADDR6
{
	ip -n "$1" -batch - << IP
addr add $2/24 dev eth0
addr add $3/64 dev eth0 nodad
route add default via ${2%.*}.1 dev eth0
route add default via ${3%:*}:1 dev eth0
IP
	# A pod asks kube-dns. In the VM only: nothing of it is left.
	mkdir -p "/etc/netns/$1"
	echo "$1" >> "$TMP/resolv"
	printf '%s\n' "search default.svc.cluster.local svc.cluster.local" \
		"nameserver 10.32.0.10" "options ndots:5" \
		> "/etc/netns/$1/resolv.conf"
}

resolv_remove()
{
	local pod

	[ -e "$TMP/resolv" ] || return
	while read -r pod; do
		rm -f "/etc/netns/$pod/resolv.conf"
		rmdir "/etc/netns/$pod"
	done < "$TMP/resolv"
}
trap 'rc=$?; resolv_remove; (exit $rc); cleanup' EXIT

server()	# NAMESPACE NAME LISTEN...
{
	local ns=$1 name=$2

	shift 2
	background "server.$name" "$ns" python3 -IS "$HERE/server.py" \
		"$name" "$@"
}

server_ready()	# NAME
{
	busywait 60 grep -q ready "$TMP/server.$1"
}

hosts_up()
{
	local n node

	topo_fabric && setup_ns client world worker_0 worker_1 worker_2 ||
		return
	node_add client 10.240.0.100/24 fd00:10:240::100/64 || return
	# The cloud's router, and a server behind it.
	node_add world 10.240.0.1/24 fd00:10:240::1/64 || return
	addr_add world lo 198.51.100.10/32 2001:db8::10/128
	for n in 0 1 2; do
		node=worker-$n
		node_add $node 10.240.0.2$n/24 fd00:10:240::2$n/64 || return
		ip -n $node route add default via 10.240.0.1
		ip -n $node route add default via fd00:10:240::1
	done
}

if [ "$(hostname)" != k8snet-vm ]; then
	echo "demo: run me in the VM, by \"make demo\"" >&2
	exit 2
fi
printf '%s\n' "k8snet: the network of a Kubernetes cluster, step by step" ''
cat << 'EOT'
   client 10.240.0.100       world 198.51.100.10
        |                       | 10.240.0.1
        +------------+----------+-+-------------------------+
                     |            |                         |
   worker-0 10.240.0.20    worker-1 10.240.0.21    worker-2 10.240.0.22
      cnio0 10.200.0.1        cnio0 10.200.1.1        cnio0 10.200.2.1
        |       |               |       |               |       |
     nginx-0 busybox-0       nginx-1 kube-dns-0   kube-dns-1 busybox-2
       .0.2    .0.3            .1.2    .1.3            .2.2    .2.3

   services: nginx     10.32.0.53:80, node port 31088
             kube-dns  10.32.0.10:53, udp and tcp

   IPv6 beside it: nodes fd00:10:240::20-22, pods fd00:10:200:N::/64, services
   fd00:10:32::53 and ::10.
EOT
hosts_up || fail "the node network did not come up"

section "Three nodes"

step "A node is a file of commands"
run_sh worker-0 "grep -v '^#' worker-0.k8snet | grep ."
for n in 0 1 2; do
	run worker-$n k8snetctl -b worker-$n.k8snet
	check "worker-$n took it" succeeded
done

step "Or a saved state: the JSON files beside them say the same"
for n in 0 1 2; do
	run worker-$n k8snetctl apply --dry-run worker-$n.json
	check "there is nothing left to do on worker-$n" succeeded
	check "and no command to run" printed_nothing
done

step "Pods are plugged into the bridge"
for pod in "0 nginx_0 2" "0 busybox_0 3" "1 nginx_1 2" "1 kube_dns_0 3" \
	   "2 kube_dns_1 2" "2 busybox_2 3"; do
	read -r n name host <<< "$pod"
	pod_wire "worker-$n" "$name" || fail "no veth pair for $name"
	addr=10.200.$n.$host addr6=fd00:10:200:$n::$host
	[ "$n" != 0 ] || addr6=fd00:10:200::$host
	pod_addresses "${name//_/-}" "$addr" "$addr6"
	run "worker-$n" k8snetctl pod add "$addr,$addr6" port "$(port_of "$name")"
	check "${name//_/-} is there" succeeded
done
server nginx-0 nginx-0 http:80
server nginx-1 nginx-1 http:80
server kube-dns-0 kube-dns-0 dns:53
server kube-dns-1 kube-dns-1 dns:53
server worker-1 worker-1 http:10250
server world world http:80
run worker-0 k8snetctl pod list
check "two pods on worker-0" n_lines 2

step "Nothing else is on the node"
run worker-0 ip -br -d link show type k8snet
check "cnio0 is a k8snet bridge" printed cnio0
run_sh worker-0 "nft list ruleset | wc -l; iptables-save | wc -l; ip -br link show type bridge | wc -l"
check "no nft rule, no iptables rule, no Linux bridge" \
	equal "${OUT//$'\n'/ }" "0 0 0"
for name in nginx-0 nginx-1 kube-dns-0 kube-dns-1 worker-1 world; do
	server_ready $name || fail "server $name does not start"
done

section "Pods reach pods, without NAT"

step "The route to another node's pods is the pod bridge"
run worker-0 ip route get 10.200.1.2
check "dev cnio0" printed "dev cnio0"
run worker-0 ip -6 route get fd00:10:200:1::2
check "dev cnio0" printed "dev cnio0"
run worker-0 k8snetctl route list
check "two other nodes, two families" n_lines 4

step "Pod to pod on one node, and to its gateway"
run busybox-0 ping -c 1 -W 2 10.200.0.1
check "the gateway answers" succeeded
run busybox-0 ping -c 1 -W 2 10.200.0.2
check "nginx-0 answers" succeeded
run busybox-0 curl -s -m 5 http://10.200.0.2/
check "nginx-0 sees busybox-0's own address" clients_all 10.200.0.3

step "Pod to pod across nodes"
run busybox-0 ping -c 1 -W 2 10.200.1.2
check "nginx-1 answers" succeeded
run busybox-0 curl -s -m 5 http://10.200.1.2/
check "nginx-1 sees busybox-0's own address" clients_all 10.200.0.3
run busybox-0 curl -s -m 5 'http://[fd00:10:200:1::2]/'
check "and its IPv6 address" clients_all fd00:10:200::3
for n in 0 1; do
	run_conntrack worker-$n -p tcp -s 10.200.0.3 -d 10.200.1.2
	check "the reply goes to the address that asked: no NAT on worker-$n" \
		printed_like 'src=10\.200\.0\.3 dst=10\.200\.1\.2 .* src=10\.200\.1\.2 dst=10\.200\.0\.3 '
done

step "A pod cannot speak as another"
ip -n busybox-0 addr add 10.200.0.2/32 dev eth0
run busybox-0 ping -c 1 -W 1 -q -I 10.200.0.2 10.200.1.2
check "with nginx-0's address busybox-0 reaches nobody" ended_with 1
run worker-0 k8snetctl port list
check "and what it sent was counted" \
	printed_like 'veth-busybox-0 [^'$'\n'']*spoofed [1-9]'
ip -n busybox-0 addr del 10.200.0.2/32 dev eth0

section "Nodes and pods"

step "Node to pod"
run worker-0 curl -s -m 5 http://10.200.0.2/
check "its own pod" answered_by nginx-0
run worker-0 curl -s -m 5 http://10.200.1.2/
check "another node's pod" answered_by nginx-1
run_conntrack worker-1 -p tcp -d 10.200.1.2 --dport 80 -n
check "without NAT" printed_nothing

step "Pod to node"
run busybox-0 curl -s -m 5 http://10.240.0.21:10250/
check "a server on worker-1 sees the pod's own address" clients_all 10.200.0.3

section "Pods reach the world as their node"

step "Masquerade"
before=$(field worker-0 flows masq list)
run busybox-0 curl -s -m 5 http://198.51.100.10/
check "the world sees worker-0" clients_all 10.240.0.20
run busybox-0 curl -s -m 5 'http://[2001:db8::10]/'
check "also over IPv6" clients_all fd00:10:240::20
run_conntrack worker-0 -p tcp -d 198.51.100.10
check "conntrack knows who it was" \
	printed_like 'src=10\.200\.0\.3 dst=198\.51\.100\.10 .* dst=10\.240\.0\.20 '
run worker-0 k8snetctl masq list
check "the rule has counted it" is_above "$(field worker-0 flows masq list)" \
	"$before"

section "Services: the cluster IP"

step "Pod to cluster IP: the client's address is kept"
run_sh busybox-2 'for i in 1 2; do curl -s -m 5 http://10.32.0.53/; done'
check "every answer names busybox-2" clients_all 10.200.2.3
check "nginx-0 answered" answered_by nginx-0
check "nginx-1 answered" answered_by nginx-1
run busybox-2 curl -s -m 5 'http://[fd00:10:32::53]/'
check "IPv6 as well" clients_all fd00:10:200:2::3
run_conntrack worker-2 -p tcp -s 10.200.2.3 -d 10.32.0.53
check "translated on the client's node" \
	printed_like 'dst=10\.32\.0\.53 .* src=10\.200\.[01]\.2 dst=10\.200\.2\.3 '

step "DNS by the cluster IP"
run busybox-0 dig +short @10.32.0.10 nginx.default.svc.cluster.local
check "the name has an address" printed 10.32.0.53
run busybox-0 dig +short +tcp AAAA @10.32.0.10 nginx.default.svc.cluster.local
check "over TCP" printed fd00:10:32::53
run busybox-0 dig +short TXT @fd00:10:32::10 whoami.cluster.local
check "over IPv6; kube-dns sees busybox-0" printed client_address=fd00:10:200::3
run busybox-0 cat /etc/resolv.conf
run busybox-0 curl -s -m 5 http://nginx/
check "and so a service can be called by its name" \
	printed_like '^client_address=(10\.200\.0\.3|fd00:10:200::3) pod=nginx-'

step "A pod reaches itself through its service"
run_sh nginx-0 'for i in 1 2; do curl -s -m 5 http://10.32.0.53/; done'
check "answers from the other pod see its own address" \
	printed "client_address=10.200.0.2 pod=nginx-1"
check "from itself, the gateway's, so that replies pass the node" \
	printed "client_address=10.200.0.1 pod=nginx-0"

step "A process of the node to the cluster IP"
run_sh worker-2 'for i in 1 2; do curl -s -m 5 http://10.32.0.53/; done'
check "both pods answered" answered_by nginx-0
check "they see the node" clients_all 10.240.0.22
run worker-2 dig +short TXT @10.32.0.10 whoami.cluster.local
check "UDP" printed "pod=kube-dns-"

step "A firewall judges the true client and the endpoint"
run worker-2 nft 'table inet netpol { chain forward { type filter hook forward priority 0; ip saddr 10.200.2.3 ip daddr { 10.200.0.2, 10.200.1.2 } tcp dport 80 counter reject; }; }'
check "a rule about pods, not about the service" succeeded
run busybox-2 curl -s -S -m 5 http://10.32.0.53/
check "stops busybox-2" ended_with 7
run worker-2 nft list table inet netpol
check "the rule has seen it" printed_like 'counter packets [1-9]'
run worker-2 nft delete table inet netpol
run busybox-2 curl -s -m 5 http://10.32.0.53/
check "without it the service answers" clients_all 10.200.2.3

section "Services: the node port"

step "From outside, through a node that has no endpoint"
run client curl -s -m 5 http://10.240.0.22:31088/
check "the source is the node's address" clients_all 10.240.0.22
pod=${OUT##*pod=}
n=${pod##*-}
run_conntrack worker-2 -p tcp --dport 31088
check "worker-2: destination and source are translated" \
	printed_like "src=10\.240\.0\.100 dst=10\.240\.0\.22 .* src=10\.200\.$n\.2 dst=10\.240\.0\.22 "
port=${OUT##*dport=}	# that the node has chosen
port=${port%% *}
run_conntrack "worker-$n" -p tcp -s 10.240.0.22 -d "10.200.$n.2" --sport "$port"
check "worker-$n, where $pod is: nothing is" \
	printed_like "src=10\.240\.0\.22 dst=10\.200\.$n\.2 .* src=10\.200\.$n\.2 dst=10\.240\.0\.22 "

step "Every node answers"
run client curl -s -m 5 http://10.240.0.20:31088/
check "worker-0" clients_all 10.240.0.20
run client curl -s -m 5 'http://[fd00:10:240::21]:31088/'
check "worker-1, IPv6" clients_all fd00:10:240::21

step "externalTrafficPolicy: Local keeps the client's address"
for n in 0 1 2; do
	run worker-$n k8snetctl svc set default/nginx external-policy local
	check "worker-$n" succeeded
done
run client curl -s -m 5 http://10.240.0.20:31088/
check "worker-0 answers with its own pod" answered_by nginx-0
check "which sees the client" clients_all 10.240.0.100
before=$(field worker-2 dropped svc show default/nginx)
run client curl -s -S -m 2 http://10.240.0.22:31088/
check "worker-2 has no endpoint: nothing comes back" ended_with 28
run worker-2 k8snetctl stats default/nginx
check "the drop was counted" \
	is_above "$(field worker-2 dropped svc show default/nginx)" "$before"
run busybox-2 curl -s -m 5 http://10.240.0.22:31088/
check "for the cluster's own pods worker-2 still answers" \
	printed_like 'pod=nginx-[01]'

section "Endpoints change"

step "Scale up: a third pod, on worker-2"
background monitor worker-2 "$K8SNETCTL" monitor
MONITOR=$PID
pod_wire worker-2 nginx_2 || fail "no veth pair"
pod_addresses nginx-2 10.200.2.4 fd00:10:200:2::4
server nginx-2 nginx-2 http:80
server_ready nginx-2 || fail "the third server does not start"
run worker-2 k8snetctl pod add 10.200.2.4,fd00:10:200:2::4 port veth-nginx-2
check "the pod is there" succeeded
for n in 0 1 2; do
	word=
	[ $n != 2 ] || word=,local
	run worker-$n k8snetctl ep add default/nginx 10.200.2.4:80$word
	check "worker-$n knows it" succeeded
done
run client curl -s -m 5 http://10.240.0.22:31088/
check "worker-2's node port works at once" answered_by nginx-2
check "with the client's address" clients_all 10.240.0.100
for n in 0 1 2; do
	run_only worker-$n k8snetctl svc set default/nginx external-policy cluster
	succeeded || fail "worker-$n did not take the policy back"
done
run_sh busybox-0 'for i in 1 2 3; do curl -s -m 5 http://10.32.0.53/; done'
check "and has its share of the cluster IP" answered_by nginx-2

step "A pod that is going gets no new connection"
run worker-0 k8snetctl ep set default/nginx 10.200.2.4:80,terminating
check "worker-0 knows" succeeded
run worker-0 k8snetctl ep list default/nginx
check "the endpoint is still listed" printed 10.200.2.4:80
run_sh busybox-0 'for i in 1 2 3; do curl -s -m 5 http://10.32.0.53/; done'
check "others answer" clients_all 10.200.0.3
check "it does not" printed_not pod=nginx-2
stop "$MONITOR"
printf '   %s# k8snetctl monitor%s\n' "${BOLD}worker-2$PLAIN" \
	"      (in the background since the scale up)"
OUT=$(< "$TMP/monitor") RC=0
printf '%s\n' "$OUT" | sed 's/^/   /'
check "whoever listens was told" printed 10.200.2.4

step "No endpoints: the connection is refused"
run worker-0 k8snetctl svc set default/nginx ep none
check "worker-0 took it" succeeded
run busybox-0 curl -s -S -m 5 http://10.32.0.53/
check "refused at once, not timed out" ended_with 7
run client curl -s -S -m 5 http://10.240.0.20:31088/
check "from outside, too" ended_with 7
run worker-0 k8snetctl ep add default/nginx 10.200.0.2:80,local 10.200.1.2:80
run busybox-0 curl -s -m 5 http://10.32.0.53/
check "with endpoints it works again" clients_all 10.200.0.3

section "Looking into it"

step "What would happen to a connection, and why"
run worker-0 k8snetctl lookup tcp 10.200.0.3:40000 10.32.0.53:80
check "an endpoint" printed default/nginx
run worker-2 k8snetctl lookup tcp 10.240.0.100 10.240.0.22:31088
check "from outside the source is the node's" printed 10.240.0.22
run worker-0 k8snetctl lookup tcp 10.200.0.3 10.200.1.2:80
check "no service" succeeded

step "Services and counters"
run worker-0 k8snetctl svc list
check "three service ports" n_lines 3
run worker-0 k8snetctl -j svc show default/nginx
check "JSON for scripts" printed '"name":'
run_sh worker-0 "k8snetctl stats | grep -v ' 0$'"
check "flows were counted" printed service_flows

section "Save and restore"

step "All of a node is gone, and back"
run_sh worker-0 "k8snetctl save > /tmp/worker-0.json && wc -l < /tmp/worker-0.json"
check "saved" succeeded
run worker-0 k8snetctl flush
check "flushed" succeeded
run worker-0 ip -br link show type k8snet
check "the bridge is gone" printed_nothing
run busybox-0 curl -s -S -m 1 http://10.32.0.53/
check "and with it the network" ended_with 28
run worker-0 k8snetctl restore /tmp/worker-0.json
check "restored" succeeded
run_sh worker-0 "k8snetctl save | cmp - /tmp/worker-0.json && echo the same"
check "it is what was saved" printed "the same"
run busybox-0 curl -s -m 5 http://10.32.0.53/
check "pods, routes and services work" clients_all 10.200.0.3
run client curl -s -m 5 http://10.240.0.20:31088/
check "the node port, too" clients_all 10.240.0.20

step "Apply changes only what differs"
run_only worker-0 sed -i 's/"external-policy": "cluster"/"external-policy": "local"/' /tmp/worker-0.json
run_sh worker-0 "k8snetctl apply -v /tmp/worker-0.json; k8snetctl apply -v /tmp/worker-0.json"
check "applied" succeeded
run worker-0 k8snetctl svc show default/nginx
check "the policy is what the file says" printed "external-policy local"

printf '\n%sdemo: all %d steps passed (%d checks)%s\n' "$BOLD" "$STEPS" \
	"$CHECKS" "$PLAIN"
exit 0
