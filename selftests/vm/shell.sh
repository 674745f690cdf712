#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What "make shell" runs in the VM: brings the example cluster up and gives a
# prompt. The namespaces have plain names here: w0 w1 w2, p00 .. p21, out.

HERE=$(dirname "$(realpath "$0")")
LIB_NO_TAP=1
LIB_PLAIN_NAMES=1
. "$HERE/../lib.sh"

echo "k8snet: three workers, two pods each; this takes some seconds"
topo_cluster || { echo "the cluster did not come up"; exec bash; }

for pod in p00 p01 p10 p11 p20 p21; do
	background "$pod" "$pod" python3 -IS "$LIB_DIR/serve.py" -n "$pod" \
		tcp:8080 udp:8080 sctp:8080
done
for n in 0 1 2; do
	{
		printf 'svc add demo/web vip 10.32.0.53:80/tcp vip [fd00:10:32::53]:80/tcp node-port 31088'
		for m in 0 1 2; do
			local_word=
			[ $m != $n ] || local_word=,local
			printf ' ep %s:8080%s ep [%s]:8080%s' \
				"$(pod_ip $m 0)" "$local_word" \
				"$(pod_ip6 $m 0)" "$local_word"
		done
		echo
		printf 'svc add demo/web-udp vip 10.32.0.53:80/udp'
		for m in 0 1 2; do
			printf ' ep %s:8080' "$(pod_ip $m 1)"
		done
		echo
	} | ks "w$n" -b -
done

cat > /tmp/.bashrc <<RC
[ ! -r /etc/bash_completion ] || . /etc/bash_completion
[ ! -r $HERE/../../tool/completion/k8snetctl.bash ] ||
	. $HERE/../../tool/completion/k8snetctl.bash
at() { ip netns exec "\$@"; }
ask() { local ns=\$1; shift; ip netns exec "\$ns" python3 -ES $LIB_DIR/client.py "\$@"; }
for ns in w0 w1 w2 out; do eval "\$ns() { at \$ns \"\\\$@\"; }"; done
PS1='k8snet-vm:\w# '
help() {
cat << TEXT

  Workers w0 w1 w2 (10.240.0.20-22, pods 10.200.N.0/24, bridge cnio0), pods p00
  p01 p10 p11 p20 p21 (10.200.N.2 and .3), a client "out" (10.240.0.100).
  Service demo/web: 10.32.0.53:80, [fd00:10:32::53]:80, node port 31088.

    w0 k8snetctl svc list              a command on worker 0
    at p00 curl -s 10.32.0.53          ... in a pod: which pod answers, and the
                                       client address that it sees
    ask out -c 5 tcp 10.240.0.20 31088 five requests from outside
    w0 k8snetctl lookup tcp 10.200.0.2 10.32.0.53:80
    w0 conntrack -L                    what was translated, and how
    help                               this text
    exit                               ends the VM

TEXT
}
help
RC
cd /
bash --rcfile /tmp/.bashrc -i
