#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 400
"""conntrack tells the same truth with each setting of the fast path: states,
timeouts, counters; and "conntrack -D" ends known flows.
"""
import contextlib
import itertools
import os
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
import frame
from flowlib import Bed, Capture, MODES, Pair, STATEFUL, accounted, arrive, \
    carried, close, firewall, lost, pairs_of
from svclib import SLOW, Tap, check, conntrack, expect, have, wait_for

have("nft", "conntrack", "tc")
tap = Tap()
c = Bed()
W = c["w0"]


def entry(pair, lines=None):
    """conntrack's line about it; None: there is none. Another one, to another
    address, may have had the same port."""
    if lines is None:
        lines = conntrack(W, "-f", f"ipv{pair.family}")
    found = [line for line in lines if f" sport={pair.port} " in line and
             line.startswith(pair.transport + " ") and
             f" src={c.addr('p00', pair.family)} dst={pair.addr[0]} " in line]
    check(len(found) < 2, found)
    return found[0] if found else None


def left(line):
    """Seconds until it expires."""
    return int(line.split()[2])


def truth():
    """Entries are established, assured, translated and fresh"""
    pairs = pairs_of(c, "local", "remote")
    end = time.monotonic() + 2.5    # UDP is a stream after two seconds
    while time.monotonic() < end:
        for pair in pairs:
            pair.both()
    carried(c, pairs)
    asked = {}
    for pair in pairs:
        pair.both()
        asked[pair] = time.monotonic()
    for family in 4, 6:
        lines = conntrack(W, "-f", f"ipv{family}")
        listed = time.monotonic()
        for pair in pairs:
            if pair.family != family:
                continue
            line = entry(pair, lines)
            late = listed - asked[pair]
            check(line and "[ASSURED]" in line, f"{pair}: {line}")
            check(f" dst={pair.addr[0]} " in line and
                  f" src={c.addr(pair.pod, family)} " in line, line)
            if pair.transport == "tcp":
                check(" ESTABLISHED " in line, line)
            # Refreshed once a second; whole seconds are shown.
            full = 432000 if pair.transport == "tcp" else 120
            check(full - 3 - late <= left(line) <= full, line)
    close(pairs)


def accounts():
    """Packets and bytes in conntrack are those that the pod sent and got"""
    W.sysctl("netfilter/nf_conntrack_acct", 1)
    eye = Capture(c["p00"], "eth0")
    pairs = pairs_of(c, "local", "remote", "p01", "p10")
    accounted(W, pairs, lambda pair: eye, entry)
    head = {4: 28, 6: 48}
    for pair in pairs:
        if pair.transport == "udp":
            sizes = [len(pair.data(size)) for size in (1, 64, 500, 1400)]
            wanted = 5 * sum(size + head[pair.family] for size in sizes)
            expect(eye.count(pair, False), (20, wanted),
                   f"{pair}: answers as they were sent")
    eye.close()
    close(pairs)


def greeting():
    """Where the server speaks first, too, a connection has its whole time"""
    # Its data is seen by conntrack, the acknowledgement perhaps not.
    for pair in pairs_of(c, "local", "remote", transports=["tcp"]):
        for there in False, True, False, True:
            pair.one(there)
        # The last acknowledgment may be on its way.
        wait_for(f"{pair}: its whole time",
                 lambda pair=pair: left(entry(pair)) > 400000, 5)
        pair.close()


def limited():
    """One direction always in the stack takes nothing of a connection's time"""
    # A queueing discipline at p00's port wants to see what goes to it.
    W.run("tc", "qdisc", "replace", "dev", "vp00", "root", "tbf", "rate",
          "1gbit", "burst", "1mbit", "latency", "50ms")
    try:
        for pair in pairs_of(c, "local", "remote", transports=["tcp"]):
            # p00 acknowledges, and no more: data of its own would make
            # conntrack, past which it goes, believe nothing any more. Within
            # the first second no flow is due to be looked at.
            for size in [64] * 6 + [8000]:
                pair.one(False, size)
                wait_for(f"{pair}: all the time",
                         lambda pair=pair: left(entry(pair)) > 400000, 0.8)
            # A reset by the server takes all of it.
            reset(pair, False)
    finally:
        W.run("tc", "qdisc", "del", "dev", "vp00", "root")


def deleted():
    """"conntrack -D" ends known flows at once"""
    pairs = pairs_of(c, "local", "remote")
    carried(c, pairs)
    with firewall(W, STATEFUL):
        arrive(pairs, True)
        for pair in pairs:
            W.run("conntrack", "-D", "-f", f"ipv{pair.family}", "-p",
                  pair.transport, "--orig-port-src", str(pair.port))
        lost(pairs, True)       # they are new flows now
    arrive(pairs, True)
    arrive(pairs, False)
    close(pairs)


TIMEOUT = 3 * SLOW


def idle():
    """Flows outlive the timeout while they are used, and then end by it"""
    names = "nf_conntrack_udp_timeout_stream", \
        "nf_conntrack_tcp_timeout_established"
    old = [W.sysctl("netfilter/" + name) for name in names]
    for name in names:
        W.sysctl("netfilter/" + name, TIMEOUT)
    try:
        pairs = pairs_of(c, "local", "p10")
        start = time.monotonic()
        while time.monotonic() < start + TIMEOUT + 1.5:
            for pair in pairs:
                pair.both()
        carried(c, pairs)
        stopped = time.monotonic()
        for pair in pairs:
            pair.both()
        while True:
            lines = conntrack(W)
            there = [pair for pair in pairs if entry(pair, lines)]
            late = time.monotonic() - stopped
            if late < TIMEOUT - 1.1:    # refreshed once a second
                expect(len(there), len(pairs), f"entries after {late:.1f} s")
            if not there:
                break
            check(late < 2 * TIMEOUT + 2, f"{len(there)} entries, e. g. "
                  f"{entry(there[0], lines)} after {late:.1f} s")
        # Those that are over are looked for every two seconds.
        wait_for("end of the flows", lambda: not [
            f for pair in pairs for f in pair.listed()], 5)
        close(pairs)
    finally:
        for name, value in zip(names, old):
            W.sysctl("netfilter/" + name, value)


def state(pair, wanted, most):
    """conntrack's state of it, and the seconds that it is kept."""
    def is_it():
        line = is_it.line = entry(pair)
        return line and f" {wanted} " in line and \
            most - 5 * SLOW <= left(line) <= most
    is_it.line = None
    try:
        wait_for(wanted, is_it, 5)
    except Exception as error:
        raise type(error)(f"{pair}: no {wanted}, {most} s: {is_it.line}") \
            from error


def reset(pair, client):
    """One end resets it, and conntrack keeps it for ten seconds at most, in
    whatever state."""
    one, other = pair.ends(client)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                   struct.pack("ii", 1, 0))
    one.close()
    wait_for(f"{pair}: the reset", lambda: select.select(
        [other], [], [], 0)[0], 5)
    wait_for(f"{pair}: ten seconds", lambda: left(entry(pair)) <= 10, 1)
    try:
        check(False, f"{pair}: {other.recv(16)!r} for a reset")
    except ConnectionResetError:
        pass
    pair.close()


def reset_late():
    """A reset after a change of the configuration, and after a second"""
    for where, client in itertools.product(("local", "remote"),
                                           (True, False)):
        pair = Pair(c, "tcp", 4 if client else 6, where)
        carried(c, [pair])
        c.tool("w0", "route add 10.97.0.0/24 via 10.240.0.21")
        c.tool("w0", "route del 10.97.0.0/24")
        reset(pair, client)
        pair = Pair(c, "tcp", 6 if client else 4, where)
        carried(c, [pair])
        time.sleep(1.2)     # its flows are due to be looked at
        reset(pair, client)


def ends():
    """TCP's end is followed, with its timeouts: FIN from each side, RST"""
    for family, where in itertools.product((4, 6), ("local", "remote")):
        for first in "client", "server":
            pair = Pair(c, "tcp", family, where)
            carried(c, [pair])
            one, other = (pair.client, pair.server) if first == "client" \
                else (pair.server, pair.client)
            one.shutdown(socket.SHUT_WR)
            expect(other.recv(16), b"", "end of data")
            state(pair, "CLOSE_WAIT", 60)
            pair.one(first != "client", 500)
            state(pair, "CLOSE_WAIT", 60)
            other.close()
            expect(one.recv(16), b"", "end of data")
            one.close()
            state(pair, "TIME_WAIT", 120)
            pair = Pair(c, "tcp", family, where)
            carried(c, [pair])
            reset(pair, first == "client")
            state(pair, "CLOSE", 10)


def forged():
    """A reset that its sender has not sent ends nothing"""
    pairs = pairs_of(c, "local", "remote", transports=["tcp"])
    carried(c, pairs)
    for seq in 1, 1 << 31:
        for pair in pairs:
            frame.inject(c["p00"], c.addr("p00", pair.family), pair.port,
                         *pair.addr, seq, 0x04)
            frame.inject(c[pair.pod], c.addr(pair.pod, pair.family), 8090,
                         c.addr("p00", pair.family), pair.port, seq, 0x04)
        for pair in pairs:
            pair.both(5)
            check(" ESTABLISHED " in entry(pair), entry(pair))
    carried(c, pairs)
    # conntrack gives a connection little time after any reset, until its
    # next packet: one a second is enough.
    for pair in pairs:
        def fresh(pair=pair):
            pair.both()
            return left(entry(pair)) > 400000
        wait_for(f"{pair}: all the time", fresh, 5)
    close(pairs)


SILENT = "add table inet t; add chain inet t o { type filter hook output " \
    "priority 0; policy drop; }"
UNACKNOWLEDGED = 300


def unanswered(there):
    """Data that nobody acknowledges leaves a connection little time"""
    pairs = pairs_of(c, "local", "remote", transports=["tcp"])
    carried(c, pairs)
    with contextlib.ExitStack() as walls:
        for pod in ("p01", "p10") if there else ("p00",):
            walls.enter_context(firewall(c[pod], SILENT))
        for pair in pairs:
            pair.send(there)
        for pair in pairs:
            wait_for(f"{pair}: little time",
                     lambda pair=pair: left(entry(pair)) <= UNACKNOWLEDGED, 15)
    # Something new, since what is sent again waits longer and longer.
    arrive(pairs, there)
    for pair in pairs:
        wait_for(f"{pair}: all the time",
                 lambda pair=pair: left(entry(pair)) > 400000, 5)
    close(pairs)


for mode in MODES:
    with c.fastpath(mode):
        for func in truth, greeting, limited, accounts, deleted, idle, ends, \
                reset_late, forged:
            desc = " ".join(func.__doc__.split())
            tap.case(f"{desc}, with fastpath {mode}", func)
        desc = unanswered.__doc__
        tap.case(f"{desc}, with fastpath {mode}", unanswered, True)
        tap.case(f"{desc}: the server's, with fastpath {mode}", unanswered,
                 False)
tap.end()
