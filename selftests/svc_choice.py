#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
"""Which endpoint a new flow gets: schedulers with weights, session affinity.

Bounds on random choices are five standard deviations: one run in a million
fails by chance.
"""
import itertools
import json
import math
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from genl import Genl
from svclib import Ask, Cluster, Tap, ask, check, endpoint, expect, gather, \
    wait_for

PODS = "p00", "p01", "p10"


def vip(family, number):
    """A cluster IP."""
    return f"fd00:10:32::{number:x}" if family == 6 else f"10.32.0.{number}"


def service(number, more, weights=(1, 1, 1), proto="udp", families=(4, 6)):
    """Words that add a service of the three pods."""
    text = f"svc add s{number}"
    for family in families:
        text += f" vip {endpoint(vip(family, number), 80)}/{proto}"
        for pod, weight in zip(PODS, weights):
            addr = Cluster.ip6(pod) if family == 6 else Cluster.ip4(pod)
            text += f" ep {endpoint(addr, 8080)},weight={weight}" \
                    "{local:%s}" % pod
    return f"{text} {more}\n"


# A source port that comes again within half a minute would find its old flow,
# which asks nobody: each new flow has the next one.
SPORT = itertools.count(10000)


def spread(c, number, count, family=4, host="p00"):
    """How many of COUNT new flows each endpoint gets."""
    asks = gather([Ask(c[host], "udp", vip(family, number), 80,
                       sport=next(SPORT)) for _ in range(count)], timeout=8, width=16)
    got = {}
    for one in asks:
        check(not one.error, f"no answer: {one}")
        got[one.name] = got.get(one.name, 0) + 1
    return got


def within(got, weights, count):
    """Binomial bounds."""
    for pod, weight in zip(PODS, weights):
        share = weight / sum(weights)
        dev = math.sqrt(count * share * (1 - share))
        have = got.get(pod, 0)
        check(abs(have - count * share) <= 5 * dev,
              f"{pod} got {have} of {count}, wanted {count * share:.0f} "
              f"+- {5 * dev:.0f}: {got}")


def schedulers(tap, c, genl):
    """random, rr, lc, maglev."""
    c.everywhere(
        service(1, "scheduler random") +
        service(2, "scheduler random", (1, 2, 5)) +
        service(3, "scheduler rr") +
        service(4, "scheduler rr", (1, 2, 5)) +
        service(5, "scheduler maglev") +
        service(6, "scheduler maglev", (1, 2, 5)) +
        service(7, "scheduler lc", proto="tcp", families=(4,)) +
        service(8, "scheduler lc", (1, 2, 3), proto="tcp", families=(4,)) +
        service(9, "scheduler random", (1, 0, 1)) +
        service(10, "scheduler rr", (1, 0, 1)) +
        service(11, "scheduler maglev", (1, 0, 1)) +
        service(12, "scheduler lc", (1, 0, 1)) +
        service(13, "scheduler rr", (60000, 30000, 1)))
    for family in 4, 6:
        about = f"IPv{family}:"
        tap.case(f"random, {about} equal weights, 300 flows", lambda: within(
            spread(c, 1, 300, family), (1, 1, 1), 300))
        tap.case(f"random, {about} weights 1, 2, 5, 300 flows", lambda: within(
            spread(c, 2, 300, family), (1, 2, 5), 300))
        tap.case(f"maglev, {about} equal weights, 300 flows", lambda: within(
            spread(c, 5, 300, family), (1, 1, 1), 300))
        tap.case(f"maglev, {about} weights 1, 2, 5, 300 flows", lambda: within(
            spread(c, 6, 300, family), (1, 2, 5), 300))
        tap.case(f"rr, {about} 30 flows, 10 each", lambda: expect(
            spread(c, 3, 30, family), {pod: 10 for pod in PODS}))
        tap.case(f"rr, {about} weights 1, 2, 5: exact in 80 flows",
                 lambda: expect(spread(c, 4, 80, family),
                                {"p00": 10, "p01": 20, "p10": 50}))

    def no_burst():
        """Each eight flows in a row have 1, 2 and 5."""
        names = [ask(c["p00"], "udp", vip(4, 4), 80,
                     sport=next(SPORT)).name for _ in range(24)]
        for i in range(0, 24, 8):
            part = names[i:i + 8]
            expect([part.count(pod) for pod in PODS], [1, 2, 5],
                   f"flows {i} to {i + 7}")
        check("p10 p10 p10 p10" not in " ".join(names), f"a burst: {names}")

    tap.case("rr: heavy endpoints get their turns spread over the round",
             no_burst)
    tap.case("rr: a sum of weights too long for a round is still followed",
             lambda: within(spread(c, 13, 120), (60000, 30000, 1), 120))
    for number, name in (9, "random"), (10, "rr"), (11, "maglev"), (12, "lc"):
        def none(number=number):
            got = spread(c, number, 30)
            check("p01" not in got and sum(got.values()) == 30, got)
        tap.case(f"{name}: weight 0 gets no flow", none)

    def moves():
        """Maglev: what a removal moves, beyond what it must."""
        flows = [("udp", "10.200.0.3", 1000 + n, vip(4, 5), 80)
                 for n in range(600)]
        before = [genl["w0"].choice(*flow) for flow in flows]
        expect([genl["w1"].choice(*flow) for flow in flows], before,
               "choices on the other node")
        c.batch("w0", f"ep del s5 {c.ip4('p10')}:8080\n")
        after = [genl["w0"].choice(*flow) for flow in flows]
        moved = sum(1 for a, b in zip(before, after)
                    if a != b and a != c.ip4("p10"))
        check(c.ip4("p10") not in after, "a removed endpoint is chosen")
        check(moved <= 0.03 * len(flows), f"{moved} of {len(flows)} flows "
              "moved from an endpoint that stays")
        c.batch("w0", f"ep add s5 {c.ip4('p10')}:8080\n")
        expect([genl["w0"].choice(*flow) for flow in flows], before,
               "choices once it is back")

    tap.case("maglev: the same choice on every node, and few needless moves "
             "when an endpoint goes", moves)

    def least():
        """Connections that stay open."""
        def connect(number, count):
            socks = []
            for _ in range(count):
                one = Ask(c["p00"], "tcp", vip(4, number), 80)
                one.keep = True
                gather([one], timeout=8)
                check(not one.error, one)
                socks.append(one)
            return socks

        def count(socks):
            return [sum(1 for one in socks if one.name == pod)
                    for pod in PODS]

        socks = connect(7, 12)
        expect(count(socks), [4, 4, 4], "connections of equal endpoints")
        more = connect(8, 12)
        expect(count(more), [2, 4, 6], "connections by weight 1, 2, 3")
        for one in socks:
            if one.name == "p01":
                one.sock.close()

        def idle():
            eps = json.loads(c.tool("w0", "ep list s7",
                                    options=("-j",)).out)
            return [ep["active"] for ep in eps
                    if ep["address"] == c.ip4("p01")] == [0]

        wait_for("p01 without a connection", idle, 15)
        again = connect(7, 4)
        expect(count(again), [0, 4, 0], "connections after p01 was freed")
        for one in socks + more + again:
            one.sock.close()

    tap.case("lc: open connections are balanced by weight, closed ones do not "
             "count", least)


def affinity(tap, c):
    """Session affinity."""
    clients = {4: [f"10.240.0.{110 + n}" for n in range(12)],
               6: [f"fd00:10:240::{110 + n}" for n in range(12)]}
    c["out"].ip("\n".join(
        f"addr add {addr}/{24 if family == 4 else 64} dev eth0" +
        (" nodad" if family == 6 else "")
        for family, addrs in clients.items() for addr in addrs))
    c.everywhere(service(20, "affinity 3600 node-port 31020") +
                 service(21, "affinity 2 node-port 31021") +
                 service(22, "affinity 3600 node-port 31022"))

    def choices(family, port, proto="udp"):
        """By client, which endpoint a new flow gets."""
        asks = gather([Ask(c["out"], proto, c.addr("w0", family), port,
                           src=src) for src in clients[family]], timeout=8)
        for one in asks:
            check(not one.error, f"no answer: {one}")
        return [one.name for one in asks]

    for family in 4, 6:
        def sticks(family=family):
            first = choices(family, 31020)
            check(len(set(first)) > 1, f"all clients got {first[0]}")
            for _ in range(3):
                expect(choices(family, 31020), first, "endpoints by client")

        tap.case(f"affinity, IPv{family}: each client keeps its endpoint, "
                 "clients have different ones", sticks)

    def shared():
        names = {ask(c["p01"], "udp", vip(4, 20), 80).name for _ in range(6)}
        names |= {ask(c["p01"], "udp", c.ip4("w0"), 31020).name
                  for _ in range(6)}
        expect(len(names), 1, "endpoints of one client")

    tap.case("affinity: all frontends of a service share it", shared)

    def refreshed():
        first = choices(4, 31021)
        for _ in range(4):
            time.sleep(1)       # shorter than the timeout of 2 s
            expect(choices(4, 31021), first, "endpoints by client")

    tap.case("affinity: each new flow starts the timeout anew", refreshed)

    def expires():
        first = choices(4, 31021)
        seen = []
        for _ in range(3):
            time.sleep(3.2)     # the timeout is what is tested
            seen.append(choices(4, 31021))
            if seen[-1] != first:
                return
        check(False, f"after the timeout still {first}: {seen}")

    tap.case("affinity: it ends after its timeout", expires)

    def moves():
        first = choices(4, 31022)
        check("p01" in first, "nobody got p01")
        c.everywhere(f"ep set s22 {c.ip4('p01')}:8080,not-ready\n")
        second = choices(4, 31022)
        check("p01" not in second, "an endpoint that is not ready is kept")
        for a, b in zip(first, second):
            check(a in ("p01", b), f"{a} was left for {b}")
        c.everywhere(f"ep set s22 {c.ip4('p01')}:8080\n")
        expect(choices(4, 31022), second, "endpoints once p01 is back")
        c.everywhere(f"ep del s22 {c.ip4('p00')}:8080\n")
        check("p00" not in choices(4, 31022), "a removed endpoint is kept")

    tap.case("affinity: it is given up with the endpoint, and only by its "
             "clients", moves)

    def switched_off():
        c.everywhere("svc set s20 affinity 0\n")
        seen = {tuple(choices(4, 31020)) for _ in range(4)}
        check(len(seen) > 1, "clients still keep their endpoints")

    tap.case("affinity: it can be switched off", switched_off)


def main():
    """The test."""
    tap = Tap()
    c = Cluster(nodes=2, pods=2)
    for pod in PODS:
        c.serve(pod, "udp", 8080)
        c.serve(pod, "tcp", 8080)
    genl = {node: Genl(c[node]) for node in c.nodes}
    schedulers(tap, c, genl)
    affinity(tap, c)
    for one in genl.values():
        one.sock.close()
    tap.end()


main()
