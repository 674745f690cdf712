#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
"""Direct server return: an outside client asks one node and is answered by the
endpoint's, from the address that it asked.
"""
import os
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from svclib import IP_MTU, IP_MTU_DISCOVER, IPV6_MTU, IPV6_MTU_DISCOVER, \
    PMTUDISC_DO, Ask, Cluster, Tap, ask, check, conntrack, endpoint, expect, \
    gather, read_all, wait_for

PORT = 31001


def external(family):
    """An external IP; the client's route to it is by w0."""
    return "2001:db8:e::1" if family == 6 else "192.0.2.1"


class Test:
    """Node w0 is asked; the endpoints are pods of w1."""

    def __init__(self):
        self.tap = Tap()
        self.c = c = Cluster(nodes=2, pods=1)
        for pod in c.pods:
            for proto in "tcp", "udp":
                c.serve(pod, proto, 8080)
        c["out"].ip("route add 192.0.2.0/24 via 10.240.0.20\n"
                    "route add 2001:db8:e::/48 via fd00:10:240::20")
        c.everywhere("".join(
            f"svc add dsr-{proto} vip 10.32.0.1:80/{proto} "
            f"vip [fd00:10:32::1]:80/{proto} node-port {PORT} "
            f"external-ip {external(4)} external-ip {external(6)} dsr ipip "
            f"ep {c.ip4('p10')}:8080{{local:p10}} "
            f"ep {endpoint(c.ip6('p10'), 8080)}{{local:p10}}\n"
            f"svc add near-{proto} node-port {PORT + 1}/{proto} dsr ipip "
            f"ep {c.ip4('p00')}:8080{{local:p00}} "
            f"ep {endpoint(c.ip6('p00'), 8080)}{{local:p00}}\n"
            for proto in ("tcp", "udp")))

    def to(self, family, what):
        """Where the client asks."""
        if what == "node port":
            return self.c.addr("w0", family), PORT
        return external(family), 80

    def stats(self):
        """Packets sent and received."""
        return self.c.stat("w0", "dsr_sent"), \
            self.c.stat("w1", "dsr_received")


def answered(t, family, proto, what):
    """By the other node, who saw the client."""
    before = t.stats()
    with t.c["out"].socket(socket.AF_PACKET, socket.SOCK_DGRAM,
                           socket.htons(3)) as sniffer:
        sniffer.bind(("eth0", 3))
        sniffer.setblocking(False)
        asks = gather([Ask(t.c["out"], proto, *t.to(family, what))
                       for _ in range(4)])
        macs = set()
        while select.select([sniffer], [], [], 0)[0]:
            data, where = sniffer.recvfrom(2000)
            if where[2] != 4 and where[1] in (0x800, 0x86dd) and (
                    data[9] if family == 4 else data[6]) in (6, 17):
                macs.add(where[4])
    for one in asks:
        check(not one.error, one)
        expect((one.name, one.client), ("p10", t.c.addr("out", family)),
               "server, client that it saw")
        expect(one.peer, (one.addr, one.dport), "source of the answer")
    links = t.c["w1"].run("ip", "-o", "link", "show", "eth0").out.split()
    mac = bytes.fromhex(links[links.index("link/ether") + 1].replace(":", ""))
    expect(macs, {mac}, "who sent answers")
    def same():
        """The last segments may still be on their way."""
        sent, received = (b - a for a, b in zip(before, t.stats()))
        return sent >= 4 and sent == received

    wait_for("as many packets received as sent", same)


def ordinary(t, family, proto):
    """Endpoints of the node itself, and clients inside."""
    before = t.stats()
    one = ask(t.c["out"], proto, t.c.addr("w0", family), PORT + 1)
    expect((one.name, one.client), ("p00", t.c.addr("w0", family)),
           "an endpoint of the node")
    vip = "fd00:10:32::1" if family == 6 else "10.32.0.1"
    for host in "p00", "w0":
        one = ask(t.c[host], proto, *t.to(family, "external"))
        expect(one.name, "p10", f"{host} by the external IP")
        one = ask(t.c[host], proto, vip, 80)
        expect((one.name, one.client), ("p10", t.c.addr(host, family)),
               f"{host} by the cluster IP")
    expect(t.stats(), before, "packets in packets")


def upload(t, family):
    """Segments that are as long as they can be, and an idle while."""
    with t.c["out"].socket(socket.AF_INET6 if family == 6 else
                           socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.settimeout(20)
        sock.connect(t.to(family, "external"))
        for _ in range(3):
            sock.sendall(b"x" * 300000)
            time.sleep(0.01)
        sock.shutdown(socket.SHUT_WR)
        got = read_all(sock)
    check(b"p10" in got, "no answer")


def survives(t, family):
    """Its endpoint is removed, and a connection goes on."""
    one = Ask(t.c["out"], "tcp", *t.to(family, "external"))
    one.keep = True
    gather([one])
    check(not one.error, one)
    words = f"dsr-tcp {endpoint(t.c.addr('p10', family), 8080)}"
    t.c.everywhere(f"ep del {words}\n")
    again = gather([Ask(t.c["out"], "tcp", one.addr, one.dport,
                        sock=one.sock)])[0]
    t.c.tool("w0", f"ep add {words}")
    t.c.tool("w1", f"ep add {words},local")
    expect(again.name, "p10", "who answers")
    one.sock.close()


def remembered(t, family):
    """Half of a connection is kept longer than a SYN."""
    one = Ask(t.c["out"], "tcp", *t.to(family, "external"))
    one.keep = True
    gather([one])
    lines = [line for line in conntrack(
        t.c["w0"], "-f", f"ipv{family}", "-p", "tcp", "-d", one.addr,
        "--orig-port-src", str(one.sock.getsockname()[1]))]
    one.sock.close()
    check(len(lines) == 1 and int(lines[0].split()[2]) > 200, str(lines))


def mtu(t, family):
    """What does not fit into a packet in a packet."""
    af = socket.AF_INET6 if family == 6 else socket.AF_INET
    level = socket.IPPROTO_IPV6 if family == 6 else socket.IPPROTO_IP
    wanted = 1460 if family == 6 else 1480
    with t.c["out"].socket(af, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(level, IPV6_MTU_DISCOVER if family == 6 else
                        IP_MTU_DISCOVER, PMTUDISC_DO)
        sock.connect(t.to(family, "external"))
        sock.settimeout(3)
        head = 48 if family == 6 else 28

        def learned():
            try:
                sock.send(b"x" * (1500 - head))
            except OSError:
                pass
            return sock.getsockopt(level, IPV6_MTU if family == 6 else
                                   IP_MTU) == wanted

        wait_for(f"MTU of {wanted}", learned, 5)
        wait_for("end of the errors", lambda: not sock.getsockopt(
            socket.SOL_SOCKET, socket.SO_ERROR))
        sock.send(b"y" * (wanted - head))
        check(sock.recv(100).startswith(b"p10"), "no answer")


def internet_sum(data):
    """RFC 1071."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def packed_up(family, client):
    """A datagram for the external IP that claims to be from CLIENT, as a node
    packs it up, without the outer header."""
    udp = struct.pack("!4H", 4444, 80, 8 + 4, 0) + b"who?"
    addrs = b"".join(socket.inet_pton(
        socket.AF_INET6 if family == 6 else socket.AF_INET, addr)
        for addr in (client, external(family)))
    if family == 6:
        pseudo = addrs + struct.pack("!II", len(udp), 17)
        udp = udp[:6] + struct.pack("!H", internet_sum(pseudo + udp)) + udp[8:]
        return struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + addrs + udp
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0)
    return head[:10] + struct.pack("!H", internet_sum(head + addrs)) + \
        addrs + udp


def forged(t, family):
    """From the outside it is unpacked, like any packet from there; what a pod
    packs up does not get past its node, wherever it is sent.
    """
    af = socket.AF_INET6 if family == 6 else socket.AF_INET
    proto = 41 if family == 6 else 4
    data = packed_up(family, t.c.addr("out", family))
    received = t.c.stat("w1", "dsr_received")
    with t.c["out"].socket(af, socket.SOCK_RAW, proto) as sock:
        sock.sendto(data, (t.c.addr("w1", family), 0))
    wait_for("the outside's packet is unpacked",
             lambda: t.c.stat("w1", "dsr_received") == received + 1)
    for number, to in enumerate(("w1", "w0", "p10"), 1):
        spoofed = t.c.stat("w0", "spoofed")
        with t.c["p00"].socket(af, socket.SOCK_RAW, proto) as sock:
            sock.sendto(data, (t.c.addr(to, family), 0))
        wait_for(f"the pod's packet to {to} is dropped",
                 lambda before=spoofed:
                 t.c.stat("w0", "spoofed") == before + 1)
        expect(t.c.stat("w1", "dsr_received"), received + 1,
               f"unpacked after {number} from a pod")
    # Other tunnels of a pod are its own business.
    other = data.replace(socket.inet_pton(af, external(family)),
                         socket.inet_pton(af, t.c.addr("out", family)))
    spoofed = t.c.stat("w0", "spoofed")
    with t.c["p00"].socket(af, socket.SOCK_RAW, proto) as sock, \
            t.c["p10"].socket(af, socket.SOCK_RAW, proto) as end:
        end.settimeout(5)
        sock.sendto(other, (t.c.addr("p10", family), 0))
        # Raw sockets of IPv4 get the outer header as well.
        expect(end.recv(2000)[0 if family == 6 else 20:], other,
               "a tunnel of another kind")
    expect(t.c.stat("w0", "spoofed"), spoofed, "packets called forged")


def words(t):
    """Where it cannot be, and what lookup says."""
    check("for TCP and UDP" in t.c.tool(
        "w0", "svc add x vip 10.32.0.9:80/sctp dsr ipip", status=1).err,
          "SCTP is not refused")
    out = t.c.tool("w0", f"lookup tcp {t.c.ip4('out')} {external(4)}:80").out
    check("  source: kept: the endpoint's node answers the client itself\n"
          in out, out)


def main():
    """The test."""
    t = Test()
    for family in 4, 6:
        for proto in "tcp", "udp":
            for what in "external", "node port":
                t.tap.case(f"IPv{family}, {proto}, {what}: the endpoint's node "
                           "answers, and the pod sees the client", answered,
                           t, family, proto, what)
            t.tap.case(f"IPv{family}, {proto}: endpoints of the node that is "
                       "asked, and clients inside, as ever", ordinary, t,
                       family, proto)
        t.tap.case(f"IPv{family}: a megabyte from the client", upload, t,
                   family)
        t.tap.case(f"IPv{family}: a connection survives the removal of its "
                   "endpoint", survives, t, family)
        t.tap.case(f"IPv{family}: the node that is asked remembers the "
                   "connection", remembered, t, family)
        t.tap.case(f"IPv{family}: a packet too big for the way in a packet is "
                   "answered with the right MTU", mtu, t, family)
        t.tap.case(f"IPv{family}: a pod cannot pack up what claims to be from "
                   "somebody else", forged, t, family)
    t.tap.case("not for SCTP, and lookup says it", words, t)
    t.tap.end()


main()
