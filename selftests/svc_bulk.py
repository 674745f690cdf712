#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
"""Large transfers through services, compared by their digests: segmentation
and checksum offload in each combination, also over a VLAN uplink.
"""
import hashlib
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from svclib import Ask, Cluster, Tap, check, endpoint, expect, family_of, \
    gather, pattern

# Only where nobody vouches for a checksum (sender, receiver, or GRO, which has
# looked at it before we change it), a pod looks at it.
SIZE = {"all on": 4 << 20, "tx off": 1 << 20, "nothing on": 1 << 20,
        "gso and gro off": 1 << 20, "gro on, rx off": 1 << 20}
ETHTOOL = {"all on": "tx on sg on tso on gso on gro on rx on",
           "tx off": "tx off",
           "nothing on": "tx off rx off gro off",
           "gso and gro off": "tx on rx on tso off gso off gro off",
           "gro on, rx off": "tso on gso on gro on rx off"}


def vip(family, number):
    """A cluster IP."""
    return f"fd00:10:32::{number}" if family == 6 else f"10.32.0.{number}"


class Peer(threading.Thread):
    """Takes one connection, reads all of it, sends as much back."""

    def __init__(self, ns, addr, port, size):
        super().__init__(daemon=True)
        self.sock = ns.socket(family_of(addr), socket.SOCK_STREAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((addr, port))
        self.sock.listen(1)
        self.sock.settimeout(60)
        self.size = size
        self.digest = self.length = None
        self.start()

    def run(self):
        conn, _ = self.sock.accept()
        with conn:
            conn.settimeout(60)
            self.length, self.digest = read_all(conn)
            conn.sendall(pattern(self.size))
        self.sock.close()


def read_all(sock):
    """Length and digest of what comes until the end."""
    digest, length = hashlib.sha256(), 0
    while True:
        data = sock.recv(1 << 18)
        if not data:
            return length, digest.hexdigest()
        digest.update(data)
        length += len(data)


def transfer(tap, c, client, addr, port, pod, size):
    """Both ways."""
    data = pattern(size)
    wanted = size, hashlib.sha256(data).hexdigest()
    peer = Peer(c[pod], c.addr(pod, 6 if ":" in addr else 4), 8081, size)
    sock = c[client].socket(family_of(addr), socket.SOCK_STREAM)
    sock.settimeout(60)
    start = time.monotonic()
    with sock:
        sock.connect((addr, port))
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        got = read_all(sock)
    peer.join(60)
    seconds = time.monotonic() - start
    tap.note(f"{2 * size / seconds / (1 << 20):.0f} MB/s")
    expect((peer.length, peer.digest), wanted, "what the endpoint got")
    expect(got, wanted, "what the client got")


def services(c):
    """near on w0, far on w1; tcp for bulk, udp for the others."""
    c.everywhere("".join(
        f"svc add {name}-{proto} node-port {31000 + number} " + " ".join(
            f"vip {endpoint(vip(f, number), 80)}/{proto} "
            f"ep {endpoint(c.addr(pod, f), port)}" "{local:%s}" % pod
            for f in (4, 6)) + "\n"
        for name, number, pod in (("near", 1, "p00"), ("far", 2, "p10"))
        for proto, port in (("tcp", 8081), ("udp", 8080), ("sctp", 8080))))


def offload(c, words):
    """On every device of pods, nodes and the outside client."""
    for name, ns in c.ns.items():
        devices = ["eth0"] + ([f"v{p}" for p in c.pods if p[1] == name[1]]
                              if name[0] == "w" else [])
        if name == "fabric":
            devices = ["n" + host for host in ["out"] + c.nodes]
        for dev in devices:
            ns.run("ethtool", "-K", dev, *words.split())


def small(c, proto, family):
    """Requests whose checksums must be right, too."""
    asks = gather([Ask(c[host], proto, addr, port)
                   for host, addr, port in (
                       ("p01", vip(family, 1), 80), ("p01", vip(family, 2), 80),
                       ("w0", vip(family, 2), 80),
                       ("out", c.addr("w0", family), 31002))
                   for _ in range(2)], timeout=8)
    bad = [str(one) for one in asks if one.error]
    check(not bad, bad)


def routes(tap, c, about, size):
    """Each way through a service."""
    for family in 4, 6:
        for what, client, addr, port, pod in (
                ("pod to a pod on its node", "p01", vip(family, 1), 80,
                 "p00"),
                ("pod to a pod on another node", "p01", vip(family, 2), 80,
                 "p10"),
                ("node process to a pod on its node", "w0", vip(family, 1),
                 80, "p00"),
                ("outside by a node port to a pod on another node", "out",
                 c.addr("w0", family), 31002, "p10")):
            tap.case(f"{about}, IPv{family}: {size >> 20} MB each way, {what}",
                     transfer, tap, c, client, addr, port, pod, size)
        for proto in "udp", "sctp":
            tap.case(f"{about}, IPv{family}: {proto} is answered everywhere",
                     small, c, proto, family)


def run(tap, c, modes):
    """All routes with each offload setting."""
    for pod in "p00", "p10":
        c.serve(pod, "udp", 8080)
        c.serve(pod, "sctp", 8080)
    services(c)
    for mode in modes:
        offload(c, ETHTOOL[mode])
        routes(tap, c, ("VLAN uplink, " if c.vlan else "") + mode, SIZE[mode])
    for node in c.nodes:
        bad = [line for line in c[node].run("nstat", "-asz").out.splitlines()
               if line.split()[0] in ("TcpInCsumErrors", "UdpInCsumErrors",
                                      "Udp6InCsumErrors") and
               line.split()[1] != "0"]
        tap.case(f"{node} saw no bad checksum", lambda bad=bad: expect(bad,
                                                                       []))
    for pod in c.pods:
        bad = [line for line in c[pod].run("nstat", "-asz").out.splitlines()
               if line.split()[0].endswith("CsumErrors") and
               line.split()[1] != "0"]
        tap.case(f"{pod} saw no bad checksum", lambda bad=bad: expect(bad,
                                                                      []))
    c.remove()


def main():
    """The test."""
    tap = Tap()
    run(tap, Cluster(nodes=2, pods=2), list(ETHTOOL))
    run(tap, Cluster(nodes=2, pods=2, vlan=10), ["all on", "nothing on"])
    tap.end()


main()
