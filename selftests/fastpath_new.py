#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
"""New flows in one pass, and the end of known ones: who is asked about a flow,
how connections close, and whether every byte arrives.
"""
import hashlib
import json
import os
import signal
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from flowlib import MODES, PORTS, Flow, listed, past
from svclib import Cluster, FASTPATH, Tap, ask, check, conntrack, expect, \
    have, pattern, wait_for

have("nft", "conntrack", "ethtool", "ip")
tap = Tap()
c = Cluster(nodes=2, pods=2)
for pod in "p00", "p01", "p10":
    for transport in "tcp", "udp":
        c.serve(pod, transport, 8080)
VIP = {("local", 4): "10.32.0.1", ("local", 6): "fd00:10:32::1",
       ("remote", 4): "10.32.0.2", ("remote", 6): "fd00:10:32::2",
       ("other", 4): "10.32.0.3", ("other", 6): "fd00:10:32::3",
       ("self", 4): "10.32.0.4", ("self", 6): "fd00:10:32::4"}
for where, pod in ("local", "p01"), ("remote", "p10"), ("other", "p01"), \
        ("self", "p00"):
    for transport in "tcp", "udp":
        for port in 80, 90:
            c.everywhere(f"svc add {where}-{transport}-{port} "
                         f"vip {VIP[where, 4]}:{port}/{transport} "
                         f"vip [{VIP[where, 6]}]:{port}/{transport} "
                         f"ep {c.ip4(pod)}:{8000 + port} "
                         f"ep [{c.ip6(pod)}]:{8000 + port}\n")
AUTO = FASTPATH == "auto"


def asked(transport, addr, name="p01", times=4, **more):
    """New flows that get that answer, and how many were set up past the
    stack."""
    before = c.stat("w0", "flow_onepass")
    for _ in range(times):
        expect(ask(c["p00"], transport, addr, 80, **more).name, name,
               "the endpoint")
    return c.stat("w0", "flow_onepass") - before


def fails(transport, addr):
    """A new flow that gets no answer."""
    expect(ask(c["p00"], transport, addr, 80, timeout=0.5).error, "timeout",
           "a new flow")


def one_pass(transport, where, pod, family):
    """New flows pass the stack by"""
    asked(transport, VIP[where, family], pod, 1)    # the stack is asked once
    got = asked(transport, VIP[where, family], pod)
    expect(got, 4 if AUTO else 0, "flows set up past the stack")


def modes():
    """Only "fastpath auto" sets up flows past the stack."""
    for mode, wanted in ("off", 0), ("established", 0), ("auto", 4):
        c.tool("w0", f"node set fastpath {mode}")
        asked("tcp", VIP["local", 4], "p01", 1)
        expect(asked("tcp", VIP["local", 4]), wanted, mode)
    c.tool("w0", f"node set fastpath {FASTPATH}")


def firewall(mode):
    """A chain that drops judges new flows at once, with fastpath"""
    c.tool("w0", f"node set fastpath {mode}")
    asked("udp", VIP["local", 4])
    c["w0"].run("nft", "add table inet t; add chain inet t f { type filter "
                "hook forward priority 0; policy drop; }")
    fails("udp", VIP["local", 4])
    fails("tcp", VIP["local", 6])
    c["w0"].run("nft", "delete table inet t")
    asked("udp", VIP["local", 4])
    c.tool("w0", f"node set fastpath {FASTPATH}")


def others():
    """Whoever else has a say is asked: chains, rules, programs."""
    table = "nft add table ip t; nft add chain ip t c "
    c.tool("w0", "node set fastpath auto")
    for what, add, delete in (
            ("raw", table + "'{ type filter hook prerouting priority -300; }'",
             "nft delete table ip t"),
            ("nat", table + "'{ type nat hook postrouting priority 100; }'; "
             "nft add rule ip t c oifname cnio0 masquerade",
             "nft delete table ip t"),
            ("ingress", "tc qdisc add dev cnio0 clsact; tc filter add dev "
             "cnio0 ingress matchall action ok",
             "tc qdisc del dev cnio0 clsact"),
            ("rule", "ip rule add from 198.51.100.0/24 blackhole",
             "ip rule del from 198.51.100.0/24 blackhole")):
        c["w0"].run("sh", "-ec", add)
        asked("tcp", VIP["local", 4], "p01", 1)
        expect(asked("tcp", VIP["local", 4]), 0, f"past the stack with {what}")
        c["w0"].run("sh", "-ec", delete)
        asked("tcp", VIP["local", 4], "p01", 1)
        if what != "rule":      # the kernel remembers that there was one
            expect(asked("tcp", VIP["local", 4]), 4, f"without {what}")
    c.tool("w0", f"node set fastpath {FASTPATH}")


def not_forwarding():
    """Without forwarding there are no new flows between pods."""
    c["w0"].sysctl("ipv4/conf/cnio0/forwarding", 0)
    fails("udp", VIP["local", 4])
    c["w0"].sysctl("ipv4/conf/cnio0/forwarding", 1)
    asked("udp", VIP["local", 4])


def clash(family):
    """Two services of one endpoint, called from one port, do not clash"""
    for times in range(2):
        one, two = (ask(c["p00"], "udp", VIP[where, family], 80,
                        sport=5555 + times) for where in ("local", "other"))
        expect((one.name, two.name), ("p01", "p01"), "both answer")
        check(one.port != two.port, "from two ports")


def hairpin(family):
    """A pod reaches itself by its service"""
    for transport in "tcp", "udp":
        asked(transport, VIP["self", family], "p00")


def connect(where, family, pod="p01"):
    """A connection to a listener of its own; both ends."""
    kind = socket.AF_INET6 if family == 6 else socket.AF_INET
    listener = c[pod].socket(kind, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((c.addr(pod, family), 8090))
    listener.listen(8)
    sock = c["p00"].socket(kind, socket.SOCK_STREAM)
    sock.settimeout(10)
    sock.bind(("", next(PORTS)))
    sock.connect((VIP[where, family], 90))
    peer, _ = listener.accept()
    peer.settimeout(10)
    listener.close()
    return sock, peer


def entry(family, port):
    """conntrack's line of a connection."""
    return [x for x in conntrack(c["w0"], "-f", f"ipv{family}", "-p", "tcp")
            if f"sport={port} " in x]


def flows():
    """All that are listed."""
    return listed(c["w0"])


def closes(first, family):
    """FIN from one side, data, FIN from the other: conntrack follows"""
    sock, peer = connect("local", family)
    port = sock.getsockname()[1]
    for _ in range(3):
        sock.sendall(b"ping")
        expect(peer.recv(16), b"ping")
        peer.sendall(b"pong")
        expect(sock.recv(16), b"pong")
    check("ESTABLISHED" in entry(family, port)[0], entry(family, port))
    a, b = (sock, peer) if first == "client" else (peer, sock)
    a.shutdown(socket.SHUT_WR)
    expect(b.recv(16), b"", "end of data")
    wait_for("CLOSE_WAIT", lambda: "CLOSE_WAIT" in entry(family, port)[0], 5)
    b.sendall(b"late")
    expect(a.recv(16), b"late", "data after the other's end")
    b.close()
    expect(a.recv(16), b"", "end of data")
    a.close()
    wait_for("TIME_WAIT", lambda: "TIME_WAIT" in entry(family, port)[0], 5)
    left = int(entry(family, port)[0].split()[2])
    check(left <= 120, f"{left} s left")
    wait_for("end of the flows", lambda: not [
        f for f in flows() if port in (f["sport"], f["dport"])], 10)


def reset(family):
    """RST ends a known connection, in conntrack and at the peer"""
    sock, peer = connect("local", family)
    port = sock.getsockname()[1]
    sock.sendall(b"ping")
    expect(peer.recv(16), b"ping")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 0))
    sock.close()
    try:
        peer.recv(16)
        check(False, "no reset")
    except ConnectionResetError:
        pass
    peer.close()
    wait_for("CLOSE", lambda: not entry(family, port) or
             "CLOSE " in entry(family, port)[0], 5)


def bulk(where, pod, family, back=True, size=400000):
    """Every byte arrives, there and BACK."""
    sock, peer = connect(where, family, pod)
    data = pattern(size)

    def send(end):
        end.sendall(data)
        end.shutdown(socket.SHUT_WR)

    for a, b in ((sock, peer), (peer, sock))[:1 + back]:
        thread = threading.Thread(target=send, args=(a,))
        thread.start()
        got = hashlib.sha256()
        while True:
            part = b.recv(65536)
            if not part:
                break
            got.update(part)
        thread.join()
        expect(got.hexdigest(), hashlib.sha256(data).hexdigest(), "bytes")
    sock.close()
    peer.close()


def offloads(dev, words, family):
    """Every byte arrives with other offloads"""
    c["w0"].run("ethtool", "-K", dev, *words.split())
    where, pod = ("remote", "p10") if dev == "eth0" else ("local", "p01")
    try:
        bulk(where, pod, family)
    finally:
        back = words.replace(" off", " on")
        c["w0"].run("ethtool", "-K", dev, *back.split())


def small_mtu(dev, family):
    """Every byte arrives over a device that takes less"""
    where, pod = ("remote", "p10") if dev == "eth0" else ("local", "p01")
    c["w0"].ip(f"link set {dev} mtu 1300")
    try:    # not back: the other end of the cable sends what is too long
        bulk(where, pod, family, False)
    finally:
        c["w0"].ip(f"link set {dev} mtu 1500")


def mac_changed():
    """The node that pods are behind gets another MAC: flows go on."""
    # IPv6, since for IPv4 there has been a rule of policy routing.
    asked("udp", VIP["remote", 6], "p10")
    c["w1"].ip("link set eth0 address 02:00:00:00:12:34")
    c["w0"].ip("neigh replace fd00:10:240::21 dev eth0 lladdr "
               "02:00:00:00:12:34 nud reachable")
    wait_for("an answer", lambda: ask(c["p00"], "udp", VIP["remote", 6], 80,
                                      timeout=0.5).name == "p10", 20)
    before = c.stat("w0", "flow_packets")
    asked("udp", VIP["remote", 6], "p10")
    # With another setting, one packet each way goes by the stack.
    check(not AUTO or c.stat("w0", "flow_packets") > before, "past the stack")


def full():
    """"flow-max" bounds the table; the rest takes the stack's way."""
    c.tool("w0", "node set flow-max 4")
    shown = json.loads(c.tool("w0", "node show", options=("-j",)).out)
    expect((shown[0] if isinstance(shown, list) else shown)["flow-max"], 4)
    before = c.stat("w0", "flow_full")
    ends = [connect("local", 4) for _ in range(5)]
    for _ in range(3):
        for sock, peer in ends:
            sock.sendall(b"ping")
            expect(peer.recv(16), b"ping")
            peer.sendall(b"pong")
            expect(sock.recv(16), b"pong")
    check(len(flows()) <= 4, f"{len(flows())} flows")
    past(c.stat("w0", "flow_full") - before, 1, "flows without a place")
    for sock, peer in ends:
        sock.close()
        peer.close()
    c.tool("w0", "node set flow-max 262144")


def lowered():
    """"flow-max" that becomes less ends what is too many."""
    old = [Flow(c["p00"], transport, VIP["local", family], 80).known()
           for transport in ("udp", "tcp") for family in (4, 6)]
    past(len(flows()), 8, "flows")
    for most in 3, 0:
        c.tool("w0", f"node set flow-max {most}")
        for flow in old:
            flow.known()
        check(len(flows()) <= most, f"{len(flows())} flows, of {most}")
    c.tool("w0", "node set flow-max 262144")
    for flow in old:
        flow.known()
    past(len(flows()), 8, "flows")
    for flow in old:
        flow.close()


def room():
    """Flows that are over make room, while packets of others ask for it."""
    c["w0"].run("conntrack", "-F")
    wait_for("an empty table", lambda: not flows())
    c.tool("w0", "node set flow-max 8")
    old = [Flow(c["p00"], "udp", VIP["local", 6], 80).known()
           for _ in range(4)]
    past(len(flows()), 8, "flows")
    new = Flow(c["p00"], "udp", VIP["local", 4], 80).known()
    before = c.stat("w0", "flow_full")
    new.sock.connect((VIP["local", 4], 80))
    c.servers.silent.add("p01")
    pid = os.fork()
    while not pid:      # packet after packet: no moment without one
        try:
            new.sock.send(b"who\n")
        except OSError:
            pass
    try:
        wait_for("flows without a place", lambda: FASTPATH == "off" or
                 c.stat("w0", "flow_full") > before + 100)
        c["w0"].run("conntrack", "-D", "-f", "ipv6", "-p", "udp")
        wait_for("room", lambda: FASTPATH == "off" or [
            f for f in flows() if new.port() in (f["sport"], f["dport"])])
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        c.servers.silent.clear()
        for flow in old + [new]:
            flow.close()
        c.tool("w0", "node set flow-max 262144")


for family in 4, 6:
    for transport in "tcp", "udp":
        for where, pod in ("local", "p01"), ("remote", "p10"):
            tap.case(f"{one_pass.__doc__}: {where} {transport.upper()} "
                     f"IPv{family}", one_pass, transport, where, pod, family)
tap.case(modes.__doc__, modes)
for mode in MODES:
    tap.case(f"{firewall.__doc__} {mode}", firewall, mode)
tap.case(others.__doc__, others)
tap.case(not_forwarding.__doc__, not_forwarding)
for family in 4, 6:
    for func in clash, hairpin, reset:
        tap.case(f"{func.__doc__.splitlines()[0]}, IPv{family}", func, family)
    for first in "client", "server":
        tap.case(f"{closes.__doc__}: {first} first, IPv{family}", closes,
                 first, family)
    for dev in "vp01", "eth0":
        for words in "tx off", "tso off gso off":
            tap.case(f"{offloads.__doc__}: {dev} {words}, IPv{family}",
                     offloads, dev, words, family)
        tap.case(f"{small_mtu.__doc__}: {dev}, IPv{family}", small_mtu, dev,
                 family)
for func in full, lowered, room, mac_changed:
    tap.case(func.__doc__, func)
tap.end()
