#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
"""Firewalls and captures see of flows what they should, with each setting of
the fast path.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from flowlib import Bed, Capture, FIREWALL, MODES, STATEFUL, arrive, \
    assured, carried, close, firewall, lost, new_flows, pairs_of
from svclib import Tap, expect, have

have("nft")
tap = Tap()
c = Bed()
W = c["w0"]
for transport in "udp", "tcp":
    c.serve("p01", transport, 8080)
    c.serve("p10", transport, 8080)


def judged():
    """A firewall that is loaded later judges all new flows, known ones by
    their state"""
    places = "local", "remote"
    pairs = pairs_of(c, *places)
    new_flows(c, places)
    carried(c, pairs)
    for rules, stay in (STATEFUL, True), \
            (FIREWALL + "add rule inet t f drop", c.mode != "off"):
        assured(c, pairs)
        with firewall(W, rules):
            new_flows(c, places, "timeout")
            for there in True, False:
                (arrive if stay else lost)(pairs, there)
            new_flows(c, places, "timeout")
        new_flows(c, places)
        arrive(pairs, True)
        arrive(pairs, False)
        carried(c, pairs)
    close(pairs)


def captured():
    """A capture in either pod, and at the ports, sees each packet once"""
    pairs = pairs_of(c, "local", "remote")
    carried(c, pairs)
    eyes = {"client's pod": Capture(c["p00"], "eth0"),
            "endpoint's pod": Capture(c["p01"], "eth0"),
            "remote endpoint's pod": Capture(c["p10"], "eth0"),
            "client's port": Capture(W, "vp00"),
            "endpoint's port": Capture(W, "vp01"),
            "uplink": Capture(W, "eth0")}
    sent = []
    for _ in range(10):
        for pair in pairs:
            for there in True, False:
                data = pair.send(there, 200)
                pair.receive(data, there)
                sent.append((pair.where, there, data))
    carried(c, pairs)
    # A port sees what comes in by it. What goes out by it goes past the
    # device: that is the receiving pod's to show. The uplink sees both.
    remote = {"remote endpoint's pod", "uplink"}
    for where, there, data in sent:
        wanted = {"client's pod"} | (
            remote if where == "remote" else {"endpoint's pod"})
        if there:
            wanted.add("client's port")
        elif where == "local":
            wanted.add("endpoint's port")
        for name, eye in eyes.items():
            if name in wanted or not name.endswith("port"):
                expect(len([1 for *_, got in eye.read() if data in got]),
                       int(name in wanted), f"packets {data[:30]} at the {name}")
    for eye in eyes.values():
        eye.close()
    close(pairs)


for mode in MODES:
    with c.fastpath(mode):
        for func in judged, captured:
            desc = " ".join(func.__doc__.split())
            tap.case(f"{desc}, with fastpath {mode}", func)
tap.end()
