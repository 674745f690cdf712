#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
"""ICMP errors of translated flows, in both directions, and fragments.

The packet inside of an error must be the one that its receiver has sent: a
socket sees the error only then. So what a socket learns (path MTU, refused,
time exceeded) is what is tested.
"""
import errno
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from svclib import IP_MTU, IP_MTU_DISCOVER, IP_RECVERR, IP_TTL, \
    IPV6_MTU, IPV6_MTU_DISCOVER, IPV6_RECVERR, PMTUDISC_DO, PMTUDISC_DONT, \
    Ask, Cluster, Failed, Tap, check, endpoint, expect, expect_in, \
    family_of, gather, pattern, wait_for

NODE_PORT = {"near": 31000, "far": 31001, "dead": 31002}
SMALL = 1300


def vip(family, which):
    """Cluster IP of a service: near (endpoint on w0), far (w1), dead (p00's
    port without a listener)."""
    number = list(NODE_PORT).index(which) + 1
    return f"fd00:10:32::{number:x}" if family == 6 else f"10.32.0.{number}"


class Sock:
    """A connected UDP socket that may not fragment."""

    def __init__(self, ns, addr, port, ttl=None, df=True):
        self.v6 = family_of(addr) == socket.AF_INET6
        self.level = socket.IPPROTO_IPV6 if self.v6 else socket.IPPROTO_IP
        self.sock = ns.socket(family_of(addr), socket.SOCK_DGRAM)
        self.sock.settimeout(3)
        self.sock.setsockopt(self.level, IPV6_RECVERR if self.v6 else
                             IP_RECVERR, 1)
        self.sock.setsockopt(
            self.level, IPV6_MTU_DISCOVER if self.v6 else IP_MTU_DISCOVER,
            PMTUDISC_DO if df else PMTUDISC_DONT)
        if ttl:
            self.sock.setsockopt(self.level, socket.IPV6_UNICAST_HOPS
                                 if self.v6 else IP_TTL, ttl)
        self.sock.connect((addr, port))

    def mtu(self):
        """The path MTU that the socket knows."""
        return self.sock.getsockopt(self.level, IPV6_MTU if self.v6 else
                                    IP_MTU)

    def send(self, size):
        """A datagram; whatever comes of it."""
        try:
            self.sock.send(bytes(size))
        except OSError as error:
            expect_in(error.errno, (errno.EMSGSIZE, errno.ECONNREFUSED,
                                    errno.EHOSTUNREACH), "errno of send()")

    def learns(self, size, mtu):
        """Sends until the path MTU is known."""
        def known():
            self.send(size)
            return self.mtu() == mtu

        wait_for(f"path MTU {mtu}", known, 5, 0.1)

    def error(self):
        """The error queue: (errno, type, code, who says so)."""
        def queued():
            try:
                return self.sock.recvmsg(2048, 512,
                                         socket.MSG_ERRQUEUE |
                                         socket.MSG_DONTWAIT)
            except BlockingIOError:
                return None

        _, ancillary, _, to = wait_for("ICMP error", queued, 5)
        for level, kind, data in ancillary:
            if (level, kind) not in ((socket.IPPROTO_IP, IP_RECVERR),
                                     (socket.IPPROTO_IPV6, IPV6_RECVERR)):
                continue
            number, _, what, code = struct.unpack_from("=IBBB", data)
            raw = data[24:40] if self.v6 else data[20:24]
            who = socket.inet_ntop(socket.AF_INET6 if self.v6 else
                                   socket.AF_INET, raw)
            return number, what, code, who, to[:2]
        raise Failed("no error in the queue")

    def close(self):
        """Over."""
        self.sock.close()


def set_mtu(ns, dev, mtu):
    """Of a device; or, where DEV is an address, of the route to it."""
    if "." not in dev and ":" not in dev:
        ns.ip(f"link set {dev} mtu {mtu}")
    elif mtu == 1500:
        ns.ip(f"route del {dev}")
    else:
        ns.ip(f"route add {dev} dev eth0 mtu {mtu}")


def forget(c, *hosts):
    """Path MTUs that earlier cases have taught."""
    for ns in c.ns.values():
        ns.sysctl("ipv4/route/flush", 1)
    for host in hosts:
        c[host].run("ip", "-6", "route", "flush", "cache")


def too_big_forward(c, family, client, addr, port, where, node):
    """A packet to the endpoint is too big for the device WHERE of NODE."""
    sock = None
    set_mtu(c[node], where, SMALL)
    try:
        sock = Sock(c[client], addr, port)
        sock.learns(1400, SMALL)
    finally:
        set_mtu(c[node], where, 1500)
        if sock:
            sock.close()
        forget(c, *[client] * (family == 6))


def too_big_reply(c, family, client, addr, port, pod, seen, narrow):
    """The endpoint's answer is too big for the way back. NARROW: (node,
    device or destination); SEEN: the address that the endpoint answers to."""
    set_mtu(c[narrow[0]], narrow[1], SMALL)
    try:
        # The server's socket does not fragment, as it is the stack's default
        # to set DF; the client asks for 1400 bytes.
        one = Ask(c[client], "cudp", addr, port, payload=b"size 1400")
        gather([one], timeout=1)
        check(one.error in (None, "timeout"), one)

        def learnt():
            gather([Ask(c[client], "cudp", addr, port,
                        payload=b"size 1400")], timeout=0.3)
            probe = Sock(c[pod], seen, 9)
            mtu = probe.mtu()
            probe.close()
            return mtu == SMALL

        wait_for(f"path MTU {SMALL} at the endpoint", learnt, 8, 0.05)
        # From now on the answer is fragmented by the endpoint itself.
        one = Ask(c[client], "cudp", addr, port, payload=b"size 1400")
        gather([one], timeout=3)
        check(not one.error, f"no answer although the MTU is known: {one}")
        expect(len(one.data), 1400, "length of the answer")
    finally:
        set_mtu(c[narrow[0]], narrow[1], 1500)
        forget(c, *[client, pod] * (family == 6))


def too_big(tap, c):
    """Fragmentation needed, packet too big."""
    for family in 4, 6:
        name = f"IPv{family}: " + ("packet too big" if family == 6 else
                                   "fragmentation needed")
        w0 = c.addr("w0", family)
        tap.case(f"{name} of the endpoint's port reaches a pod on the same "
                 "node, by the cluster IP", too_big_forward, c, family, "p01",
                 vip(family, "near"), 80, "vp00", "w0")
        tap.case(f"{name} of the endpoint's port reaches a pod on another "
                 "node, by the cluster IP", too_big_forward, c, family, "p10",
                 vip(family, "near"), 80, "vp00", "w0")
        tap.case(f"{name} of the pod's own node reaches it, by the cluster IP",
                 too_big_forward, c, family, "p10", vip(family, "near"), 80,
                 "eth0", "w1")
        tap.case(f"{name} reaches a process on the endpoint's node",
                 too_big_forward, c, family, "w0", vip(family, "near"), 80,
                 "vp00", "w0")
        tap.case(f"{name} reaches a process on another node",
                 too_big_forward, c, family, "w1", vip(family, "near"), 80,
                 "vp00", "w0")
        tap.case(f"{name} of the node reaches an outside client, by the node "
                 "port, endpoint here", too_big_forward, c, family, "out",
                 w0, NODE_PORT["near"], "vp00", "w0")
        tap.case(f"{name} of another node reaches an outside client, by the "
                 "node port, through the masquerade", too_big_forward, c,
                 family, "out", w0, NODE_PORT["far"], "vp10", "w1")
        tap.case(f"{name} for a reply reaches the endpoint: client on another "
                 "node", too_big_reply, c, family, "p10", vip(family, "near"),
                 80, "p00", c.addr("p10", family), ("w1", "vp10"))
        tap.case(f"{name} for a reply reaches the endpoint: client on the "
                 "same node", too_big_reply, c, family, "p01",
                 vip(family, "near"), 80, "p00", c.addr("p01", family),
                 ("w0", "vp01"))
        tap.case(f"{name} for a reply reaches an endpoint on another node "
                 "through the masquerade", too_big_reply, c, family, "out",
                 w0, NODE_PORT["far"], "p10", w0,
                 ("w0", c.addr("out", family)))


def unreachable(tap, c):
    """The endpoint's own port unreachable."""
    for family in 4, 6:
        for client, what in (("p01", "pod on the same node"),
                             ("p10", "pod on another node"),
                             ("w0", "node process"),
                             ("w1", "process on another node")):
            for proto in "udp", "cudp", "tcp":
                one = Ask(c[client], proto, vip(family, "dead"), 80)
                gather([one], timeout=3)
                tap.case(f"IPv{family}: port unreachable of the endpoint "
                         f"reaches a {what}, {proto}",
                         lambda one=one: expect(str(one), "ECONNREFUSED"))
        for node in "w0", "w1":
            one = Ask(c["out"], "cudp", c.addr(node, family),
                      NODE_PORT["dead"])
            gather([one], timeout=3)
            tap.case(f"IPv{family}: port unreachable of the endpoint reaches "
                     f"an outside client by {node}'s node port",
                     lambda one=one: expect(str(one), "ECONNREFUSED"))

        def says(family=family):
            sock = Sock(c["p10"], vip(family, "dead"), 80)
            sock.send(8)
            number, _, _, who, to = sock.error()
            expect(number, errno.ECONNREFUSED, "errno")
            expect(who, vip(family, "dead"), "sender of the error")
            expect(to, (vip(family, "dead"), 80), "original destination")
            sock.close()

        tap.case(f"IPv{family}: port unreachable of the endpoint comes from "
                 "the virtual address", says)


def hops(tap, c):
    """Time exceeded, as traceroute uses it."""
    exceeded = {4: (11, 0), 6: (3, 0)}
    for family in 4, 6:
        def trace(client, addr, port, wanted, family=family):
            for ttl, who in enumerate(wanted, 1):
                sock = Sock(c[client], addr, port, ttl=ttl)
                sock.send(8)
                if who == "answer":
                    check(sock.sock.recv(100), "nothing")
                else:
                    number, kind, code, by, to = sock.error()
                    expect(number, errno.EHOSTUNREACH, f"errno, TTL {ttl}")
                    expect((kind, code), exceeded[family], f"type, TTL {ttl}")
                    expect(by, addr, f"hop {ttl}")
                    expect(to, (addr, port), "original destination")
                sock.close()

        # Once the destination is translated, so is the sender of an error:
        # conntrack makes it the address that the client has asked.
        for what, client, addr, port, wanted in (
                ("a pod to an endpoint on its node", "p01",
                 vip(family, "near"), 80, ["vip", "answer"]),
                ("a pod to an endpoint on another node", "p01",
                 vip(family, "far"), 80, ["vip", "vip", "answer"]),
                ("a node process to an endpoint on another node", "w0",
                 vip(family, "far"), 80, ["vip", "answer"]),
                ("outside by a node port to an endpoint on another node",
                 "out", c.addr("w0", family), NODE_PORT["far"],
                 ["vip", "vip", "answer"])):
            tap.case(f"IPv{family}: time exceeded on the way from {what}",
                     trace, client, addr, port, wanted)


def fragments(tap, c):
    """Datagrams of 4000 bytes."""
    request = pattern(4000)
    rows = []
    for family in 4, 6:
        for client, what in (("p00", "the endpoint itself"),
                             ("p01", "a pod on the endpoint's node"),
                             ("p10", "a pod on another node"),
                             ("w0", "a process on the endpoint's node"),
                             ("w1", "a process on another node"),
                             ("out", "an outside client")):
            for node in ("w0", "w1") if client == "out" else ("",):
                addr, port = (c.addr(node, family), NODE_PORT["near"]) \
                    if node else (vip(family, "near"), 80)
                about = f"IPv{family}: fragments: {what}" + (
                    f" by {node}" if node else "")
                rows.append((f"{about} sends 4000 bytes",
                             Ask(c[client], "udp", addr, port,
                                 payload=request, dontfrag=PMTUDISC_DONT),
                             None))
                rows.append((f"{about} gets 4000 bytes",
                             Ask(c[client], "udp", addr, port,
                                 payload=b"size 4000"), 4000))
    gather([row[1] for row in rows], timeout=6, width=8)
    for desc, one, size in rows:
        def verify(one=one, size=size):
            check(not one.error, one)
            expect(one.name, "p00", "endpoint")
            if size:
                expect(len(one.data), size, "length of the answer")
                rest = one.data.split(b" ", 3)[3]
                expect(rest, pattern(len(rest)), "bytes of the answer")
            else:
                expect(one.data.split()[3:], [b"4000",
                                              b"%d" % sum(request)],
                       "length and sum that the endpoint got")

        tap.case(desc, verify)


def main():
    """The test."""
    tap = Tap()
    c = Cluster(nodes=2, pods=2)
    c.serve("p00", "udp", 8080)
    c.serve("p10", "udp", 8080)
    text = ""
    for proto in "udp", "tcp":
        for which, pod, port in (("near", "p00", 8080), ("far", "p10", 8080),
                                 ("dead", "p00", 9)):
            text += (f"svc add {which}-{proto} node-port {NODE_PORT[which]} " +
                     " ".join(
                         f"vip {endpoint(vip(f, which), 80)}/{proto} "
                         f"ep {endpoint(c.addr(pod, f), port)}"
                         "{local:%s}" % pod for f in (4, 6)) + "\n")
    c.everywhere(text)
    for part in too_big, unreachable, hops, fragments:
        part(tap, c)
    tap.end()


main()
