#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 240
"""The numbers behind the schedulers and session affinity: how few flows Maglev
moves, how many clients are remembered, and that pairs of datagrams sent at once
from one socket, as resolvers do, never lose one.
"""
import os
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from genl import Genl, endpoint as nl_endpoint, string, u32
from svclib import Ask, Cluster, Tap, check, endpoint, expect, gather, run

PODS = "p00", "p01", "p10"
HERE = os.path.dirname(os.path.realpath(__file__))
PARAMETER = "/sys/module/k8snet/parameters/affinity_max"


def vip(family, number):
    """A cluster IP."""
    return f"fd00:10:32::{number:x}" if family == 6 else f"10.32.0.{number}"


def maglev(tap, c, genl):
    """A hundred endpoints, of which one goes and comes back."""
    def addr_of(family, n):
        return f"fd00:10:200:9::{n + 2:x}" if family == 6 else \
            f"10.200.9.{n + 2}"

    for family, weights in ((4, [1] * 100), (6, [1 + n % 7 for n in
                                                 range(100)])):
        name = f"maglev{family}"
        c.everywhere(f"svc add {name} vip {endpoint(vip(family, 1), 80)}/udp "
                     "scheduler maglev " + " ".join(
                         f"ep {endpoint(addr_of(family, n), 53)},weight={w}"
                         for n, w in enumerate(weights)) + "\n")
        src = c.addr("out", family)
        flows = [("udp", src, 1024 + n, vip(family, 1), 80)
                 for n in range(1000)]

        def choices(node, count=1000):
            return [genl[node].choice(*flow) for flow in flows[:count]]

        def numbers(family=family, weights=weights, name=name):
            before = choices("w0")
            expect(choices("w1", 100), before[:100],
                   "choices on the other node")
            share = {}
            for one in before:
                share[one] = share.get(one, 0) + 1
            for n, weight in enumerate(weights):
                want = len(flows) * weight / sum(weights)
                have = share.get(addr_of(family, n), 0)
                check(abs(have - want) <= 6 * want ** .5 + 1,
                      f"endpoint {n} of weight {weight} has {have} flows, "
                      f"wanted about {want:.0f}")
            # The heaviest one where they are not equal.
            gone = addr_of(family, weights.index(max(weights)))
            key = string("SERVICE_NAME", name)
            genl["w0"].request("ENDPOINT_DEL", key + nl_endpoint(gone, 53))
            after = choices("w0")
            check(gone not in after, "a removed endpoint is chosen")
            moved = sum(a != b and a != gone for a, b in zip(before, after))
            check(moved <= 0.01 * len(flows), f"{moved} of {len(flows)} flows "
                  "moved from endpoints that stay")
            genl["w0"].request("ENDPOINT_NEW", key + nl_endpoint(
                gone, 53, u32("ENDPOINT_WEIGHT", max(weights))))
            expect(choices("w0"), before, "choices once it is back")

        tap.case(f"maglev: 100 endpoints of {'equal' if family == 4 else '7'} "
                 f"weights, IPv{family}: the same on every node, in "
                 "proportion; when one goes, at most 1 % of the flows move "
                 "needlessly", numbers)


def heavy(tap, c, genl):
    """A few heavy endpoints among many light ones, for which the table is filled
    in another way."""
    for number, weights in (2, [40000] + [1] * 199), \
            (3, [20000, 10000] + [16] * 198):
        def shares(number=number, weights=weights):
            c.everywhere(
                f"svc add heavy{number} vip {vip(4, number)}:80/udp "
                "scheduler maglev " + " ".join(
                    f"ep 10.200.9.{n + 2}:53,weight={w}"
                    for n, w in enumerate(weights)) + "\n")
            flows = [("udp", c.ip4("out"), 1024 + n, vip(4, number), 80)
                     for n in range(1000)]
            chosen = [genl["w0"].choice(*flow) for flow in flows]
            expect([genl["w1"].choice(*flow) for flow in flows[:100]],
                   chosen[:100], "choices on the other node")
            for n, weight in enumerate(weights[:2]):
                want = len(flows) * weight / sum(weights)
                have = chosen.count(f"10.200.9.{n + 2}")
                check(abs(have - want) <= 6 * want ** .5 + 1,
                      f"endpoint {n} of weight {weight} has {have} flows, "
                      f"wanted about {want:.0f}")

        tap.case(f"maglev: {weights[:3]}... of {len(weights)} endpoints, in "
                 "proportion", shares)


def affinity(tap, c):
    """Session affinity over IPv6, and its bound."""
    clients = {4: [f"10.240.0.{110 + n}" for n in range(40)],
               6: [f"fd00:10:240::{110 + n}" for n in range(40)]}
    c["out"].ip("\n".join(
        f"addr add {addr}/{24 if family == 4 else 64} dev eth0" +
        (" nodad" if family == 6 else "")
        for family, addrs in clients.items() for addr in addrs))
    for number, seconds in (21, 5), (22, 3600), (23, 3600):
        c.everywhere(f"svc add a{number} node-port {31000 + number}/udp "
                     f"affinity {seconds} " + " ".join(
                         f"ep {endpoint(a, 8080)}" for p in PODS
                         for a in (c.ip4(p), c.ip6(p))) + "\n")

    def choices(family, number, count=12):
        asks = gather([Ask(c["out"], "udp", c.addr("w0", family),
                           31000 + number, src=src)
                       for src in clients[family][:count]], timeout=8)
        for one in asks:
            check(not one.error, f"no answer: {one}")
        return [one.name for one in asks]

    def refreshed():
        first = choices(6, 21)
        check(len(set(first)) > 1, f"all clients got {first[0]}")
        for _ in range(3):
            time.sleep(2.5)     # shorter than the timeout of 5 s
            expect(choices(6, 21), first, "endpoints by client")

    tap.case("affinity, IPv6: each new flow starts the timeout anew",
             refreshed)

    def expires():
        first = choices(6, 21)
        for _ in range(3):
            time.sleep(5.5)     # the timeout is what is tested
            if choices(6, 21) != first:
                return
        check(False, f"after the timeout still {first}")

    tap.case("affinity, IPv6: it ends after its timeout", expires)

    def given_up():
        """An endpoint that leaves the usable set, by any way."""
        first = choices(6, 22)
        check("p01" in first, "nobody got p01")
        where = endpoint(c.ip6("p01"), 8080)
        for change, back in ((",not-ready", ""), (",terminating,serving", ""),
                             (",weight=0", ",weight=1")):
            c.everywhere(f"ep set a22 {where}{change}\n")
            now = choices(6, 22)
            check("p01" not in now, f"kept although it is {change}")
            for a, b in zip(first, now):
                check(a in ("p01", b), f"{a} was left for {b}")
            c.everywhere(f"ep set a22 {where}{back}\nep del a22 " + " ".join(
                endpoint(c.ip6(p), 8080) for p in ("p00", "p10")) + "\n")
            expect(set(choices(6, 22)), {"p01"})
            c.everywhere("ep add a22 " + " ".join(
                endpoint(c.ip6(p), 8080) for p in ("p00", "p10")) + "\n")
            first = choices(6, 22)
            expect(set(first), {"p01"}, "endpoints of those that had p01")

    tap.case("affinity, IPv6: it is given up when the endpoint leaves the "
             "usable set", given_up)

    def bounded():
        with open(PARAMETER, encoding="ascii") as file:
            before = file.read()

        def limit(text):
            with open(PARAMETER, "w", encoding="ascii") as file:
                file.write(text)

        full = c.stat("w0", "affinity_full")
        limit("60")             # those of the services before are in it
        try:
            for family in 4, 6:
                choices(family, 23, 40)
            check(c.stat("w0", "affinity_full") > full, "not counted")
            seen = {tuple(choices(6, 23, 40)) for _ in range(4)}
            check(len(seen) > 1, "all of 80 clients are remembered by 60 "
                  "entries")
        finally:
            limit(before)
        expect(len({tuple(choices(6, 23, 40)) for _ in range(4)} - seen) <= 1,
               True, "clients are remembered once there is room")

    tap.case("affinity: the memory is bounded, what does not fit is served "
             "and counted", bounded)


def helper():
    """The program dns_pair."""
    for path in (os.environ.get("K8SNET_BUILD", HERE + "/../build") +
                 "/selftests/dns_pair", HERE + "/dns_pair"):
        if os.access(path, os.X_OK):
            return path
    path = tempfile.mkdtemp() + "/dns_pair"
    run(shutil.which("gcc") or "cc", "-O1", "-pthread", "-o", path,
        HERE + "/dns_pair.c")
    return path


def pairs(tap, c):
    """A and AAAA, a thousand times."""
    program = helper()
    number = 40
    for scheduler in "random", "rr", "lc":
        number += 1
        c.everywhere(f"svc add dns-{scheduler} " + " ".join(
            f"vip {endpoint(vip(f, number), 53)}/udp" for f in (4, 6)) +
            f" node-port {31000 + number} scheduler {scheduler} " + " ".join(
                f"ep {endpoint(a, 8080)}" for p in PODS
                for a in (c.ip4(p), c.ip6(p))) + "\n")
        rows = [("p00", "a pod, cluster IP", 4, vip(4, number), 53, 200),
                ("p00", "a pod, cluster IP", 6, vip(6, number), 53, 100),
                ("w0", "a node process, cluster IP", 4, vip(4, number), 53,
                 50),
                ("p00", "a pod, node port", 4, c.ip4("w0"), 31000 + number,
                 50)]
        for host, what, family, addr, port, count in rows:
            def none_lost(host=host, addr=addr, port=port, count=count):
                out = c[host].run(program, addr, str(port), str(count),
                                  timeout=120).out
                expect(out.split(), ["0", "0"], f"lost, not sent of "
                       f"{2 * count}")
            tap.case(f"pairs: {scheduler}, {what}, IPv{family}: of {count} "
                     "pairs from one socket none loses a datagram", none_lost)
    tap.note("clashes that conntrack resolved: " + " ".join(
        word for line in c["w0"].run("conntrack", "-S", status=None)
        .out.splitlines() for word in line.split() if "clash" in word))


def main():
    """The test."""
    tap = Tap()
    c = Cluster(nodes=2, pods=2)
    for pod in PODS:
        c.serve(pod, "udp", 8080)
    genl = {node: Genl(c[node]) for node in c.nodes}
    maglev(tap, c, genl)
    heavy(tap, c, genl)
    affinity(tap, c)
    pairs(tap, c)
    for one in genl.values():
        one.sock.close()
    tap.end()


main()
