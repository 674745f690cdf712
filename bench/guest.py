#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""guest.py MODE DATAPATH [NAME=VALUE]...: the half of the benchmark that runs
in the VM. Called by bench.py. Prints progress, and writes its results as JSON
to $K8SNET_OUT/result.json.

Every time here is read from CLOCK_MONOTONIC (pktgen reads it for itself). The
VM counts instructions instead of time, one a nanosecond, so every duration is
a number of instructions.
"""
import ctypes
import fnmatch
import json
import os
import re
import subprocess
import sys
import time

import datapath
from cluster import (ADDR, NODE_PORT_LOCAL, NODE_PORT_REMOTE, TARGET,
                     UDP_PORTS, make_links, run, wait_for_bridge)

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
NODE = os.open("/proc/self/ns/net", os.O_RDONLY)
PGDIR = "/proc/net/pktgen"
RR = os.environ.get("BENCH_RR", "rr")

# Source ports and UDP services of a row with that many flows. The generator
# counts both up at once; their numbers have no common divisor, so that it
# meets each pair once before it begins again.
FLOWS = {1: ((20000, 20000), UDP_PORTS[:1]),
         100000: ((10000, 60000), UDP_PORTS)}
PACKETS = 10000
PACKET_SIZE = {4: 60, 6: 80}    # without the checksum: 64 bytes on the wire

# Node-end device of each namespace with a packet generator or a receiver.
NODE_END = {"a": "va", "b": "vb", "node2": "wan"}

# Packet rows: who opens the connection to what, and whether the row is its
# requests or its replies.
#   client, its address, what it calls (service address, plain endpoint
#   address, port of the service), server and its address
PACKET_ROWS = {}
for _name, _client, _service, _server in (
        ("vip-local", "a", "vip_local", "b"),
        ("vip-remote", "a", "vip_remote", "node2"),
        ("nodeport-local", "node2", "node", "b"),
        ("nodeport-remote", "node2", "node", "node2")):
    PACKET_ROWS[_name] = (_client, _service, _server, False)
    PACKET_ROWS[_name + "-reply"] = (_client, _service, _server, True)

# Connection rows: mode of rr, where, iterations, warm-up.
RR_ROWS = {
    "tcp-crr": ("crr", "vip-local", 500, 100),
    "tcp-rr": ("rr", "vip-local", 1000, 100),
    "tcp-60k": ("bulk", "vip-local", 100, 10),
    "udp-rr": ("udp", "vip-local", 1000, 100),
    "tcp-crr-remote": ("crr", "vip-remote", 500, 100),
    "tcp-rr-remote": ("rr", "vip-remote", 1000, 100),
    "tcp-crr-nodeport": ("crr", "nodeport-local", 500, 100),
    "udp-rr-remote": ("udp", "vip-remote", 1000, 100),
}


def say(text):
    print(text, flush=True)


def enter(netns):
    """Moves this process to a namespace; None: to the node."""
    fd = os.open(f"/run/netns/{netns}", os.O_RDONLY) if netns else NODE
    try:
        if LIBC.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {netns}")
    finally:
        if netns:
            os.close(fd)


class inside:
    def __init__(self, netns):
        self.netns = netns

    def __enter__(self):
        enter(self.netns)

    def __exit__(self, *_args):
        enter(None)


def put(path, text):
    with open(path, "w", encoding="ascii") as out:
        out.write(text + "\n")     # pktgen cuts off the last byte


def get(path):
    with open(path, encoding="ascii", errors="replace") as data:
        return data.read()


# --- drop and count ----------------------------------------------------

class Sink:
    """Drops and counts UDP at a device's ingress, before anything else there.
    ARP and neighbour discovery go on."""

    def __init__(self, netns, device, family):
        self.netns = netns
        match = ("ip protocol udp" if family == 4 else "ip6 nexthdr udp")
        with inside(netns):
            run("nft", "-f", "-", stdin=f"""
table netdev bench {{
	chain sink {{
		type filter hook ingress device "{device}" priority -500
		{match} counter drop
	}}
}}""")

    def count(self):
        with inside(self.netns):
            text = run("nft", "list", "table", "netdev", "bench")
        return int(re.search(r"counter packets (\d+)", text).group(1))

    def remove(self):
        with inside(self.netns):
            run("nft", "delete", "table", "netdev", "bench")

    def __enter__(self):
        return self

    def __exit__(self, *_args):
        self.remove()


# --- packet generator --------------------------------------------------

class Stream:
    """What pktgen sends from a namespace's eth0."""

    def __init__(self, netns, family, mac, src, dst, sports, dports):
        self.netns = netns
        self.family = family
        six = "6" if family == 6 else ""
        self.words = [
            f"pkt_size {PACKET_SIZE[family]}", "clone_skb 0", "delay 0",
            f"dst_mac {mac}",
            f"dst6 {dst}" if six else f"dst_min {dst}",
            f"src6 {src}" if six else f"src_min {src}",
            f"udp_src_min {sports[0]}", f"udp_src_max {sports[1]}",
            f"udp_dst_min {dports[0]}", f"udp_dst_max {dports[1]}"]
        if not six:
            self.words += [f"dst_max {dst}", f"src_max {src}"]
        else:
            self.words += ["flag UDPCSUM"]

    def send(self, count):
        """Nanoseconds for COUNT packets."""
        with inside(self.netns):
            put(PGDIR + "/kpktgend_0", "rem_device_all")
            put(PGDIR + "/kpktgend_0", "add_device eth0")
            for word in self.words + [f"count {count}"]:
                put(PGDIR + "/eth0", word)
            put(PGDIR + "/pgctrl", "start")
            text = get(PGDIR + "/eth0")
        done = re.search(r"Result: OK: (\d+)\(c\d+\+d\d+\) usec, (\d+) ", text)
        if not done or int(done.group(2)) != count:
            raise RuntimeError("pktgen: " + text)
        return int(done.group(1)) * 1000


def mac_of(netns, device):
    with inside(netns):
        text = run("ip", "-j", "link", "show", "dev", device)
    return json.loads(text)[0]["address"]


def next_hop_mac(netns, dst):
    """The MAC that NETNS uses towards DST, resolved if need be."""
    with inside(netns):
        route = json.loads(run("ip", "-j", "route", "get", dst))[0]
        hop = route.get("gateway", dst)
        for _ in range(3):
            for entry in json.loads(run("ip", "-j", "neigh", "show", hop)):
                if entry.get("lladdr"):
                    return entry["lladdr"]
            run("ping", "-qnc1", "-W1", hop, check=False)
    raise RuntimeError(f"{netns}: no neighbour entry for {hop}")


# --- rows --------------------------------------------------------------

class Bench:
    def __init__(self, name, families, flows, rows):
        self.name = name
        self.families = families
        self.flows = flows
        self.rows = rows
        self.path = datapath.make(name, families)
        self.bases = {}
        self.results = []

    def wanted(self, row):
        return (any(fnmatch.fnmatchcase(row, pattern)
                    for pattern in self.rows)
                and not any(fnmatch.fnmatchcase(row, pattern)
                            for pattern in self.path.rows_without))

    def ends(self, row, family):
        """Of a row's connections: client namespace, client address, what it
        calls, ports called, server namespace, server address."""
        client, service, server, _reply = PACKET_ROWS[row]
        at = ADDR[family]
        client_addr = at.a if client == "a" else at.client
        server_addr = at.b if server == "b" else at.c
        if not self.path.service:
            return client, client_addr, server_addr, None, server, server_addr
        if service == "node":
            port = (NODE_PORT_LOCAL if server == "b"
                    else NODE_PORT_REMOTE)[family]
        else:
            port = 80
        return (client, client_addr, getattr(at, service), port, server,
                server_addr)

    def ports(self, port, flows):
        """(called, served) ports for so many flows."""
        names = FLOWS[flows][1]
        served = [TARGET[name] for name in names]
        called = served if port is None else (
            list(names) if port == 80 else [port])
        return called, served

    def touch(self, row, family, flows):
        """Opens the row's flows; the client's address as the server saw it
        last, and its port."""
        client, client_addr, dst, port, server, server_addr = self.ends(
            row, family)
        called, served = self.ports(port, flows)
        lo, hi = FLOWS[flows][0]
        text = run(RR, "touch", f"client={client}", f"server={server}",
                   f"src={client_addr}", f"sport={lo}-{hi}", f"dst={dst}",
                   f"dport={called[0]}-{called[-1]}", f"bind={server_addr}",
                   f"bport={served[0]}-{served[-1]}")
        seen = json.loads(text)
        return seen["peer"], seen["peer_port"]

    def stream(self, row, family, flows):
        """The row's packets, once its flows are there; and who receives."""
        client, client_addr, dst, port, server, server_addr = self.ends(
            row, family)
        called, served = self.ports(port, flows)
        lo, hi = FLOWS[flows][0]
        direct = client == server and not self.path.service
        if direct:      # both ends in one namespace: a socket would not leave
            seen, seen_port = client_addr, hi
        else:
            seen, seen_port = self.touch(row, family, flows)
            # A flow table takes a flow from its second request on, which may
            # be another row's where there is only one.
            if flows > 1 and PACKET_ROWS[row][3]:
                self.touch(row, family, flows)
        if not PACKET_ROWS[row][3]:
            mac = (mac_of(None, "wan") if direct
                   else next_hop_mac(client, dst))
            return Stream(client, family, mac, client_addr, dst, (lo, hi),
                          (called[0], called[-1])), server
        mac = mac_of(None, "wan") if direct else next_hop_mac(server, seen)
        back = ((lo, hi) if flows > 1 and seen == client_addr
                else (seen_port, seen_port))
        return Stream(server, family, mac, server_addr, seen,
                      (served[0], served[-1]), back), client

    def base(self, sender, family, flows):
        return self.bases[sender, family, flows]

    def measure_bases(self):
        """The cost of a packet that is dropped at the node's end of its
        sender's cable, taken before anything else is there."""
        for family in self.families:
            for flows in self.flows:
                for sender in self.senders(flows):
                    lo, hi = FLOWS[flows][0]
                    ports = FLOWS[flows][1]
                    device = NODE_END[sender]
                    at = ADDR[family]
                    stream = Stream(sender, family, mac_of(None, device),
                                    at.a, at.vip_local, (lo, hi),
                                    (ports[0], ports[-1]))
                    with Sink(None, device, family) as sink:
                        stream.send(1000)
                        total = stream.send(PACKETS)
                        if sink.count() != PACKETS + 1000:
                            raise RuntimeError("packets lost at the base")
                    self.bases[sender, family, flows] = total / PACKETS

    def senders(self, flows):
        out = set()
        for row, (client, _service, server, reply) in PACKET_ROWS.items():
            if self.wanted(row) and self.possible(row, flows):
                out.add(server if reply else client)
        return sorted(out)

    def possible(self, row, flows):
        # The ports that masquerade chose for so many flows are not known
        # here, and one node port is one destination port.
        return flows == 1 or not row.startswith("nodeport")

    def record(self, row, family, flows, **values):
        result = {"datapath": self.name, "row": row, "family": family,
                  "flows": flows, **values}
        self.results.append(result)
        say(json.dumps(result))

    def packet_row(self, row, family, flows):
        stream, receiver = self.stream(row, family, flows)
        lo, hi = FLOWS[flows][0]
        round_ = (hi - lo + 1) * len(FLOWS[flows][1])
        warm = round_ if flows > 1 else 1000
        count = round_ if flows > 1 else PACKETS
        with Sink(receiver, "eth0", family) as sink:
            # Tables grow in works, which only run when nobody sends: a flow
            # that was refused a place meanwhile gets it in the next round.
            for _ in range(3 if flows > 1 else 1):
                stream.send(warm)
                time.sleep(0.5)
            before = sink.count()
            total = stream.send(count)
            delivered = sink.count() - before
        if flows > 1:
            self.forget()
        base = self.base(stream.netns, family, flows)
        self.record(row, family, flows, net=round(total / count - base),
                    total=round(total / count), base=round(base),
                    packets=count, delivered=delivered)
        if delivered != count:
            raise RuntimeError(f"{self.name} {row}: {delivered} of {count} "
                               "packets were delivered")

    def forget(self):
        """The next row is to have the tables for itself."""
        run("conntrack", "-F", check=False)
        time.sleep(15)      # what is left of it goes within ten

    def rr_words(self, row, family, count):
        """The command of a connection row."""
        mode, like, _count, warm = RR_ROWS[row]
        client, _addr, dst, port, server, server_addr = self.ends(like, family)
        return (RR, mode, f"client={client}", f"server={server}",
                f"dst={dst}", f"dport={port or 8080}",
                f"bind={server_addr}", "bport=8080", f"n={count}",
                f"warm={warm}")

    def rr_cost(self, row, family):
        """Nanoseconds for one connection or exchange."""
        done = json.loads(run(*self.rr_words(row, family, RR_ROWS[row][2])))
        return done["ns"] / done["n"]

    def rr_row(self, row, family):
        count = RR_ROWS[row][2]
        self.record(row, family, 1, net=round(self.rr_cost(row, family)),
                    packets=count, delivered=count)

    def prepare(self):
        make_links()
        run("modprobe", "pktgen")
        self.measure_bases()
        self.path.bridge()
        # As a peer on a wire would, not one that takes 64 kB at once.
        for ns in ("a", "b", "node2"):
            run("ip", "netns", "exec", ns, "ethtool", "-K", "eth0",
                *os.environ.get("BENCH_OFFLOADS", "tso off gso off").split())
        wait_for_bridge()
        self.path.load()
        if os.path.exists("/proc/sys/net/netfilter/nf_conntrack_max"):
            run("sysctl", "-qw", "net.netfilter.nf_conntrack_max=1048576",
                "net.netfilter.nf_conntrack_udp_timeout=7200",
                "net.netfilter.nf_conntrack_udp_timeout_stream=7200")

    def run_rows(self):
        self.prepare()
        for family in self.families:
            for row in PACKET_ROWS:
                for flows in self.flows:
                    if self.wanted(row) and self.possible(row, flows):
                        self.attempt(self.packet_row, row, family, flows)
            for row in RR_ROWS:
                if (self.wanted(row)
                        and not fnmatch.fnmatchcase(row, "*remote*")
                        or self.wanted(row) and "remote" in row
                        and "*remote*" not in self.path.rows_without):
                    self.attempt(self.rr_row, row, family)

    def attempt(self, function, row, *args):
        try:
            function(row, *args)
        except (RuntimeError, OSError, AttributeError) as error:
            self.results.append({"datapath": self.name, "row": row,
                                 "family": args[0],
                                 "flows": args[1] if len(args) > 1 else 1,
                                 "error": str(error)})
            say(f"FAILED {self.name} {row} {args}: {error}")

    def write(self):
        put(os.environ["K8SNET_OUT"] + "/result.json",
            json.dumps({"kernel": os.uname().release,
                        "results": self.results}))


def main():
    mode, name = sys.argv[1:3]
    opts = dict(word.split("=", 1) for word in sys.argv[3:])
    families = [int(x) for x in opts.get("families", "4").split(",")]
    flows = [int(x) for x in opts.get("flows", "1").split(",")]
    rows = opts.get("rows", "*").split(",")
    bench = Bench(name, families, flows, rows)
    if mode == "rows":
        bench.run_rows()
    elif mode == "load":
        import load
        make_links()
        load.measure(bench)
    elif mode == "profile":
        import sampler
        bench.prepare()
        sampler.measure(bench)
    elif mode == "smp":
        import smp
        bench.prepare()
        smp.measure(bench)
    elif mode == "shell":
        bench.prepare()
        subprocess.run(["bash"], check=False)
    else:
        raise SystemExit(f"no mode {mode}")
    bench.write()
    return any("error" in result for result in bench.results)


if __name__ == "__main__":
    sys.exit(main())
