#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
"""What services and endpoints count: connections, packets and bytes in both
directions, refusals by reason; rates; and that nothing is spent on what has no
traffic.
"""
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from svclib import Ask, Cluster, Tap, check, conntrack, endpoint, expect, \
    gather

HEADERS = {4: 28, 6: 48}        # of a UDP datagram
TRAFFIC = "packets", "bytes", "reply-packets", "reply-bytes"


def vip(family, number):
    """A cluster IP."""
    return f"fd00:10:32::{number:x}" if family == 6 else f"10.32.0.{number}"


def stats(c, name, more=""):
    """A service's counters."""
    return json.loads(c.tool("w0", f"stats {name} {more}",
                             options=("-j",)).out)[0]


def traffic(item):
    """The four of them."""
    return [item[word] for word in TRAFFIC]


def service(c, name, family, number, proto, *pods):
    """A new one."""
    c.batch("w0", f"svc add {name} vip {endpoint(vip(family, number), 80)}/"
            f"{proto} scheduler rr " + " ".join(
                f"ep {endpoint(c.addr(pod, family), 8080)}" for pod in pods)
            + "\n")


def udp(c, family, number):
    """New flows, one datagram each way."""
    name = f"udp{family}"
    service(c, name, family, number, "udp", "p01", "p10")
    expect(traffic(stats(c, name)), [0] * 4, "before")
    asks = gather([Ask(c["p00"], "udp", vip(family, number), 80)
                   for _ in range(10)])
    check(not [one for one in asks if one.error], "no answer")
    back = sum(len(one.data) + HEADERS[family] for one in asks)
    wanted = [10, 10 * (4 + HEADERS[family]), 10, back]
    now = stats(c, name)
    expect(now["flows"], 10, "flows")
    expect(traffic(now), wanted, "the service's")
    expect([sum(each) for each in zip(*map(traffic, now["ep"]))], wanted,
           "of both endpoints together")
    expect([ep["packets"] for ep in now["ep"]], [5, 5], "packets of each")
    c.tool("w0", f"svc set {name} ep none")
    expect(traffic(stats(c, name)), wanted, "after its endpoints are gone")


def known(c, family, number):
    """One flow, most of whose packets do not see the stack."""
    name = f"known{family}"
    service(c, name, family, number, "udp", "p10")
    sock = None
    for i in range(50):
        if i % 20 == 10:        # what is asked for is added up then
            expect(stats(c, name)["packets"], i, "packets so far")
        one = Ask(c["p00"], "cudp", vip(family, number), 80, sock=sock)
        one.keep = True
        gather([one])
        check(not one.error, one)
        sock = one.sock
    sock.close()
    now = stats(c, name)
    expect((now["flows"], now["packets"], now["reply-packets"]),
           (1, 50, 50), "flows, packets, replies")
    expect(now["bytes"], 50 * (4 + HEADERS[family]), "bytes")
    c.tool("w0", f"svc del {name}")


def tcp(c, family, number):
    """Connections that end."""
    name = f"tcp{family}"
    service(c, name, family, number, "tcp", "p01")
    asks = gather([Ask(c["p00"], "tcp", vip(family, number), 80)
                   for _ in range(5)])
    check(not [one for one in asks if one.error], "no answer")
    now = stats(c, name)
    expect(now["flows"], 5, "connections")
    # SYN, ACK, request, ACK and more; the last ACK may come after the end.
    check(now["packets"] >= 15 and now["reply-packets"] >= 10,
          f"packets: {now}")
    check(now["bytes"] > 5 * 44 and now["reply-bytes"] > 5 * 44,
          f"bytes: {now}")


def refusals(c, family, number):
    """By reason."""
    for proto in "udp", "tcp":
        service(c, f"none{family}-{proto}", family, number, proto)
    gather([Ask(c["p00"], "udp", vip(family, number), 80) for _ in range(3)])
    now = stats(c, f"none{family}-udp")
    expect(now["drop"], {"service_rejected": 3}, "reasons")
    c.tool("w0", f"svc set none{family}-udp no-endpoints drop")
    gather([Ask(c["p00"], "udp", vip(family, number), 80)], timeout=0.3)
    expect(stats(c, f"none{family}-udp")["drop"],
           {"service_rejected": 3, "service_dropped_no_endpoint": 1},
           "reasons")
    expect(stats(c, f"none{family}-tcp")["drop"], {}, "of another service")


def rates(c):
    """Per second, of a service and of the node."""
    service(c, "hasty", 4, 50, "udp", "p01")
    ended = threading.Event()

    def send():
        with c["p00"].socket() as _:
            pass
        while not ended.is_set():
            gather([Ask(c["p00"], "udp", vip(4, 50), 80)])
            time.sleep(0.01)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    before = stats(c, "hasty")["flows"]
    start = time.monotonic()
    now = stats(c, "hasty", "rate 2")
    node = {item["name"]: item["value"] for item in json.loads(
        c.tool("w0", "stats rate 1", options=("-j",)).out)}
    done = stats(c, "hasty")["flows"] - before
    took = time.monotonic() - start
    ended.set()
    thread.join(10)
    mean = done / took
    check(0 < now["flows"] <= 6 * mean + 5 and
          now["packets"] > 0 and now["reply-bytes"] > now["packets"],
          f"{mean} a second in the mean, told {now}")
    check(node["service_flows"] > 0, f"node: {node['service_flows']}")
    expect(traffic(stats(c, "hasty", "rate 1")), [0] * 4, "when it is idle")


def percpu():
    """Kilobytes of memory per processor."""
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("Percpu:"):
                return int(line.split()[1])
    return 0


def idle(c):
    """Two thousand services without traffic."""
    before = percpu()
    c.batch("w0", "".join(
        f"svc add idle{n} vip 10.33.{n // 250}.{n % 250 + 1}:80/tcp "
        "ep 10.200.0.3:8080\n" for n in range(2000)))
    check(percpu() - before < 64, f"{percpu() - before} kB per processor")


def others(c):
    """Flows of no service have no counters."""
    expect(c["w0"].sysctl("netfilter/nf_conntrack_acct"), "0", "nf_conntrack_acct")
    gather([Ask(c["p00"], "udp", c.ip4("p01"), 8080, sport=23456)])
    lines = [line for line in conntrack(c["w0"], "-p", "udp")
             if "sport=23456" in line]
    check(lines and "packets=" not in lines[0], str(lines))


def main():
    """The test."""
    tap = Tap()
    c = Cluster(nodes=2, pods=2)
    for pod in "p01", "p10":
        c.serve(pod, "tcp", 8080)
        c.serve(pod, "udp", 8080)
    for n, (func, desc) in enumerate((
            (udp, "packets and bytes of both directions, by service and "
             "endpoint, and after the endpoints are gone"),
            (known, "packets of the fast path count, too"),
            (tcp, "connections, packets and bytes of TCP"),
            (refusals, "refusals by reason"))):
        for family in 4, 6:
            tap.case(f"IPv{family}: {desc}", func, c, family, n + 1)
    tap.case("rates of a service and of the node", rates, c)
    tap.case("flows of no service are not counted in conntrack", others, c)
    tap.case("services without traffic take no memory per processor", idle, c)
    tap.end()


main()
