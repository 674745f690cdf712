#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What "make shell" runs in the VM: brings up the cluster of docs/examples, the
# one that "make demo" walks through, and gives a prompt. Each node and each
# pod is a network namespace of its plain name.

EXAMPLES=$(realpath "$(dirname "$0")/../../docs/examples")
LIB_NO_TAP=1
LIB_PLAIN_NAMES=1
. "$(dirname "$0")/../lib.sh"

node_up()	# N
{
	local node=worker-$1

	setup_ns "worker_$1" &&
		node_add "$node" "10.240.0.2$1/24" "fd00:10:240::2$1/64" &&
		ip -n "$node" route add default via 10.240.0.1 &&
		ip -n "$node" route add default via fd00:10:240::1 &&
		ip netns exec "$node" "$K8SNETCTL" -b "$EXAMPLES/$node.k8snet"
}

pod_up()	# NODE POD HOST [SERVER-WORD...]
{
	local n=$1 pod=$2 host=$3

	shift 3
	setup_ns "${pod//-/_}" &&
		pod_add "worker-$n" cnio0 "$pod" \
			"10.200.$n.$host,fd00:10:200:$n::$host" || return
	mkdir -p "/etc/netns/$pod"
	printf '%s\n' 'search default.svc.cluster.local svc.cluster.local' \
		'nameserver 10.32.0.10' > "/etc/netns/$pod/resolv.conf"
	[ $# = 0 ] || background "$pod" "$pod" \
		python3 -IS "$EXAMPLES/server.py" "$pod" "$@"
}

cluster_up()
{
	topo_fabric && setup_ns client world &&
		node_add client 10.240.0.100/24 fd00:10:240::100/64 &&
		node_add world 10.240.0.1/24 fd00:10:240::1/64 &&
		addr_add world lo 198.51.100.10/32 2001:db8::10/128 &&
		ip -n client route add default via 10.240.0.1 || return
	background world world python3 -IS "$EXAMPLES/server.py" world http:80
	node_up 0 && node_up 1 && node_up 2 &&
		pod_up 0 nginx-0 2 http:80 && pod_up 0 busybox-0 3 &&
		pod_up 1 nginx-1 2 http:80 && pod_up 1 kube-dns-0 3 dns:53 &&
		pod_up 2 kube-dns-1 2 dns:53 && pod_up 2 busybox-2 3
}

help()
{
	cat << 'TEXT'

  worker-0 10.240.0.20   worker-1 10.240.0.21   worker-2 10.240.0.22
    nginx-0    10.200.0.2  nginx-1    10.200.1.2  kube-dns-1 10.200.2.2
    busybox-0  10.200.0.3  kube-dns-0 10.200.1.3  busybox-2  10.200.2.3
  client 10.240.0.100, world 198.51.100.10
  services: nginx 10.32.0.53:80 and node port 31088, kube-dns 10.32.0.10:53

    at worker-0 k8snetctl svc list        a command on a node
    at busybox-0 curl 10.32.0.53          ... in a pod: which pod answers, and
                                          the client address that it sees
    at busybox-0 dig +search nginx        by kube-dns
    at client curl 10.240.0.22:31088      a node port from outside
    at worker-0 k8snetctl lookup tcp 10.200.0.3 10.32.0.53:80
    at worker-0 conntrack -L              what was translated, and how
    at worker-0 k8snetctl monitor &       what changes
    help                                  this text
    exit                                  ends the VM

TEXT
}

at()		# NODE-OR-POD COMMAND...
{
	ip netns exec "$@"
}

echo "k8snet: three workers with two pods each; this takes some seconds"
cluster_up || echo "k8snet: the cluster did not come up"

RC=$TMP/bashrc
{
	declare -f help at
	cat << 'TEXT'
[ ! -r /usr/share/bash-completion/bash_completion ] ||
	. /usr/share/bash-completion/bash_completion
[ ! -r "$K8SNET_TOP/tool/completion/k8snetctl.bash" ] ||
	. "$K8SNET_TOP/tool/completion/k8snetctl.bash"
PS1='k8snet-vm:\w# '
help
TEXT
} > "$RC"
cd / || exit
bash --rcfile "$RC" -i
