#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 600
"""Source ports: one client address and one endpoint have 60,000 flows at a time,
each with a port of its own, and when there is none left that is counted.
"""
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from svclib import Cluster, Tap, ask, check, expect, wait_for

FLOWS = 60000
NODE_PORT = 31000


class Test:
    """A node port whose only endpoint is a pod that never answers."""

    def __init__(self):
        self.tap = Tap()
        self.c = c = Cluster(nodes=1, pods=2)
        with open("/proc/sys/net/netfilter/nf_conntrack_max", "w",
                  encoding="ascii") as file:
            file.write("300000")
        for setting in "udp_timeout", "udp_timeout_stream":
            c["w0"].sysctl(f"netfilter/nf_conntrack_{setting}", 600)
        c.tool("w0", f"svc add many node-port {NODE_PORT}/udp "
               f"ep {c.ip4('p00')}:8080 ep [{c.ip6('p00')}]:8080")
        c.tool("w0", f"svc add other node-port {NODE_PORT + 1}/udp "
               f"ep {c.ip4('p00')}:8081")
        self.mute = [c["p00"].socket(family, socket.SOCK_DGRAM)
                     for family in (socket.AF_INET, socket.AF_INET6)]
        for sock, addr in zip(self.mute, (c.ip4("p00"), c.ip6("p00"))):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            sock.bind((addr, 8080))
        c.serve("p00", "udp", 8081, families=(4,))

    def stat(self, name):
        """Of the node."""
        return self.c.stat("w0", name)

    def send(self, family, first, count):
        """One datagram from each of so many ports."""
        c = self.c
        src, dst = c.addr("out", family), c.addr("w0", family)
        af = socket.AF_INET6 if family == 6 else socket.AF_INET
        addrs = socket.inet_pton(af, src) + socket.inet_pton(af, dst)
        total = sum(struct.unpack(f">{len(addrs) // 2}H", addrs))
        with c["out"].socket(af, socket.SOCK_RAW, socket.IPPROTO_UDP) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            for port in range(first, first + count):
                # Length, protocol and length again, then the header's words.
                csum = total + 17 + 9 + port + NODE_PORT + 9 + 0x7800
                while csum >> 16:
                    csum = (csum & 0xffff) + (csum >> 16)
                sock.sendto(struct.pack(">HHHHB", port, NODE_PORT, 9,
                                        csum ^ 0xffff or 0xffff, 0x78),
                            (dst, 0))
                if port % 512 == 511:
                    time.sleep(0)       # others may run, too

    def entries(self):
        """(source port as the endpoint sees it) of all flows."""
        text = self.c["w0"].run("conntrack", "-L", "-p", "udp",
                                "--orig-port-dst", str(NODE_PORT)).out
        return [int(line.rpartition("dport=")[2].split()[0])
                for line in text.splitlines()]

    def forget(self):
        """No flow is left."""
        self.c["w0"].run("conntrack", "-F")


def counted(t, what, before, sent):
    """Each datagram is a flow or was dropped, and nothing else."""
    def settled():
        return t.stat("snat_flows") - before[0] + \
            t.stat("snat_port_exhausted") - before[1] >= sent

    wait_for(f"end of {what}", settled, 120, 1)
    return (t.stat("snat_flows") - before[0],
            t.stat("snat_port_exhausted") - before[1])


def exhausted(t, family):
    """With 800 ports left, 900 flows."""
    t.c.tool("w0", "node set nodeport-range 1424-65135")
    before = t.stat("snat_flows"), t.stat("snat_port_exhausted")
    clashes = t.stat("snat_port_clash")
    t.send(family, 10000, 900)
    flows, dropped = counted(t, "900 flows", before, 900)
    expect(flows + dropped, 900, "flows and drops")
    # A flow may find none although there is one: it tries 512.
    check(780 <= flows <= 800, f"{flows} flows, {dropped} dropped")
    check(t.stat("snat_port_clash") > clashes, "clashes are not counted")
    ports = t.entries() if family == 4 else []
    if family == 4:
        expect(len(set(ports)), flows, "ports in use")
        check(not [port for port in ports if 1424 <= port <= 65135],
              "a node port is used as a source")
        expect(ask(t.c["out"], "udp", t.c.ip4("w0"), NODE_PORT + 1).error,
               None, "another endpoint has all ports")
    t.c.tool("w0", "node set nodeport-range 30000-32767")
    t.forget()


def many(t):
    """60,000 at a time."""
    before = t.stat("snat_flows"), t.stat("snat_port_exhausted")
    start = time.monotonic()
    t.send(4, 1024, FLOWS)
    flows, dropped = counted(t, f"{FLOWS} flows", before, FLOWS)
    t.tap.note(f"{flows} flows, {dropped} dropped, "
               f"{t.stat('snat_port_clash')} ports tried in vain, "
               f"{time.monotonic() - start:.1f} s")
    expect(flows + dropped, FLOWS, "flows and drops")
    check(dropped <= FLOWS // 1000, f"{dropped} were dropped")
    ports = t.entries()
    expect(len(ports), flows, "entries")
    expect(len(set(ports)), flows, "ports")
    check(not [port for port in ports if 30000 <= port <= 32767],
          "a node port is used as a source")


def main():
    """The test."""
    t = Test()
    for family in 4, 6:
        t.tap.case(f"IPv{family}: without a port left flows are dropped, and "
                   "counted; other endpoints have theirs", exhausted, t,
                   family)
    t.tap.case(f"{FLOWS} flows of one client address to one endpoint have "
               "their ports", many, t)
    t.tap.end()


main()
