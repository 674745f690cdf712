#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
"""Which endpoints a new flow may get, by what it asks and where it comes from:
sets by condition and policy, addresses and ports that no service has, the scope
of source ranges. Each also while traffic goes on.
"""
import itertools
import os
import random
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from genl import C, Genl, attrs, endpoint as nl_endpoint, find, string, u32
from svclib import Ask, Cluster, Failed, Tap, ask, check, endpoint, expect, \
    expect_in, gather, ping

PROTOS = "tcp", "udp", "sctp"
PODS = "p00", "p01", "p10"
LOCAL = {"w0": ("p00", "p01"), "w1": ("p10",)}
VERDICTS = "none", "endpoint", "reject", "drop", "pass"


def vip(family, number):
    """A cluster IP."""
    return f"fd00:10:32::{number:x}" if family == 6 else f"10.32.0.{number}"


def external(family, number):
    """An external or load-balancer IP."""
    return f"2001:db8:e::{number:x}" if family == 6 else f"192.0.2.{number}"


def addrs_of(number, proto, port=80):
    """All kinds of frontends, of both families."""
    return " ".join(
        f"vip {endpoint(vip(f, number), port)}/{proto} "
        f"external-ip {endpoint(external(f, number), port)} "
        f"lb-ip {endpoint(external(f, number + 100), port)}"
        for f in (4, 6)) + f" node-port {31000 + number}"


def explain(genl, proto, src, dst, port):
    """(verdict, addresses that may be chosen), from lookup."""
    answer = genl.lookup(proto, src, 1000, dst, port)
    eps = set()
    for kind, value in attrs(answer):
        if kind == C["LOOKUP_ENDPOINT"]:
            raw = find(value, "ENDPOINT_ADDR")
            eps.add(socket.inet_ntop(socket.AF_INET6 if len(raw) == 16
                                     else socket.AF_INET, raw))
    return VERDICTS[find(answer, "LOOKUP_VERDICT")[0]], eps


# Conditions: flags, ready, serves while it terminates
CONDITIONS = {
    "ready": C["EP_READY"] | C["EP_SERVING"],
    "not ready": 0,
    "serving, not ready": C["EP_SERVING"],
    "terminating, serving": C["EP_TERMINATING"] | C["EP_SERVING"],
    "terminating": C["EP_TERMINATING"],
}


def usable(conditions, pods):
    """Those of PODS that kube-proxy's topology.go would use."""
    ready = {p for p in pods if conditions[p] == "ready"}
    return ready or {p for p in pods
                     if conditions[p] == "terminating, serving"}


def set_conditions(c, genl, name, conditions):
    """All endpoints of a service on both nodes, in one message each."""
    for node in c.nodes:
        payload = string("SERVICE_NAME", name)
        for pod, condition in conditions.items():
            for family in 4, 6:
                payload += nl_endpoint(
                    c.addr(pod, family), 8080,
                    u32("ENDPOINT_FLAGS", CONDITIONS[condition]),
                    u32("ENDPOINT_MASK", C["EP_READY"] | C["EP_SERVING"] |
                        C["EP_TERMINATING"]))
        genl[node].request("ENDPOINT_SET", payload)


def wanted(conditions, policy, kind, origin, node, no_endpoints="reject"):
    """(verdict, pods) of a new flow."""
    cluster = usable(conditions, PODS)
    local = usable(conditions, LOCAL[node])
    internal, external_ = policy
    if kind == "vip":
        is_local = internal == "local"
    else:
        is_local = external_ == "local" and origin == "outside"
    eps = local if is_local else cluster
    if eps:
        return "endpoint", eps
    if no_endpoints == "pass":
        return "pass", set()
    return ("drop" if cluster else no_endpoints), set()


def sets(tap, c, genl):
    """Every combination of conditions, policies, origins and frontends."""
    names = {}
    for number, (policy, verdict) in enumerate(itertools.product(
            itertools.product(("cluster", "local"), repeat=2),
            ("reject", "pass")), 1):
        for proto in PROTOS:
            name = f"sets{number}-{proto}"
            names[name] = (number, proto, policy, verdict)
            c.everywhere(
                f"svc add {name} {addrs_of(number, proto)} " + " ".join(
                    f"ep {endpoint(c.addr(p, f), 8080)}" + "{local:%s}" % p
                    for p in PODS for f in (4, 6)) +
                f" internal-policy {policy[0]} external-policy {policy[1]} "
                f"no-endpoints {verdict}\n")
    rng = random.Random(4)
    every = [dict(zip(PODS, combo))
             for combo in itertools.product(CONDITIONS, repeat=3)]
    origins = {"pod": lambda f: c.addr("p01", f),
               "outside": lambda f: c.addr("out", f)}
    for name, (number, proto, policy, verdict) in names.items():
        def case(name=name, number=number, proto=proto, policy=policy,
                 verdict=verdict):
            for conditions in rng.sample(every, 5) + [every[0], every[-1]]:
                set_conditions(c, genl, name, conditions)
                for node in c.nodes:
                    for family in 4, 6:
                        rows = [("vip", vip(family, number), 80),
                                ("ext", external(family, number), 80),
                                ("lb", external(family, number + 100), 80),
                                ("np", c.addr(node, family), 31000 + number)]
                        pods = {c.addr(p, family): p for p in PODS}
                        for kind, addr, port in rows:
                            for origin, src in [*origins.items(), (
                                    "node", lambda f, n=node: c.addr(n, f))]:
                                got, eps = explain(genl[node], proto,
                                                   src(family), addr, port)
                                expect((got, {pods[e] for e in eps}),
                                       wanted(conditions, policy, kind,
                                              origin, node, verdict),
                                       f"{node} IPv{family} {kind} from "
                                       f"{origin}, {conditions}")
        tap.case(f"sets: {proto.upper()}, internal-policy {policy[0]}, "
                 f"external-policy {policy[1]}, no-endpoints {verdict}: as "
                 "kube-proxy's sets, for each frontend and origin", case)
    return names


def live(tap, c, genl):
    """Conditions change while clients of each origin come and go."""
    steps = [dict(zip(PODS, step)) for step in (
        ("ready", "ready", "ready"),
        ("terminating, serving", "not ready", "ready"),
        ("terminating, serving", "not ready", "not ready"),
        ("terminating", "not ready", "ready"),
        ("not ready", "terminating", "terminating"),
        ("ready", "not ready", "ready"))]
    # From names of sets(): policies (cluster, local) and (local, cluster)
    for number, policy in (3, ("cluster", "local")), (5, ("local", "cluster")):
        for proto in PROTOS:
            for family in 4, 6:
                def case(number=number, policy=policy, proto=proto,
                         family=family):
                    rows = [("vip", "pod", "p01", vip(family, number), 80),
                            ("ext", "pod", "p01", external(family, number),
                             80),
                            ("np", "outside", "out", c.addr("w0", family),
                             31000 + number),
                            ("vip", "node", "w0", vip(family, number), 80)]
                    for step in steps:
                        set_conditions(c, genl, f"sets{number}-{proto}", step)
                        want = [wanted(step, policy, kind, origin, "w0")
                                for kind, origin, *_ in rows]
                        asks = [[Ask(c[host], proto, addr, port)
                                 for _ in range(2)]
                                if verdict == "endpoint" else []
                                for (_, _, host, addr, port), (verdict, _)
                                in zip(rows, want)]
                        gather(sum(asks, []), timeout=8, width=8)
                        for row, (_, pods), some in zip(rows, want, asks):
                            for one in some:
                                if one.error:
                                    raise Failed(f"{row} {step}: {one}")
                                expect_in(one.name, pods, f"{row} {step}")
                tap.case(f"live: {proto.upper()}, IPv{family}, internal-policy"
                         f" {policy[0]}, external-policy {policy[1]}: new "
                         "flows follow the conditions at once", case)


def refused(one):
    """ECONNREFUSED by the second packet."""
    expect(one.error or str(one), "ECONNREFUSED", "error")


def silent(one):
    """Dropped."""
    expect_in(one.error or str(one), ("timeout", "EPERM"), "error")


def cidr(tap, c):
    """Dead ports and unassigned addresses."""
    c.everywhere("node set service-cidr 10.32.0.0/16,fd00:10:32::/48\n")
    hosts = {"pod": "p01", "node process": "w0", "outside client": "out"}

    def rows(verdict, number, port, proto="tcp"):
        asks = [(f"{origin}, IPv{family}", Ask(c[host], proto,
                                               vip(family, number), port))
                for origin, host in hosts.items() for family in (4, 6)]
        gather([one for _, one in asks], width=99,
               timeout=2.5 if verdict is silent else 7)
        for what, one in asks:
            try:
                verdict(one)
            except Failed as failed:
                raise Failed(f"{what}: {failed}") from failed

    for proto in PROTOS:
        tap.case(f"service CIDR: {proto.upper()}: an address that no service "
                 "has is silent", rows, silent, 250, 80, proto)
        tap.case(f"service CIDR: {proto.upper()}: a dead port of a live "
                 "cluster IP is refused", rows, refused, 1, 9, proto)
    tap.case("service CIDR: that is counted", lambda: check(
        c.stat("w0", "service_unassigned_ip") >= 12 and
        c.stat("w0", "service_dead_port") >= 12, "it is not"))
    for family in 4, 6:
        tap.case(f"service CIDR: IPv{family}: nor is a ping of it answered",
                 lambda family=family: expect(
                     ping(c["p01"], vip(family, 250), timeout=1).status, 1))
    c.everywhere("node set dead-ports drop unassigned-ips reject\n")
    tap.case("service CIDR: unassigned addresses can be refused", rows,
             refused, 250, 80)
    tap.case("service CIDR: dead ports can be dropped", rows, silent, 1, 9)
    # "pass": to whoever has the address, here the outside client's host.
    c["out"].ip("addr add 10.32.0.250/32 dev lo\n"
                "addr add fd00:10:32::fa/128 dev lo\n"
                "addr add 10.32.0.1/32 dev lo\naddr add fd00:10:32::1/128 dev lo")
    for number in 250, 1:
        for family in 4, 6:
            c.servers.listen(c["out"], "other", "tcp", vip(family, number), 9)
    hosts = {"node process": "w0", "pod": "p01"}

    def passes(number):
        rows(lambda one: expect(one.name or str(one), "other"), number, 9)

    c.everywhere("node set dead-ports pass unassigned-ips pass\n")
    tap.case("service CIDR: unassigned addresses can be let through", passes,
             250)
    tap.case("service CIDR: dead ports can be let through", passes, 1)
    c.everywhere("node set dead-ports reject unassigned-ips drop\n")

    def appears():
        """A service takes and leaves an address while a client tries."""
        for family in 4, 6:
            silent(ask(c["p01"], "udp", vip(family, 249), 80, timeout=1))
            c.everywhere(f"svc add fresh vip {endpoint(vip(family, 249), 80)}"
                         f"/udp ep {endpoint(c.addr('p10', family), 8080)}\n")
            expect(ask(c["p01"], "udp", vip(family, 249), 80).name, "p10")
            refused(ask(c["p01"], "udp", vip(family, 249), 81))
            c.everywhere("svc del fresh\n")
            silent(ask(c["p01"], "udp", vip(family, 249), 80, timeout=1))

    tap.case("service CIDR: an address is served, and dead again, with its "
             "service", appears)
    c.everywhere("node set service-cidr none\n")
    tap.case("service CIDR: without one the address is anybody's", passes, 250)


def scope(tap, c):
    """source-range-scope external."""
    number = 60
    for proto in PROTOS:
        c.everywhere(f"svc add scope-{proto} {addrs_of(number, proto)} " +
                     " ".join(f"ep {endpoint(c.addr('p00', f), 8080)}"
                              for f in (4, 6)) +
                     " source-range 198.51.100.0/24,2001:db8:99::/48 "
                     "source-range-scope external\n")
    for proto in PROTOS:
        asks = []
        for family in 4, 6:
            for kind, addr, port in (
                    ("cluster IP", vip(family, number), 80),
                    ("external IP", external(family, number), 80),
                    ("LB IP", external(family, number + 100), 80),
                    ("node port", c.addr("w0", family), 31000 + number)):
                asks.append((kind, family, Ask(c["out"], proto, addr, port)))
        gather([a for k, _, a in asks if k == "cluster IP"], timeout=8)
        gather([a for k, _, a in asks if k != "cluster IP"], timeout=2.5,
               width=99)
        for kind, family, one in asks:
            if kind == "cluster IP":
                tap.case(f"scope: {proto.upper()}, IPv{family}: external "
                         "ranges leave the cluster IP alone", lambda one=one:
                         expect(one.name or str(one), "p00"))
            else:
                tap.case(f"scope: {proto.upper()}, IPv{family}: external "
                         f"ranges are for the {kind}", silent, one)

    def back():
        c.everywhere("svc set scope-udp source-range-scope lb\n")
        for family in 4, 6:
            expect(ask(c["out"], "udp", external(family, number), 80).name,
                   "p00")
            expect(ask(c["out"], "udp", c.addr("w0", family),
                       31000 + number).name, "p00")
            silent(ask(c["out"], "udp", external(family, number + 100), 80,
                       timeout=1))

    tap.case("scope: back to load-balancer addresses at once", back)


def hinted(pods, name, zone):
    """Those of PODS ({pod: (zones, nodes)}) that the hints mean."""
    for which, mine in (1, name), (0, zone):
        if all(hints[which] for hints in pods.values()):
            chosen = {p for p, hints in pods.items() if mine in hints[which]}
            if chosen:
                return chosen
    return set(pods)


def set_hints(c, genl, service, pods):
    """On both nodes; an empty list takes the hints away."""
    for node in c.nodes:
        payload = string("SERVICE_NAME", service)
        for pod, kinds in pods.items():
            for family in 4, 6:
                payload += nl_endpoint(c.addr(pod, family), 8080, *(
                    string("ENDPOINT_" + kind, hint)
                    for kind, hints in zip(("ZONE_HINT", "NODE_HINT"), kinds)
                    for hint in hints or [""]))
        genl[node].request("ENDPOINT_SET", payload)


def topology(tap, c, genl):
    """Hints of endpoints, the node's name and zone."""
    number, name = 70, "hints-udp"
    c.everywhere(f"svc add {name} {addrs_of(number, 'udp')} " + " ".join(
        f"ep {endpoint(c.addr(p, f), 8080)}" + "{local:%s}" % p
        for p in PODS for f in (4, 6)) + " external-policy local\n")
    rng = random.Random(5)

    def expect_sets(pods, node, me, zone, what):
        chosen = hinted(pods, me, zone)
        for family in 4, 6:
            names = {c.addr(p, family): p for p in PODS}
            for addr, src, want in (
                    (vip(family, number), "out", chosen),
                    (external(family, number), "p01", chosen),
                    (external(family, number), "out", set(LOCAL[node]))):
                got = explain(genl[node], "udp", c.addr(src, family), addr,
                              80)[1]
                expect({names[a] for a in got}, want,
                       f"{node} ({me}, {zone}), IPv{family}, {what}: {pods}")

    def sets_by_hints():
        for _ in range(40):
            pods = {pod: (rng.choice(([], ["za"], ["zb"], ["za", "zb"])),
                          rng.choice(([], ["n0"], ["n1"], ["n2"])))
                    for pod in PODS}
            if rng.random() < 0.6:      # all with hints is the rare case
                pods = {pod: (z or ["zb"], n or ["n1"])
                        for pod, (z, n) in pods.items()}
            set_hints(c, genl, name, pods)
            for node, me, zone in ("w0", "n0", "za"), ("w1", "n1", "zb"):
                expect_sets(pods, node, me, zone, "hints")

    def follow_node():
        pods = {"p00": (["za"], ["n0"]), "p01": (["za"], ["n1"]),
                "p10": (["zb"], ["n2"])}
        set_hints(c, genl, name, pods)
        for me, zone in ("n0", "za"), ("none", "za"), ("n9", "zb"), \
                ("n9", "zc"), ("n1", "za"), ("none", "none"):
            c.tool("w0", f"node set name {me} zone {zone}")
            expect_sets(pods, "w0", me, zone, "node")
            for family in 4, 6:
                got = {one.name for one in gather(
                    [Ask(c["p01"], "udp", vip(family, number), 80)
                     for _ in range(6)])}
                check(got <= hinted(pods, me, zone),
                      f"{me}, {zone}: {got} have answered")

    def not_ready():
        """Hints of endpoints that are not ready do not count."""
        set_hints(c, genl, name, {"p00": (["za"], []), "p01": (["za"], []),
                                  "p10": ([], [])})
        c.everywhere("node set name n0 zone za\n")
        expect(explain(genl["w0"], "udp", c.addr("out", 4), vip(4, number),
                       80)[1], {c.addr(p, 4) for p in PODS})
        set_conditions(c, genl, name, {"p00": "ready", "p01": "ready",
                                       "p10": "not ready"})
        expect(explain(genl["w0"], "udp", c.addr("out", 4), vip(4, number),
                       80)[1], {c.addr(p, 4) for p in ("p00", "p01")})
        # Nobody ready: those that drain, whatever their hints.
        set_conditions(c, genl, name, {
            "p00": "terminating", "p01": "not ready",
            "p10": "terminating, serving"})
        expect(explain(genl["w0"], "udp", c.addr("out", 4), vip(4, number),
                       80)[1], {c.addr("p10", 4)})

    def words():
        """The tool's words, and the state it saves."""
        where = endpoint(c.addr("p00", 4), 8080)
        c.tool("w0", f"ep set {name} {where},zone=za,zone=zb,node=n0")
        out = c.tool("w0", f"ep list {name}").out
        check(f"{where},weight=1,ready,local,zone=za,zone=zb,node=n0" in out,
              out)
        c.tool("w0", f"ep set {name} {where},node=")
        out = c.tool("w0", f"ep list {name}").out
        check("zone=za,zone=zb" in out and "node=n0" not in out, out)
        saved = c.tool("w0", "save").out
        c.tool("w0", f"ep set {name} {where},zone=,weight=7")
        c.tool("w0", "node set name other zone other")
        path = f"/tmp/sets-{os.getpid()}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(saved)
        c.tool("w0", f"apply {path}")
        os.unlink(path)
        expect(c.tool("w0", "save").out, saved)
        nine = "".join(f",zone=z{n}" for n in range(9))
        c.tool("w0", f"ep set {name} {where}{nine}", status=2)
        c.tool("w0", f"ep set {name} {where},zone={'z' * 64}", status=2)
        c.tool("w0", f"node set zone {'z' * 64}", status=2)

    c.tool("w0", "node set name n0 zone za")
    c.tool("w1", "node set name n1 zone zb")
    tap.case("topology: 40 combinations of hints: as topology.go has it, and "
             "policy local wins", sets_by_hints)
    tap.case("topology: sets and traffic follow the node's name and zone",
             follow_node)
    tap.case("topology: only ready endpoints count, draining ones are used "
             "without hints", not_ready)
    tap.case("topology: words, and a state that is saved and applied", words)
    c.everywhere("node set name none zone none\n")


def main():
    """The test."""
    tap = Tap()
    c = Cluster(nodes=2, pods=2)
    for proto in PROTOS:
        for pod in PODS:
            c.serve(pod, proto, 8080)
    c["out"].ip("route add 10.32.0.0/16 via 10.240.0.20\n"
                "route add 192.0.2.0/24 via 10.240.0.20\n"
                "route add fd00:10:32::/48 via fd00:10:240::20\n"
                "route add 2001:db8:e::/48 via fd00:10:240::20")
    genl = {node: Genl(c[node]) for node in c.nodes}
    sets(tap, c, genl)
    live(tap, c, genl)
    topology(tap, c, genl)
    cidr(tap, c)
    scope(tap, c)
    for one in genl.values():
        one.sock.close()
    tap.end()


main()
