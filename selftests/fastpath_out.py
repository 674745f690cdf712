#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
"""Known flows that leave the node for the outside: of pods that ask the world,
masqueraded, and of answers to clients there, by services with endpoints on this
node and on another. With UDP and TCP, IPv4 and IPv6 at once; what has to arrive
does, byte for byte, and both directions are carried past the stack.
"""
import os
import re
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from flowlib import QUIET, STATEFUL, Bed, Capture, Pair, accounted, arrive, \
    assured, close, firewall, known, lost, past
from svclib import Ask, Netns, Tap, check, conntrack, expect, gather, have, run, \
    wait_for

have("ip", "nft", "tc", "conntrack", "ethtool")
tap = Tap()
FAMILIES = (4, 6)
PREFIX = {4: "192.0.2.100/32", 6: "2001:db8::100/128"}


class World(Bed):
    """A bed whose outside has an address that is not on the nodes' link, and
    finds the services by w0."""

    def __init__(self):
        super().__init__()
        self.ns["world"] = self["out"]
        self["out"].ip(
            f"addr add {PREFIX[4]} dev lo\n"
            f"addr add {PREFIX[6]} dev lo nodad\n"
            f"route add 10.32.0.0/16 via {self.ip4('w0')}\n"
            f"route add fd00:10:32::/48 via {self.ip6('w0')}")
        self.places["kept"] = "p01"
        text = ""
        for family in FAMILIES:
            self.vip["kept", family] = "fd00:10:32::9" if family == 6 else \
                "10.32.0.9"
        for transport in "tcp", "udp":
            text += (f"svc add kept-{transport} external-policy local "
                     f"lb-ip {self.vip['kept', 4]}:90/{transport} "
                     f"lb-ip [{self.vip['kept', 6]}]:90/{transport} "
                     f"ep {self.ip4('p01')}:8090,local "
                     f"ep [{self.ip6('p01')}]:8090,local\n")
        self.batch("w0", text)

    def addr(self, host, family):
        """Of a host, or of the world."""
        if host == "world":
            return PREFIX[family].partition("/")[0]
        return super().addr(host, family)


c = World()
W = c["w0"]


def pairs_to(where, client):
    """A pair for each transport and family."""
    return [Pair(c, transport, family, where, client)
            for transport in ("udp", "tcp") for family in FAMILIES]


for transport in "udp", "tcp":
    c.serve("p01", transport, 8080)
OUT = pairs_to("world", "p00")
ALL = OUT + pairs_to("local", "out") + pairs_to("kept", "out") + \
    pairs_to("remote", "out")


def carried(pairs, times=6):
    """As flowlib's, but one after the other: once a second a packet in each
    direction is the stack's."""
    before = known(c, pairs)
    for pair in pairs:
        pair.both(times)
    flows = c.flows()
    for pair, old in zip(pairs, before):
        past(sum(f["packets"] for f in pair.listed(flows)) - old, times + 1,
             f"packets past the stack: {pair}", c.mode)


def everything(pairs):
    """Arrives, in both directions; and is soon known again."""
    arrive(pairs, True)
    arrive(pairs, False)
    carried(pairs)


def clients():
    """Servers see whom they should"""
    for pair in ALL:
        peer = pair.server.getpeername()[0]
        wanted = c.addr("out" if pair.where == "kept" else "w0", pair.family)
        if pair.where == "kept":
            check(peer in (wanted, c.addr("world", pair.family)), peer)
        else:
            expect(peer, wanted, f"{pair}: client")


def sizes():
    """Messages of all sizes, in large pieces, and where devices cut none"""
    lacks = "tso off gso off", "tx off tso off gso off"
    for devs, words in [(("eth0",), words) for words in lacks] + \
            [(("eth0", "vp00", "vp01"), words) for words in lacks]:
        for size in 1, 1400, 20000:
            for pair in ALL:
                pair.both(1, size)
        for dev in devs:
            W.run("ethtool", "-K", dev, *words.split())
        try:
            for size in 1, 1400, 20000:
                for pair in ALL:
                    pair.both(1, size)
            # A pod's port that lacks something gets them by the stack.
            if devs == ("eth0",):
                carried(ALL)
        finally:
            for dev in devs:
                W.run("ethtool", "-K", dev,
                      *words.replace("off", "on").split())
    carried(ALL)


def refreshed():
    """conntrack shows them fresh, since the stack sees one packet a second"""
    carried(ALL)
    tcp = [pair for pair in ALL if pair.transport == "tcp"]
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        for pair in tcp:
            pair.both()
        last = time.monotonic()
        time.sleep(0.05)
    for pair in tcp:
        line = entry(pair)
        check("ESTABLISHED" in line and "[ASSURED]" in line, line)
        left = int(re.search(r"tcp +6 +(\d+)", line).group(1))
        check(left >= 431998 - (time.monotonic() - last), f"{left} s left")


def entry(pair, lines=None):
    """conntrack's line about it."""
    if lines is None:
        lines = conntrack(W, "-f", f"ipv{pair.family}", "-p", pair.transport)
    line, = [x for x in lines if x.startswith(pair.transport + " ") and
             f" dst={pair.addr[0]} sport={pair.port} " in x]
    return line


def accounts():
    """Packets and bytes in conntrack are those that the client sent and got"""
    name = "netfilter/nf_conntrack_acct"
    old = W.sysctl(name)
    W.sysctl(name, 1)
    pod, out = Capture(c["p00"], "eth0"), Capture(c["out"], "eth0")
    try:
        pairs = pairs_to("world", "p00") + pairs_to("local", "out") + \
            pairs_to("kept", "out") + pairs_to("remote", "out")
        accounted(W, pairs,
                  lambda pair: pod if pair.where == "world" else out, entry)
        close(pairs)
    finally:
        pod.close()
        out.close()
        W.sysctl(name, old)


def last_hop():
    """A TTL that ends at the node ends there, in either direction"""
    carried(ALL)
    for there in True, False:
        for pair in ALL:
            # The other node takes one of what comes from its pods.
            pair.hop_limit(1 if there or pair.where != "remote" else 2, there)
        lost(ALL, there)
        for pair in ALL:
            pair.hop_limit(64, there)
        everything(ALL)


def narrow():
    """The route gets narrower than the packets"""
    for family in FAMILIES:
        pairs = [pair for pair in pairs_to("world", "p00")
                 if pair.family == family]
        carried(pairs)
        W.ip(f"route add {PREFIX[family]} via {c.addr('out', family)} "
             "mtu lock 1300")
        carried(pairs)      # known again, on a way that is too narrow
        for pair in pairs:
            pair.fits(1300)
        carried(pairs)
        W.ip(f"route del {PREFIX[family]}")
        close(pairs)
        for words in ("route", "flush", "cache"), \
                ("-6", "route", "flush", "cache"):
            c["p00"].run("ip", *words)


def route():
    """The way is withdrawn, leads elsewhere, and comes back"""
    carried(OUT)
    W.ip("\n".join(f"route add blackhole {PREFIX[f]}" for f in FAMILIES))
    lost(OUT)
    W.ip("\n".join(f"route del blackhole {PREFIX[f]}" for f in FAMILIES))
    everything(OUT)
    # By the other node, which forwards.
    W.ip("\n".join(f"route add {PREFIX[f]} via {c.addr('w1', f)}"
                   for f in FAMILIES))
    everything(OUT)
    c["w1"].run("nft", "add table inet t; add chain inet t f { type filter "
                "hook forward priority 0; policy drop; }")
    lost(OUT)
    W.ip("\n".join(f"route del {PREFIX[f]}" for f in FAMILIES))
    c["w1"].run("nft", "delete table inet t")
    everything(OUT)


def six_hop():
    """IPv4 by an IPv6 next hop"""
    old = {"default": f"default via {c.ip4('out')}",
           "node": f"{c.ip4('w1')}/32 via inet6 {c.ip6('w1')} dev eth0"}
    W.ip(f"route replace 0.0.0.0/0 via inet6 {c.ip6('out')} dev eth0\n"
         f"route add {old['node']}")
    everything(ALL)
    hops = [line for line in W.run("ip", "-4", "route").out.splitlines()
            if "via inet6" in line]
    check(len(hops) == 2, W.run("ip", "-4", "route").out)
    W.ip(f"route replace {old['default']}\nroute del {old['node']}")
    everything(ALL)


def neighbour():
    """The next hop gets another MAC, and is asked for anew"""
    carried(ALL)
    c["out"].ip("link set eth0 address 02:00:00:00:12:99")
    W.ip("\n".join(f"neigh del {c.addr('out', f)} dev eth0" for f in FAMILIES))
    c["out"].run("ping", "-n", "-c1", "-W5", c.ip4("w0"))
    everything(ALL)


def uplink_down():
    """The uplink goes down and comes back"""
    carried(ALL)
    W.ip("link set eth0 down")
    lost(OUT)
    W.ip(f"link set eth0 up\naddr add {c.ip6('w0')}/64 dev eth0 nodad\n"
         "route add default via 10.240.0.100\n"
         "route add default via fd00:10:240::100\n"
         f"route replace {c.ip6('w1')}/128 dev eth0")
    everything(OUT)


def outsiders(error=None):
    """What new flows of a client outside get: an answer, or that error."""
    asks = [Ask(c["out"], transport, c.vip["local", family], 80)
            for transport in ("udp", "tcp") for family in FAMILIES]
    for one in gather(asks, QUIET if error else 5):
        expect((one.name, one.error), (None if error else "p01", error),
               f"a new flow: {one.proto} to {one.addr}")


def stateful():
    """A firewall that is loaded later lets known flows be, and no new one"""
    carried(ALL)
    assured(c, ALL)
    with firewall(W, STATEFUL):
        arrive(ALL, True)
        arrive(ALL, False)
        sock = c["p00"].socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.sendto(b"new", (c.addr("world", 4), OUT[0].addr[1]))
        sock.close()
        OUT[0].silent()
        outsiders("timeout")
    everything(ALL)
    outsiders()


def filtered():
    """A tc program on the uplink sees their packets from the moment it is
    there; so does a queueing discipline"""
    carried(OUT)
    W.run("tc", "qdisc", "add", "dev", "eth0", "clsact")
    W.run("tc", "filter", "add", "dev", "eth0", "egress", "matchall",
          "action", "drop")
    lost(OUT)
    W.run("tc", "qdisc", "del", "dev", "eth0", "clsact")
    everything(OUT)
    W.run("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "1gbit",
          "burst", "64k", "limit", "1m")
    carried(OUT)
    out = W.run("tc", "-s", "qdisc", "show", "dev", "eth0", "root").out
    sent = int(re.search(r"bytes (\d+) pkt", out).group(1))
    check(sent >= 5 * len(OUT), out)
    W.run("tc", "qdisc", "del", "dev", "eth0", "root")


def captured():
    """A capture on the uplink and in the pod sees each packet once"""
    carried(OUT)
    eyes = Capture(W, "eth0"), Capture(c["p00"], "eth0")
    for pair in OUT:
        for there in True, False:
            data = pair.send(there, 200)
            pair.receive(data, there)
            for eye in eyes:
                expect(len([1 for *_, got in eye.read() if data in got]), 1,
                       f"packets {data[:30]}")
    for eye in eyes:
        eye.close()


def ruled():
    """A routing rule is followed at once, and again when it goes"""
    carried(OUT)
    c["w1"].run("nft", "add table inet t; add chain inet t f { type filter "
                "hook forward priority 0; policy drop; }")
    for word, way in ("add", lost), ("del", everything):
        for family, option in (4, ()), (6, ("-6",)):
            dst = PREFIX[family].partition("/")[0]
            if word == "add":
                W.ip(f"route add {dst} via {c.addr('w1', family)} table 77")
            W.run("ip", *option, "rule", word, "from", c.addr("p00", family),
                  "lookup", "77")
        way(OUT)
    c["w1"].run("nft", "delete table inet t")


def marked():
    """What is marked by a rule is the stack's to route"""
    with firewall(W, "add table inet t; add chain inet t m { type filter hook "
                  "prerouting priority mangle; }; add rule inet t m iifname "
                  "cnio0 meta mark set 9"):
        pairs = pairs_to("world", "p00")
        for pair in pairs:
            pair.both(6)
            expect([f for f in pair.listed() if f["oif"] == "eth0"], [],
                   "flows by the uplink")
        close(pairs)
        # Answers are known, and are nothing but acknowledgements here.
        pairs = [pair for pair in pairs_to("world", "p00")
                 if pair.transport == "tcp"]
        for pair in pairs:
            for _ in range(6):
                pair.one()
                wait_for(f"{pair}: all the time",
                         lambda pair=pair: remains(pair) > 400000, 0.8)
        close(pairs)


def foreign():
    """What others masquerade, containers of another runtime for one, is theirs"""
    run("ip", "netns", "add", f"box-{c.tag}")
    box = c.ns["box"] = Netns(f"box-{c.tag}")
    W.ip(f"link add box0 type veth peer name eth0 netns {box.name}\n"
         "addr add 172.17.0.1/24 dev box0\nlink set box0 up")
    box.ip("addr add 172.17.0.2/24 dev eth0\nlink set eth0 up\n"
           "route add default via 172.17.0.1")
    with firewall(W, "add table inet t; add chain inet t n { type nat hook "
                  "postrouting priority srcnat; }; add rule inet t n "
                  "ip saddr 172.17.0.0/24 masquerade"):
        pairs = [Pair(c, transport, 4, "world", "box")
                 for transport in ("udp", "tcp")]
        for pair in pairs:
            pair.both(10)
            expect(pair.listed(), [], "flows")
        close(pairs)
    W.ip("link del box0")


def encrypted():
    """Where there is an IPsec policy, each packet is looked at"""
    carried(ALL)
    policy = ("policy", "{}", "src", "10.99.0.0/24", "dst", "10.98.0.0/24",
              "dir", "fwd")
    W.run("ip", "xfrm", *(word.format("add") for word in policy))
    try:
        def stack():
            """Within a second, when flows are looked at."""
            before = c.fast()
            for pair in ALL:
                pair.both()
            return c.fast() == before
        wait_for("end of known flows", stack, 5)
        expect(c.flows(), [], "flows")
    finally:
        W.run("ip", "xfrm", *(word.format("del") for word in policy))
    everything(ALL)


def deleted():
    """"conntrack -D" ends a known flow, and the next packet begins one"""
    for family in FAMILIES:
        for where, client in ("world", "p00"), ("local", "out"), \
                ("remote", "out"):
            delete(Pair(c, "udp", family, where, client))


def delete(pair):
    """One of them."""
    known(c, [pair])

    def entries():
        return [x for x in conntrack(W, "-f", f"ipv{pair.family}", "-p", "udp")
                if f" dst={pair.addr[0]} sport={pair.port} " in x]
    expect(len(entries()), 1, "entries")
    W.run("conntrack", "-D", "-f", f"ipv{pair.family}", "-p", "udp",
          "--orig-port-src", str(pair.port))
    expect(entries(), [], "entries")
    # It gets the same source port: that is a hash of addresses and ports.
    pair.one()
    check(["[UNREPLIED]" in x for x in entries()] == [True], entries())
    pair.close()


def remains(pair):
    """Seconds that conntrack keeps it."""
    return int(re.search(r"tcp +6 +(\d+)", entry(pair)).group(1))


def acknowledged():
    """An acknowledgement that the stack sees is one"""
    pairs = [pair for pair in ALL if pair.transport == "tcp"]
    carried(pairs)
    for _ in range(3):
        time.sleep(1.2)     # the answer is the stack's
        for pair in pairs:
            pair.one(pair not in OUT)
        time.sleep(4)       # known flows are looked through
        for pair in pairs:
            left = remains(pair)
            check(left > 400000, f"{pair}: {left} s left")


def reset():
    """A reset that the stack sees takes a connection's time"""
    for where, client, family in ("world", "p00", 4), ("local", "out", 6), \
            ("remote", "out", 4), ("world", "p00", 6):
        for first in "client", "server":
            pair = Pair(c, "tcp", family, where, client)
            carried([pair])
            time.sleep(1.2)
            one = getattr(pair, first)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                           struct.pack("ii", 1, 0))
            one.close()
            wait_for(f"{pair}: ten seconds",
                     lambda pair=pair: remains(pair) <= 10, 5)
            pair.close()


def ended():
    """A connection's end is followed, from either side"""
    for first in "client", "server":
        pair = Pair(c, "tcp", 4, "world", "p00")
        known(c, [pair])
        getattr(pair, first).close()
        pair.close()
        wait_for("TIME_WAIT", lambda port=pair.port: [
            x for x in conntrack(W, "-p", "tcp")
            if f"sport={port} " in x and "TIME_WAIT" in x])
        wait_for("end of the flows", lambda it=pair: not it.listed(), 12)


def counted():
    """A listing names the uplink, and packets of no bridge are counted"""
    far = [pair for pair in ALL if pair.where == "remote"]
    known(c, far)
    before = c.settled()
    for pair in far:
        pair.both(5)
    past(c.settled() - before, 8 * len(far), mode=c.mode)
    for pair in far if c.mode != "off" else ():
        expect({f["oif"] for f in pair.listed()}, {"cnio0", "eth0"},
               "devices they leave by")


tap.case("all are known and carried", carried, ALL)
for func in clients, sizes, refreshed, accounts, last_hop, narrow, route, \
        six_hop, neighbour, filtered, captured, ruled, marked, foreign, deleted, ended, \
        acknowledged, reset, \
        counted, stateful, uplink_down:
    tap.case(" ".join(func.__doc__.split()), func)
# A kernel without IPsec has no policies.
if os.path.exists("/proc/sys/net/core/xfrm_larval_drop"):
    tap.case(" ".join(encrypted.__doc__.split()), encrypted)
for mode in "established", "off":
    with c.fastpath(mode):
        tap.case(f"all are carried or not, with fastpath {mode}", everything,
                 ALL)
close(ALL)
tap.end()
