#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
"""Packets of known flows that are not like the others: VLAN tags, options,
sizes, checksums and segments of all kinds, ICMP errors. What has to arrive
arrives byte for byte, by the fast path or by the stack.
"""
import errno
import itertools
import json
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
import frame
from flowlib import Bed, Capture, Pair, arrive, carried, close, known, \
    lost, pairs_of, past
from svclib import FASTPATH, PMTUDISC_DONT, SLOW, Tap, check, expect, have, pattern

have("ethtool", "ip")
tap = Tap()
c = Bed()
PAIRS = pairs_of(c, "local", "remote")
UDP = [pair for pair in PAIRS if pair.transport == "udp"]
FAMILIES = (4, 6)
IP_OPTIONS, IPV6_HOPOPTS, IPV6_DSTOPTS = 4, 54, 59
SO_NO_CHECK, UDP_NO_CHECK6_TX, UDP_NO_CHECK6_RX = 11, 101, 102
UDP_SEGMENT = 103


def tagged(how, tag):
    """A pod's frame with a VLAN tag goes nowhere; without it, it arrives"""
    pairs = [pair for pair in UDP if pair.where == "local"]
    carried(c, pairs)
    bridge = json.loads(c["w0"].run("ip", "-j", "link", "show", "dev",
                                    "cnio0").out)[0]["address"]
    if how == "by a device":
        c["p00"].ip(f"link add link eth0 name tag type vlan id {tag & 0xfff}"
                    "\nlink set tag up")
    with c["p00"]:
        dev = frame.Device("eth0")
        other = frame.Device("tag") if how == "by a device" else dev
    before = c.stat("w0", "port_rx_protocol")
    for pair in pairs:
        _, proto, body = dev.udp({
            "src": c.addr("p00", pair.family), "dst": pair.addr[0],
            "sport": pair.port, "dport": 90, "len": 32})
        macs, proto = frame.mac(bridge) + dev.lladdr, struct.pack(">H", proto)
        vlan = struct.pack(">I", tag) if how != "by a device" else b""
        other.sock.send(macs + vlan + proto + body)
        pair.silent()
        dev.sock.send(macs + proto + body)
        pair.receive(bytes(32))
    check(c.stat("w0", "port_rx_protocol") >= before + 2, "counted")
    dev.sock.close()
    if other is not dev:
        other.sock.close()
        c["p00"].ip("link del tag")
    carried(c, pairs)


def options(family, name, data):
    """Packets with it arrive, and go by the stack"""
    level = socket.IPPROTO_IPV6 if family == 6 else socket.IPPROTO_IP
    pairs = [pair for pair in PAIRS if pair.family == family]
    carried(c, pairs)
    before = c.settled()
    for pair in pairs:
        pair.client.setsockopt(level, name, data)
    for pair in pairs:
        if pair.transport == "udp":     # TCP's answers are without
            pair.one()
    expect(c.fast(), before, "packets past the stack")
    arrive(pairs, True)
    arrive(pairs, False)
    for pair in pairs:
        pair.client.setsockopt(level, name, b"")
    carried(c, pairs)


def last_hop(family, there):
    """A TTL that ends at the node ends there, and nothing arrives"""
    pairs = [pair for pair in PAIRS if pair.family == family]
    carried(c, pairs)
    before = c.settled()
    for pair in pairs:
        # The other node takes one of what comes from its pods.
        pair.hop_limit(1 if there or pair.where == "local" else 2, there)
    lost(pairs, there)
    expect(c.fast(), before, "packets past the stack")
    for pair in pairs:
        pair.hop_limit(64, there)
    arrive(pairs, there)
    arrive(pairs, not there)


def narrow(ns, dev, where, there):
    """The way gets narrower than the packets"""
    pairs = pairs_of(c, where)
    carried(c, pairs)
    sender = c["p00" if there else pairs[0].pod]
    c[ns].ip(f"link set {dev} mtu 1300")
    try:
        carried(c, pairs)   # known again, on a way that is too narrow
        for pair in pairs:
            pair.fits(1300, there)
        carried(c, pairs)
        # What may be fragmented is, in large pieces, too. A connection that
        # has heard of the MTU sends smaller ones.
        sender.run("ip", "route", "flush", "cache")
        pairs.append(Pair(c, "tcp", 4, where))
        pairs[-1].discover(PMTUDISC_DONT, there)
        before = c.stat("w0", "too_big")
        pairs[-1].one(there, 100000)
        expect(c.stat("w0", "too_big"), before, "packets dropped")
    finally:
        c[ns].ip(f"link set {dev} mtu 1500")
        for pod in "p00", "p01", "p10":
            c[pod].run("ip", "route", "flush", "cache")
            c[pod].run("ip", "-6", "route", "flush", "cache")
    close(pairs)


def segments(words):
    """UDP and TCP in large pieces, one of which a device has to cut"""
    carried(c, PAIRS)
    for dev in "vp01", "eth0":
        c["w0"].run("ethtool", "-K", dev, *words.split())
    try:
        known(c, PAIRS)
        for pair in PAIRS:
            if pair.transport == "tcp":
                pair.both(2, 60000)
                continue
            for there in True, False:
                sock = pair.ends(there)[0]
                sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1000)
                data = pair.data(8500)
                sock.send(data)
                for begin in range(0, 8500, 1000):
                    pair.receive(data[begin:begin + 1000], there)
                sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)
    finally:
        for dev in "vp01", "eth0":
            c["w0"].run("ethtool", "-K", dev,
                        *words.replace("off", "on").split())


def summed_up():
    """Senders that do their checksums themselves"""
    for pod in "p00", "p01", "p10":
        c[pod].run("ethtool", "-K", "eth0", "tx", "off")
    carried(c, PAIRS)
    eyes = [Capture(c["p01"], "eth0"), Capture(c["p10"], "eth0")]
    for size in 1, 2, 63, 1300:
        for pair in PAIRS:
            pair.both(2, size)
    # Byte for byte, and with a checksum that the receiver need not believe.
    seen = 0
    for eye in eyes:
        for family, transport, *_, data in eye.read():
            head = 20 if family == 4 else 40
            src, dst = (data[12:16], data[16:20]) if family == 4 \
                else (data[8:24], data[24:40])
            pseudo = src + dst + struct.pack(
                ">II", len(data) - head, 6 if transport == "tcp" else 17)
            expect(frame.csum(pseudo + data[head:]), 0, f"sum of {data[:60]}")
            if family == 4:
                expect(frame.csum(data[:head]), 0, "sum of the header")
            seen += 1
        eye.close()
    check(seen >= 16 * len(PAIRS), f"{seen} packets seen")
    for pod in "p00", "p01", "p10":
        c[pod].run("ethtool", "-K", "eth0", "tx", "on")


def unsummed():
    """UDP without a checksum stays without"""
    carried(c, UDP)
    eyes = {"local": Capture(c["p01"], "eth0"),
            "remote": Capture(c["p10"], "eth0")}
    for pair in UDP:
        if pair.family == 6:
            pair.server.setsockopt(socket.IPPROTO_UDP, UDP_NO_CHECK6_RX, 1)
            pair.client.setsockopt(socket.IPPROTO_UDP, UDP_NO_CHECK6_TX, 1)
        else:
            pair.client.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        eyes[pair.where].read()
        data = pair.send()
        pair.receive(data)
        found = [got for *_, got in eyes[pair.where].read() if data in got]
        at = 26 if pair.family == 4 else 46
        expect([got[at:at + 2] for got in found], [b"\0\0"], "checksum")
        if pair.family == 6:
            pair.client.setsockopt(socket.IPPROTO_UDP, UDP_NO_CHECK6_TX, 0)
        else:
            pair.client.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 0)
    for eye in eyes.values():
        eye.close()


def tunnelled():
    """A tunnel between pods keeps its packets' checksums at 0"""
    pods = "p00", "p01"
    for pod, other in pods, pods[::-1]:
        c[pod].ip("link add vx type vxlan id 9 dstport 4790 dev eth0 "
                  f"local {c.ip4(pod)} remote {c.ip4(other)} noudpcsum\n"
                  f"addr add 192.168.77.{pods.index(pod) + 1}/24 dev vx\n"
                  "link set vx mtu 1400 up")
    eyes = [Capture(c[pod], "eth0") for pod in pods]
    server = c["p01"].socket(socket.AF_INET, socket.SOCK_STREAM)
    server.bind(("192.168.77.2", 7000))
    server.listen(1)
    client = c["p00"].socket(socket.AF_INET, socket.SOCK_STREAM)
    for sock in server, client:
        sock.settimeout(10 * SLOW)
    client.connect(("192.168.77.2", 7000))
    conn, _ = server.accept()
    conn.settimeout(10 * SLOW)
    before = c.fast()
    data = pattern(50000)
    for one, other in ((client, conn), (conn, client)) * 3:
        one.sendall(data)
        got = b""
        while len(got) < len(data):
            got += other.recv(65536)
        check(got == data, "other bytes came")
    # Either direction has ports of its own: nothing is ever answered.
    past(c.fast() - before, 20 if FASTPATH == "auto" else 0)
    for eye in eyes:
        sums = {bytes(got[26:28]) for family, transport, _, dport, got in
                eye.read() if (family, transport, dport) == (4, "udp", 4790)}
        expect(sums, {b"\0\0"}, "checksums of the tunnel's packets")
    for one in (server, client, conn, *eyes):
        one.close()
    for pod in pods:
        c[pod].ip("link del vx")


def refused():
    """An endpoint's ICMP error about a known flow reaches the client"""
    for where in "local", "remote":
        for family in FAMILIES:
            pair = Pair(c, "udp", family, where)
            carried(c, [pair])
            pair.server.close()
            pair.send()
            pair.error(errno.ECONNREFUSED)
            pair.client.close()


def uplink():
    """A tagged uplink carries known flows, in pieces of any size"""
    bed = Bed(vlan=7)
    pairs = pairs_of(bed, "local", "remote")
    carried(bed, pairs)
    for pair in pairs:
        for size in 1, 1400, 20000:
            pair.both(2, size)
    carried(bed, pairs)
    close(pairs)
    bed.remove()


def padded():
    """What a frame has behind its packet does not arrive."""
    carried(c, UDP)
    bridge = json.loads(c["w0"].run("ip", "-j", "link", "show", "dev",
                                    "cnio0").out)[0]["address"]
    with c["p00"]:
        dev = frame.Device("eth0")
    before = c.fast()
    for pair in UDP:
        _, proto, body = dev.udp({
            "src": c.addr("p00", pair.family), "dst": pair.addr[0],
            "sport": pair.port, "dport": 90, "len": 1})
        dev.sock.send(frame.mac(bridge) + dev.lladdr +
                      struct.pack(">H", proto) + body + bytes(20))
        pair.receive(bytes(1))
    past(c.fast() - before, 1)
    dev.sock.close()


def service_type():
    """The type of service arrives as it was sent."""
    carried(c, PAIRS)
    for pair in PAIRS:
        pair.client.setsockopt(*((socket.IPPROTO_IPV6, socket.IPV6_TCLASS)
                                 if pair.family == 6 else
                                 (socket.IPPROTO_IP, socket.IP_TOS)), 0x28)
        eye = Capture(c[pair.pod], "eth0")
        pair.both(3)
        seen = {struct.unpack_from(">H", data)[0] >> (4 if family == 6 else 0)
                & 0xff for family, _, sport, _, data in eye.read()
                if sport == pair.port}
        expect(seen, {0x28}, f"{pair}: type of service")
        eye.close()


def tagged_answer():
    """A frame with a VLAN tag that comes by an uplink without goes nowhere."""
    pairs = [pair for pair in UDP if pair.where == "remote"]
    carried(c, pairs)
    to = json.loads(c["w0"].run("ip", "-j", "link", "show", "dev",
                                "eth0").out)[0]["address"]
    with c["w1"]:
        dev = frame.Device("eth0")
    for pair in pairs:
        _, proto, body = dev.udp({
            "src": c.addr(pair.pod, pair.family),
            "dst": c.addr("p00", pair.family),
            "sport": 8090, "dport": pair.port, "len": 32})
        macs, proto = frame.mac(to) + dev.lladdr, struct.pack(">H", proto)
        dev.sock.send(macs + struct.pack(">I", 0x81000005) + proto + body)
        pair.silent(False)
        dev.sock.send(macs + proto + body)
        pair.receive(bytes(32), False)
    dev.sock.close()
    carried(c, pairs)


for how, tag in ("in the frame", 0x81000005), \
        ("in the frame, of priority only", 0x8100e000), \
        ("in the frame, of 802.1ad", 0x88a80005), ("by a device", 5):
    tap.case(f"{tagged.__doc__}: {how}", tagged, how, tag)
tap.case(f"IPv4 options: {options.__doc__}", options, 4, IP_OPTIONS,
         b"\x01\x01\x01\x00")
for what, name in ("destination", IPV6_DSTOPTS), ("hop-by-hop", IPV6_HOPOPTS):
    tap.case(f"IPv6 {what} options: {options.__doc__}", options, 6, name,
             b"\x00\x00\x01\x04\x00\x00\x00\x00")
for family, there in itertools.product(FAMILIES, (True, False)):
    tap.case(f"{last_hop.__doc__}, IPv{family}, {'there' if there else 'back'}",
             last_hop, family, there)
for ns, dev, where, there in ("w0", "vp01", "local", True), \
        ("w0", "eth0", "remote", True), ("w1", "vp10", "remote", True), \
        ("w0", "vp00", "local", False), ("w0", "vp00", "remote", False):
    tap.case(f"{narrow.__doc__}: {where}, {dev} of {ns}", narrow, ns, dev,
             where, there)
for words in "tso on", "tso off gso off tx-udp-segmentation off":
    tap.case(f"{segments.__doc__}: {words}", segments, words)
for func in tagged_answer, padded, service_type, summed_up, unsummed, \
        tunnelled, refused, uplink:
    tap.case(func.__doc__, func)
tap.end()
