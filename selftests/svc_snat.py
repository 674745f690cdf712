#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
"""Source translation: ports, addresses that change, what conntrack shows; and
two flows at once from one socket, as resolvers send them.
"""
import os
import re
import socket
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from svclib import Ask, Cluster, Tap, ask, check, conntrack, endpoint, \
    expect, gather, wait_for


def vip(family, number):
    """A cluster IP."""
    return f"fd00:10:32::{number:x}" if family == 6 else f"10.32.0.{number}"


def services(c):
    """One on each node, and one with three endpoints for each scheduler."""
    text = ""
    for number, name, pods, more in (
            (1, "near", ["p00"], ""), (2, "far", ["p10"], ""),
            (3, "far-too", ["p10"], ""),
            (4, "dns-random", ["p00", "p01", "p10"], "scheduler random"),
            (5, "dns-rr", ["p00", "p01", "p10"], "scheduler rr")):
        for proto in "tcp", "udp", "sctp":
            text += f"svc add {name}-{proto} node-port {31000 + number} " + \
                " ".join(f"vip {endpoint(vip(f, number), 80)}/{proto} " +
                         " ".join(f"ep {endpoint(c.addr(pod, f), 8080)}"
                                  "{local:%s}" % pod for pod in pods)
                         for f in (4, 6)) + f" {more}\n"
    c.everywhere(text)


def flows(c, count, family, proto, addr, port, first_port=None, host="out"):
    """The source ports that the endpoint sees of new flows."""
    # A port that a client has had before would be an old flow.
    c["w0"].run("conntrack", "-F")
    asks = gather([Ask(c[host], proto, addr, port,
                       sport=first_port + n if first_port else 0)
                   for n in range(count)], timeout=8, width=16)
    bad = [str(one) for one in asks if one.error]
    check(not bad, f"{len(bad)} flows without an answer: {bad[:3]}")
    for one in asks:
        expect(one.peer, (addr, port), "source of the answer")
    return [one.port for one in asks]


def outside_of(ports, low, high):
    """No port is in the range. (Flows to different endpoints may share one.)
    """
    bad = [port for port in ports if low <= port <= high]
    check(not bad, f"in {low}-{high}: {bad}")


def ports(tap, c):
    """Ports of masqueraded flows."""
    for family in 4, 6:
        w0 = c.addr("w0", family)
        for proto in "udp", "tcp", "sctp":
            count = 150 if proto == "udp" else 40
            tap.case(f"ports, IPv{family}, {proto}: {count} flows by a node "
                     "port have no source port in the node-port range",
                     lambda: outside_of(flows(c, count, family, proto, w0,
                                              31002), 30000, 32767))
            tap.case(f"ports, IPv{family}, {proto}: nor if the client's own "
                     "was in it", lambda: outside_of(
                         flows(c, 20, family, proto, w0, 31002, 30100), 30000,
                         32767))

    def narrowed():
        c.tool("w0", "node set nodeport-range 1100-64000")
        try:
            for proto in "udp", "tcp":
                got = flows(c, 60, 4, proto, c.ip4("w0"), 31002)
                outside_of(got, 1100, 64000)
                check(min(got) >= 1024, f"port {min(got)}")
        finally:
            c.tool("w0", "node set nodeport-range 30000-32767")

    tap.case("ports: they stay out of a range that leaves few", narrowed)

    def reserved():
        c["w0"].sysctl("ipv4/ip_local_reserved_ports", "1024-29999,32768-60000")
        try:
            got = flows(c, 60, 4, "udp", c.ip4("w0"), 31002)
            outside_of(got, 1024, 60000)
        finally:
            # An empty string would not be written at all.
            c["w0"].sysctl("ipv4/ip_local_reserved_ports", "\n")
            expect(c["w0"].sysctl("ipv4/ip_local_reserved_ports"), "",
                   "reserved ports afterwards")

    tap.case("ports: reserved ones are not used", reserved)

    def masqueraded():
        c["out"].ip("addr add 198.51.100.1/32 dev lo\n"
                    "addr add 2001:db8:d::1/128 dev lo nodad")
        c.servers.listen(c["out"], "world", "udp", "198.51.100.1", 53)
        c.servers.listen(c["out"], "world", "udp", "2001:db8:d::1", 53)
        for family, addr in (4, "198.51.100.1"), (6, "2001:db8:d::1"):
            asks = gather([Ask(c["p00"], "udp", addr, 53, sport=30200 + n)
                           for n in range(60)], timeout=8, width=16)
            for one in asks:
                expect((one.name, one.client), ("world",
                                                c.addr("w0", family)),
                       "server, client it saw")
            outside_of([one.port for one in asks], 30000, 32767)

    tap.case("ports: masqueraded flows of pods keep out of the range, too",
             masqueraded)


def same_port(tap, c):
    """Two virtual addresses, one endpoint, one client port."""
    for family in 4, 6:
        for proto in "udp", "tcp":
            for host in "p00", "w0":
                def both(family=family, proto=proto, host=host):
                    src = c.addr(host, family)
                    asks = [Ask(c[host], proto, vip(family, number), 80,
                                sport=20001, src=src) for number in (2, 3)]
                    for one in asks:
                        one.keep = True
                    gather(asks, timeout=8, width=1)
                    for _ in range(2):
                        for one, number in zip(asks, (2, 3)):
                            check(not one.error, f"{number}: {one}")
                            expect(one.peer, (vip(family, number), 80),
                                   "source of the answer")
                            expect(one.client, src, "client that it saw")
                        again = [Ask(c[host], proto, one.addr, 80,
                                     sock=one.sock) for one in asks]
                        gather(again, timeout=8, width=1)
                        asks = again
                    check(asks[0].port != asks[1].port,
                          "both flows have the same port at the endpoint")
                    for one in asks:
                        one.sock.close()

                if proto == "udp":
                    # One port for two sockets is not possible here: connected
                    # ones are.
                    proto = "cudp"
                tap.case(f"IPv{family}, {proto}: two virtual addresses with "
                         "one endpoint and one client port do not mix, "
                         f"from {host}", lambda f=both, p=proto: f(proto=p))


def shown(tap, c):
    """conntrack -L."""
    def entry(node, words, *wanted):
        # Flows of services are counted; the counts are not of interest here.
        lines = [re.sub(r"packets=\d+ bytes=\d+ ", "", line)
                 for line in conntrack(c[node], "-p", "udp", *words)]
        good = [line for line in lines
                if all(part in line for part in wanted)]
        check(len(good) == 1, f"wanted one line with {wanted}:\n" +
              "\n".join(lines))

    def cluster_ip():
        one = ask(c["p00"], "udp", vip(4, 2), 80, sport=20010)
        check(not one.error, one)
        entry("w0", ["--orig-src", c.ip4("p00"), "--sport", "20010"],
              "src=10.200.0.2 dst=10.32.0.2 sport=20010 dport=80 "
              "src=10.200.1.2 dst=10.200.0.2 sport=8080 dport=20010")
        entry("w1", ["--orig-src", c.ip4("p00"), "--sport", "20010"],
              "src=10.200.0.2 dst=10.200.1.2 sport=20010 dport=8080 "
              "src=10.200.1.2 dst=10.200.0.2 sport=8080 dport=20010")

    def node_port():
        one = ask(c["out"], "udp", c.ip4("w0"), 31002, sport=20011)
        check(not one.error, one)
        entry("w0", ["--orig-src", c.ip4("out"), "--sport", "20011"],
              "src=10.240.0.100 dst=10.240.0.20 sport=20011 dport=31002 "
              "src=10.200.1.2 dst=10.240.0.20 sport=8080 "
              f"dport={one.port}")

    tap.case("conntrack -L shows a flow by a cluster IP on both nodes",
             cluster_ip)
    tap.case("conntrack -L shows a flow by a node port, with the masquerade",
             node_port)


def addresses(tap, c):
    """The node's address changes."""
    def follows():
        c.tool("w0", "node set ip none")
        expect(set(ask(c["out"], "udp", c.ip4("w0"), 31002).client
                   for _ in range(2)), {c.ip4("w0")}, "the node's address")
        c["w0"].ip("addr add 10.240.0.30/24 dev eth0\n"
                   "addr del 10.240.0.20/24 dev eth0\n"
                   "addr replace 10.240.0.30/24 dev eth0\n"
                   "route replace default via 10.240.0.100")
        c["w1"].ip("neigh flush all")

        def new():
            one = ask(c["out"], "udp", "10.240.0.30", 31001, timeout=0.5)
            return one.client == "10.240.0.30"

        wait_for("answer with the new address", new, 10)
        check(ask(c["out"], "udp", "10.240.0.20", 31001, timeout=0.5).error,
              "the old address still answers")
        one = ask(c["p00"], "udp", "198.51.100.1", 53)
        expect(one.client, "10.240.0.30", "masquerade")

    def back():
        c["w0"].ip("addr add 10.240.0.20/24 dev eth0\n"
                   "addr del 10.240.0.30/24 dev eth0\n"
                   "addr replace 10.240.0.20/24 dev eth0\n"
                   "route replace default via 10.240.0.100")
        c.tool("w0", "node set ip 10.240.0.20 ip fd00:10:240::20")
        wait_for("answer with the old address", lambda: ask(
            c["out"], "udp", c.ip4("w0"), 31001,
            timeout=0.5).client == c.ip4("w0"), 10)

    def other_network():
        """The default route, and so the source of a process, is of a network
        that the other node's pods do not answer to."""
        c["w0"].ip("link add nat0 type dummy\n"
                   "addr add 10.0.2.15/24 dev nat0\n"
                   "addr add fd00:2::15/64 dev nat0 nodad\n"
                   "link set nat0 up\n"
                   "route replace default via 10.0.2.2\n"
                   "route replace default via fd00:2::2 metric 1")
        c.tool("w0", "node set ip 10.240.0.20 ip fd00:10:240::20")
        try:
            for family in 4, 6:
                for proto in "tcp", "udp", "sctp":
                    for number, src in (1, ("10.0.2.15", "fd00:2::15")), \
                            (2, (c.ip4("w0"), c.ip6("w0"))):
                        one = ask(c["w0"], proto, vip(family, number), 80,
                                  src=None if proto != "sctp" else
                                  ("10.0.2.15", "fd00:2::15")[family == 6])
                        check(not one.error, f"{proto} IPv{family}: {one}")
                        expect(one.client, src[family == 6],
                               f"{proto} IPv{family}: client")
        finally:
            c["w0"].ip("link del nat0\n"
                       "route replace default via 10.240.0.100\n"
                       "route replace default via fd00:10:240::100")

    tap.case("address: a node process gets the node's for another node's pod, "
             "if it has that of another network, and keeps it for its own",
             other_network)
    tap.case("address: node ports and both translations follow the node's",
             follows)
    tap.case("address: and back, with node set ip", back)


class Racer(threading.Thread):
    """Sends when told, from a socket that another thread uses, too."""

    def __init__(self):
        super().__init__(daemon=True)
        self.go, self.done = threading.Barrier(2), threading.Barrier(2)
        self.work = None
        self.start()

    def run(self):
        while True:
            self.go.wait()
            if self.work is None:
                return
            sock, data, to = self.work
            sock.sendto(data, to)
            self.done.wait()

    def race(self, sock, to):
        """Two datagrams at the same time."""
        self.work = sock, b"AAAA", to
        self.go.wait()
        sock.sendto(b"A", to)
        self.done.wait()

    def stop(self):
        """Ends it."""
        self.work = None
        self.go.wait()
        self.join()


def insert_failed(ns):
    """Of all processors."""
    return sum(int(word.split("=")[1]) for word in
               ns.run("conntrack", "-S").out.split()
               if word.startswith(("insert_failed=", "drop=")))


def races(tap, c):
    """A and AAAA at once, from one socket, to a service not used before."""
    pairs = 1000

    def pair(host, family, number, count):
        to = (vip(family, number), 80)
        before = {node: insert_failed(c[node]) for node in c.nodes}
        racer = Racer()
        lost = 0
        for _ in range(count):
            with c[host].socket(socket.AF_INET6 if family == 6 else
                                socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(5)
                # Else two threads may both bind it, and one sends from port
                # 0. Resolvers connect theirs.
                sock.bind(("", 0))
                racer.race(sock, to)
                for _ in range(2):
                    try:
                        _, peer = sock.recvfrom(100)
                        expect(peer[:2], to, "source of the answer")
                    except TimeoutError:
                        lost += 1
                        break
                if lost > 3:
                    break
        racer.stop()
        expect(lost, 0, "answers lost")
        for node in c.nodes:
            expect(insert_failed(c[node]) - before[node], 0,
                   f"insert_failed and drop on {node}")

    for host in "p00", "w0":
        for number, scheduler in (4, "random"), (5, "rr"):
            for family in 4, 6:
                count = pairs if (host, family, number) == ("p00", 4, 4) \
                    else pairs // 5
                tap.case(f"race: {count} pairs from one socket each lose "
                         f"nothing: {host}, IPv{family}, {scheduler}", pair,
                         host, family, number, count)


def main():
    """The test."""
    tap = Tap()
    c = Cluster(nodes=2, pods=2)
    for pod in "p00", "p01", "p10":
        for proto in "tcp", "udp", "sctp":
            c.serve(pod, proto, 8080)
    services(c)
    for part in ports, same_port, shown, addresses, races:
        part(tap, c)
    tap.end()


main()
