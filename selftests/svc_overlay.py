#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 180
"""Services where the nodes reach each other by a tunnel, whose packets have
checksums inside of checksums (kubernetes issue 88986: connections of node
processes took 63 seconds), and where br_netfilter is loaded (20475, 87426).
"""
import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from svclib import SLOW, Ask, Cluster, Tap, check, endpoint, expect, gather, \
    have, read_all, run

NUMBER = {"far": 1, "near": 2}


def vip(family, what):
    """A cluster IP."""
    return f"fd00:10:32::{NUMBER[what]}" if family == 6 else \
        f"10.32.0.{NUMBER[what]}"


def tunnel(c):
    """A vxlan device on each node; pod routes lead there."""
    for n, node in enumerate(c.nodes):
        other = 1 - n
        c[node].ip("link add vx0 type vxlan id 42 dstport 4789 dev eth0 "
                   f"local {c.ip4(node)} remote {c.ip4(c.nodes[other])} "
                   "udpcsum\n"
                   f"addr add 192.168.99.2{n}/24 dev vx0\n"
                   f"addr add fd00:99::2{n}/64 dev vx0 nodad\n"
                   "link set vx0 up")
        c.batch(node, f"route del 10.200.{other}.0/24\n"
                f"route del fd00:10:200:{other}::/64\n"
                f"route add 10.200.{other}.0/24 via 192.168.99.2{other}\n"
                f"route add fd00:10:200:{other}::/64 via fd00:99::2{other}\n")


def offload(c, pods, nodes):
    """Checksums by the devices ("on"), which on veth means by nobody, or by the
    stack; where only nodes do not leave them to devices, behind the
    translation."""
    for node in c.nodes:
        for ns, dev in (c[node], "eth0"), (c[node], "vx0"), \
                (c["fabric"], f"n{node}"):
            ns.run("ethtool", "-K", dev, "tx", nodes, "rx", nodes)
    for pod in c.pods:
        for ns, dev in (c[pod], "eth0"), (c[f"w{pod[1]}"], f"v{pod}"):
            ns.run("ethtool", "-K", dev, "tx", pods, "rx", pods)


def bad_checksums(c):
    """Packets that any host has dropped for them."""
    total = 0
    for host in c.nodes + c.pods:
        with c[host]:
            for name in "snmp", "snmp6":
                with open(f"/proc/thread-self/net/{name}",
                          encoding="ascii") as file:
                    text = file.read().split("\n")
                if name == "snmp6":
                    total += sum(int(line.split()[1]) for line in text
                                 if "CsumErrors" in line)
                    continue
                for titles, values in zip(text[::2], text[1::2]):
                    total += sum(int(v) for t, v in zip(titles.split(),
                                                        values.split())
                                 if "CsumErrors" in t)
    return total


def to(c, host, family, what):
    """Where a client asks."""
    return (c.addr("w0", family), 31000 + NUMBER[what]) if host == "out" \
        else (vip(family, what), 80)


def quick(start):
    """Less than a second; but SYNs are sent again after 1, 3, 7, ... 63."""
    took = time.monotonic() - start
    check(took < 6 * SLOW, f"it took {took:.1f} s")


def requests(c, host, family, what, name):
    """Small and large, at once."""
    start = time.monotonic()
    where = to(c, host, family, what)
    asks = gather([Ask(c[host], proto, *where, payload=payload)
                   for proto in ("tcp", "udp", "sctp") for payload in
                   (b"who\n", bytes(range(200)) * (6 if proto == "udp" else 1))
                   for _ in range(4)], timeout=6)
    for one in asks:
        expect(one.name or str(one), name, f"{one.proto}")
        expect(one.peer, where, "source of the answer")
        if len(one.payload) > 1000 and one.proto == "udp":
            check(one.data.endswith(b" 1200 %d\n" % sum(one.payload)),
                  f"other bytes arrived: {one.data}")
    quick(start)


def upload(c, host, family, what, name):
    """Long segments, which the tunnel has no room for at first."""
    start = time.monotonic()
    with c[host].socket(socket.AF_INET6 if family == 6 else socket.AF_INET,
                        socket.SOCK_STREAM) as sock:
        sock.settimeout(10 * SLOW)
        sock.connect(to(c, host, family, what))
        sock.sendall(bytes(range(256)) * 800)
        sock.shutdown(socket.SHUT_WR)
        got = read_all(sock)
    check(name.encode() in got, "no answer")
    quick(start)


HOSTS = (("p00", "a pod"), ("w0", "a node process"),
         ("out", "an outside client by the node port"))


def overlay(tap, c):
    """Both ways of checksums."""
    for pods, nodes in ("on", "on"), ("off", "off"), ("on", "off"):
        offload(c, pods, nodes)
        for family in 4, 6:
            for host, who in HOSTS:
                about = f"vxlan, checksum offload {pods} in pods, {nodes} on " \
                    f"nodes, IPv{family}: {who}"
                tap.case(f"{about} is answered by another node's pod at once",
                         requests, c, host, family, "far", "p10")
                tap.case(f"{about} sends 200 kB", upload, c, host, family,
                         "far", "p10")
    tap.case("vxlan: no packet had a wrong checksum", lambda: expect(
        bad_checksums(c), 0))
    offload(c, "on", "on")

    def live(family):
        """A flow by the tunnel, while its endpoint is replaced."""
        ones = [Ask(c[host], proto, *to(c, host, family, "far"))
                for host, _ in HOSTS for proto in ("tcp", "sctp", "cudp")]
        for one in ones:
            one.keep = True
        gather(ones)
        for pod in "p11", "p01", "p10":
            c.everywhere("".join(
                f"svc set far-{proto} " + " ".join(
                    f"ep {endpoint(c.addr(pod, f), 8080)}{{local:{pod}}}"
                    for f in (4, 6)) + "\n"
                for proto in ("tcp", "udp", "sctp")))
            again = gather([Ask(one.ns, one.proto, one.addr, one.dport,
                                sock=one.sock) for one in ones])
            for one in again:
                expect(one.name or str(one), pod if one.proto == "cudp" else
                       "p10", f"{one.ns.name} {one.proto}")
        for one in ones:
            one.sock.close()

    for family in 4, 6:
        tap.case(f"vxlan, IPv{family}: TCP and SCTP stay, UDP moves, when "
                 "endpoints change", live, family)


def plain(tap, c):
    """A tunnel whose packets have no Ethernet header: there is none to write
    over, and what comes out of it is the stack's."""
    for n, node in enumerate(c.nodes):
        other = 1 - n
        c[node].ip(f"link add tun1 type ipip local {c.ip4(node)} "
                   f"remote {c.ip4(c.nodes[other])}\n"
                   f"addr add 192.168.98.2{n}/24 dev tun1\n"
                   "link set tun1 up")
        c.batch(node, f"route del 10.200.{other}.0/24\n"
                f"route add 10.200.{other}.0/24 via 192.168.98.2{other}\n")
    for host, who in HOSTS:
        tap.case(f"ipip: {who} is answered by another node's pod at once",
                 requests, c, host, 4, "far", "p10")
        tap.case(f"ipip: {who} sends 200 kB", upload, c, host, 4, "far", "p10")

    def talk():
        one = Ask(c["p00"], "tcp", *to(c, "p00", 4, "far"))
        one.keep = True
        gather([one])
        for _ in range(20):
            again = gather([Ask(one.ns, "tcp", one.addr, one.dport,
                                sock=one.sock)])[0]
            expect(again.name or str(again), "p10")
        one.sock.close()

    tap.case("ipip: a connection goes on", talk)


def filtered(tap, c):
    """br_netfilter, which kube-proxy needs and nothing here does."""
    run("modprobe", "br_netfilter")
    try:
        for node in c.nodes:
            for name in "iptables", "ip6tables":
                expect(c[node].sysctl(f"bridge/bridge-nf-call-{name}"), "1",
                       name)
        for family in 4, 6:
            for host, what, name in (("p00", "near", "p01"),
                                     ("p01", "near", "p01"),
                                     ("w0", "near", "p01"),
                                     ("out", "near", "p01"),
                                     ("p00", "far", "p10")):
                tap.case(f"br_netfilter loaded, IPv{family}: {host} is "
                         f"answered by {name}", requests, c, host, family,
                         what, name)
    finally:
        # "modprobe -r" would take the bridge of this test's network along.
        run("rmmod", "br_netfilter", status=None)


def main():
    """The test."""
    have("ethtool")
    tap = Tap()
    c = Cluster(nodes=2, pods=2)
    for proto in "tcp", "udp", "sctp":
        for pod in c.pods:
            c.serve(pod, proto, 8080)
    c.everywhere("".join(
        f"svc add {what}-{proto} node-port {31000 + NUMBER[what]} " +
        " ".join(f"vip {endpoint(vip(f, what), 80)}/{proto} "
                 f"ep {endpoint(c.addr(pod, f), 8080)}{{local:{pod}}}"
                 for f in (4, 6)) + "\n"
        for what, pod in (("far", "p10"), ("near", "p01"))
        for proto in ("tcp", "udp", "sctp")))
    filtered(tap, c)
    tunnel(c)
    overlay(tap, c)
    plain(tap, c)
    tap.end()


main()
