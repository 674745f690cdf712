#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 240
"""Services with ranges of ports and with all ports of an address: what they
capture, who wins where several could, which port the endpoint sees, and
changes while traffic goes on.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from genl import C, Genl, addr as nl_addr, be16, endpoint as nl_endpoint, \
    find, nla, string, u8
from svclib import Ask, Cluster, Failed, Tap, check, expect, gather

PROTOS = "tcp", "udp", "sctp"
PORTS = 1, 7999, 8000, 8001, 8500, 8998, 8999, 9000, 65535


def vip(family, number):
    """A cluster IP."""
    return f"fd00:10:32::{number:x}" if family == 6 else f"10.32.0.{number}"


def where(family, number, ports):
    """ADDR:PORTS."""
    addr = vip(family, number)
    return f"[{addr}]:{ports}" if family == 6 else f"{addr}:{ports}"


def eps(pod, port):
    """Endpoints of both families."""
    return " ".join(f"ep [{a}]:{port}" if ":" in a else f"ep {a}:{port}"
                    for a in (Cluster.ip4(pod), Cluster.ip6(pod)))


def add(c, name, proto, number, ports, pod, port, more=""):
    """A service on both nodes."""
    c.everywhere(f"svc add {name} " + " ".join(
        f"vip {where(f, number, ports)}/{proto}" for f in (4, 6)) +
        f" {eps(pod, port)} {more}\n")


def answers(c, host, proto, number, ports):
    """{port: who answers, or the error}, of both families alike."""
    asks = {(f, p): Ask(c[host], proto, vip(f, number), p)
            for p in ports for f in (4, 6)}
    gather(list(asks.values()), timeout=7, width=24)
    out = {}
    for (family, port), one in asks.items():
        got = one.name or one.error
        if out.setdefault(port, got) != got:
            raise Failed(f"IPv{family}, port {port}: {got}, IPv4: {out[port]}")
        if not one.error:
            expect(one.peer, (one.addr, port), "source of the answer")
    return out


def who_wins(tap, c):
    """A single port, a range, all ports."""
    for proto in PROTOS:
        add(c, f"range-{proto}", proto, 1, "8000-8999", "p00", 8080)
        add(c, f"one-{proto}", proto, 1, "8500", "p01", 8080)
        add(c, f"all-{proto}", proto, 1, "*", "p10", 8080)
        add(c, f"only-{proto}", proto, 2, "8000-8999", "p00", 8080)
        add(c, f"other-{proto}", proto, 2, "1-7998", "p10", 8080)
    for proto in PROTOS:
        for host, origin in ("p01", "a pod"), ("w0", "a node process"), \
                ("out", "an outside client"):
            def most_exact(proto=proto, host=host):
                expect(answers(c, host, proto, 1, PORTS), {
                    1: "p10", 7999: "p10", 8000: "p00", 8001: "p00",
                    8500: "p01", 8998: "p00", 8999: "p00", 9000: "p10",
                    65535: "p10"})
            tap.case(f"{proto.upper()}: {origin} gets the most exact frontend",
                     most_exact)
        tap.case(f"{proto.upper()}: what no range has is a dead port",
                 lambda proto=proto: expect(
                     answers(c, "p01", proto, 2, (7998, 7999, 8000, 9000)),
                     {7998: "p10", 7999: "ECONNREFUSED", 8000: "p00",
                      9000: "ECONNREFUSED"}))

    def changes():
        """Frontends of one address go and come between requests."""
        ports = 8500, 8001, 9000
        steps = (("svc del one-udp", ("p00", "p00", "p10")),
                 ("svc set range-udp vip none", ("p10", "p10", "p10")),
                 ("svc del all-udp", ("ECONNREFUSED",) * 3),
                 ("svc set range-udp " + " ".join(
                     f"vip {where(f, 1, '8001-9000')}/udp" for f in (4, 6)),
                  ("p00",) * 3),
                 ("svc set range-udp " + " ".join(
                     f"vip {where(f, 1, '8400-8600')}/udp "
                     f"vip {where(f, 1, '8000-8399')}/udp" for f in (4, 6)),
                  ("p00", "p00", None)),
                 ("svc del range-udp", (None, None, None)))
        for words, wanted in steps:
            c.everywhere(words + "\n")
            got = answers(c, "p01", "udp", 1, ports)
            for port, want in zip(ports, wanted):
                # Of an address that nobody has any more nothing is promised.
                if want:
                    expect(got[port], want, f"{words}: port {port}")

    tap.case("each change of an address' frontends is seen by the next flow",
             changes)

    def overlaps():
        """A set range may not take ports of another service, whatever else it
        has ports of."""
        addr = vip(4, 50)
        c.tool("w0", f"svc add over-a vip {addr}:100-200/tcp {eps('p00', 8080)}")
        c.tool("w0", f"svc add over-b vip {addr}:300-400/tcp {eps('p01', 8080)}")
        for ports in "150-350", "150-600", "100-300", "400-500", "1-65534":
            done = c.tool("w0", f"svc set over-a vip {addr}:{ports}/tcp",
                          status=1)
            check("another service" in done.err, done.err)
        c.tool("w0", f"svc set over-a vip {addr}:150-299/tcp")
        done = c.tool("w0", f"svc set over-a vip {addr}:300-400/tcp", status=1)
        check("another service" in done.err, done.err)
        c.tool("w0", f"svc set over-a vip {addr}:401-500/tcp "
                     f"vip {addr}:100-299/tcp")
        for port, want in (100, "over-a"), (299, "over-a"), (300, "over-b"), \
                (400, "over-b"), (401, "over-a"), (500, "over-a"):
            out = c.tool("w0", f"lookup tcp 10.240.0.100 {addr}:{port}").out
            check(want in out, f"{port}: {out}")
        c.tool("w0", "svc del over-b")
        c.tool("w0", f"svc set over-a vip {addr}:300-400/tcp")
        c.tool("w0", "svc del over-a")

    tap.case("a range that is set takes no other service's ports", overlaps)


def which_port(tap, c):
    """The endpoint's port, and the flow's own."""
    for proto in PROTOS:
        for port in 8000, 8123:
            c.serve("p00", proto, port, name=f"p00-{port}")
        add(c, f"same-{proto}", proto, 4, "8000-8999", "p00", "*",
            "external-policy local")
    for proto in PROTOS:
        tap.case(f"{proto.upper()}: an endpoint with the port * is asked at "
                 "the flow's port", lambda proto=proto: expect(
                     answers(c, "p01", proto, 4, (8000, 8123, 8124)),
                     {8000: "p00-8000", 8123: "p00-8123",
                      8124: "ECONNREFUSED"}))

    def live():
        """Endpoints change under connections to many ports."""
        c.serve("p10", "tcp", 8000, name="p10-8000")
        socks = []
        for family in 4, 6:
            for port in 8000, 8123:
                one = Ask(c["p01"], "tcp", vip(family, 4), port)
                one.keep = True
                gather([one])
                expect(one.name, f"p00-{port}")
                socks.append((one, port))
        c.everywhere(f"svc set same-tcp {eps('p10', '*')}\n")
        expect(answers(c, "p01", "tcp", 4, (8000,)), {8000: "p10-8000"})
        for one, port in socks:
            again = Ask(c["p01"], "tcp", one.addr, port, sock=one.sock)
            gather([again])
            expect(again.name, f"p00-{port}", "old connection")
            one.sock.close()

    tap.case("TCP: connections to a range survive a change of its endpoints",
             live)


def words(tap, c):
    """How ranges are written, kept and refused."""
    def shown():
        add(c, "shown", "tcp", 5, "100-200", "p00", "*",
            "external-ip 192.0.2.5 lb-ip 192.0.2.6:*")
        line = c.tool("w0", "svc show shown").out
        for word in ("vip 10.32.0.5:100-200/tcp", "external-ip 192.0.2.5 ",
                     "lb-ip 192.0.2.6:* ", f"ep {c.ip4('p00')}:*,"):
            check(word in line, f"no '{word}' in {line}")
        saved = c.tool("w0", "save").out
        path = f"/tmp/ports-{os.getpid()}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(saved)
        c.tool("w0", "svc del shown")
        c.tool("w0", f"apply {path}")
        expect(c.tool("w0", "save").out, saved)
        c.tool("w0", f"ep del shown {c.ip4('p00')}:*")
        os.unlink(path)

    tap.case("words: shown, saved and applied as they were given", shown)
    genl = Genl(c["w0"])

    def refused():
        for ports, sentence in (
                ("200-300", "frontend belongs to another service"),
                ("50-100", "frontend belongs to another service"),
                ("101-102", "frontend belongs to another service"),
                ("400-500/tcp vip 10.32.0.5:450-460", "frontend given twice"),
                ):
            done = c.tool("w0", f"svc add bad vip 10.32.0.5:{ports}/tcp",
                          status=1)
            check(sentence in done.err, done)
        for ports in "0-5", "9-8", "5-", "-5", "5-65536", "**", "1-2-3":
            c.tool("w0", f"svc add bad vip 10.32.0.5:{ports}/tcp", status=2)
        c.tool("w0", "svc add bad node-port 31000-31010", status=2)
        c.tool("w0", "svc show bad", status=1)
        # What the tool would not send.
        try:
            genl.request("SERVICE_NEW", string("SERVICE_NAME", "bad") + u8(
                "SERVICE_PROTO", 6) + nla("SERVICE_FRONTEND", [
                    u8("FRONTEND_TYPE", C["FRONTEND_NODE_PORT"]),
                    be16("FRONTEND_PORT", 31000),
                    be16("FRONTEND_PORT_END", 31001)]))
        except Exception as error:      # pylint: disable=broad-except
            check("node port is not a range" in str(error), error)
        else:
            raise Failed("a range of node ports was accepted")
        # The same ports of another protocol, and next to it, are free.
        c.tool("w0", "svc add good vip 10.32.0.5:150-300/udp")
        c.tool("w0", "svc add good2 vip 10.32.0.5:201-300/tcp "
               "vip 10.32.0.5:*/tcp vip 10.32.0.5:150/tcp")
        c.batch("w0", "svc del good\nsvc del good2\n")

    tap.case("words: overlaps and nonsense are refused", refused)

    def many():
        """A thousand ranges of one address; the next is refused."""
        def new(number):
            return string("SERVICE_NAME", f"many{number}") + u8(
                "SERVICE_PROTO", 6) + nla("SERVICE_FRONTEND", [
                    u8("FRONTEND_TYPE", C["FRONTEND_CLUSTER_IP"]),
                    nl_addr("FRONTEND_ADDR", vip(4, 6)),
                    be16("FRONTEND_PORT", 20 * number + 1),
                    be16("FRONTEND_PORT_END", 20 * number + 10)]) + \
                nl_endpoint(f"10.200.{number // 250}.{number % 250 + 2}", 80)

        order = [n * 389 % 1024 for n in range(1024)]
        for number in order:
            genl.request("SERVICE_NEW", new(number))
        try:
            genl.request("SERVICE_NEW", new(1024))
        except Exception as error:      # pylint: disable=broad-except
            check("too many port ranges" in str(error), error)
        else:
            raise Failed("1,025 ranges were accepted")

        def has(number, there):
            for port, inside in ((20 * number + 1, there),
                                 (20 * number + 10, there),
                                 (20 * number + 11, False)):
                name = find(genl.lookup("tcp", c.ip4("p01"), 9, vip(4, 6),
                                        port), "LOOKUP_SERVICE")
                expect(name and name.rstrip(b"\0").decode(),
                       f"many{number}" if inside else None, f"port {port}")

        for number in range(0, 1024, 31):
            has(number, True)
        for number in order[:700]:
            genl.request("SERVICE_DEL", string("SERVICE_NAME",
                                               f"many{number}"))
        gone = set(order[:700])
        for number in range(0, 1024, 13):
            has(number, number not in gone)
        for number in order[:5]:
            genl.request("SERVICE_NEW", new(number))
            has(number, True)
        for number in order[700:] + order[:5]:
            genl.request("SERVICE_DEL", string("SERVICE_NAME",
                                               f"many{number}"))
        has(3, False)

    tap.case("a thousand ranges of one address are found, and their places "
             "used again", many)
    genl.sock.close()


def main():
    """The test."""
    tap = Tap()
    c = Cluster(nodes=2, pods=2)
    for proto in PROTOS:
        for pod in "p00", "p01", "p10":
            c.serve(pod, proto, 8080)
    c["out"].ip("route add 10.32.0.0/16 via 10.240.0.20\n"
                "route add fd00:10:32::/48 via fd00:10:240::20")
    who_wins(tap, c)
    which_port(tap, c)
    words(tap, c)
    for node in c.nodes:
        tap.case(f"{node} counts no nat_failed", lambda node=node: expect(
            c.stat(node, "nat_failed"), 0))
    tap.end()


main()
