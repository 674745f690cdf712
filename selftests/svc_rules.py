#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
"""What a service does beside choosing an endpoint: a pod that reaches itself,
services without endpoints, source ranges, pings of virtual addresses, dead
ports, and "k8snetctl lookup", which must say what really happens.
"""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from svclib import Ask, Cluster, Failed, Tap, check, endpoint, expect, \
    gather, ping

PROTOS = "tcp", "udp", "cudp", "sctp"
NAMES = {"tcp": "tcp", "udp": "udp", "cudp": "connected udp", "sctp": "sctp"}


def vip(family, number):
    """A cluster IP."""
    return f"fd00:10:32::{number:x}" if family == 6 else f"10.32.0.{number}"


def external(family, number):
    """An external or load-balancer IP."""
    return f"2001:db8:e::{number:x}" if family == 6 else f"192.0.2.{number}"


def service(name, proto, number, more):
    """Words that add a service with cluster IPs of both families."""
    proto = "udp" if proto == "cudp" else proto
    return (f"svc add {name}-{proto} vip {vip(4, number)}:80/{proto} "
            f"vip {endpoint(vip(6, number), 80)}/{proto} {more}\n")


def endpoints(*pods):
    """Their words."""
    return " ".join(f"ep {endpoint(addr, 8080)}" + "{local:%s}" % pod
                    for pod in pods
                    for addr in (Cluster.ip4(pod), Cluster.ip6(pod)))


def answered(one, name, client):
    """The answer is NAME's, who saw CLIENT, and comes from the VIP."""
    if one.error:
        raise Failed(f"no answer: {one}")
    expect((one.name, one.client), (name, client), "server, client it saw")
    expect(one.peer, (one.addr, one.dport), "source of the answer")


def refused_at_once(one):
    """ECONNREFUSED, by the second packet at the latest. An ICMP error that
    comes while connect() still has the socket does not end it: IPv6 TCP, whose
    second SYN follows after 1 s, and SCTP, whose second INIT after 3 s. They
    do the same with ip6tables' REJECT."""
    expect(one.error or str(one), "ECONNREFUSED", "error")
    check(one.seconds < (4.5 if one.proto == "sctp" else 2.5),
          f"that took {one.seconds:.2f} s")


def silent(one):
    """The packet is gone."""
    if one.error not in ("timeout", "EPERM"):
        raise Failed(f"wanted no answer, got: {one}")


def hairpin(tap, c):
    """A pod and its own service."""
    text = "".join(
        service("self", proto, 1, endpoints("p00") +
                f" node-port 31001 external-ip {external(4, 1)} "
                f"external-ip {external(6, 1)}") +
        service("pair", proto, 2, endpoints("p00", "p01") + " scheduler rr")
        for proto in ("tcp", "udp", "sctp"))
    c.everywhere(text)
    rows = []
    for proto in PROTOS:
        for family in 4, 6:
            for what, addr, port in (
                    ("cluster IP", vip(family, 1), 80),
                    ("external IP", external(family, 1), 80),
                    ("node port", c.addr("w0", family), 31001)):
                rows.append((f"hairpin: {NAMES[proto]}, IPv{family}: a pod "
                             f"reaches itself by its {what}",
                             Ask(c["p00"], proto, addr, port), family))
    gather([row[1] for row in rows], timeout=8, width=16)
    for desc, one, family in rows:
        tap.case(desc, answered, one, "p00",
                 "fd00:10:200::1" if family == 6 else "10.200.0.1")
    for family in 4, 6:
        asks = gather([Ask(c["p00"], "udp", vip(family, 2), 80)
                       for _ in range(8)])

        def both(asks=asks, family=family):
            expect(sorted(str(a.name or a) for a in asks),
                   ["p00"] * 4 + ["p01"] * 4, "endpoints")
            for one in asks:
                answered(one, one.name, c.addr("p00", family)
                         if one.name == "p01" else
                         "fd00:10:200::1" if family == 6 else "10.200.0.1")

        tap.case(f"hairpin: IPv{family}: only the pod itself sees its gateway,"
                 " another endpoint of the same service sees the pod", both)


ORIGINS = {"pod": ("p01", 3), "node process": ("w0", 3),
           "outside client": ("out", 31003)}


def no_endpoints(tap, c):
    """reject, drop, pass, and dead ports."""
    c.everywhere("".join(
        service("none", proto, 3, "node-port 31003") +
        service("unready", proto, 4, "node-port 31004 "
                f"ep {endpoint(c.ip4('p00'), 8080)},not-ready "
                f"ep {endpoint(c.ip6('p00'), 8080)},not-ready") +
        service("weightless", proto, 7,
                f"ep {endpoint(c.ip4('p00'), 8080)},weight=0 "
                f"ep {endpoint(c.ip6('p00'), 8080)},weight=0") +
        service("drop", proto, 5, "node-port 31005 no-endpoints drop") +
        service("pass", proto, 6, "node-port 31006 no-endpoints pass")
        for proto in ("tcp", "udp", "sctp")))
    for proto in "tcp", "udp", "sctp":
        c.serve("w0", proto, 31006)
    rows = []

    def row(desc, verify, *args):
        rows.append((desc, Ask(*args), verify))

    for proto in PROTOS:
        for family in 4, 6:
            about = f"{NAMES[proto]}, IPv{family}"
            node = c.addr("w0", family)
            for origin, host in (("pod", "p01"), ("node process", "w0"),
                                 ("outside client", "out")):
                row(f"no endpoints: {about}: {origin} is refused at once by "
                    "the cluster IP", refused_at_once, c[host], proto,
                    vip(family, 3), 80)
                row(f"no endpoints: {about}: {origin} is refused at once by "
                    "the node port", refused_at_once, c[host], proto, node,
                    31003)
                row(f"no endpoints: {about}: {origin} is dropped by the "
                    "cluster IP where asked", silent, c[host], proto,
                    vip(family, 5), 80)
                row(f"no endpoints: {about}: {origin} is dropped by the node "
                    "port where asked", silent, c[host], proto, node, 31005)
                row(f"no endpoints: {about}: {origin} passes to what listens "
                    "on the node port where asked",
                    lambda one, client=c.addr(host, family): answered(
                        one, "w0", client), c[host], proto, node, 31006)
            row(f"no endpoints: {about}: one that is not ready is none",
                refused_at_once, c["p01"], proto, vip(family, 4), 80)
            row(f"no endpoints: {about}: one of weight 0 is none",
                refused_at_once, c["p01"], proto, vip(family, 7), 80)
            for origin, host in ("pod", "p01"), ("node process", "w0"):
                row(f"dead port: {about}: {origin} is refused by a port of a "
                    "cluster IP that no service has", refused_at_once,
                    c[host], proto, vip(family, 3), 9)
    gather([r[1] for r in rows if r[2] is not silent], timeout=7, width=24)
    before = c.stat("w0", "service_rejected")
    gather([r[1] for r in rows if r[2] is silent], timeout=2.5, width=999)
    for desc, one, verify in rows:
        tap.case(desc, verify, one)
    one = gather([Ask(c["p01"], "udp", vip(4, 3), 80)])[0]
    tap.case("no endpoints: the refusal is counted", lambda: (
        refused_at_once(one),
        expect(c.stat("w0", "service_rejected"), before + 1),
        check(show(c, "w0", "none-udp")["rejected"] >= 1, "not by service")))


def show(c, node, name):
    """One service as an object."""
    return json.loads(c.tool(node, f"svc show {name}",
                             options=("-j",)).out)[0]


def ranges(tap, c):
    """loadBalancerSourceRanges."""
    c["out"].ip("addr add 10.240.0.101/24 dev eth0\n"
                "addr add fd00:10:240::101/64 dev eth0 nodad")
    c.everywhere("".join(
        service("ranges", proto, 8, endpoints("p00") +
                f" node-port 31008 external-ip {external(4, 8)} "
                f"external-ip {external(6, 8)} lb-ip {external(4, 9)} "
                f"lb-ip {external(6, 9)} source-range 10.240.0.100/32 "
                "source-range fd00:10:240::100/127")
        for proto in ("tcp", "udp", "sctp")))
    rows = []
    for proto in PROTOS:
        for family in 4, 6:
            other = "fd00:10:240::101" if family == 6 else "10.240.0.101"
            allowed = "fd00:10:240::100" if family == 6 else "10.240.0.100"
            about = f"source ranges: {NAMES[proto]}, IPv{family}"
            if family == 6:     # ::100/127 has ::101, too
                c["out"].ip("addr replace fd00:10:240::102/64 dev eth0 nodad")
                other = "fd00:10:240::102"
            for what, addr, port in (
                    ("load-balancer", external(family, 9), 80),
                    ("external", external(family, 8), 80),
                    ("node-port", c.addr("w0", family), 31008),
                    ("cluster", vip(family, 8), 80)):
                for src, inside in (allowed, True), (other, False):
                    good = inside or what != "load-balancer"
                    rows.append((
                        f"{about}: an outside client {'in' if inside else 'not in'}"
                        f" them {'reaches' if good else 'is dropped by'} the "
                        f"{what} address", Ask(c["out"], proto, addr, port,
                                               src=src), good))
            for origin, host in ("pod", "p01"), ("node process", "w0"):
                rows.append((f"{about}: a {origin} not in them is dropped by "
                             "the load-balancer address",
                             Ask(c[host], proto, external(family, 9), 80),
                             False))
    gather([r[1] for r in rows if r[2]], timeout=8, width=16)
    gather([r[1] for r in rows if not r[2]], timeout=2.5, width=999)
    for desc, one, good in rows:
        if good:
            tap.case(desc, lambda one=one: expect(one.name or str(one),
                                                  "p00"))
        else:
            tap.case(desc, silent, one)
    tap.case("source ranges: drops are counted", lambda: check(
        c.stat("w0", "service_dropped_source_range") >= 8 and
        show(c, "w0", "ranges-tcp")["dropped"] >= 1, "they are not"))
    c.everywhere("svc set ranges-udp source-range none\n")
    one = gather([Ask(c["p01"], "udp", external(4, 9), 80)])[0]
    tap.case("source ranges: without any everybody is let in",
             lambda: expect(one.name or str(one), "p00"))


def pings(tap, c):
    """Echo requests to virtual addresses."""
    for family in 4, 6:
        for host, origin in (("p01", "a pod"), ("w0", "a node process"),
                             ("out", "an outside client")):
            for what, addr in (("cluster IP", vip(family, 1)),
                               ("external IP", external(family, 1))):
                tap.case(f"ping: IPv{family}: {origin} gets an answer from "
                         f"the {what}", lambda host=host, addr=addr: expect(
                             ping(c[host], addr).status, 0, "ping's status"))
    tap.case("ping: it is counted", lambda: check(
        c.stat("w0", "vip_ping") >= 12, "it is not"))
    tap.case("ping: an address that no service has is not answered",
             lambda: expect(ping(c["p01"], vip(4, 99), timeout=1).status, 1))


def lookups(tap, c):
    """lookup foretells what happens."""
    for number, scheduler in (10, "random"), (11, "maglev"):
        c.everywhere("".join(service(
            f"many-{scheduler}", proto, number,
            endpoints("p00", "p01", "p10") + f" scheduler {scheduler} "
            f"node-port {31000 + number}")
                             for proto in ("tcp", "udp")))
    flows = []
    for n in range(56):
        family = 4 if n % 2 else 6
        proto = "tcp" if n % 4 < 2 else "udp"
        number = 10 + n // 4 % 2
        if n % 7 == 6:
            host, addr, port = "out", c.addr("w0", family), 31000 + number
        else:
            host, addr, port = "p00", vip(family, number), 80
        flows.append((host, proto, addr, port, 40000 + n, family))
    told = []
    for host, proto, addr, port, sport, family in flows:
        done = c.tool("w0", f"lookup {proto} "
                      f"{endpoint(c.addr(host, family), sport)} "
                      f"{endpoint(addr, port)}", options=("-j",))
        told.append(json.loads(done.out)[0])
    asks = gather([Ask(c[host], proto, addr, port, sport=sport,
                       src=c.addr(host, family))
                   for host, proto, addr, port, sport, family in flows],
                  timeout=8, width=16)

    def same():
        wrong = []
        for flow, say, one in zip(flows, told, asks):
            pod = {c.addr(p, f): p for p in c.pods for f in (4, 6)}
            choice = say.get("choice", {}).get("address")
            if pod.get(choice) != one.name:
                wrong.append(f"{flow}: told {choice}, went to {one}")
            seen = say.get("snat") or c.addr(flow[0], flow[5])
            if seen != one.client:
                wrong.append(f"{flow}: told source {seen}, {one}")
        check(not wrong, "\n".join(wrong))

    tap.case("lookup: 56 flows of the random and maglev schedulers go where "
             "it says, with the source it says", same)

    def reads(words, **wanted):
        say = json.loads(c.tool("w0", "lookup " + words,
                                options=("-j",)).out)[0]
        for key, value in wanted.items():
            expect(say.get(key.replace("_", "-")), value, key)

    tap.case("lookup: explains a refusal", reads,
             f"tcp 10.200.0.3 {vip(4, 3)}:80")
    tap.case("lookup: names service, verdict and policy", lambda: reads(
        f"tcp 10.200.0.3 {vip(4, 3)}:80", verdict="reject",
        service="none-tcp", reason="no usable endpoint"))
    tap.case("lookup: a source outside of the ranges", lambda: reads(
        f"tcp 10.200.0.3 {external(4, 9)}:80", verdict="drop",
        service="ranges-tcp",
        reason="source is not in the service's source ranges"))
    tap.case("lookup: no service", lambda: reads(
        "tcp 10.200.0.3 198.51.100.1:80", verdict="none",
        reason="no service has this address and port"))
    tap.case("lookup: pass", lambda: reads(
        f"udp 10.200.0.3 {vip(4, 6)}:80", verdict="pass"))

    def says(words, *lines):
        out = c.tool("w0", "lookup " + words).out
        for line in lines:
            check(line in out.splitlines(), f"no line {line!r}:\n{out}")

    for family in 4, 6:
        pod, out, node = (c.addr(h, family) for h in ("p00", "out", "w0"))
        at = endpoint(vip(family, 3), 80)
        tap.case(f"lookup: IPv{family}: a refusal in words", says,
                 f"tcp {pod} {at}",
                 f"tcp from {pod} (a pod) to {at} is rejected",
                 f"  frontend: cluster IP {at} of service none-tcp",
                 "  policy: cluster: endpoints on all nodes",
                 "  set: none of 0 endpoints", "  reason: no usable endpoint")
        at = endpoint(vip(family, 4), 80)
        tap.case(f"lookup: IPv{family}: endpoints that are not usable are "
                 "counted", says, f"tcp {pod} {at}",
                 "  set: none of 1 endpoints")
        at = endpoint(vip(family, 10), 80)
        tap.case(f"lookup: IPv{family}: a choice in words", says,
                 f"udp {endpoint(pod, 4)} {at}",
                 f"udp from {endpoint(pod, 4)} (a pod) to {at} goes to an "
                 "endpoint", "  set: 3 of 3 endpoints, the ready ones",
                 "  reason: traffic policy cluster")
        at = endpoint(node, 31010)
        tap.case(f"lookup: IPv{family}: why the source is rewritten", says,
                 f"tcp {out} {at}",
                 f"tcp from {out} (outside of the cluster) to {at} goes to "
                 "an endpoint", "  frontend: node port 31010 of service "
                 "many-random-tcp", f"  source: rewritten to {node}: traffic "
                 "policy cluster, and replies must return through this node")
        gw = "fd00:10:200::1" if family == 6 else "10.200.0.1"
        at = endpoint(vip(family, 1), 80)
        tap.case(f"lookup: IPv{family}: a hairpin in words", says,
                 f"tcp {pod} {at}", f"  endpoint: {endpoint(pod, 8080)}, the "
                 "only one", f"  source: rewritten to {gw}: the endpoint is "
                 "the client itself, and would answer to itself")


def main():
    """The test."""
    tap = Tap()
    c = Cluster(nodes=2, pods=2)
    for proto in "tcp", "udp", "sctp":
        for pod in "p00", "p01", "p10":
            c.serve(pod, proto, 8080)
    c["out"].ip("route add 10.32.0.0/16 via 10.240.0.20\n"
                "route add 192.0.2.0/24 via 10.240.0.20\n"
                "route add fd00:10:32::/48 via fd00:10:240::20\n"
                "route add 2001:db8:e::/48 via fd00:10:240::20")
    for part in hairpin, no_endpoints, ranges, pings, lookups:
        part(tap, c)
    tap.end()


main()
