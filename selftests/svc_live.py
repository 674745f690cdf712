#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 240
"""Endpoints change under live traffic: each kind of frontend and each behaviour
of a service, over TCP, UDP and SCTP, IPv4 and IPv6.

Each row has a service of its own and a flow that asks without a pause while the
same is done to all of them, step by step: others come, one goes, the flow's own
gets weight 0, terminates, stops serving and is removed, until none is left and
one comes back. In each step every answer is looked at, of the flow and of new
ones: who gave it, whom it saw, and that none is missing which the change does
not explain.
"""
import errno
import itertools
import math
import os
import selectors
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from svclib import SLOW, SOCKET, Ask, Cluster, Failed, Tap, check, endpoint, \
    family_of, gather, wait_for

PROTOS = "tcp", "udp", "sctp"
LO = {4: "127.0.0.1", 6: "::1"}
SILENT = "timeout", "EPERM"             # what a drop looks like
REFUSED = "ECONNREFUSED",
RESET = "ECONNRESET", "EPIPE"
QUIET = 0.8 * SLOW                      # how long a drop is waited for
PAUSE = 0.25                            # of a flow between two questions

# The steps: what is done to the endpoints a, b and c, who may get a new flow
# then, and where flows of UDP are: those of others stay at a.
STEPS = (
    ("one endpoint", "", "a", "a"),
    ("two more come", "add b;add c", "abc", "a"),
    ("one of them goes", "del c", "ab", "a"),
    ("its own gets weight 0", "set a,weight=0", "b", "a"),
    ("its own terminates and serves", "set a,weight=1,terminating,serving",
     "b", "a"),
    ("its own stops serving", "set a,terminating", "b", "b"),
    ("its own is removed, another comes", "del a;add c", "bc", "b"),
    ("its new one is removed", "del b", "c", "c"),
    ("none is left", "del c", "", ""),
    ("one comes back", "add b", "b", "b"),
)
REMOVED = 6             # the step in which a is
NONE = 8                # the step in which there is none


class Behaviour:
    """What a service is, who asks it by which of its frontends, and which pods
    are its endpoints. SEEN is the host whose address these are to see.
    """

    # pylint: disable=too-many-arguments
    def __init__(self, desc, client, kind, seen, words="", pods="p01 p10 p02",
                 protos=PROTOS, node="w0", hints=("", "", ""), only=None,
                 sticky=False, gone=REFUSED, reset=False):
        self.desc, self.client, self.kind = desc, client, kind
        self.seen, self.words, self.protos = seen, words, protos
        self.pods = dict(zip("abc", pods.split()))
        self.hints = dict(zip("abc", hints))
        self.node = node
        self.only = only        # those of other endpoints that get flows
        self.sticky = sticky    # a client keeps its endpoint
        self.gone = gone        # without an endpoint
        self.reset = reset      # connections end with their endpoint

    def new(self, step):
        """The endpoints that a new flow may get; of none: the errors."""
        eps = STEPS[step][2]
        if self.only == "strict":           # policy local: c never
            if eps == "c":
                return SILENT
            eps = eps.replace("c", "")
        elif self.only == "prefer" and eps != "c":
            eps = eps.replace("c", "")
        if self.sticky:
            eps = eps[:1]
        return eps or self.gone

    def old(self, proto, step):
        """Where the flow is, or the error."""
        if proto != "udp":
            return RESET if self.reset and step >= REMOVED else "a"
        eps = STEPS[step][3]
        if self.only == "strict" and eps == "c":
            return SILENT
        return eps or self.gone


LOCAL = {"pods": "p01 p02 p10", "only": "strict"}
NEAR = "p01 p02 p03"
BEHAVIOURS = (
    Behaviour("cluster IP, from a pod", "p00", "vip", "p00"),
    Behaviour("cluster IP, from a pod, endpoints on another node first",
              "p00", "vip", "p00", pods="p10 p01 p11"),
    Behaviour("cluster IP, from a node process", "w0", "vip", "w0"),
    Behaviour("cluster IP, from outside, masqueraded", "out", "vip", "w0"),
    Behaviour("external IP", "out", "external-ip", "w0"),
    Behaviour("external IP, short cut from a pod", "p00", "external-ip",
              "w0"),
    Behaviour("load-balancer IP", "out", "lb-ip", "w0"),
    Behaviour("load-balancer IP with source ranges", "out", "lb-ip", "w0",
              "source-range 10.240.0.0/24,fd00:10:240::/64"),
    Behaviour("node port", "out", "node-port", "w0"),
    Behaviour("node port of a node without the endpoint", "out", "node-port",
              "w1", node="w1", pods="p01 p02 p10"),
    Behaviour("node port on loopback", "w0", "loopback", "w0"),
    Behaviour("host port", "out", "host-port", "out", pods=NEAR),
    Behaviour("port range", "p00", "range", "p00"),
    Behaviour("all ports", "p00", "all", "p00"),
    Behaviour("hairpin", "p01", "vip", "p01"),
    Behaviour("internal policy local", "p00", "vip", "p00",
              "internal-policy local", **LOCAL),
    Behaviour("external policy local", "out", "node-port", "out",
              "external-policy local", **LOCAL),
    Behaviour("session affinity", "p00", "vip", "p00", "affinity 600",
              sticky=True),
    Behaviour("zone hints", "p00", "vip", "p00", only="prefer",
              hints=(",zone=here", ",zone=here", ",zone=there")),
    Behaviour("node hints", "p00", "vip", "p00", only="prefer",
              hints=(",node=w0", ",node=w0", ",node=w1")),
    Behaviour("weighted random", "p00", "vip", "p00", "scheduler random"),
    Behaviour("round robin", "p00", "vip", "p00", "scheduler rr"),
    Behaviour("least connections", "p00", "vip", "p00", "scheduler lc"),
    Behaviour("Maglev", "p00", "vip", "p00", "scheduler maglev"),
    Behaviour("no-endpoints drop", "p00", "vip", "p00", "no-endpoints drop",
              gone=SILENT),
    Behaviour("on-removal reset", "p00", "vip", "p00", "on-removal reset",
              protos=("tcp", "sctp"), reset=True),
    Behaviour("on-removal reschedule", "p00", "vip", "p00",
              "on-removal reschedule", protos=("tcp",), reset=True),
    Behaviour("direct server return", "out", "external-ip", "out", "dsr ipip",
              pods="p10 p11 p12", protos=("tcp", "udp")),
)


class Row:
    """A behaviour over one protocol and family, and its flow."""

    def __init__(self, c, behaviour, proto, family, number):
        self.behaviour, self.proto, self.family = behaviour, proto, family
        self.desc = f"{behaviour.desc}, {proto.upper()}, IPv{family}"
        self.client = c[behaviour.client]
        self.addr, self.port = self.where(c, number)
        self.src = LO[family] if behaviour.kind == "loopback" else None
        b, gateway = behaviour, "fd00:10:200::1" if family == 6 else \
            "10.200.0.1"
        # Who answers, and whom it has seen
        self.names = {(pod, gateway if pod == b.client else
                       c.addr(b.seen, family)): ep
                      for ep, pod in b.pods.items()}
        self.failures = []
        # The flow
        self.sock = self.sent = None
        self.sequence = 0
        self.due = 0.0
        self.connected = False
        self.got = {}           # answers by step
        self.step = -1          # in which it has asked last

    def where(self, c, number):
        """Address and port that are asked."""
        b, family = self.behaviour, self.family
        return {"vip": (vip(family, number), 80),
                "range": (vip(family, number), 8123),
                "all": (vip(family, number), 9),
                "external-ip": (external(family, number), 80),
                "lb-ip": (external(family, number), 80),
                "node-port": (c.addr(b.node, family), 31000 + number),
                "loopback": (LO[family], 31000 + number),
                "host-port": (c.addr(b.node, family), 8100 + number)}[b.kind]

    def whose(self, answer):
        """The endpoint's letter for NAME CLIENT ..., or the error."""
        if isinstance(answer, str):
            return answer
        key = answer[0].decode(), answer[1].decode()
        return self.names.get(key, " ".join(key))

    def open(self):
        """Begins to connect."""
        self.sock = sock = self.client.socket(family_of(self.addr),
                                              *SOCKET[self.proto])
        sock.setblocking(False)
        if self.src or self.proto == "sctp":
            # See Ask.open().
            sock.bind((self.src or self.client.addr[family_of(self.addr)], 0))
        err = sock.connect_ex((self.addr, self.port))
        check(err in (0, errno.EINPROGRESS), f"{self.desc}: {err}")

    def ask(self, step):
        """The next question. Answers to datagrams have the sum of their bytes:
        none is taken for that to another one."""
        self.sequence += 1
        self.step, self.sent = step, time.monotonic()
        self.due = self.sent + PAUSE
        try:
            self.sock.send(b"who\n" if self.proto != "udp" else
                           bytes(65) + b"\xff" * (self.sequence // 255) +
                           bytes([self.sequence % 255]))
        except OSError as error:
            self.note(errno.errorcode[error.errno], step)

    def note(self, answer, now):
        """What has come of the last question. Where the step is another one
        now, it was under way while that changed.
        """
        step = self.step if self.step == now else \
            math.floor(self.step) + 0.5
        self.got.setdefault(step, []).append(answer)
        self.sent = None

    def read(self, now):
        """The socket has something."""
        try:
            words = self.sock.recv(1000).split()
        except BlockingIOError:
            return
        except OSError as error:
            if self.sent:
                self.note(errno.errorcode[error.errno], now)
            return
        if not words:
            self.note("ECONNRESET", now)
        elif self.proto != "udp" or words[-1] == b"%d" % self.sequence:
            self.note(words, now)

    def limit(self):
        """How long an answer may take: not long where none may come."""
        want, before = self.wanted(self.step)
        return 8 * SLOW if self.proto != "udp" or (
            want == before and want is not SILENT) else QUIET

    def wanted(self, step):
        """Where the flow is in that step, and before; between two steps, after
        the next one and before it."""
        old = self.behaviour.old
        after = int(step + 0.5)
        return old(self.proto, after), old(self.proto, max(0, int(step)))

    def ended(self):
        """Is it of no use to ask any more?"""
        return self.proto != "udp" and any(
            isinstance(answer, str) for some in self.got.values()
            for answer in some)


class Traffic(threading.Thread):
    """Asks by all flows, each again as soon as it has its answer."""

    def __init__(self, rows):
        super().__init__(daemon=True)
        self.rows = rows
        self.step = 0
        self.error = None
        self.stop = False
        self.selector = selectors.DefaultSelector()
        for row in rows:
            row.open()
            self.selector.register(row.sock, selectors.EVENT_WRITE, row)

    def run(self):
        try:
            while not self.stop:
                for key, _ in self.selector.select(0.02):
                    self.event(key)
                now = time.monotonic()
                for row in self.rows:
                    if row.sent and now > row.sent + row.limit():
                        row.note("timeout", self.step)
                    if row.connected and not row.sent and now > row.due and \
                            not row.ended():
                        row.ask(self.step)
        except Exception as error:      # pylint: disable=broad-except
            self.error = error

    def event(self, key):
        """One socket is connected, or has been answered."""
        row = key.data
        if key.events == selectors.EVENT_WRITE:
            err = row.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            check(not err, f"{row.desc}: no connection: {err}")
            self.selector.modify(row.sock, selectors.EVENT_READ, row)
            row.connected = True
        else:
            row.read(self.step)
            if row.ended():
                self.selector.unregister(row.sock)

    def answered(self, step):
        """Has each flow two answers to what it asked in this step?"""
        if self.error:
            raise self.error
        return all(row.ended() or len(row.got.get(step, ())) >= 2
                   for row in self.rows)


def vip(family, number):
    """A cluster IP."""
    return f"fd00:10:32::{number:x}" if family == 6 else f"10.32.0.{number}"


def external(family, number):
    """An external or load-balancer IP."""
    return f"2001:db8:e::{number:x}" if family == 6 else f"192.0.2.{number}"


class Test:
    """The cluster, the services and the flows."""

    def __init__(self):
        self.tap = Tap()
        self.c = c = Cluster(nodes=2, pods=4)
        c["out"].ip("route add 10.32.0.0/16 via 10.240.0.20\n"
                    "route add 192.0.2.0/24 via 10.240.0.20\n"
                    "route add fd00:10:32::/48 via fd00:10:240::20\n"
                    "route add 2001:db8:e::/48 via fd00:10:240::20")
        for proto in PROTOS:
            for pod in c.pods:
                c.serve(pod, proto, 8080)
        for node in c.nodes:
            c.batch(node, f"node set name {node} zone here "
                    "nodeport-localhost on\n")
        self.rows, self.services = [], []
        self.sport = itertools.count(10000)
        for b in BEHAVIOURS:
            for proto in b.protos:
                self.services.append((f"{b.desc}, {proto}".replace(" ", "_"),
                                      b, proto))
                self.rows += [Row(c, b, proto, family, len(self.services))
                              for family in (4, 6)]
        c.everywhere("".join(self.service(number, *service) for number, service
                             in enumerate(self.services, 1)))

    def service(self, number, name, b, proto):
        """The words that add it, with its first endpoint."""
        frontend = {
            "vip": f"vip {{vip}}:80/{proto}",
            "range": f"vip {{vip}}:8000-8999/{proto}",
            "all": f"vip {{vip}}:*/{proto}",
            "external-ip": f"external-ip {{ext}}:80/{proto}",
            "lb-ip": f"lb-ip {{ext}}:80/{proto}",
            "node-port": f"node-port {31000 + number}/{proto}",
            "loopback": f"node-port {31000 + number}/{proto}",
            "host-port": f"host-port {8100 + number}/{proto}"}[b.kind]
        text = " ".join(dict.fromkeys(frontend.format(
            vip=brackets(vip(family, number)),
            ext=brackets(external(family, number))) for family in (4, 6)))
        return f"svc add {name} {text} {b.words} " + " ".join(
            f"ep {ep}" for ep in self.eps(b, "a")) + "\n"

    def eps(self, b, what):
        """An endpoint of both families; WHAT is its letter and conditions."""
        letter, more = what[0], what[1:]
        pod = b.pods[letter]
        return [endpoint(self.c.addr(pod, family), 8080) + more
                for family in (4, 6)] if more else [
                    endpoint(self.c.addr(pod, family), 8080) +
                    b.hints[letter] + "{local:%s}" % pod for family in (4, 6)]

    def change(self, words):
        """Endpoints of all services, on both nodes."""
        text = ""
        for name, b, _ in self.services:
            for one in filter(None, words.split(";")):
                verb, what = one.split(" ")
                eps = self.eps(b, what)
                if verb == "del":
                    eps = [endpoint(self.c.addr(b.pods[what], family), 8080)
                           for family in (4, 6)]
                text += f"ep {verb} {name} {' '.join(eps)}\n"
        if text:
            self.c.everywhere(text)

    def fresh(self, step):
        """New flows for each row."""
        asks = []
        for row in self.rows:
            for _ in range(2 if row.proto == "udp" else 1):
                asks.append((row, Ask(row.client, row.proto, row.addr,
                                      row.port, src=row.src, sport=next(
                                          self.sport) if row.proto == "udp"
                                      else 0)))
        quiet = [one for row, one in asks
                 if row.behaviour.new(step) is SILENT]
        gather([one for _, one in asks if one not in quiet],
               timeout=8 * SLOW)
        gather(quiet, timeout=QUIET, width=999)
        for row, one in asks:
            got = row.whose(one.error or [one.name.encode(),
                                          one.client.encode()])
            if got not in row.behaviour.new(step):
                row.failures.append(f"{STEPS[step][0]}: a new flow got {got}")

    def settled(self, step):
        """What flows were answered, in the step and on the way to it."""
        for row in self.rows:
            want, before = row.wanted(step - 0.5)
            for answer in row.got.get(step, ()):
                if row.whose(answer) not in want:
                    row.failures.append(f"{STEPS[step][0]}: {answer}")
            # While it changes: as before or as after, and of what was under
            # way nothing is lost but by a move.
            for answer in row.got.get(step - 0.5, ()):
                who = row.whose(answer)
                if who not in want and who not in before and not (
                        want != before and who == "timeout"):
                    row.failures.append(f"while {STEPS[step][0]}: {answer}")

    def run(self):
        """All steps."""
        traffic = Traffic(self.rows)
        traffic.start()
        for step, (desc, words, *_) in enumerate(STEPS):
            start = time.monotonic()
            traffic.step = step - 0.5
            self.change(words)
            traffic.step = step
            changed = time.monotonic()
            wait_for(f"answers to all flows: {desc}",
                     lambda step=step: traffic.answered(step), 30)
            self.fresh(step)
            self.tap.note(f"{desc}: {changed - start:.1f} s, "
                          f"{time.monotonic() - changed:.1f} s")
        traffic.stop = True
        traffic.join()
        for step in range(len(STEPS)):
            self.settled(step)
        self.tap.note(f"{sum(row.sequence for row in self.rows)} questions of "
                      f"{len(self.rows)} flows")

    def verdict(self, row):
        """Of one row."""
        if row.failures:
            raise Failed("\n".join(row.failures[:8]))


def brackets(addr):
    """As it stands before a port."""
    return f"[{addr}]" if ":" in addr else addr


def main():
    """The test."""
    t = Test()
    t.tap.case("all flows are answered in each step", t.run)
    for row in t.rows:
        t.tap.case(row.desc, t.verdict, row)
    for node in t.c.nodes:
        t.tap.case(f"{node} counts no nat_failed", lambda node=node: check(
            not t.c.stat(node, "nat_failed"), "it does"))
    t.tap.end()


main()
