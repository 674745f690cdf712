#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 400
"""The fast path: known flows pass the stack by, and whatever must not does
not. Each case looks at the counter of packets that went past the stack, so
that it fails where the fast path does nothing.
"""
import json
import os
import re
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from flowlib import Flow, listed, past
from svclib import Cluster, FASTPATH, Tap, check, conntrack, expect, have, \
    wait_for

have("nft", "tc", "conntrack")
tap = Tap()
c = Cluster(nodes=2, pods=2)
for pod in "p01", "p10":
    for transport in "tcp", "udp":
        c.serve(pod, transport, 8080)
VIP = {("local", 4): "10.32.0.1", ("local", 6): "fd00:10:32::1",
       ("remote", 4): "10.32.0.2", ("remote", 6): "fd00:10:32::2"}
for where, pod in ("local", "p01"), ("remote", "p10"):
    for transport in "tcp", "udp":
        c.everywhere(
            f"svc add {where}-{transport} "
            f"vip {VIP[where, 4]}:80/{transport} "
            f"vip [{VIP[where, 6]}]:80/{transport} "
            f"node-port {31000 + (where == 'remote') * 2}"
            f"{'' if transport == 'tcp' else '/udp'} "
            f"ep {c.ip4(pod)}:8080{{local:{pod}}} "
            f"ep [{c.ip6(pod)}]:8080{{local:{pod}}}\n")


def fast(node="w0"):
    """Packets that went past the stack."""
    return c.stat(node, "flow_packets")


def flows(port, node="w0"):
    """Listed flows that have a port."""
    return listed(c[node], port)


def carries(client, transport, addr, port, wanted, node="w0", both=True):
    """{client} to {wanted}, {transport}: {addr}"""
    flow = Flow(c[client], transport, addr, port).known()
    before = fast(node)
    for _ in range(20):
        expect(flow.ask(), wanted, "the endpoint")
    grown = fast(node) - before
    # A UDP flow shows itself to the stack once a second until it is assured.
    past(grown, 30 if both else 16)
    flow.close()


for family in 4, 6:
    for transport in "tcp", "udp":
        for where, pod in ("local", "p01"), ("remote", "p10"):
            tap.case(f"pod to a {where} pod by cluster IP, "
                     f"{transport.upper()} IPv{family}", carries, "p00",
                     transport, VIP[where, family], 80, pod)
        tap.case("outside to a pod by node port, "
                 f"{transport.upper()} IPv{family}", carries, "out",
                 transport, c.addr("w0", family), 31000, "p01", "w0", False)
        tap.case("pod to a remote pod without a service, "
                 f"{transport.upper()} IPv{family}", carries, "p00",
                 transport, c.addr("p10", family), 8080, "p10")


def mode_off():
    """With "fastpath off" nothing passes the stack by, at once."""
    c.tool("w0", "node set fastpath auto")
    flow = Flow(c["p00"], "tcp", VIP["local", 4], 80).known()
    c.tool("w0", "node set fastpath off")
    before = fast()
    for _ in range(5):
        expect(flow.ask(), "p01")
    expect(fast(), before, "packets past the stack")
    c.tool("w0", "node set fastpath established")
    flow.known()
    before = fast()
    flow.known()
    check(fast() > before, "packets past the stack again")
    c.tool("w0", f"node set fastpath {FASTPATH}")
    flow.close()


def shown(family):
    """A flow is listed with its translation and its service."""
    flow = Flow(c["p00"], "tcp", VIP["local", family], 80).known()
    mine = flows(flow.port())
    if FASTPATH == "off":
        expect(mine, [], "flows")
        flow.close()
        return
    expect(len(mine), 2, "directions listed")
    there = [f for f in mine if f["dst"] == VIP["local", family]][0]
    expect(there["new-dst"], c.addr("p01", family))
    expect(there["new-dport"], 8080)
    expect(there["service"], "local-tcp")
    flow.close()


def tracked(family):
    """conntrack shows a known connection established, assured and fresh."""
    flow = Flow(c["p00"], "tcp", VIP["local", family], 80).known()
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        expect(flow.ask(), "p01")
        last = time.monotonic()
        time.sleep(0.05)
    line = [x for x in conntrack(c["w0"], "-f", f"ipv{family}", "-p", "tcp")
            if f"sport={flow.port()} " in x]
    expect(len(line), 1, "entries")
    check("ESTABLISHED" in line[0] and "[ASSURED]" in line[0], line[0])
    left = int(re.search(r"tcp +6 +(\d+)", line[0]).group(1))
    # Refreshed once a second; the listing took its time.
    check(left >= 431998 - (time.monotonic() - last), f"{left} s left")
    flow.close()


def assured(family):
    """A UDP flow becomes assured, and its timeout stays fresh."""
    flow = Flow(c["p00"], "udp", VIP["local", family], 80).known()

    def line():
        expect(flow.ask(), "p01")
        return [x for x in conntrack(c["w0"], "-f", f"ipv{family}", "-p",
                                     "udp")
                if f"sport={flow.port()} " in x and "[ASSURED]" in x]
    wait_for("assured entry", line, 10, 0.1)
    before = fast()
    flow.known(20)
    past(fast() - before, 38)
    asked = time.monotonic()
    left = int(re.search(r"udp +17 +(\d+)", line()[0]).group(1))
    check(left >= 118 - (time.monotonic() - asked), f"{left} s left")
    flow.close()


def deleted():
    """"conntrack -D" ends a known flow at once."""
    flow = Flow(c["p00"], "udp", VIP["local", 4], 80).known()
    past(len(flows(flow.port())), 2, "flows listed")
    before = c.stat("w0", "service_flows")
    c["w0"].run("conntrack", "-D", "-p", "udp", "--orig-port-src",
                str(flow.port()))
    expect(flow.ask(), "p01")
    expect(c.stat("w0", "service_flows"), before + 1, "decided anew")
    flow.close()


def closed(family):
    """A connection that closes leaves the table, and conntrack sees it."""
    flow = Flow(c["p00"], "tcp", VIP["local", family], 80).known()
    port = flow.port()
    flow.close()

    def state():
        return [x for x in conntrack(c["w0"], "-f", f"ipv{family}", "-p",
                                     "tcp")
                if f"sport={port} " in x and "TIME_WAIT" in x]
    wait_for("TIME_WAIT", state)
    wait_for("end of the flow", lambda: not flows(port), 10)


def firewall():
    """A firewall loaded later judges new flows, and lets known ones be."""
    flow = Flow(c["p00"], "tcp", VIP["local", 4], 80).known()
    c["w0"].run("nft", "add table ip t; add chain ip t f { type filter hook "
                "forward priority 0; }; add rule ip t f ct state established "
                "accept; add rule ip t f drop")
    expect(flow.ask(), "p01", "the known flow")
    new = Flow(c["p00"], "tcp", VIP["local", 4], 80)
    expect(new.ask(timeout=0.5), "timeout", "a new flow")
    c["w0"].run("nft", "delete table ip t")
    expect(flow.ask(), "p01", "the known flow afterwards")
    flow.close()
    new.close()


def hop_limit(family):
    """A packet whose TTL ends at the node goes to the stack, which says so."""
    flow = Flow(c["p00"], "udp", VIP["local", family], 80).known()
    level, option = (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) \
        if family == 6 else (socket.IPPROTO_IP, socket.IP_TTL)
    flow.sock.setsockopt(level, option, 1)
    expect(flow.ask(timeout=1), "EHOSTUNREACH", "an answer")
    flow.sock.setsockopt(level, option, 64)
    expect(flow.ask(), "p01")
    flow.close()


def fragments(family):
    """Fragments of a known flow arrive as one datagram."""
    flow = Flow(c["p00"], "udp", VIP["local", family], 80).known()
    expect(flow.ask(b"x" * 4000), "p01")
    before = fast()
    flow.known()
    past(fast() - before, 1)
    flow.close()


def egress_program():
    """A tc program on the port sees the packets from the moment it is there."""
    flow = Flow(c["p00"], "udp", VIP["local", 4], 80).known()
    c["w0"].run("tc", "qdisc", "add", "dev", "vp01", "clsact")
    c["w0"].run("tc", "filter", "add", "dev", "vp01", "egress", "matchall",
                "action", "drop")
    expect(flow.ask(timeout=0.5), "timeout", "with a program that drops")
    c["w0"].run("tc", "qdisc", "del", "dev", "vp01", "clsact")
    expect(flow.ask(), "p01", "without it")
    flow.close()


def shaped():
    """A queueing discipline on the port gets the packets."""
    flow = Flow(c["p00"], "udp", VIP["local", 4], 80).known()
    c["w0"].run("tc", "qdisc", "add", "dev", "vp01", "root", "tbf", "rate",
                "1gbit", "burst", "64k", "limit", "1m")
    flow.known(5)
    out = c["w0"].run("tc", "-s", "qdisc", "show", "dev", "vp01", "root").out
    sent = int(re.search(r"bytes (\d+) pkt", out).group(1))
    check(sent >= 5, out)
    c["w0"].run("tc", "qdisc", "del", "dev", "vp01", "root")
    expect(flow.ask(), "p01")
    flow.close()


def pod_down():
    """A pod whose device is down gets nothing, and again when it is up."""
    flow = Flow(c["p00"], "udp", VIP["local", 4], 80).known()
    c["w0"].ip("link set vp01 down")
    expect(flow.ask(timeout=0.5), "timeout", "down")
    c["w0"].ip("link set vp01 up")
    wait_for("an answer", lambda: flow.ask(timeout=0.5) == "p01")
    flow.close()


def route_gone():
    """Without its route a flow to another node ends, and goes on with it."""
    flow = Flow(c["p00"], "udp", c.ip4("p10"), 8080).known()
    c.tool("w0", "route del 10.200.1.0/24")
    check(flow.ask(timeout=0.5) != "p10", "no way there")
    c.tool("w0", f"route add 10.200.1.0/24 via {c.ip4('w1')}")
    wait_for("an answer", lambda: flow.ask(timeout=0.5) == "p10")
    before = fast()
    flow.known()
    past(fast() - before, 1)
    flow.close()


def pod_removed():
    """A pod that is taken off its port gets nothing of a known flow."""
    flow = Flow(c["p00"], "udp", c.ip4("p01"), 8080).known()
    addrs = f"{c.ip4('p01')},{c.ip6('p01')}"
    c.tool("w0", f"pod del {c.ip4('p01')}")
    check(flow.ask(timeout=0.5) != "p01", "no pod")
    c.tool("w0", f"pod add {addrs} port vp01 bridge cnio0")
    wait_for("an answer", lambda: flow.ask(timeout=0.5) == "p01")
    flow.close()


def spoofed():
    """A known flow's packets with another MAC are dropped and counted."""
    flow = Flow(c["p00"], "udp", VIP["local", 4], 80).known()
    before = c.stat("w0", "spoofed")
    out = c["p00"].run("ip", "-br", "link", "show", "dev", "eth0").out
    mac = re.search(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", out).group(0)
    out = c["p00"].run("ip", "neigh", "show", "10.200.0.1").out
    gateway = out.partition("lladdr ")[2].split()[0]
    c["p00"].ip("link set eth0 address 02:00:00:00:00:77")
    # It forgets the gateway's MAC now, and would not get it again.
    c["p00"].ip(f"neigh replace 10.200.0.1 lladdr {gateway} dev eth0 "
                "nud permanent")
    carried = fast()
    expect(flow.ask(timeout=0.5), "timeout", "with another MAC")
    expect(fast() - carried, 0, "packets past the stack")
    c["p00"].ip(f"link set eth0 address {mac}")
    check(c.stat("w0", "spoofed") > before, "counted")
    c["p00"].ip("neigh del 10.200.0.1 dev eth0", status=None)
    wait_for("an answer", lambda: flow.ask(timeout=0.5) == "p01")
    flow.close()


def counted(family):
    """The pod's device counts what it gets, and the port what it sends."""
    def packets():
        return [json.loads(c[ns].run("ip", "-j", "-s", "link", "show", "dev",
                                     dev).out)[0]["stats64"][way]
                for ns, dev, way in (("p01", "eth0", "rx"), ("w0", "vp01", "tx"))]

    flow = Flow(c["p00"], "udp", VIP["local", family], 80).known()
    before, old = fast(), packets()
    flow.known(20)
    past(fast() - before, 38)
    for what, was, now in zip(("pod", "port"), old, packets()):
        grown = now["packets"] - was["packets"]
        check(20 <= grown <= 30, f"the {what} counts {grown} packets of 20")
        size = (now["bytes"] - was["bytes"]) / grown
        check(size > {4: 14 + 32, 6: 14 + 52}[family] - 14,
              f"the {what} counts {size:.0f} bytes a packet")
    flow.close()


def visible():
    """Packet sockets on both pods' devices see every packet."""
    eyes = []
    for pod in "p00", "p01":
        sock = c[pod].socket(socket.AF_PACKET, socket.SOCK_DGRAM,
                             socket.htons(3))
        sock.bind(("eth0", 3))
        sock.setblocking(False)
        eyes.append(sock)
    flow = Flow(c["p00"], "udp", VIP["local", 4], 80).known()
    before = fast()
    flow.known(10)
    past(fast() - before, 18)
    for sock in eyes:
        seen = 0
        try:
            while True:
                data, where = sock.recvfrom(2048)
                seen += where[1] == 0x0800 and data[9] == 17
        except BlockingIOError:
            pass
        check(seen >= 32, f"{seen} of 32 packets seen")
        sock.close()
    flow.close()


tap.case(mode_off.__doc__, mode_off)
for func in shown, tracked, assured, closed, hop_limit, fragments, counted:
    for family in 4, 6:
        tap.case(f"{func.__doc__.splitlines()[0]} IPv{family}", func, family)
for func in deleted, firewall, egress_program, shaped, pod_down, route_gone, \
        pod_removed, spoofed, visible:
    tap.case(func.__doc__.splitlines()[0], func)
tap.end()
