#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
"""The life of flows: what becomes of them when their endpoint is removed, of
those that are older than their service, and of segments that conntrack calls
invalid.
"""
import errno
import os
import select
import socket
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
import frame
from svclib import SLOW, Ask, Cluster, Failed, Tap, ask, check, endpoint, \
    expect, gather, wait_for

FAR = 0x60000000        # out of every window


def vip(family, number):
    """A cluster IP."""
    return f"fd00:10:32::{number:x}" if family == 6 else f"10.32.0.{number}"


class Test:
    """The cluster, and numbers for services."""

    def __init__(self):
        self.tap = Tap()
        self.c = Cluster(nodes=2, pods=2)
        for pod in "p00", "p01", "p10":
            for proto in "tcp", "udp", "sctp":
                self.c.serve(pod, proto, 8080)
        self.number = 0

    def service(self, family, pods, more="", proto="tcp"):
        """A new service of one family: its name."""
        self.number += 1
        name = f"life{self.number}"
        self.c.everywhere(
            f"svc add {name} vip {endpoint(vip(family, self.number), 80)}/"
            f"{proto} node-port {31000 + self.number} " + " ".join(
                f"ep {self.ep(pod, family)}" for pod in pods) + f" {more}\n")
        return name

    def ep(self, pod, family):
        """An endpoint's words."""
        return endpoint(self.c.addr(pod, family), 8080)

    def to(self, host, family):
        """Where HOST reaches the service."""
        if host == "out":
            return self.c.addr("w0", family), 31000 + self.number
        return vip(family, self.number), 80

    def connect(self, host, family, times=1, proto="tcp"):
        """A connection that has been used."""
        one = None
        for _ in range(times):
            one = Ask(self.c[host], proto, *self.to(host, family),
                      sock=one.sock if one else None)
            one.keep = True
            gather([one])
            check(not one.error, f"{host}: {one}")
        return one

    def each(self, desc, func, *more):
        """A case for each family."""
        for family in 4, 6:
            self.tap.case(f"IPv{family}: {desc}", func, self, family, *more)


# --- removal -----------------------------------------------------------

def has_peer(t, pod, port):
    """Has a server there a connection of this client port?"""
    return any(line.endswith(f":{port}") for line in t.c[pod].run(
        "ss", "-Htn", "state", "established", "sport", "=", ":8080"
        ).out.split())


def keep(t, family, host):
    """A connection outlives its endpoint."""
    name = t.service(family, ["p10"])
    one = t.connect(host, family)
    t.c.everywhere(f"ep del {name} {t.ep('p10', family)}\n")
    again = Ask(t.c[host], "tcp", one.addr, one.dport, sock=one.sock)
    expect(gather([again])[0].name, "p10", "who answers")
    one.sock.close()
    expect(ask(t.c[host], "tcp", one.addr, one.dport).error, "ECONNREFUSED",
           "a new connection")


def reset(t, family, host, times):
    """Both ends are told, though neither says anything."""
    name = t.service(family, ["p10"], "on-removal reset")
    told(t, family, name, [t.connect(host, family, times),
                           t.connect(host, family)])


def told(t, family, name, conns):
    """The endpoint goes: both ends of its connections hear of that."""
    port = conns[0].port
    wait_for("connection at the server", lambda: has_peer(t, "p10", port))
    before = t.c.stat("w0", "conn_reset")
    t.c.everywhere(f"ep del {name} {t.ep('p10', family)}\n")
    for one in conns:
        one.sock.setblocking(False)
        check(select.select([one.sock], [], [], 5 * SLOW)[0],
              "the client has heard nothing")
        expect(one.sock.connect_ex((one.addr, one.dport)) and
               one.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or
               errno.ECONNRESET, errno.ECONNRESET, "the client's error")
        try:
            data = one.sock.recv(10)
        except OSError:
            data = None
        check(not data, f"data after the end: {data}")
        one.sock.close()
    wait_for("end of the server's connection",
             lambda: not has_peer(t, "p10", port), 5)
    check(t.c.stat("w0", "conn_reset") >= before + len(conns),
          "it is not counted")


def reset_deaf(t, family, host):
    """Both ends have just answered a segment out of the window, as after a
    change of the order, and do not answer the next: only a reset with the very
    number that each expects ends the connection."""
    name = t.service(family, ["p10"], "on-removal reset")
    limit = "ipv4/tcp_invalid_ratelimit"
    old = {ns: t.c[ns].sysctl(limit) for ns in (host, "p10")}
    try:
        for ns in old:
            t.c[ns].sysctl(limit, 600000)
        strays = Strays(t, family, host)
        for _ in range(20):
            expect(gather([strays.ask()])[0].name, "p10", "who answers")
        strays.send()
        told(t, family, name, [strays.one])
    finally:
        for ns, value in old.items():
            t.c[ns].sysctl(limit, value)


def associations(t, pod, port):
    """A server's, of this client port."""
    with t.c[pod], open("/proc/thread-self/net/sctp/assocs",
                        encoding="ascii") as file:
        return [line for line in file if f" 8080 {port} " in
                " ".join(line.split()) + " "]


def reset_sctp(t, family, host):
    """Both ends of an association are told."""
    name = t.service(family, ["p10"], "on-removal reset", "sctp")
    one = t.connect(host, family, proto="sctp")
    check(associations(t, "p10", one.port), "no association at the server")
    before = t.c.stat("w0", "conn_reset")
    t.c.everywhere(f"ep del {name} {t.ep('p10', family)}\n")
    check(select.select([one.sock], [], [], 5 * SLOW)[0],
          "the client has heard nothing")
    try:
        data = one.sock.recv(10)
    except OSError as error:
        data = None
        expect(error.errno, errno.ECONNRESET, "the client's error")
    check(not data, f"data after the end: {data}")
    one.sock.close()
    wait_for("end of the server's association",
             lambda: not associations(t, "p10", one.port), 5)
    check(t.c.stat("w0", "conn_reset") > before, "it is not counted")


def reset_spares(t, family):
    """Only connections of the endpoint that goes are ended."""
    name = t.service(family, ["p01", "p10"], "scheduler rr on-removal reset")
    ones = [t.connect("p00", family) for _ in range(4)]
    expect(sorted(one.name for one in ones), ["p01"] * 2 + ["p10"] * 2)
    t.c.everywhere(f"ep set {name} {t.ep('p01', family)},terminating\n"
                   f"ep del {name} {t.ep('p10', family)}\n")
    for one in ones:
        again = Ask(t.c["p00"], "tcp", one.addr, one.dport, sock=one.sock)
        gather([again])
        if one.name == "p01":
            expect(again.name, "p01", "a connection of one that terminates")
        else:
            check(again.error in ("ECONNRESET", "EPIPE"), f"got {again}")
        one.sock.close()


def reschedule(t, family, proto):
    """The next packet of the flow is a new flow."""
    name = t.service(family, ["p10"], "on-removal reschedule", proto)
    one = t.connect("p00", family, proto=proto)
    sport = one.sock.getsockname()[1]
    t.c.everywhere(f"svc set {name} ep {t.ep('p01', family)}\n")
    entries = t.c["w0"].run("conntrack", "-L", "-f", f"ipv{family}", "-p",
                            proto, "-d", one.addr, "--orig-port-src",
                            str(sport), status=None).out
    expect(entries, "", "entries left")
    if proto == "tcp":
        again = Ask(t.c["p00"], proto, one.addr, one.dport, sock=one.sock)
        gather([again])
        # The endpoint that it is led to now does not know it.
        check(again.error in ("ECONNRESET", "EPIPE"), f"got {again}")
    one.sock.close()
    expect(ask(t.c["p00"], proto, one.addr, one.dport).name, "p01")


def unanswered(t, family):
    """A SYN that nobody has answered is sent to another endpoint."""
    name = t.service(family, [])
    nobody = "fd00:10:200::77" if family == 6 else "10.200.0.77"
    # An address that cannot be resolved would end the connection by itself.
    t.c["w0"].ip(f"neigh replace {nobody} lladdr 02:00:00:00:00:77 "
                 "dev cnio0 nud permanent")
    t.c.everywhere(f"ep add {name} {endpoint(nobody, 80)}\n")
    with t.c["p00"].socket(socket.AF_INET6 if family == 6 else
                           socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        sock.connect_ex((vip(family, t.number), 80))
        wait_for("SYN", lambda: "SYN_SENT" in t.c["w0"].run(
            "conntrack", "-L", "-f", f"ipv{family}", "-d",
            vip(family, t.number)).out)
        t.c.everywhere(f"svc set {name} ep {t.ep('p01', family)}\n")
        check(select.select([], [sock], [], 8 * SLOW)[1], "no connection")
        expect(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0,
               "error of the connection")
    t.c["w0"].ip(f"neigh del {nobody} dev cnio0")


def reuse(t, family, host, linger):
    """A client uses the port of a connection that has ended for the next one;
    the endpoint gets no new ones any more (kubernetes issue 81775)."""
    name = t.service(family, ["p10"])
    t.c[host].sysctl("ipv4/tcp_tw_reuse", 1)

    def connect():
        one = Ask(t.c[host], "tcp", *t.to(host, family),
                  sport=21000 + t.number)
        one.keep = True
        return gather([one])[0]

    one = connect()
    expect(one.name, "p10")
    t.c.everywhere(f"ep set {name} {t.ep('p10', family)},weight=0\n"
                   f"ep add {name} {t.ep('p01', family)}\n")
    if linger:
        one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))
    one.sock.close()

    def again():
        """For a second the client's own host does not allow it."""
        two = connect()
        two.sock.close()
        return two if two.error not in ("EADDRNOTAVAIL", "EADDRINUSE") else \
            None

    two = wait_for("connection from the same port", again, 5)
    expect(two.name or str(two), "p01", "who answers")


def refused_words(t):
    """What cannot be."""
    for words, text in (
            ("svc add x vip 10.32.0.250:80/udp on-removal reset",
             "UDP has no reset"),
            ("svc add x vip 10.32.0.250:80/udp on-removal reschedule",
             "UDP flows always move")):
        done = t.c.tool("w0", words, status=1)
        check(text in done.err, done.err)
    t.c.tool("w0", "svc add x vip 10.32.0.250:80/udp on-removal keep")
    check("UDP flows" in t.c.tool("w0", "svc set x on-removal reschedule",
                                  status=1).err, "set is not refused")
    t.c.tool("w0", "svc del x")


# --- older than the service --------------------------------------------

def older(t, family, more, wanted):
    """A client that has sent to the address before there was a service."""
    addr = vip(family, t.number + 1)
    with t.c["p00"].socket(socket.AF_INET6 if family == 6 else
                           socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((addr, 80))
        sock.settimeout(0.3)

        def answer():
            """Who answers now."""
            try:
                sock.send(b"who\n")
                return sock.recv(100).split()[0].decode()
            except TimeoutError:
                return "nobody"
            except OSError as error:
                return errno.errorcode[error.errno]

        answer()
        check(t.c["w0"].run("conntrack", "-L", "-f", f"ipv{family}", "-d",
                            addr, status=None).out, "no entry to begin with")
        t.service(family, ["p01"] if wanted == "p01" else [], more, "udp")
        wait_for(wanted, lambda: answer() == wanted, 5)


# --- invalid -----------------------------------------------------------

class Sniffer:
    """TCP segments that arrive at a host."""

    def __init__(self, ns):
        self.sock = ns.socket(socket.AF_PACKET, socket.SOCK_DGRAM,
                              socket.htons(3))
        self.sock.bind(("eth0", 3))
        self.sock.setblocking(False)
        self.seen = []

    def read(self):
        """(src, sport, dst, dport, seq) of all so far."""
        while True:
            try:
                data, where = self.sock.recvfrom(2000)
            except BlockingIOError:
                return self.seen
            if where[2] == 4:           # our own
                continue
            if data[0] >> 4 == 4 and data[9] == 6:
                family, a, n = socket.AF_INET, 12, 4
                tcp = data[(data[0] & 15) * 4:]
            elif data[0] >> 4 == 6 and data[6] == 6:
                family, a, n, tcp = socket.AF_INET6, 8, 16, data[40:]
            else:
                continue
            sport, dport, seq = struct.unpack(">HHI", tcp[:8])
            self.seen.append((socket.inet_ntop(family, data[a:a + n]), sport,
                              socket.inet_ntop(family, data[a + n:a + 2 * n]),
                              dport, seq))

    def wait(self, seq):
        """The segment with this number."""
        return wait_for(f"segment {seq:#x}", lambda: [
            one for one in self.read() if one[4] == seq], 5)[0][:4]


class Strays:
    """A connection, and segments out of the window for both of its ends."""

    def __init__(self, t, family, host):
        self.t, self.family, self.host = t, family, host
        self.client, self.server = Sniffer(t.c[host]), Sniffer(t.c["p10"])
        self.one = one = t.connect(host, family)
        self.me, self.sport = one.sock.getsockname()[:2]
        self.seen = wait_for("SYN", lambda: [
            s for s in self.server.read() if s[3] == 8080 and
            s[1] == one.port])[0]
        self.isn = wait_for("SYN and ACK", lambda: [
            s for s in self.client.read() if s[3] == self.sport])[0][4]

    def ask(self):
        """Once more."""
        return Ask(self.t.c[self.host], "tcp", self.one.addr, self.one.dport,
                   sock=self.one.sock)

    def send(self):
        """They arrive, translated."""
        one, pod = self.one, self.t.c.addr("p10", self.family)
        there = (self.seen[4] + FAR) % 2**32
        back = (self.isn + FAR) % 2**32
        frame.inject(self.t.c[self.host], self.me, self.sport, one.addr,
                     one.dport, there)
        expect(self.server.wait(there), (self.seen[0], one.port, pod, 8080),
               "at the endpoint")
        frame.inject(self.t.c["p10"], pod, 8080, self.seen[0], one.port, back)
        if self.host == "w0":
            self.client.wait(back)      # seen here before it is translated
        else:
            expect(self.client.wait(back), (one.addr, one.dport, self.me,
                                            self.sport), "at the client")


def invalid(t, family, host):
    """Segments out of the window reach the other end translated."""
    t.service(family, ["p10"])
    strays = Strays(t, family, host)
    before = t.c.stat("w0", "conntrack_invalid")
    strays.send()
    check(t.c.stat("w0", "conntrack_invalid") >= before + 2,
          "it is not counted")
    expect(gather([strays.ask()])[0].name, "p10", "who answers afterwards")
    strays.one.sock.close()


def strangers(t, family):
    """What belongs to no connection."""
    world = "2001:db8:57::1" if family == 6 else "198.51.100.1"
    out, pod = Sniffer(t.c["out"]), Sniffer(t.c["p10"])
    me = t.c.addr("p00", family)
    before = t.c.stat("w0", "conntrack_invalid_masq")
    frame.inject(t.c["p00"], me, 7000, world, 80, 1, 0x14)
    frame.inject(t.c["p00"], me, 7000, t.c.addr("out", family), 80, 2, 0x14)
    frame.inject(t.c["p00"], me, 7000, t.c.addr("p10", family), 80, 3, 0x14)
    expect(pod.wait(3)[:2], (me, 7000), "a pod gets it as it is")
    expect(out.wait(2)[:2], (me, 7000), "so does who is not masqueraded for")
    check(t.c.stat("w0", "conntrack_invalid_masq") > before,
          "the drop is not counted")
    if [one for one in out.read() if one[2] == world]:
        raise Failed("a pod's address has left the cluster")


def main():
    """The test."""
    t = Test()
    t.c["out"].ip("route add 10.200.0.0/24 via 10.240.0.20\n"
                  "route add fd00:10:200::/64 via fd00:10:240::20")
    for host in "p00", "w0", "out":
        t.each(f"removal, keep: the connection goes on, from {host}", keep,
               host)
        t.each(f"removal, reset: both ends of an idle connection are told, "
               f"from {host}", reset, host, 1)
    t.each("removal, reset: also after twenty requests, which the fast path "
           "has carried", reset, "p00", 20)
    for host in "p00", "w0", "out":
        t.each("removal, reset: ends that do not answer a segment out of the "
               f"window, from {host}", reset_deaf, host)
    t.each("removal, reset: other connections go on, and those of an "
           "endpoint that only terminates", reset_spares)
    for proto in "tcp", "sctp":
        t.each(f"removal, reschedule: {proto}: the next packet makes a new "
               "choice", reschedule, proto)
    t.each("removal: a SYN that was not answered goes to another endpoint",
           unanswered)
    for host in "p00", "w0", "out":
        t.each("removal, reset: both ends of an SCTP association are told, "
               f"from {host}", reset_sctp, host)
    for host in "p00", "w0":
        for linger, desc in (False, "closed"), (True, "reset"):
            t.each(f"drain: the port of a connection that was {desc} leads to "
                   f"another endpoint, from {host}", reuse, host, linger)
    t.tap.case("removal: neither reset nor reschedule is for UDP",
               refused_words, t)
    for more, wanted in (("", "p01"), ("", "ECONNREFUSED"),
                         ("no-endpoints drop", "nobody")):
        t.each(f"older than the service: UDP client, then {wanted} "
               f"{more}", older, more, wanted)
    for node in t.c.nodes:
        t.c.tool(node, "node set fastpath off")
    for host in "p00", "w0", "out":
        t.each("invalid: segments out of the window are translated in both "
               f"directions, from {host}", invalid, host)
    t.each("invalid: without a connection nothing is dropped but what should "
           "have been masqueraded", strangers)
    t.tap.end()


main()
