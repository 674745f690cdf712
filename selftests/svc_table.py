#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
"""The table of services: each kind of frontend, each protocol and family, from
each kind of client, with both traffic policies. Each row says which endpoint
has answered, which client address it has seen, and where the answer came from.

The endpoint is pod p00 on node w0. Clients are a pod of the same node (p01),
one of another node (p10), a process on each of both nodes, and a host outside
of the cluster that comes in by one of them.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from svclib import Ask, Cluster, Failed, Tap, endpoint, expect, gather

# By kind of frontend: an address for each family and for each node by which
# the outside client comes in.
ADDRESSES = {
    "cluster IP": {4: {"w0": "10.32.0.1", "w1": "10.32.1.1"},
                   6: {"w0": "fd00:10:32::1", "w1": "fd00:10:32:1::1"}},
    "external IP": {4: {"w0": "192.0.2.1", "w1": "192.0.2.129"},
                    6: {"w0": "2001:db8:e::1", "w1": "2001:db8:e:1::1"}},
    "LB IP": {4: {"w0": "203.0.113.1", "w1": "203.0.113.129"},
              6: {"w0": "2001:db8:f::1", "w1": "2001:db8:f:1::1"}},
}
ROUTES = {4: {"w0": "10.32.0.0/24 192.0.2.0/25 203.0.113.0/25",
              "w1": "10.32.1.0/24 192.0.2.128/25 203.0.113.128/25"},
          6: {"w0": "fd00:10:32::/64 2001:db8:e::/64 2001:db8:f::/64",
              "w1": "fd00:10:32:1::/64 2001:db8:e:1::/64 2001:db8:f:1::/64"}}
PORT = {"cluster": 80, "local": 81, "both": 82}
NODE_PORT = {"cluster": 31080, "local": 31081, "both": 31082}
PROTOS = {"tcp": "tcp", "udp": "udp", "cudp": "connected udp", "sctp": "sctp"}
EP_PORT = 8080
# Client, and the node that its packets come to first.
VIP_ORIGINS = [("p01", "w0"), ("p10", "w1"), ("w0", "w0"), ("w1", "w1"),
               ("out", "w0"), ("out", "w1")]
NODE_PORT_ORIGINS = VIP_ORIGINS + [("p01", "w1"), ("p10", "w0"),
                                   ("w0", "w1"), ("w1", "w0")]
ORIGIN = {"p01": "pod on the endpoint's node", "p10": "pod on another node",
          "w0": "process on the endpoint's node",
          "w1": "process on another node", "out": "outside client"}


def commands():
    """The services, for every node."""
    text = ""
    for proto in "tcp", "udp", "sctp":
        for policy, port in PORT.items():
            words = [f"svc add table/{proto}-{policy}"]
            for word, kind in (("vip", "cluster IP"),
                               ("external-ip", "external IP"),
                               ("lb-ip", "LB IP")):
                for addrs in ADDRESSES[kind].values():
                    for addr in addrs.values():
                        words.append(f"{word} {endpoint(addr, port)}" + (
                            f"/{proto}" if word == "vip" else ""))
            words.append(f"node-port {NODE_PORT[policy]}")
            for pod in ["p00"] + ["p10"] * (policy == "both"):
                for addr in Cluster.ip4(pod), Cluster.ip6(pod):
                    words.append(f"ep {endpoint(addr, EP_PORT)}"
                                 "{local:%s}" % pod)
            if policy != "cluster":
                words.append("external-policy local internal-policy local")
            text += " ".join(words) + "\n"
    return text


def client_seen(kind, policy, origin, node):
    """Which host's address the server is to see; None: the packet is dropped.
    NODE is the one that translates."""
    here = node == "w0"             # is the endpoint?
    if kind == "cluster IP":
        if policy == "local" and not here:
            return None
        # Its own address: only replies to the outside must be led back.
        return node if origin == "out" else origin
    if policy == "cluster":
        return node
    if origin[0] == "p":
        # A pod is not "outside". Its address is kept, unless replies would
        # not come back by the node that has translated: NODE is neither the
        # pod's nor the endpoint's.
        return origin if here or origin[1] == node[1] else node
    if origin == node:
        return node
    return origin if here else None


class Row:
    """One row of the table."""

    # pylint: disable=too-many-arguments
    def __init__(self, cluster, kind, proto, family, policy, origin, node):
        if kind == "node port":
            addr, port = cluster.addr(node, family), NODE_PORT[policy]
        else:
            addr, port = ADDRESSES[kind][family][node], PORT[policy]
        seen = client_seen(kind, policy, origin, node)
        self.client = seen and cluster.addr(seen, family)
        self.ask = Ask(cluster[origin], proto, addr, port)
        by = ""
        if origin == "out" or origin[1] != node[1]:
            by = " by " + ("the endpoint's node" if node == "w0" else
                           "another node")
        self.desc = (f"{kind}, {PROTOS[proto]}, IPv{family}, policy {policy}: "
                     f"{ORIGIN[origin]}{by} " +
                     ("is dropped" if not seen else
                      "is seen as itself" if seen == origin else
                      "is seen as the node"))

    def verify(self):
        """What came of it."""
        a = self.ask
        if not self.client:
            # A process on the node may learn that its packet was dropped.
            if a.error not in ("timeout", "EPERM"):
                raise Failed(f"wanted no answer, got: {a}")
            return
        if a.error:
            raise Failed(f"got no answer: {a}")
        expect(a.name, "p00", "endpoint")
        expect(a.client, self.client, "client address that it has seen")
        expect(a.peer, (a.addr, a.dport), "source of the answer")


def main():
    """The test."""
    tap = Tap()
    c = Cluster(nodes=2, pods=2)
    for proto in "tcp", "udp", "sctp":
        c.serve("p00", proto, EP_PORT)
        c.serve("p10", proto, EP_PORT)
    c["out"].ip("\n".join(f"route add {prefix} via {c.addr(node, family)}"
                          for family, nodes in ROUTES.items()
                          for node, prefixes in nodes.items()
                          for prefix in prefixes.split()))
    c.everywhere(commands())

    rows = [Row(c, kind, proto, family, policy, origin, node)
            for kind in [*ADDRESSES, "node port"]
            for proto in PROTOS
            for family in (4, 6)
            for policy in ("cluster", "local")
            for origin, node in (NODE_PORT_ORIGINS if kind == "node port"
                                 else VIP_ORIGINS)]
    gather([row.ask for row in rows if row.client], timeout=10, width=24)
    gather([row.ask for row in rows if not row.client], timeout=3, width=999)
    for row in rows:
        tap.case(row.desc, row.verify)

    # With an endpoint on each node, policy local means the node's own.
    for proto in PROTOS:
        for family in 4, 6:
            for node, pod in (("w0", "p00"), ("w1", "p10")):
                for kind in [*ADDRESSES, "node port"]:
                    addr = c.addr(node, family) if kind == "node port" else \
                        ADDRESSES[kind][family][node]
                    port = (NODE_PORT if kind == "node port" else PORT)["both"]
                    asks = gather([Ask(c["out"], proto, addr, port)
                                   for _ in range(6)], timeout=10)
                    tap.case(f"{kind}, {PROTOS[proto]}, IPv{family}: policy "
                             f"local by {node} leads to {pod} only",
                             lambda asks=asks, pod=pod: expect(
                                 [str(a.name or a) for a in asks], [pod] * 6))
    for node in c.nodes:
        for name in "nat_failed", "snat_no_address", "no_memory":
            tap.case(f"{node} counts no {name}",
                     lambda node=node, name=name: expect(c.stat(node, name),
                                                         0))
    tap.end()


main()
