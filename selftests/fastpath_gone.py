#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
"""What a known flow relies on changes or goes in the middle of it: packets do
not go where they went, and arrive byte for byte where they have to. With UDP
and TCP, IPv4 and IPv6 at once.
"""
import json
import errno
import os
import select
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from flowlib import Bed, Pair, arrive, carried, close, lost, pairs_of
from svclib import SLOW, Tap, check, endpoint, expect, have, run, wait_for

have("ip", "nft")
tap = Tap()
c = Bed({"local": "p01", "remote": "p10", "gone": "p02"}, pods=3)
LOCAL, REMOTE = pairs_of(c, "local"), pairs_of(c, "remote")
FAMILIES = (4, 6)
TCP_REPAIR = 19


def addrs(pod):
    """As "pod add" takes them."""
    return f"{c.ip4(pod)},{c.ip6(pod)}"


def mac(ns, dev):
    """The device's."""
    return json.loads(ns.run("ip", "-j", "link", "show", "dev", dev).out)[0][
        "address"]


def everything(pairs):
    """Arrives, in both directions; and is soon known again."""
    arrive(pairs, True)
    arrive(pairs, False)
    carried(c, pairs, 3)


def pod_down():
    """The endpoint's own device goes down and comes back."""
    carried(c, LOCAL)
    c["p01"].ip("link set eth0 down")
    lost(LOCAL, True)
    c["p01"].ip(f"link set eth0 up\naddr add {c.ip6('p01')}/64 dev eth0 nodad\n"
                "route add default via 10.200.0.1\n"
                "route add default via fd00:10:200::1")
    everything(LOCAL)


def port_down():
    """The node's end of it does."""
    carried(c, LOCAL)
    c["w0"].ip("link set vp01 down")
    lost(LOCAL, True)
    c["w0"].ip("link set vp01 up")
    everything(LOCAL)


def uplink_down():
    """The uplink goes down and comes back."""
    carried(c, REMOTE)
    c["w0"].ip("link set eth0 down")
    lost(REMOTE, True)
    lost(REMOTE, False)
    c["w0"].ip(f"link set eth0 up\naddr add {c.ip6('w0')}/64 dev eth0 nodad\n"
               "route add default via 10.240.0.100\n"
               "route add default via fd00:10:240::100")
    everything(REMOTE)


def moved():
    """A pod's addresses move to another port."""
    carried(c, LOCAL)
    pairs = [pair for pair in LOCAL if pair.transport == "udp"]
    streams = pairs_of(c, "local", transports=["tcp"])
    carried(c, streams)
    here = []
    for pair in pairs:
        c["p02"].ip(f"addr add {c.addr('p01', pair.family)}/128 dev eth0"
                    if pair.family == 6 else
                    f"addr add {c.ip4('p01')}/32 dev eth0")
        sock = c["p02"].socket(socket.AF_INET6 if pair.family == 6
                               else socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((c.addr("p01", pair.family), 8090))
        sock.settimeout(5 * SLOW)
        here.append(sock)
    c.tool("w0", f"pod del {c.ip4('p01')}")
    c.tool("w0", f"pod add {addrs('p01')} port vp02 bridge cnio0")
    for pair, sock in zip(pairs, here):
        data = pair.send()
        got, peer = sock.recvfrom(65536)
        expect(got, data, f"{pair}: in the other pod")
        data = pair.data(64)
        sock.sendto(data, peer)
        pair.receive(data, False)
    # The pod there does not know the connections.
    for pair in streams:
        pair.send()
        pair.error(errno.ECONNRESET)
        pair.silent(True, 0)
    close(streams)
    # Nothing has come to the old pod, and what it sends is not believed.
    before = c.stat("w0", "spoofed")
    lost(pairs, False)
    check(c.stat("w0", "spoofed") >= before + len(pairs), "counted as spoofed")
    for pair, sock in zip(pairs, here):
        pair.silent(True, 0)
        check(not select.select([sock], [], [], 0)[0], "nothing else came")
        sock.close()
        c["p02"].ip(f"addr del {c.addr('p01', pair.family)}/"
                    f"{128 if pair.family == 6 else 32} dev eth0")
    c.tool("w0", f"pod del {c.ip4('p01')}")
    c.tool("w0", f"pod add {addrs('p01')} port vp01 bridge cnio0")
    everything(LOCAL)


def neighbour():
    """The next hop gets another MAC, and is asked for anew."""
    old = mac(c["w1"], "eth0")

    def say(lladdr):
        c["w0"].ip("\n".join(f"neigh replace {c.addr('w1', family)} dev eth0 "
                             f"lladdr {lladdr} nud permanent"
                             for family in FAMILIES))
    say(old)
    carried(c, REMOTE)
    c["w1"].ip("link set eth0 address 02:00:00:00:12:34")
    lost(REMOTE, True)
    say("02:00:00:00:12:34")
    everything(REMOTE)
    c["w1"].ip(f"link set eth0 address {old}")
    lost(REMOTE, True)
    c["w0"].ip("\n".join(f"neigh del {c.addr('w1', family)} dev eth0"
                         for family in FAMILIES))
    everything(REMOTE)


def pod_route():
    """A pod route is withdrawn and comes back."""
    carried(c, REMOTE)
    c.batch("w0", "route del 10.200.1.0/24\nroute del fd00:10:200:1::/64\n")
    lost(REMOTE, True)
    c.batch("w0", f"route add 10.200.1.0/24 via {c.ip4('w1')}\n"
            f"route add fd00:10:200:1::/64 via {c.ip6('w1')}\n")
    everything(REMOTE)


def node_route():
    """The route to the node is withdrawn, and then leads elsewhere."""
    carried(c, REMOTE)
    hosts = [f"{c.ip4('w1')}/32", f"{c.ip6('w1')}/128"]
    c["w0"].ip("\n".join(f"route add blackhole {host}" for host in hosts))
    lost(REMOTE, True)
    c["out"].sysctl("ipv4/ip_forward", 1)
    c["out"].sysctl("ipv6/conf/all/forwarding", 1)
    c["out"].ip(f"route add 10.200.1.0/24 via {c.ip4('w1')}\n"
                f"route add fd00:10:200:1::/64 via {c.ip6('w1')}")
    c["w0"].ip("\n".join(f"route del blackhole {host}" for host in hosts))
    c["w0"].ip("\n".join(f"route add {host} via {c.addr('out', family)}"
                         for host, family in zip(hosts, FAMILIES)))
    everything(REMOTE)
    c["out"].run("nft", "add table inet t; add chain inet t f { type filter "
                 "hook forward priority 0; policy drop; }")
    lost(REMOTE, True)
    c["w0"].ip("\n".join(f"route del {host}" for host in hosts))
    everything(REMOTE)


def endpoint_gone():
    """An endpoint is removed: UDP ends there, TCP may end itself."""
    carried(c, LOCAL)
    udp = [pair for pair in LOCAL if pair.transport == "udp"]
    tcp = [pair for pair in LOCAL if pair.transport == "tcp"]
    for word in "del", "add":
        c.batch("w0", "".join(
            f"ep {word} local-{transport}-90 "
            f"{endpoint(c.addr('p01', family), 8090)}"
            f"{',local' if word == 'add' else ''}\n"
            for transport in ("udp", "tcp") for family in FAMILIES))
        if word == "del":
            lost(udp, True)
            for pair in udp:
                pair.error(errno.ECONNREFUSED)
            everything(tcp)
    everything(LOCAL)


def client_end(pod):
    """Flows from that pod."""
    return [Pair(c, transport, family, "local", pod)
            for transport in ("udp", "tcp") for family in FAMILIES]


def namespace_gone():
    """A pod's namespace goes in the middle of flows from it and to it."""
    carried(c, LOCAL)
    gone = pairs_of(c, "gone")
    mine = client_end("p02")
    carried(c, gone + mine)
    for pair in gone + mine:
        sock = pair.server if pair in gone else pair.client
        if pair.transport == "tcp":     # or it would say goodbye
            sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        sock.close()
    name = c["p02"].name
    c["p02"].close()
    del c.ns["p02"]
    run("ip", "netns", "del", name)
    for pair in gone:
        pair.send(True)
    for pair in mine:
        pair.send(False)
    wait_for("end of the port", lambda: c["w0"].run(
        "ip", "link", "show", "dev", "vp02", status=None).status)
    for pair in gone + mine:
        expect(pair.listed(), [], f"flows of {pair}")
    everything(LOCAL)
    for pair in gone:
        pair.client.close()
    for pair in mine:
        pair.server.close()


def bridge_gone():
    """The bridge is deleted, and made again."""
    pairs = LOCAL + REMOTE
    carried(c, pairs)
    hw = mac(c["w0"], "cnio0")
    c.tool("w0", "bridge del cnio0")
    lost(pairs, True)
    lost(pairs, False)
    expect(c.flows(), [], "flows")
    c.batch("w0", "bridge add cnio0 addr 10.200.0.0/24 addr fd00:10:200::/64 "
            f"lladdr {hw}\n"
            f"route add 10.200.1.0/24 via {c.ip4('w1')}\n"
            f"route add fd00:10:200:1::/64 via {c.ip6('w1')}\n" + "".join(
                f"pod add {addrs(pod)} port v{pod} bridge cnio0\n"
                for pod in ("p00", "p01")))
    everything(pairs)


def uplink_gone():
    """The uplink is no more; flows within the node go on."""
    pairs = pairs_of(c, "local")
    carried(c, LOCAL + REMOTE + pairs)
    c["w0"].ip("link del eth0")
    wait_for("end of the flows", lambda: not [
        f for pair in REMOTE for f in pair.listed()], 12)
    lost(REMOTE, True)
    everything(LOCAL + pairs)
    close(pairs)


for func in pod_down, port_down, uplink_down, moved, neighbour, pod_route, \
        node_route, endpoint_gone, namespace_gone, bridge_gone, uplink_gone:
    tap.case(func.__doc__.splitlines()[0], func)
tap.end()
