#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
"""Changes under live traffic: which flows move, which stay, and that none is
lost that need not be.
"""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from genl import C, Genl, endpoint as nl_endpoint, string, u32
from svclib import SLOW, Ask, Cluster, Tap, ask, check, endpoint, expect, \
    expect_in, gather, wait_for


class Flow:
    """One socket that asks again and again."""

    def __init__(self, ns, proto, addr, port):
        self.ns, self.proto, self.addr, self.port = ns, proto, addr, port
        self.sock = None

    def ask(self, timeout=3.0):
        """Who answers now, or the error."""
        one = Ask(self.ns, self.proto, self.addr, self.port, sock=self.sock)
        one.keep = True
        gather([one], timeout)
        self.sock = one.sock
        return one.name or one.error

    def close(self):
        """Over."""
        if self.sock:
            self.sock.close()


class Test:
    """What the cases share: the cluster and numbers for services."""

    def __init__(self):
        self.tap = Tap()
        self.c = Cluster(nodes=2, pods=2)
        for pod in "p00", "p01", "p10":
            for proto in "tcp", "udp", "sctp":
                self.c.serve(pod, proto, 8080)
        self.number = 0
        self.genl = [Genl(self.c[node]) for node in self.c.nodes]

    def addr(self, family):
        """The cluster IP of the present case."""
        return f"fd00:10:32::{self.number:x}" if family == 6 else \
            f"10.32.0.{self.number}"

    def ep(self, pod, family, more=""):
        """An endpoint."""
        return endpoint(self.c.addr(pod, family), 8080) + more

    def tool(self, words):
        """On both nodes. Changes of endpoints are sent from here: that is
        faster, and the other node has them almost at once."""
        obj, verb, name, *rest = words.split()
        if obj == "ep":
            payload = string("SERVICE_NAME", name) + b"".join(
                self.message(verb, word) for word in rest)
            for genl in self.genl:
                genl.request({"add": "ENDPOINT_NEW", "set": "ENDPOINT_SET",
                              "del": "ENDPOINT_DEL"}[verb], payload)
        elif (obj, verb) == ("svc", "set") and set(rest[::2]) == {"ep"}:
            payload = string("SERVICE_NAME", name) + u32(
                "SERVICE_REPLACE", C["SERVICE_REPLACE_ENDPOINT"]) + b"".join(
                    self.message("add", word) for word in rest[1::2])
            for genl in self.genl:
                genl.request("SERVICE_SET", payload)
        else:
            self.c.everywhere(words + "\n")

    @staticmethod
    def message(verb, words):
        """An endpoint of the tool's words as an attribute."""
        where, *words = words.split(",")
        addr, _, port = where.rpartition(":")
        flags = C["EP_READY"] | C["EP_SERVING"]
        more = []
        for word in words:
            if word == "not-ready":
                flags = 0
            elif word == "terminating":
                flags = C["EP_TERMINATING"] | (
                    C["EP_SERVING"] if "serving" in words else 0)
            elif word.startswith("weight="):
                more.append(u32("ENDPOINT_WEIGHT", int(word[7:])))
        if verb == "set" and not (more and len(words) == 1):
            more += [u32("ENDPOINT_FLAGS", flags),
                     u32("ENDPOINT_MASK", C["EP_READY"] | C["EP_SERVING"] |
                         C["EP_TERMINATING"])]
        return nl_endpoint(addr.strip("[]"), int(port), *more)

    def service(self, proto, family, pods, more=""):
        """A new service; returns its name."""
        self.number += 1
        name = f"u{self.number}"
        self.tool(f"svc add {name} vip {endpoint(self.addr(family), 80)}/"
                  f"{proto.lstrip('c')} node-port {31000 + self.number} " +
                  " ".join(f"ep {self.ep(pod, family)}" for pod in pods) +
                  f" {more}")
        return name

    def each(self, func, *protos):
        """A case for each protocol and family."""
        for proto in protos:
            for family in 4, 6:
                self.tap.case(func.__doc__.format(
                    proto=proto.upper(), family=f"IPv{family}"), func, self,
                              proto, family)


def stays(t, proto, family):
    """{proto}, {family}: a connection survives the removal of its endpoint"""
    name = t.service(proto, family, ["p00"])
    for host in "p01", "w0", "p10":
        old = Flow(t.c[host], proto, t.addr(family), 80)
        expect(old.ask(), "p00")
        t.tool(f"ep add {name} {t.ep('p10', family)}")
        t.tool(f"ep del {name} {t.ep('p00', family)}")
        expect(old.ask(), "p00", f"{host}: old connection")
        new = Flow(t.c[host], proto, t.addr(family), 80)
        expect(new.ask(), "p10", f"{host}: new connection")
        t.tool(f"svc del {name}")
        expect(old.ask(), "p00", f"{host}: old connection, service removed")
        old.close()
        new.close()
        if host != "p10":
            t.number -= 1
            t.service(proto, family, ["p00"])


def udp_moves(t, proto, family):
    """{proto}, {family}: a flow of a removed endpoint moves at once"""
    name = t.service(proto, family, ["p00"])
    for host in "p01", "w0", "p10", "out":
        port = 31000 + t.number
        flow = Flow(t.c[host], proto, *(
            (t.c.addr("w0", family), port) if host == "out" else
            (t.addr(family), 80)))
        expect(flow.ask(), "p00", host)
        t.tool(f"ep add {name} {t.ep('p10', family)}")
        expect(flow.ask(), "p00", f"{host}: nothing changed for it")
        t.tool(f"ep del {name} {t.ep('p00', family)}")
        expect(flow.ask(), "p10", f"{host}: the very next datagram")
        t.tool(f"svc set {name} ep {t.ep('p01', family)}")
        expect(flow.ask(), "p01", f"{host}: after svc set")
        t.tool(f"svc set {name} ep {t.ep('p00', family)}")
        flow.close()


def udp_conditions(t, proto, family):
    """{proto}, {family}: a flow leaves an endpoint that does not serve, not one that still does"""
    name = t.service(proto, family, ["p00"])
    flow = Flow(t.c["p01"], proto, t.addr(family), 80)
    expect(flow.ask(), "p00")
    t.tool(f"ep add {name} {t.ep('p10', family)}")
    t.tool(f"ep set {name} {t.ep('p00', family)},terminating,serving")
    # Flows are looked through when an endpoint has left.
    t.tool(f"ep add {name} {t.ep('p01', family)}")
    t.tool(f"ep del {name} {t.ep('p01', family)}")
    expect(flow.ask(), "p00", "terminating, but serving")
    new = Flow(t.c["p01"], proto, t.addr(family), 80)
    expect(new.ask(), "p10", "a new flow")
    new.close()
    t.tool(f"ep set {name} {t.ep('p00', family)},weight=0")
    expect(flow.ask(), "p00", "weight 0")
    t.tool(f"ep set {name} {t.ep('p00', family)},terminating")
    expect(flow.ask(), "p10", "terminating, not serving")
    flow.close()


def fallback(t, proto, family):
    """{proto}, {family}: without a ready endpoint new flows go to the terminating one that serves"""
    name = t.service(proto, family, ["p00", "p01", "p10"])

    def who():
        return {one.name or one.error for one in gather(
            [Ask(t.c["p01"], proto, t.addr(family), 80) for _ in range(12)])}

    t.tool(f"ep set {name} {t.ep('p00', family)},terminating")
    t.tool(f"ep set {name} {t.ep('p01', family)},terminating,serving")
    expect(who(), {"p10"}, "one is ready")
    t.tool(f"ep set {name} {t.ep('p10', family)},not-ready")
    expect(who(), {"p01"}, "one is terminating and serving")
    t.tool(f"ep set {name} {t.ep('p01', family)},terminating")
    expect(who(), {"ECONNREFUSED"}, "none")
    t.tool(f"ep set {name} {t.ep('p00', family)}")
    expect(who(), {"p00"}, "one is ready again")


def stale_before(t, proto, family):
    """{proto}, {family}: a busy flow from before the service was made gets to it"""
    t.number += 1
    addr = t.addr(family)
    flows = [Flow(t.c["p01"], proto, addr, 80),
             Flow(t.c["w0"], proto, addr, 80),
             Flow(t.c["out"], proto, t.c.addr("w0", family),
                  31000 + t.number)]
    for flow in flows:
        check(flow.ask(0.2) != "p00", "there is no service yet")
    t.number -= 1
    t.service(proto, family, ["p00"])
    for flow in flows:
        wait_for(f"answer to {flow.addr} from the service",
                 lambda flow=flow: flow.ask(0.2) == "p00", 8)
        flow.close()


def stale_empty(t, proto, family):
    """{proto}, {family}: a busy flow of a service without endpoints gets to the first that comes"""
    for more in "", "no-endpoints drop", "no-endpoints pass":
        name = t.service(proto, family, [], more)
        flows = [Flow(t.c["p01"], proto, t.addr(family), 80),
                 Flow(t.c["w0"], proto, t.addr(family), 80)]
        for flow in flows:
            got = flow.ask(0.2)
            check(got != "p00", got)
        t.tool(f"ep add {name} {t.ep('p00', family)}")
        for flow in flows:
            wait_for("answer of the first endpoint",
                     lambda flow=flow: flow.ask(0.2) == "p00", 8)
            flow.close()
        # And back to none: the flow must not be kept at what is gone.
        flow = Flow(t.c["p01"], proto, t.addr(family), 80)
        expect(flow.ask(), "p00")
        t.tool(f"ep del {name} {t.ep('p00', family)}")
        check(flow.ask(0.3) != "p00", f"'{more}': still answered")
        flow.close()


def frontends(t, proto, family):
    """{proto}, {family}: changed frontends: the new ones lead there, the old ones nowhere"""
    name = t.service(proto, family, ["p00"])
    old, port = t.addr(family), 31000 + t.number
    flow = Flow(t.c["p01"], proto, old, 80)
    expect(flow.ask(), "p00")
    t.number += 1
    new = t.addr(family)
    t.tool(f"svc set {name} vip {endpoint(new, 80)}/{proto} "
           f"node-port {31000 + t.number}")
    expect(ask(t.c["p01"], proto, new, 80).name, "p00", "new cluster IP")
    expect(ask(t.c["out"], proto, t.c.addr("w0", family),
               31000 + t.number).name, "p00", "new node port")
    check(ask(t.c["p01"], proto, old, 80, timeout=0.5).error,
          "the old cluster IP answers")
    expect(ask(t.c["out"], proto, t.c.addr("w0", family), port,
               timeout=1).error, "ECONNREFUSED", "old node port")
    if proto == "tcp":
        expect(flow.ask(), "p00", "old connection")
    flow.close()
    # The address is free again.
    t.tool(f"svc add {name}-2 vip {endpoint(old, 80)}/{proto} "
           f"ep {t.ep('p10', family)}")
    wait_for("answer of the new owner of the cluster IP",
             lambda: ask(t.c["p01"], proto, old, 80,
                         timeout=0.5).name == "p10", 5)


class Churn(threading.Thread):
    """Changes in one namespace, until stopped."""

    def __init__(self, c, node, commands):
        super().__init__(daemon=True)
        self.c, self.node, self.commands = c, node, commands
        self.rounds = 0
        self.error = None
        self.ended = False
        self.start()

    def run(self):
        while not self.ended and not self.error:
            try:
                self.c.batch(self.node, self.commands)
                self.rounds += 1
            except Exception as error:      # pylint: disable=broad-except
                self.error = error

    def stop(self):
        """Ends it; the number of rounds."""
        self.ended = True
        self.join()
        if self.error:
            raise self.error
        return self.rounds


def churn(t):
    """New connections while endpoints come and go."""
    name = t.service("tcp", 4, ["p00"], "scheduler rr")
    thread = Churn(t.c, "w0", (f"ep add {name} {t.ep('p01', 4)}\n"
                               f"ep set {name} {t.ep('p01', 4)},weight=3\n"
                               f"svc set {name} scheduler random\n"
                               f"svc set {name} affinity 10\n"
                               f"ep del {name} {t.ep('p01', 4)}\n"
                               f"svc set {name} affinity 0 scheduler rr\n")
                   * 20)
    asks = []
    end = time.monotonic() + 6 * SLOW
    try:
        while time.monotonic() < end:
            asks += gather([Ask(t.c[host], "tcp", t.addr(4), 80)
                            for host in ("p01", "w0") for _ in range(8)],
                           timeout=8 * SLOW, width=16)
    finally:
        rounds = thread.stop()
    t.tap.note(f"{len(asks)} connections, {rounds * 120} changes")
    for one in asks:
        expect_in(one.name or one.error, ("p00", "p01"), "answer")
    check(rounds and len(asks) >= 100, "too little happened")
    check({one.name for one in asks} == {"p00", "p01"},
          "only one endpoint was ever used")


def atomic(t):
    """svc set swaps all endpoints: no flow sees none, or one of each."""
    name = t.service("tcp", 4, ["p00"])
    swaps = (f"svc set {name} ep {t.ep('p01', 4)}\n"
             f"svc set {name} ep {t.ep('p00', 4)}\n") * 40
    thread = Churn(t.c, "w0", swaps)
    asks = []
    end = time.monotonic() + 5 * SLOW
    try:
        while time.monotonic() < end:
            asks += gather([Ask(t.c["w0"], "tcp", t.addr(4), 80)
                            for _ in range(12)], timeout=8 * SLOW)
    finally:
        rounds = thread.stop()
    t.tap.note(f"{len(asks)} connections, {rounds * 80} swaps")
    bad = [str(one) for one in asks if one.error]
    check(not bad, f"{len(bad)} of {len(asks)} failed: {bad[:5]}")


def unrelated(t):
    """UDP flows of an endpoint that stays lose nothing while others go."""
    name = t.service("udp", 4, ["p00"])
    flow = Flow(t.c["w0"], "udp", t.addr(4), 80)
    expect(flow.ask(), "p00")
    thread = Churn(t.c, "w0", (f"ep add {name} {t.ep('p01', 4)}\n"
                               f"ep del {name} {t.ep('p01', 4)}\n") * 20)
    got = []
    end = time.monotonic() + 4 * SLOW
    try:
        while time.monotonic() < end:
            got.append(flow.ask())
    finally:
        thread.stop()
    flow.close()
    t.tap.note(f"{len(got)} datagrams")
    expect(set(got), {"p00"}, "answers")


def main():
    """The test."""
    t = Test()
    t.each(stays, "tcp", "sctp")
    t.each(udp_moves, "udp", "cudp")
    t.each(udp_conditions, "udp")
    t.each(fallback, "tcp", "udp")
    t.each(stale_before, "udp")
    t.each(stale_empty, "udp")
    t.each(frontends, "tcp", "udp")
    t.tap.case("connections made while endpoints and settings change all "
               "succeed", churn, t)
    t.tap.case("swapping all endpoints at once leaves no moment without any",
               atomic, t)
    t.tap.case("a UDP flow of an endpoint that stays loses nothing while "
               "others go", unrelated, t)
    t.tap.end()


main()
