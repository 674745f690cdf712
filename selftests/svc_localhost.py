#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 240
"""Node ports and host ports on 127.0.0.1 and ::1, which are for processes of the
node and for nobody else (CVE-2020-8558), and other host ports.
"""
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from svclib import Ask, Cluster, Failed, Tap, ask, check, endpoint, expect, \
    expect_in, gather

PROTOS = "tcp", "udp", "cudp", "sctp"
LO = {4: "127.0.0.1", 6: "::1"}


def node_port(name, proto, number, pods, more=""):
    """A service."""
    proto = proto.lstrip("c") if proto == "cudp" else proto
    return f"svc add {name} node-port {number}/{proto} " + " ".join(
        f"ep {endpoint(a, 8080)}" + "{local:%s}" % p for p in pods
        for a in (Cluster.ip4(p), Cluster.ip6(p))) + f" {more}\n"


def lo_ask(c, proto, family, port, src=None):
    """A request of a process of w0."""
    return Ask(c["w0"], proto, LO[family], port, src=src or LO[family])


def answered(one, names, client):
    """By whom, and whom it saw."""
    if one.error:
        raise Failed(f"no answer: {one}")
    expect_in(one.name, names)
    expect(one.client, client, "client it saw")
    expect(one.peer, (one.addr, one.dport), "source of the answer")


def off(tap, c):
    """By default nothing is different."""
    asks = {(p, f): lo_ask(c, p, f, 31001) for p in PROTOS for f in (4, 6)}
    gather(list(asks.values()), timeout=7)
    for (proto, family), one in asks.items():
        tap.case(f"off: {proto}, IPv{family}: nobody listens on the loopback "
                 "address", lambda one=one: expect(one.error, "ECONNREFUSED"))


def served(tap, c):
    """Both kinds of endpoints, all protocols."""
    for number, pods, what in ((31001, ("p00",), "a pod of this node"),
                               (31002, ("p10",), "a pod of another node"),
                               (31003, ("p00",), "policy local")):
        asks = {(p, f): lo_ask(c, p, f, number) for p in PROTOS
                for f in (4, 6)}
        gather(list(asks.values()), timeout=7)
        for (proto, family), one in asks.items():
            tap.case(f"on: {proto}, IPv{family}: {what} answers and sees the "
                     "node", answered, one, pods, c.addr("w0", family))
    asks = {(p, f): lo_ask(c, p, f, 31004) for p in PROTOS for f in (4, 6)}
    gather(list(asks.values()), timeout=7)
    for (proto, family), one in asks.items():
        tap.case(f"on: {proto}, IPv{family}: a service without endpoints "
                 "refuses at once", lambda one=one: expect(
                     one.error or str(one), "ECONNREFUSED"))
    asks = {f: lo_ask(c, "cudp", f, 31005) for f in (4, 6)}
    gather(list(asks.values()), timeout=4)
    for family, one in asks.items():
        tap.case(f"on: IPv{family}: an endpoint's ICMP error reaches the "
                 "process", lambda one=one: expect(one.error or str(one),
                                                   "ECONNREFUSED"))
    for family in 4, 6:
        def large(family=family):
            one = lo_ask(c, "udp", family, 31001)
            one.payload = b"size 1200"
            gather([one])
            expect(len(one.data), 1200, "bytes")

        tap.case(f"on: IPv{family}: large answers are whole", large)

    def stream():
        """One connection, many requests, while the endpoints change."""
        for family in 4, 6:
            one = lo_ask(c, "tcp", family, 31001)
            one.keep = True
            gather([one])
            expect(one.name, "p00")
            c.tool("w0", "svc set one-tcp " + " ".join(
                f"ep {endpoint(a, 8080)}" for a in (c.ip4("p10"),
                                                    c.ip6("p10"))))
            again = Ask(c["w0"], "tcp", LO[family], 31001, sock=one.sock)
            gather([again])
            expect(again.name, "p00", "old connection")
            new = lo_ask(c, "tcp", family, 31001)
            gather([new])
            expect(new.name, "p10", "new connection")
            one.sock.close()
            c.tool("w0", "svc set one-tcp " + " ".join(
                f"ep {endpoint(a, 8080)}" for a in (c.ip4("p00"),
                                                    c.ip6("p00"))))

    tap.case("on: connections survive a change of endpoints, new ones follow "
             "it", stream)

    def lookup():
        for family in 4, 6:
            out = c.tool("w0", f"lookup tcp {endpoint(LO[family], 4000)} "
                         f"{endpoint(LO[family], 31001)}").out
            check("one-tcp" in out and c.addr("w0", family) in out, out)

    tap.case("on: lookup explains it", lookup)


def coexist(tap, c):
    """What is on loopback already."""
    def listener():
        """A listener on another port, and one with the port by chance."""
        for family in 4, 6:
            c.servers.listen(c["w0"], "own", "tcp", LO[family], 9)
            one = Ask(c["w0"], "tcp", LO[family], 9, src=LO[family],
                      sport=31001)
            gather([one])
            expect(one.name, "own", "a client whose source port is a node "
                   "port")

    tap.case("others: listeners and clients of loopback are left alone",
             listener)

    def older():
        """A connection to a listener that a node port covers later."""
        for family in 4, 6:
            c.servers.listen(c["w0"], "old", "tcp", LO[family], 31010)
            one = lo_ask(c, "tcp", family, 31010)
            one.keep = True
            gather([one])
            expect(one.name, "old")
            c.everywhere(node_port("covers", "tcp", 31010, ("p00",)))
            again = Ask(c["w0"], "tcp", LO[family], 31010, sock=one.sock)
            gather([again])
            expect(again.name, "old", "connection from before")
            new = lo_ask(c, "tcp", family, 31010)
            gather([new])
            expect(new.name, "p00", "new connection")
            bound = Ask(c["w0"], "tcp", LO[family], 31010,
                        src=c.addr("w0", family))
            gather([bound])
            expect(bound.name, "old", "process bound to the node's address")
            c.everywhere("svc del covers\n")
            one.sock.close()

    tap.case("others: a connection to a listener outlives the node port that "
             "covers it", older)


def shadowed(tap, c):
    """What the tool says about listeners."""
    def lists():
        for family in 4, 6:
            for proto in "tcp", "sctp":
                c.servers.listen(c["w0"], "shadow", proto,
                                 c.addr("w0", family), 31003)
            c.servers.listen(c["w0"], "shadow", "udp", LO[family], 31003)
            c.servers.listen(c["w0"], "free", "tcp", c.addr("w0", family),
                             31099)
        out = c.tool("w0", "node shadowed").out
        for family in 4, 6:
            for words in (f"tcp listener {c.addr('w0', family)} port 31003 "
                          "service near-tcp",
                          f"sctp listener {c.addr('w0', family)} port 31003 "
                          "service near-sctp",
                          f"udp listener {LO[family]} port 31003 service "
                          "near-udp"):
                check(words in out, f"no '{words}' in\n{out}")
        check("31099" not in out, out)
        c.tool("w0", "node set nodeport-localhost off")
        out = c.tool("w0", "node shadowed").out
        check("udp" not in out and "tcp" in out, out)
        c.tool("w0", "node set nodeport-localhost on")

    tap.case("others: the tool lists listeners that a node port shadows",
             lists)

    def warns():
        """Of one that is there, when a service takes its port."""
        c.servers.listen(c["w0"], "free", "sctp", c.ip4("w0"), 31099)
        pod = f"{c.ip4('p00')}:1"
        # Said by the first command, and not by the second
        for words, undo, proto in (
                ("svc add covers node-port 31099/tcp", "svc del covers",
                 "tcp"),
                (f"hostport add 31099/sctp {pod}", "hostport del 31099/sctp",
                 "sctp"),
                ("svc set near-tcp node-port 31099",
                 "svc set near-tcp node-port 31003", "tcp"),
                ("svc set near-udp node-port 31099",
                 "svc set near-udp node-port 31003", None),
                (f"hostport add 10.240.0.9:31099/tcp {pod}",
                 "hostport del 10.240.0.9:31099/tcp", None)):
            for done, line in (
                    (c.tool("w0", words, options=("-j",)), ""),
                    (c.tool("w0", undo), None),
                    (c.batch("w0", words + "\n"), "stdin:1: "),
                    (c.tool("w0", undo), None)):
                expect(done.out, "", f"{done.words}: output")
                said = f"{line}warning: a process listens on " \
                    f"{c.ip4('w0')}:31099/{proto}, which "
                expect(said in done.err, bool(proto and line is not None),
                       f"a warning: {done}")

    tap.case("others: a service that takes a listener's port is warned of, "
             "and works", warns)


def checksum(data):
    """Of the internet."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def attack(tap, c):
    """CVE-2020-8558: a neighbour sends packets for the node's loopback."""
    heard = c["w0"].socket(socket.AF_INET, socket.SOCK_DGRAM)
    heard.bind(("127.0.0.1", 7777))
    heard.settimeout(0.5)

    def udp(src, dst, port):
        data = b"attack\n"
        return struct.pack("!4H", 4000, port, 8 + len(data), 0) + data

    def ip(src, dst, port):
        body = udp(src, dst, port)
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64,
                           17, 0, socket.inet_aton(src), socket.inet_aton(dst))
        return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body

    def ip6(src, dst, port):
        body = udp(src, dst, port)
        pseudo = socket.inet_pton(socket.AF_INET6, src) + \
            socket.inet_pton(socket.AF_INET6, dst) + \
            struct.pack("!II", len(body), 17)
        body = body[:6] + struct.pack("!H", checksum(pseudo + body)) + body[8:]
        return struct.pack("!IHBB", 6 << 28, len(body), 17, 64) + \
            pseudo[:32] + body

    def address(ns, dev):
        return bytes.fromhex(ns.run("ip", "-o", "link", "show", "dev", dev)
                             .out.split("link/ether ")[1].split()[0]
                             .replace(":", ""))

    def link(ns, dev, dst):
        src = address(ns, dev)
        sock = ns.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sock.bind((dev, 0))
        return lambda kind, packet: sock.send(
            dst + src + struct.pack("!H", kind) + packet)

    rows = (("a neighbour", link(c["out"], "eth0",
                                 address(c["w0"], "eth0")),
             c.addr("out", 4), c.addr("out", 6)),
            ("a pod", link(c["p00"], "eth0", address(c["w0"], "cnio0")),
             c.addr("p00", 4), c.addr("p00", 6)))
    ports = 7777, 31001, 31002, 8099, 8090
    for who, send, src4, src6 in rows:
        def nothing(send=send, src4=src4, src6=src6):
            before = len(c.servers.seen)
            for source in src4, "127.0.0.1", c.addr("w0", 4):
                for port in ports:
                    send(0x0800, ip(source, "127.0.0.1", port))
            for source in src6, "::1", c.addr("w0", 6):
                for port in ports[1:]:
                    send(0x86dd, ip6(source, "::1", port))
            # Behind them in the queue, and heard.
            gather([Ask(c["out"], "udp", c.addr("w0", 4), 31001)])
            try:
                got = heard.recv(100)
            except socket.timeout:
                got = None
            expect(got, None, "what a listener on loopback got")
            seen = c.servers.seen[before:]
            check(len(seen) == 1, f"endpoints got {seen}")

        tap.case(f"attack: {who} reaches neither listeners nor services by "
                 "the node's loopback addresses", nothing)
    heard.close()
    tap.case("attack: route_localnet is off, on every device", lambda: check(
        all(c["w0"].sysctl(f"ipv4/conf/{dev}/route_localnet") == "0"
            for dev in ("all", "default", "eth0", "cnio0", "lo")), "on"))


def loopback_host_ports(tap, c):
    """Host ports of 127.0.0.1 and ::1, whatever the setting is."""
    def pods(pod, before="hostport add ", after=""):
        return "".join(f"{before}{endpoint(LO[f], 8090)}/{proto}{after} "
                       f"{endpoint(c.addr(pod, f), 8080)}\n"
                       for proto in ("tcp", "udp", "sctp") for f in (4, 6))

    c.batch("w0", pods("p00"))
    asks = {(p, f): lo_ask(c, p, f, 8090) for p in PROTOS for f in (4, 6)}
    gather(list(asks.values()), timeout=7)
    for (proto, family), one in asks.items():
        tap.case(f"host port of loopback: {proto}, IPv{family}: a process of "
                 "the node reaches the pod, which sees the node", answered,
                 one, ("p00",), c.addr("w0", family))
    asks = [Ask(c[host], proto, c.addr("w0", family), 8090)
            for proto in PROTOS for family in (4, 6)
            for host in ("out", "p01", "p00", "w0")]
    gather(asks, timeout=7, width=24)
    tap.case("host port of loopback: nobody else does, nor by another address",
             lambda: expect({one.error or str(one) for one in asks},
                            {"ECONNREFUSED"}))

    def others():
        for family in 4, 6:
            c.servers.listen(c["w0"], "own", "tcp", LO[family], 8091)
            for port, want in (8091, "own"), (8092, "ECONNREFUSED"), \
                    (31001, "ECONNREFUSED"):
                one = lo_ask(c, "tcp", family, port)
                gather([one])
                expect(one.name or one.error, want, f"port {port}")
            out = c.tool("w0", f"lookup tcp {endpoint(LO[family], 4000)} "
                         f"{endpoint(LO[family], 8090)}").out
            check(f"host port {endpoint(LO[family], 8090)}" in out or
                  f"hostport/{endpoint(LO[family], 8090)}/tcp" in out, out)
            out = c.tool("w0", f"lookup tcp {endpoint(c.ip4('out'), 4000)} "
                         "127.0.0.1:8090").out
            check("hostport/" not in out, out)

    tap.case("host port of loopback: other ports of loopback are left alone, "
             "and lookup explains it", others)

    def live():
        """Flows while the pod is replaced."""
        ones = [lo_ask(c, proto, family, 8090)
                for proto in ("tcp", "sctp", "cudp") for family in (4, 6)]
        for one in ones:
            one.keep = True
        gather(ones, timeout=7)
        c.batch("w0", pods("p01", "svc set hostport/", " ep"))
        again = [Ask(c["w0"], one.proto, one.addr, 8090, sock=one.sock)
                 for one in ones]
        gather(again, timeout=7)
        expect([one.name or one.error for one in again],
               ["p00"] * 4 + ["p01"] * 2, "who answers")
        for one in ones:
            one.sock.close()
            new = lo_ask(c, one.proto, 6 if ":" in one.addr else 4, 8090)
            gather([new])
            expect(new.name or new.error, "p01", "a new flow")

    tap.case("host port of loopback: TCP and SCTP survive a new pod, UDP and "
             "new flows follow it", live)

    def refused():
        for words in (f"hostport add 127.0.0.2:8090/tcp {c.ip4('p00')}:80",
                      "svc add x vip 127.0.0.1:80/tcp",
                      "svc add x external-ip [::1]:80/tcp"):
            check("not a global unicast address" in c.tool(
                "w0", words, status=1).err, words)

    tap.case("host port of loopback: no other address of it, and no other kind "
             "of frontend", refused)


def host_ports(tap, c):
    """hostport add, list, del."""
    for proto in "tcp", "udp", "sctp":
        c.tool("w0", f"hostport add 8099/{proto} {endpoint(c.ip4('p00'), 8080)}"
               f" {endpoint(c.ip6('p00'), 8080)}")
        for family in 4, 6:
            c.tool("w0", "hostport add "
                   f"{endpoint(c.addr('w0', family), 8098)}/{proto} "
                   f"{endpoint(c.addr('p01', family), 8080)}")
    c["w0"].ip("addr add 10.240.0.77/24 dev eth0\n"
               "addr add fd00:10:240::77/64 dev eth0 nodad")
    second = {4: "10.240.0.77", 6: "fd00:10:240::77"}
    rows = []
    for proto in PROTOS:
        for family in 4, 6:
            node, about = c.addr("w0", family), f"{proto}, IPv{family}"
            gateway = "fd00:10:200::1" if family == 6 else "10.200.0.1"
            for host, who, addr, port, name, seen in (
                    ("out", "an outside client", node, 8099, "p00", "out"),
                    ("out", "an outside client, another address",
                     second[family], 8099, "p00", "out"),
                    ("out", "an outside client, by its host address", node,
                     8098, "p01", "out"),
                    ("p01", "another pod", node, 8099, "p00", "p01"),
                    ("p10", "a pod of another node", node, 8099, "p00",
                     "p10"),
                    ("p00", "the pod itself", node, 8099, "p00", gateway),
                    ("w0", "the node", node, 8099, "p00", node),
                    ("w0", "the node, by loopback", LO[family], 8099, "p00",
                     node)):
                client = c.addr(seen, family) if seen in c.ns else seen
                rows.append((f"host port: {about}: {who} reaches the pod, "
                             "which sees " + ("its address" if seen == host
                                              else client),
                             Ask(c[host], proto, addr, port,
                                 src=LO[family] if addr == LO[family]
                                 else None), name, client))
            rows.append((f"host port: {about}: no other address has it",
                         Ask(c["out"], proto, second[family], 8098), None,
                         None))
    gather([row[1] for row in rows], timeout=8, width=16)
    for desc, one, name, client in rows:
        if name:
            tap.case(desc, answered, one, (name,), client)
        else:
            tap.case(desc, lambda one=one: expect(one.error or str(one),
                                                  "ECONNREFUSED"))

    def words():
        out = c.tool("w0", "hostport list").out
        for line in (f"8099/tcp pod {c.ip4('p00')}:8080",
                     f"127.0.0.1:8090/tcp pod {c.ip4('p01')}:8080",
                     f"{c.ip4('w0')}:8098/udp pod {c.ip4('p01')}:8080",
                     f"[{c.ip6('w0')}]:8098/sctp pod [{c.ip6('p01')}]:8080"):
            check(line in out, f"no '{line}' in\n{out}")
        done = c.tool("w0", f"hostport add 8099/tcp {c.ip4('p01')}:1",
                      status=1)
        check("exists" in done.err, done)
        done = c.tool("w0", "svc add other node-port 8099/tcp", status=1)
        check("another service" in done.err, done)
        for bad in "8099", "0/tcp", "8000-8001/tcp", "none", "1.2.3.4/tcp":
            c.tool("w0", f"hostport add {bad} {c.ip4('p01')}:1", status=2)
        c.tool("w0", "hostport add 5/tcp", status=2)
        c.tool("w0", f"hostport add 5/tcp {c.ip4('p01')}:1 "
               f"{c.ip4('p00')}:1", status=2)
        saved = c.tool("w0", "save").out
        path = f"/tmp/hostport-{os.getpid()}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(saved)
        c.tool("w0", "hostport del 8099/tcp")
        c.tool("w0", "hostport del 8099/tcp", status=1)
        c.tool("w0", "hostport del 8099/tcp --force")
        c.tool("w0", "node set nodeport-localhost off")
        expect(ask(c["out"], "tcp", c.addr("w0", 4), 8099).error,
               "ECONNREFUSED")
        c.tool("w0", f"apply {path}")
        os.unlink(path)
        expect(c.tool("w0", "save").out, saved)
        expect(ask(c["out"], "tcp", c.addr("w0", 4), 8099).name, "p00")

    tap.case("host port: list, refusals, save and apply", words)


def main():
    """The test."""
    tap = Tap()
    c = Cluster(nodes=2, pods=2)
    for proto in "tcp", "udp", "sctp":
        for pod in "p00", "p01", "p10":
            c.serve(pod, proto, 8080)
    c.everywhere("".join(
        node_port(f"one-{p}", p, 31001, ("p00",)) +
        node_port(f"far-{p}", p, 31002, ("p10",)) +
        node_port(f"near-{p}", p, 31003, ("p00",), "external-policy local") +
        node_port(f"none-{p}", p, 31004, ()) for p in ("tcp", "udp", "sctp")) +
        f"svc add dead node-port 31005/udp ep {c.ip4('p00')}:9 "
        f"ep {endpoint(c.ip6('p00'), 9)}\n")
    off(tap, c)
    loopback_host_ports(tap, c)
    c.everywhere("node set nodeport-localhost on\n")
    served(tap, c)
    coexist(tap, c)
    shadowed(tap, c)
    attack(tap, c)
    host_ports(tap, c)
    c.everywhere("node set nodeport-localhost off\n")
    off(tap, c)
    tap.end()


main()
