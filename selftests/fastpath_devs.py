#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
"""The fast path and what sits at devices: programs that are put there in the
middle of known flows see their packets, and what they let pass arrives byte
for byte. With UDP and TCP, IPv4 and IPv6 at once.
"""
import contextlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from bpflib import XDP_DROP, XDP_GENERIC, XDP_NATIVE, XDP_PASS, xdp
from flowlib import Bed, arrive, carried, lost, new_flows, pairs_of
from svclib import Tap, have

have("nft", "tc")
tap = Tap()
c = Bed()
for transport in "udp", "tcp":
    c.serve("p01", transport, 8080)
PAIRS = {where: pairs_of(c, where) for where in ("local", "remote")}


@contextlib.contextmanager
def tc(ns, dev, way):
    """A tc program that drops everything."""
    ns.run("tc", "qdisc", "add", "dev", dev, "clsact")
    try:
        ns.run("tc", "filter", "add", "dev", dev, way, "matchall", "action",
               "drop")
        yield
    finally:
        ns.run("tc", "qdisc", "del", "dev", dev, "clsact")


@contextlib.contextmanager
def nft(ns, dev, way):
    """A chain of nft at a device that drops IP."""
    ns.run("nft", "add table netdev t; add chain netdev t c { type filter "
           f"hook {way} device {dev} priority 0; }}; "
           "add rule netdev t c meta protocol { ip, ip6 } drop")
    try:
        yield
    finally:
        ns.run("nft", "delete table netdev t")


def program(where, there, back, attach, *args):
    """{there} and {back}: whether packets arrive while it is there."""
    pairs = PAIRS[where]
    carried(c, pairs)
    with attach(*args):
        (arrive if there else lost)(pairs, True)
        (arrive if back else lost)(pairs, False)
        if where == "local":
            new_flows(c, [where], None if there and back else "timeout")
    # That they are known again is where the next case begins.
    arrive(pairs, True)
    arrive(pairs, False)


def at_bridge(attach, *args):
    """New flows are seen by what is at the bridge; known ones have passed."""
    pairs = PAIRS["local"]
    carried(c, pairs)
    new_flows(c, ["local"])
    with attach(*args):
        new_flows(c, ["local"], "timeout")
    new_flows(c, ["local"])
    arrive(pairs, True)
    arrive(pairs, False)


W, P = c["w0"], c["p01"]
for desc, *args in (
        # Packets of "local" come in by vp00 and go out by vp01.
        ("tc ingress on the client's port", "local", False, True,
         tc, W, "vp00", "ingress"),
        ("tc egress on the endpoint's port", "local", False, True,
         tc, W, "vp01", "egress"),
        ("tc ingress in the endpoint's pod", "local", False, True,
         tc, P, "eth0", "ingress"),
        ("tc egress in the endpoint's pod", "local", True, False,
         tc, P, "eth0", "egress"),
        ("nft ingress on the client's port", "local", False, True,
         nft, W, "vp00", "ingress"),
        ("nft egress on the endpoint's port", "local", False, True,
         nft, W, "vp01", "egress"),
        ("generic XDP on the client's port", "local", False, True,
         xdp, W, "vp00", XDP_DROP, XDP_GENERIC),
        ("native XDP on the client's port", "local", False, True,
         xdp, W, "vp00", XDP_DROP, XDP_NATIVE),
        ("generic XDP in the endpoint's pod", "local", False, True,
         xdp, P, "eth0", XDP_DROP, XDP_GENERIC),
        ("native XDP in the endpoint's pod", "local", False, True,
         xdp, P, "eth0", XDP_DROP, XDP_NATIVE),
        ("native XDP that passes on the client's port", "local", True, True,
         xdp, W, "vp00", XDP_PASS, XDP_NATIVE),
        ("native XDP that passes in the endpoint's pod", "local", True, True,
         xdp, P, "eth0", XDP_PASS, XDP_NATIVE),
        ("generic XDP that passes in the endpoint's pod", "local", True, True,
         xdp, P, "eth0", XDP_PASS, XDP_GENERIC),
        # ... of "remote" go out by eth0, and answers come in by it.
        ("tc ingress on the uplink", "remote", True, False,
         tc, W, "eth0", "ingress"),
        ("tc egress on the uplink", "remote", False, True,
         tc, W, "eth0", "egress"),
        ("nft ingress on the uplink", "remote", True, False,
         nft, W, "eth0", "ingress"),
        ("nft egress on the uplink", "remote", False, True,
         nft, W, "eth0", "egress"),
        ("generic XDP on the uplink", "remote", True, False,
         xdp, W, "eth0", XDP_DROP, XDP_GENERIC),
        ("native XDP on the uplink", "remote", True, False,
         xdp, W, "eth0", XDP_DROP, XDP_NATIVE),
        ("native XDP that passes on the uplink", "remote", True, True,
         xdp, W, "eth0", XDP_PASS, XDP_NATIVE)):
    tap.case(desc, program, *args)
for desc, *args in (
        ("tc ingress on the bridge judges new flows", tc, W, "cnio0",
         "ingress"),
        ("tc egress on the bridge judges new flows", tc, W, "cnio0",
         "egress"),
        ("nft ingress on the bridge judges new flows", nft, W, "cnio0",
         "ingress"),
        ("generic XDP on the bridge judges new flows", xdp, W, "cnio0",
         XDP_DROP, XDP_GENERIC)):
    tap.case(desc, at_bridge, *args)
for where in PAIRS:
    tap.case(f"flows are known again afterwards: {where}", carried, c,
             PAIRS[where])
tap.end()
