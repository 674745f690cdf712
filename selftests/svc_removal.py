#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
"""Devices, pods, namespaces and the module go while traffic runs: nothing
hangs, leaks or is left behind, and what can be made again works again.
"""
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from flowlib import Flow, listed
from genl import Error, Genl
from svclib import FASTPATH, SLOW, Ask, Cluster, Tap, check, conntrack, \
    expect, gather, run, wait_for

LIMIT = 10.0 * SLOW # seconds for any removal


class Traffic:
    """Datagrams and connections without end, by services and without; the
    answers do not matter."""

    def __init__(self, c):
        self.ended = False
        self.paused = False
        self.sent = 0
        self.threads = []
        for host, addr, port in (
                ("p00", "10.32.0.1", 80), ("p00", "fd00:10:32::1", 80),
                ("w0", "10.32.0.1", 80), ("out", c.ip4("w0"), 31001),
                ("p10", "10.32.0.1", 80), ("p00", c.ip4("p01"), 8080)):
            family = socket.AF_INET6 if ":" in addr else socket.AF_INET
            for kind in socket.SOCK_DGRAM, socket.SOCK_STREAM:
                thread = threading.Thread(
                    target=self.run, daemon=True,
                    args=(c[host], family, kind, (addr, port)))
                thread.start()
                self.threads.append(thread)
        wait_for("traffic", lambda: self.sent > 100, 30)

    def run(self, ns, family, kind, to):
        """One thread: a socket lives for some packets."""
        try:
            while not self.ended:
                if self.paused:
                    time.sleep(0.02)
                    continue
                with ns.socket(family, kind) as sock:
                    sock.setblocking(False)
                    sock.connect_ex(to)
                    for _ in range(5):
                        if self.ended:
                            break
                        try:
                            sock.send(b"x" * 100)
                        except OSError:
                            pass
                        self.sent += 1
                        time.sleep(0.002)
        except OSError:
            pass                # the namespace is gone

    def stop(self):
        """Ends it."""
        self.ended = True
        for thread in self.threads:
            thread.join(10)


SERVICES = "".join(
    f"svc add r-{proto} vip 10.32.0.1:80/{proto} vip [fd00:10:32::1]:80/"
    f"{proto} node-port 31001 scheduler lc affinity 60 "
    f"ep 10.200.0.3:8080{{local:p01}} ep 10.200.1.2:8080{{local:p10}} "
    f"ep [fd00:10:200::3]:8080{{local:p01}} ep [fd00:10:200:1::2]:8080"
    "{local:p10}\n" for proto in ("tcp", "udp"))


def cluster():
    """With services and servers."""
    c = Cluster(nodes=2, pods=2)
    for pod in "p01", "p10":
        c.serve(pod, "tcp", 8080)
        c.serve(pod, "udp", 8080)
    c.everywhere(SERVICES)
    return c


def timed(what, func, limit=LIMIT):
    """FUNC must be done in time."""
    start = time.monotonic()
    got = func()
    took = time.monotonic() - start
    check(took < limit, f"{what} took {took:.1f} s")
    return got


def works(c):
    """Everything answers."""
    for proto in "udp", "tcp":
        for host, addr, port in (("p00", "10.32.0.1", 80),
                                 ("p00", "fd00:10:32::1", 80),
                                 ("w0", "10.32.0.1", 80),
                                 ("out", c.ip4("w0"), 31001)):
            # Servers have a queue of the traffic's requests before these.
            def answered(host=host, proto=proto, addr=addr, port=port):
                asks = gather([Ask(c[host], proto, addr, port)
                               for _ in range(4)], timeout=2)
                return not [one for one in asks if one.error]
            wait_for(f"answers to {host} by {proto} {addr}", answered, 40)


def devices(tap, c):
    """Ports, pods, pod bridges."""
    traffic = Traffic(c)

    def quiet_works():
        """The servers, of this very process, get time to answer."""
        traffic.paused = True
        works(c)
        traffic.paused = False

    def port():
        timed("ip link del vp01", lambda: c["w0"].ip("link del vp01"))
        check("10.200.0.3" not in c.tool("w0", "pod list").out,
              "the pod is still listed")
        check("vp01" not in c.tool("w0", "port list").out,
              "the port is still listed")

    def port_again():
        c["w0"].ip(f"link add vp01 type veth peer name eth0 netns "
                   f"{c['p01'].name}\nlink set vp01 up")
        c["p01"].ip("link set eth0 up\n"
                    "addr replace 10.200.0.3/24 dev eth0\n"
                    "addr replace fd00:10:200::3/64 dev eth0 nodad\n"
                    "route replace default via 10.200.0.1\n"
                    "route replace default via fd00:10:200::1")
        c.tool("w0", "pod add 10.200.0.3,fd00:10:200::3 port vp01")
        quiet_works()

    def released():
        c["w0"].ip("link set vp01 nomaster")
        check("10.200.0.3" not in c.tool("w0", "pod list").out,
              "the pod is still listed")
        c.tool("w0", "pod add 10.200.0.3,fd00:10:200::3 port vp01")
        quiet_works()

    def down():
        for _ in range(5):
            c["w0"].ip("link set cnio0 down\nlink set cnio0 up\n"
                       "link set vp01 down\nlink set vp01 up")

    def bridge():
        timed("ip link del cnio0", lambda: c["w0"].ip("link del cnio0"))
        expect(c.tool("w0", "bridge list").out, "", "bridges")
        expect(c.tool("w0", "pod list").out, "", "pods")

    try:
        tap.case("traffic: a port's device goes", port)
        tap.case("traffic: the port is made again and the pod works",
                 port_again)
        tap.case("traffic: a port leaves the bridge and comes back", released)
        tap.case("traffic: bridge and port go down and up", down)
        tap.case("traffic: the pod bridge goes", bridge)
    finally:
        traffic.stop()


def flush(tap, c):
    """Everything of one node, then made again."""
    c.tool("w1", "svc add through vip 10.32.0.9:80/tcp node-port 31002 "
           "ep 10.200.0.3:8080")
    saved = c.tool("w1", "save").out
    path = "/run/k8snet-test-removal.json"
    with open(path, "w", encoding="utf-8") as file:
        file.write(saved)
    traffic = Traffic(c)

    def through():
        """Connections through the node, known to it, which the end of their
        service would not end."""
        traffic.paused = True       # the servers are to have the time
        wait_for("an answer", lambda: not gather([Ask(
            c["out"], "tcp", c.ip4("w1"), 31002)])[0].error, 40)
        flows = [Flow(c["out"], "tcp", c.ip4("w1"), 31002)
                 for _ in range(4)]
        for flow in flows:
            flow.known()
        traffic.paused = False
        ports = {flow.port() for flow in flows}
        check(FASTPATH == "off" or
              [f for f in listed(c["w1"]) if f["sport"] in ports],
              "none is known")
        return flows

    def flushes():
        for _ in range(3):
            flows = through()
            timed("flush", lambda: c.tool("w1", "flush"))
            for what in ("svc", "pod", "route", "masq", "bridge", "ep",
                         "flow"):
                expect(c.tool("w1", f"{what} list").out, "", what)
            for flow in flows:
                flow.close()
            c.tool("w1", f"restore {path}")
        expect(c.tool("w1", "save").out, saved, "state")

    def idle():
        """Flows' records go with conntrack's entries."""
        traffic.stop()
        c.tool("w1", "flush")
        c["w1"].run("conntrack", "-F")
        wait_for("no conntrack entry", lambda: not conntrack(c["w1"]), 15, 0.1)
        c.tool("w1", f"restore {path}")

    try:
        tap.case("traffic: flush and restore, three times", flushes)
        tap.case("after flush conntrack can be emptied", idle)
    finally:
        traffic.stop()


def namespaces(tap, c):
    """Pods' and nodes' namespaces."""
    traffic = Traffic(c)

    def gone(name):
        ns = c.ns[name]
        run("ip", "netns", "del", ns.name)

    def pod():
        timed("the pod's end", lambda: gone("p11"))

    def node():
        timed("the node's end", lambda: gone("w1"))

    try:
        tap.case("traffic: a pod's namespace goes", pod)
        tap.case("traffic: a node's namespace goes", node)
    finally:
        traffic.stop()


def module(tap):
    """modprobe -r with everything configured and busy."""
    c = cluster()
    works(c)
    traffic = Traffic(c)
    listener = Genl(c["w0"])
    listener.listen()

    def unload():
        start = time.monotonic()

        def removed():
            return run("modprobe", "-r", "k8snet", status=None).status == 0

        wait_for("modprobe -r", removed, LIMIT, 0.1)
        check(time.monotonic() - start < LIMIT, "too slow")
        check(not os.path.isdir("/sys/module/k8snet"), "still loaded")
        check("cnio0" not in c["w0"].run("ip", "link").out,
              "the pod bridge is still there")
        out = c["w0"].run("ip", "route", "show", "10.200.1.0/24").out
        expect(out, "", "route to the other node's pods")

    def silent():
        try:
            listener.request("NODE_GET")
        except (Error, OSError):
            return
        check(False, "a socket that was open is still answered")

    def again():
        traffic.stop()
        for n, node in enumerate(c.nodes):
            c.batch(node, f"bridge add cnio0 addr 10.200.{n}.0/24 "
                    f"addr fd00:10:200:{n}::/64\n"
                    f"node set ip {c.ip4(node)} ip {c.ip6(node)} "
                    "cluster-cidr 10.200.0.0/16\n"
                    f"route add 10.200.{1 - n}.0/24 via "
                    f"{c.ip4(c.nodes[1 - n])}\n"
                    f"route add fd00:10:200:{1 - n}::/64 via "
                    f"{c.ip6(c.nodes[1 - n])}\n" + "".join(
                        f"pod add {c.ip4(p)},{c.ip6(p)} port v{p} "
                        "bridge cnio0\n" for p in c.pods if p[1] == str(n)))
        c.everywhere(SERVICES)
        works(c)

    try:
        tap.case("traffic: the module is unloaded within 10 s", unload)
        tap.case("its sockets get no answer any more", silent)
        tap.case("loaded again it works again", again)
        listener.sock.close()
    finally:
        traffic.stop()
    c.remove()

    def loops():
        for _ in range(5):
            run("modprobe", "k8snet")
            run("modprobe", "-r", "k8snet")

    tap.case("it is loaded and unloaded five times", loops)


def main():
    """The test."""
    tap = Tap()
    with open("/dev/kmsg", "w", encoding="ascii") as kmsg:
        kmsg.write("<6>k8snet-test: svc_removal\n")
    c = cluster()
    tap.case("before anything goes all works", works, c)
    flush(tap, c)
    devices(tap, c)
    namespaces(tap, c)
    c.remove()
    module(tap)

    def log():
        """dmesg since the start."""
        text = run("dmesg").out.rpartition("k8snet-test: svc_removal")[2]
        # KCSAN's reports are judged at the end of the VM: see vm.py.
        bad = [line for line in text.splitlines()
               if "KCSAN" not in line and any(word in line for word in (
                   "unregister_netdevice", "leak", "WARNING", "BUG",
                   "nf_conntrack: table full"))]
        expect(bad, [], "kernel messages")

    tap.case("the kernel log is clean", log)
    tap.end()


main()
