#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
"""Dropped packets are told: the tracepoint has the reason, the service and both
ends of each, the counter of that name counts it, and the kernel's own
tracepoint of freed packets has the nearest reason it knows.
"""
import atexit
import json
import os
import re
import socket
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from svclib import Cluster, Tap, check, endpoint, expect, wait_for

TRACEFS = "/sys/kernel/tracing"
TRACE = TRACEFS + "/instances/k8snet-test"
LINE = re.compile(r"k8snet_drop: reason=(\S+) service=(\S*) proto=(\d+) "
                  r"src=(\S+) dst=(\S+) ifindex=(\d+)")
SOURCE = 7000


def put(path, text):
    """Writes into tracefs."""
    with open(f"{TRACE}/{path}", "w", encoding="ascii") as file:
        file.write(text)


def get(path):
    """Reads from it."""
    with open(f"{TRACE}/{path}", encoding="ascii") as file:
        return file.read()


def trace_begin():
    """An instance of our own: nobody else's events are in it."""
    os.mkdir(TRACE)
    atexit.register(trace_end)
    put("events/k8snet/k8snet_drop/enable", "1")
    put("events/skb/kfree_skb/enable", "1")


def trace_end():
    """Leaves nothing on."""
    put("events/enable", "0")
    os.rmdir(TRACE)


def vip(family, number):
    """A cluster IP."""
    return f"fd00:10:32::{number:x}" if family == 6 else f"10.32.0.{number}"


def lb_ip(family):
    """A load-balancer IP."""
    return "2001:db8:e::1" if family == 6 else "192.0.2.1"


def services(c):
    """One a reason."""
    text = ""
    for number, name, more in (
            (1, "none", ""), (2, "drop", "no-endpoints drop"),
            (3, "local", "node-port 31003 external-policy local "
             f"ep {c.ip4('p10')}:8080 ep {endpoint(c.ip6('p10'), 8080)}"),
            (4, "range", f"lb-ip {lb_ip(4)} lb-ip {lb_ip(6)} "
             "source-range 203.0.113.0/24 source-range 2001:db8:f::/48 "
             f"ep {c.ip4('p10')}:8080 ep {endpoint(c.ip6('p10'), 8080)}")):
        text += (f"svc add {name} vip {vip(4, number)}:80/udp "
                 f"vip {endpoint(vip(6, number), 80)}/udp {more}\n")
    c.batch("w0", text)


def send(ns, src, addr, port):
    """A datagram whose answer does not matter."""
    with ns.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET,
                   socket.SOCK_DGRAM) as sock:
        sock.bind((src, SOURCE))
        try:
            sock.sendto(b"x", (addr, port))
        except OSError:
            pass                # EPERM: dropped on the way out


def spoof(ns, family, dst):
    """A datagram of a stranger, as a frame of the pod."""
    mac = json.loads(ns.run("ip", "-j", "link", "show", "eth0").out)[0]
    eth = b"\xff" * 6 + bytes.fromhex(mac["address"].replace(":", ""))
    udp = struct.pack(">HHHH", SOURCE, 80, 8, 0)
    if family == 4:
        eth += b"\x08\x00" + struct.pack(
            ">BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 17, 0,
            socket.inet_aton("198.51.100.9"), socket.inet_aton(dst))
    else:
        eth += b"\x86\xdd" + struct.pack(
            ">IHBB16s16s", 6 << 28, 8, 17, 64,
            socket.inet_pton(socket.AF_INET6, "2001:db8::9"),
            socket.inet_pton(socket.AF_INET6, dst))
    with ns.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("eth0", 0))
        sock.send(eth + udp)


def told(c, what, reason, service, src, dst):
    """What WHAT does is traced and counted."""
    before = c.stat("w0", reason)
    put("trace", "")
    what()

    def line():
        found = [m.groups() for m in LINE.finditer(get("trace"))]
        return [m for m in found
                if m[:5] == (reason, service, "17", src, dst)]

    wait_for(f"line with {reason} {service} {src} {dst}: {get('trace')}",
             line, 5)
    expect(len(line()), 1, "lines")
    # What the node sends itself is on no device yet.
    check(line()[0][5] != "0" or src == endpoint(
        c.addr("w0", 6 if "[" in src else 4), SOURCE), "no device is named")
    check(c.stat("w0", reason) > before, f"{reason} does not count")


def reasons(tap, c):
    """Each way of dropping."""
    for family in 4, 6:
        pod, out = c.addr("p00", family), c.addr("out", family)
        node = c.addr("w0", family)
        spoofed = "198.51.100.9" if family == 4 else "2001:db8::9"
        for reason, service, ns, src, dst, port in (
                ("service_rejected", "none", "p00", pod, vip(family, 1), 80),
                ("service_dead_port", "", "p00", pod, vip(family, 1), 9),
                ("service_dropped_no_endpoint", "drop", "p00", pod,
                 vip(family, 2), 80),
                ("service_dropped_no_endpoint", "drop", "w0", node,
                 vip(family, 2), 80),
                ("service_dropped_policy", "local", "out", out, node, 31003),
                ("service_dropped_source_range", "range", "p00", pod,
                 lb_ip(family), 80)):
            tap.case(f"IPv{family}: {reason}, from {ns}: traced with service "
                     "and both ends, and counted", told, c,
                     lambda ns=ns, src=src, dst=dst, port=port:
                     send(c[ns], src, dst, port), reason, service,
                     endpoint(src, SOURCE), endpoint(dst, port))
        tap.case(f"IPv{family}: spoofed: traced with both ends, and counted",
                 told, c, lambda family=family: spoof(
                     c["p00"], family, vip(family, 1)),
                 "spoofed", "", endpoint(spoofed, SOURCE),
                 endpoint(vip(family, 1), 80))


def no_pod(tap, c):
    """An address of the bridge's network that no pod has."""
    for family, addr in (4, "10.200.0.99"), (6, "fd00:10:200::99"):
        src = "10.200.0.1" if family == 4 else "fd00:10:200::1"
        c["w0"].ip(f"neigh replace {addr} lladdr 0a:58:0a:c8:00:63 dev cnio0 "
                   "nud permanent")

        def case(src=src, addr=addr):
            told(c, lambda: send(c["w0"], src, addr, 80), "no_pod", "",
                 endpoint(src, SOURCE), endpoint(addr, 80))
            check("reason: IP_OUTNOROUTES" in get("trace"),
                  "kfree_skb has another reason:\n" + get("trace"))

        tap.case(f"IPv{family}: no_pod: traced, and freed with the kernel's "
                 "reason IP_OUTNOROUTES", case)


def main():
    """The test."""
    tap = Tap()
    c = Cluster(nodes=2, pods=1)
    c["out"].ip("route add 192.0.2.0/24 via 10.240.0.20")
    services(c)
    trace_begin()
    for part in reasons, no_pod:
        part(tap, c)
    tap.end()


main()
