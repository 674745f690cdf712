#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 240
"""Endpoints that are not pods: a host outside, the node itself, another node.
An address of somebody else's that leads to a pod of the node. Who is a pod, and
who comes from outside.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from svclib import Ask, Cluster, Failed, Tap, ask, check, endpoint, expect, \
    gather

PROTOS = "tcp", "udp", "sctp"
WORLD = {4: "198.51.100.1", 6: "2001:db8:d::1"}     # an address of "out"


def vip(family, number):
    """A cluster IP."""
    return f"fd00:10:32::{number:x}" if family == 6 else f"10.32.0.{number}"


class Kind:
    """What an endpoint is, and for each client whose address it sees.

    By the node port of w0, policy cluster, it is always that node's.
    """

    def __init__(self, number, desc, host, seen, local=""):
        self.number, self.desc, self.host = number, desc, host
        self.seen, self.local = seen, local

    def addr(self, c, family):
        """Its own."""
        return WORLD[family] if self.host == "world" else \
            c.addr(self.host, family)


KINDS = (
    # Masqueraded by w0's rule for pods
    Kind(1, "a host of the world", "world", {"p00": "w0", "w0": "w0"}),
    Kind(2, "a host that pods are not masqueraded for", "out",
         {"p00": "p00", "w0": "w0"}),
    Kind(3, "the node itself", "w0", {"p00": "p00", "w0": "w0"}, ",local"),
    Kind(4, "another node", "w1", {"p00": "p00", "w0": "w0"}),
)


def request(c, kind, proto, family, client, what):
    """One, and whom it is to be seen as."""
    if what == "vip":
        return Ask(c[client], proto, vip(family, kind.number), 80), \
            kind.seen[client]
    return Ask(c[client], proto, c.addr("w0", family), 31000 + kind.number), \
        "w0"


def served(tap, c):
    """Each kind, from each client."""
    rows = []
    for kind in KINDS:
        for proto in PROTOS:
            for family in 4, 6:
                for client, what in (("p00", "vip"), ("w0", "vip"),
                                     ("p00", "node port"),
                                     ("out", "node port")):
                    rows.append((kind, proto, family, client, what,
                                 *request(c, kind, proto, family, client,
                                          what)))
    gather([row[5] for row in rows], timeout=8, width=24)
    for kind, proto, family, client, what, one, seen in rows:
        def answered(one=one, kind=kind, seen=seen, family=family):
            if one.error:
                raise Failed(f"no answer: {one}")
            expect((one.name, one.client), (kind.host, c.addr(seen, family)),
                   "server, client that it saw")
            expect(one.peer, (one.addr, one.dport), "source of the answer")
        tap.case(f"{kind.desc}: {proto.upper()}, IPv{family}: {client} by the "
                 f"{what} is answered, and seen as {seen}", answered)


def live(tap, c):
    """Each kind is replaced under flows."""
    for kind, after in zip(KINDS, KINDS[1:] + KINDS[:1]):
        def change(kind=kind, after=after):
            ones = [request(c, kind, proto, family, client, what)[0]
                    for proto in ("tcp", "sctp", "cudp") for family in (4, 6)
                    for client, what in (("p00", "vip"), ("w0", "vip"),
                                         ("out", "node port"))]
            for one in ones:
                one.keep = True
            gather(ones, timeout=8)
            expect({one.name or str(one) for one in ones}, {kind.host})
            c.everywhere("".join(
                f"svc set k{kind.number}-{proto} " + " ".join(
                    f"ep {endpoint(after.addr(c, f), 8080)}" for f in (4, 6)) +
                "\n" for proto in PROTOS))
            again = gather([Ask(one.ns, one.proto, one.addr, one.dport,
                                sock=one.sock) for one in ones], timeout=8)
            fresh = gather([Ask(one.ns, one.proto, one.addr, one.dport)
                            for one in ones], timeout=8)
            for one, old, new in zip(ones, again, fresh):
                wanted = after.host if one.proto == "cudp" else kind.host
                expect(old.name or str(old), wanted,
                       f"{one.ns.name} {one.proto} {one.addr}: the flow")
                expect(new.name or str(new), after.host,
                       f"{one.ns.name} {one.proto} {one.addr}: a new one")
                one.sock.close()
        tap.case(f"{kind.desc} is replaced by {after.desc}: TCP and SCTP go "
                 "on, UDP and new flows follow", change)


def policy(tap, c):
    """external-policy local, for an endpoint on the node itself."""
    for proto in PROTOS:
        for family in 4, 6:
            def kept(proto=proto, family=family):
                one = ask(c["out"], proto, c.addr("w0", family), 31010)
                expect((one.name, one.client),
                       ("w0", c.addr("out", family)), str(one))
            tap.case(f"the node itself: {proto.upper()}, IPv{family}: with "
                     "policy local it sees the client from outside", kept)


def redirect(tap, c):
    """What goes to somebody else's address is for a pod of this node, as long
    as there is one that is ready."""
    for proto in PROTOS:
        c.batch("w0", f"svc add redirect-{proto} internal-policy local "
                "no-endpoints pass " + " ".join(
                    f"vip {endpoint(WORLD[f], 53)}/{proto} "
                    f"ep {endpoint(c.addr('p01', f), 8080)},local "
                    f"ep {endpoint(c.addr('p10', f), 8080)}"
                    for f in (4, 6)) + "\n")

    def who(proto, family):
        return {one.name or str(one) for one in gather(
            [Ask(c[host], proto, WORLD[family], 53)
             for host in ("p00", "w0") for _ in range(3)], timeout=8)}

    for proto in PROTOS:
        for family in 4, 6:
            def steps(proto=proto, family=family):
                ep = endpoint(c.addr("p01", family), 8080)
                flow = Ask(c["p00"], "cudp" if proto == "udp" else proto,
                           WORLD[family], 53)
                flow.keep = True
                gather([flow])
                expect(flow.name, "p01", "a flow")
                expect(who(proto, family), {"p01"}, "with a pod here")
                c.tool("w0", f"ep set redirect-{proto} {ep},not-ready")
                expect(who(proto, family), {"world"}, "without")
                again = gather([Ask(c["p00"], flow.proto, WORLD[family], 53,
                                    sock=flow.sock)])[0]
                expect(again.name, "world" if proto == "udp" else "p01",
                       "the flow")
                c.tool("w0", f"ep set redirect-{proto} {ep}")
                expect(who(proto, family), {"p01"}, "with one again")
                flow.sock.close()
            tap.case(f"local redirect: {proto.upper()}, IPv{family}: a foreign "
                     "address leads to this node's pod, and to its owner while "
                     "there is none", steps)

    def ports():
        for words, wanted in (("reject", "ECONNREFUSED"), ("pass", "world")):
            c.tool("w0", f"node set dead-ports {words}")
            for family in 4, 6:
                one = ask(c["p00"], "tcp", WORLD[family], 8080)
                expect(one.name or str(one), wanted, words)

    tap.case("local redirect: other ports of the address are its owner's with "
             "dead-ports pass", ports)


def locals_(tap, c):
    """With policy local and no endpoint here: pods are served all the same,
    who comes from outside is not."""
    c.everywhere("".join(
        f"svc add far-{proto} node-port 31020/{proto} external-policy local "
        + " ".join(f"ep {endpoint(c.addr('p10', f), 8080)}{{local:p10}}"
                   for f in (4, 6)) + "\n" for proto in ("tcp", "udp")))

    def case(served_, silent):
        def asks(hosts):
            return [Ask(c[host], proto, c.addr("w0", family), 31020)
                    for host in hosts for proto in ("tcp", "udp")
                    for family in (4, 6)]
        for one in gather(asks(served_), timeout=8):
            expect(one.name or str(one), "p10", one.ns.name)
        for one in gather(asks(silent), timeout=1.2):
            expect(one.error or str(one), "timeout", one.ns.name)

    tap.case("who is a pod: by cluster-cidr, the bridge and pod routes",
             case, ("p00", "p11", "w0"), ("out",))
    c.tool("w0", "node set cluster-cidr none")
    tap.case("who is a pod: by the bridge and pod routes alone", case,
             ("p00", "p11", "w0"), ("out",))
    c.tool("w0", f"node set cluster-cidr {c.ip4('out')}/32,"
           f"{c.ip6('out')}/128")
    tap.case("who is a pod: whoever has an address in cluster-cidr", case,
             ("p00", "p11", "out"), ())


def main():
    """The test."""
    tap = Tap()
    c = Cluster(nodes=2, pods=2)
    c["out"].ip("addr add 198.51.100.1/32 dev lo\n"
                "addr add 2001:db8:d::1/128 dev lo nodad\n"
                "route add 10.200.0.0/24 via 10.240.0.20\n"
                "route add fd00:10:200::/64 via fd00:10:240::20")
    for proto in PROTOS:
        for host in "out", "w0", "w1", "p01", "p10":
            c.serve(host, proto, 8080)
        for family in 4, 6:
            for port in 53, 8080:
                c.servers.listen(c["out"], "world", proto, WORLD[family], port)
    c.everywhere("".join(
        f"svc add k{kind.number}-{proto} node-port {31000 + kind.number} " +
        " ".join(f"vip {endpoint(vip(f, kind.number), 80)}/{proto} "
                 f"ep {endpoint(kind.addr(c, f), 8080)}" for f in (4, 6)) +
        "\n" for kind in KINDS for proto in PROTOS))
    c.batch("w0", "".join(
        f"svc add own-{proto} node-port 31010/{proto} external-policy local " +
        " ".join(f"ep {endpoint(c.addr('w0', f), 8080)},local"
                 for f in (4, 6)) + "\n" for proto in PROTOS))
    served(tap, c)
    policy(tap, c)
    live(tap, c)
    redirect(tap, c)
    locals_(tap, c)
    for node in c.nodes:
        tap.case(f"{node} counts no nat_failed", lambda node=node: check(
            not c.stat(node, "nat_failed"), "it does"))
    tap.end()


main()
