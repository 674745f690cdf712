# SPDX-License-Identifier: GPL-2.0
"""What the tests of the fast path share: a cluster with services, flows that
know whether they are known, and the settings of the fast path.
"""
import contextlib
import errno
import itertools
import json
import re
import select
import socket
import struct
import time

from svclib import IP_MTU, IP_MTU_DISCOVER, IPV6_MTU, IPV6_MTU_DISCOVER, \
    PMTUDISC_DO, PMTUDISC_DONT, Ask, Cluster, Failed, FASTPATH, K8SNETCTL, \
    SLOW, check, conntrack, expect, gather, pattern, run, wait_for

SO_RCVBUFFORCE = 33
MODES = ("auto", "established", "off")
FIREWALL = "add table inet t; add chain inet t f { type filter hook forward " \
    "priority 0; }; "
STATEFUL = FIREWALL + "add rule inet t f ct state established accept; " \
    "add rule inet t f drop"
QUIET = 0.3 * SLOW      # seconds in which what does not come has not come


def listed(node, port=None):
    """Flows that the fast path lists, all or those of a port."""
    out = run(K8SNETCTL, "-N", node.name, "-j", "flow", "list").out
    return [f for f in json.loads(out) if port is None or
            port in (f["sport"], f["dport"], f["new-sport"], f["new-dport"])]


class Bed(Cluster):
    """Two nodes with pods, and services with one endpoint each: by port 80
    they lead to port 8080, by port 90 to 8090, which is Pair's.
    """

    def __init__(self, places=None, pods=2, **more):
        super().__init__(nodes=2, pods=pods, **more)
        self.mode = FASTPATH    # of w0
        self.places = places or {"local": "p01", "remote": "p10"}
        self.vip = {}
        text = ""
        for number, (where, pod) in enumerate(self.places.items(), 1):
            self.vip[where, 4] = f"10.32.0.{number}"
            self.vip[where, 6] = f"fd00:10:32::{number}"
            text += "".join(
                f"svc add {where}-{transport}-{port} "
                f"vip {self.vip[where, 4]}:{port}/{transport} "
                f"vip [{self.vip[where, 6]}]:{port}/{transport} "
                f"ep {self.ip4(pod)}:{8000 + port}{{local:{pod}}} "
                f"ep [{self.ip6(pod)}]:{8000 + port}{{local:{pod}}}\n"
                for transport in ("tcp", "udp") for port in (80, 90))
        self.everywhere(text)

    def fast(self, node="w0"):
        """Packets that went past the stack."""
        return self.stat(node, "flow_packets")

    def settled(self):
        """The same, when no acknowledgement is on its way any more."""
        old = None
        while old != (new := self.fast()):
            old = new
            time.sleep(0.1)     # TCP keeps one back for 40 ms
        return old

    def flows(self, port=None, node="w0"):
        """Flows that the fast path lists, all or those of a port."""
        return listed(self[node], port)

    @contextlib.contextmanager
    def fastpath(self, mode):
        """w0 with that setting for a time."""
        self.mode = mode
        self.tool("w0", f"node set fastpath {mode}")
        try:
            yield
        finally:
            self.mode = FASTPATH
            self.tool("w0", f"node set fastpath {FASTPATH}")


def past(grown, least, what="packets past the stack", mode=FASTPATH):
    """The fast path has carried so many packets; if it is off, none."""
    if mode == "off":
        expect(grown, 0, what)
    else:
        check(grown >= least, f"{grown} {what}, wanted {least} or more")


# Source ports of flows. By its port a flow is told from all others, while the
# kernel would give the same one to flows to different addresses.
PORTS = itertools.count(10000)


class Flow:
    """One client socket that asks again and again."""

    def __init__(self, ns, transport, addr, port):
        self.args = (ns, transport, addr, port)
        self.sport = next(PORTS)
        self.sock = None

    def ask(self, payload=b"who\n", timeout=3.0):
        """The server's name, or the error."""
        one = Ask(*self.args, sport=self.sport, sock=self.sock,
                  payload=payload)
        one.keep = True
        gather([one], timeout)
        self.sock = one.sock
        return one.name or one.error

    def known(self, times=6):
        """Until both directions have had the chance to be learned."""
        for _ in range(times):
            check(not self.ask() in ("timeout", None), "the flow works")
        return self

    def port(self):
        """The client's port."""
        return self.sport

    def close(self):
        """Over."""
        self.sock.close()


class Pair:
    """One flow with both of its ends here, so that each byte is looked at.
    WHERE is a service of the bed, or a pod, which is then asked directly.
    """
    count = 0

    def __init__(self, c, transport, family, where="local", client="p00"):
        self.c, self.transport, self.family = c, transport, family
        self.where, self.pod = where, c.places.get(where, where)
        self.late = {True: b"", False: b""}     # TCP: sent, did not arrive
        kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
        af = socket.AF_INET6 if family == 6 else socket.AF_INET
        server = c[self.pod].socket(af, kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.settimeout(10 * SLOW)
        # A UDP server per flow, which hears nobody else.
        server.bind((c.addr(self.pod, family), 8090))
        self.client = c[client].socket(af, kind)
        self.client.settimeout(10 * SLOW)
        self.client.bind(("", next(PORTS)))
        self.addr = (c.vip[where, family], 90) if where in c.places else \
            (c.addr(where, family), 8090)
        if transport == "tcp":
            server.listen(1)
            self.client.connect(self.addr)
            self.server, _ = server.accept()
            server.close()
            for sock in self.client, self.server:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self.client.connect(self.addr)
            self.server = server
            self.client.send(b"first")
            _, peer = server.recvfrom(100)
            server.connect(peer)
        self.server.settimeout(10 * SLOW)
        self.port = self.client.getsockname()[1]

    def __str__(self):
        return f"{self.transport} IPv{self.family} to {self.where}"

    def data(self, size):
        """Bytes that no other call has had."""
        Pair.count += 1
        return (b"%d %s " % (Pair.count, str(self).encode()) +
                pattern(size))[:max(size, 20)]

    def ends(self, there):
        """Who sends and who receives."""
        return (self.client, self.server) if there else \
            (self.server, self.client)

    def send(self, there=True, size=64):
        """Sends in one direction; what is in the packet."""
        data = self.data(size)
        self.ends(there)[0].sendall(data)
        if self.transport == "tcp":
            self.late[there] += data
            return self.late[there]
        return data

    def receive(self, wanted, there=True, timeout=5.0):
        """That arrives, byte for byte, and from whom the receiver asked."""
        sock = self.ends(there)[1]
        end = time.monotonic() + timeout * SLOW
        got = b""
        while len(got) < len(wanted):
            left = end - time.monotonic()
            if left <= 0 or not select.select([sock], [], [], left)[0]:
                break
            part = sock.recv(len(wanted) - len(got)
                             if self.transport == "tcp" else 65536)
            if not part:
                break
            got += part
        if got != wanted:
            raise Failed(f"{self} {'there' if there else 'back'}: "
                         f"{len(wanted)} bytes sent, {len(got)} came: "
                         f"{got[:60]!r} for {wanted[:60]!r}")
        if self.transport == "tcp":
            self.late[there] = b""

    def one(self, there=True, size=64):
        """One message that arrives."""
        self.receive(self.send(there, size), there)

    def both(self, times=1, size=64):
        """Messages that arrive, there and back."""
        for _ in range(times):
            self.one(True, size)
            self.one(False, size)

    def listed(self, flows=None):
        """The fast path's flows of it, of all that are listed."""
        return [f for f in (self.c.flows() if flows is None else flows)
                if f["proto"] == self.transport and
                (":" in f["src"]) == (self.family == 6) and self.port in
                (f["sport"], f["dport"], f["new-sport"], f["new-dport"])]

    def silent(self, there=True, timeout=QUIET):
        """Nothing has arrived."""
        sock = self.ends(there)[1]
        if select.select([sock], [], [], timeout)[0]:
            raise Failed(f"{self} {'there' if there else 'back'}: "
                         f"{sock.recv(65536)[:60]!r} came")

    def hop_limit(self, hops, there=True):
        """Of what is sent in that direction."""
        sock = self.ends(there)[0]
        if self.family == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)

    def discover(self, how, there=True):
        """Whether what is sent may be fragmented: PMTUDISC_*."""
        sock = self.ends(there)[0]
        if self.family == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, how)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, how)

    def fits(self, mtu, there=True):
        """By a way of that MTU, between 1,228 and 1,400, what is too long for
        it arrives or is refused, as its sender has asked for."""
        if self.transport == "tcp":
            self.one(there, 100000)
            return
        # Not to be fragmented: an error that says how much may be sent.
        self.discover(PMTUDISC_DO, there)
        self.send(there, 1400)
        self.error(errno.EMSGSIZE, there=there)
        level, name = (socket.IPPROTO_IPV6, IPV6_MTU) if self.family == 6 \
            else (socket.IPPROTO_IP, IP_MTU)
        expect(self.ends(there)[0].getsockopt(level, name), mtu, "MTU")
        self.silent(there)
        self.one(there, 1200)
        # In pieces it arrives.
        self.discover(PMTUDISC_DONT, there)
        self.one(there, 1400)

    def error(self, number, timeout=3.0, there=True):
        """The socket that sends in that direction gets that error."""
        end = time.monotonic() + timeout * SLOW
        sock = self.ends(there)[0]
        while time.monotonic() < end:
            select.select([sock], [], [], 0.05)
            got = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if got:
                expect(errno.errorcode[got], errno.errorcode[number],
                       f"{self}: error")
                return
        raise Failed(f"{self}: no {errno.errorcode[number]}")

    def close(self):
        """Over."""
        self.client.close()
        self.server.close()


class Capture:
    """What tcpdump would see of IP at a device."""

    def __init__(self, ns, dev):
        self.sock = ns.socket(socket.AF_PACKET, socket.SOCK_DGRAM,
                              socket.htons(3))
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        self.sock.bind((dev, 3))
        self.sock.setblocking(False)
        self.packets = []

    def read(self):
        """(family, transport, source port, destination port, packet) of all
        that has been seen so far."""
        while True:
            try:
                data, addr = self.sock.recvfrom(1 << 17)
            except BlockingIOError:
                return self.packets
            hlen, proto = {0x0800: (20, 9), 0x86dd: (40, 6)}.get(
                addr[1], (0, 0))
            if hlen and data[proto] in (6, 17):
                self.packets.append(
                    (data[0] >> 4, "tcp" if data[proto] == 6 else "udp") +
                    struct.unpack_from(">HH", data, hlen) + (data,))

    def count(self, pair, there):
        """Packets and bytes, of IP, that a pair's client has sent or got."""
        sizes = [struct.unpack_from(">H", data, 2)[0] if family == 4
                 else 40 + struct.unpack_from(">H", data, 4)[0]
                 for family, transport, sport, dport, data in self.read()
                 if (family, transport) == (pair.family, pair.transport) and
                 pair.port == (sport if there else dport)]
        return len(sizes), sum(sizes)

    def close(self):
        """Over."""
        self.sock.close()


def accounted(node, pairs, eye_of, entry):
    """Packets and bytes of conntrack's entries are those that the clients sent
    and got, whatever their size. EYE_OF(pair): a capture at its client, from
    before its first packet; ENTRY(pair, lines): its line of these of conntrack,
    or None.
    """
    for size in 1, 64, 500, 1400:
        for pair in pairs:
            pair.both(5, size)
    for pair in pairs:
        if pair.transport == "tcp":
            pair.both(2, 20000)

    def wrong():
        """Acknowledgements may still be on their way."""
        lines = conntrack(node)
        for pair in pairs:
            got = re.findall(r"packets=(\d+) bytes=(\d+)",
                             entry(pair, lines) or "")
            wanted = [tuple(map(str, eye_of(pair).count(pair, there)))
                      for there in (True, False)]
            if got != wanted:
                return f"{pair}: conntrack {got}, the client {wanted}"
        return None

    end = time.monotonic() + 3 * SLOW
    while (why := wrong()) and time.monotonic() < end:
        pass
    check(not why, why)


def lost(pairs, there=True):
    """Something is sent by each and nothing arrives."""
    for pair in pairs:
        pair.send(there)
    end = time.monotonic() + QUIET
    for pair in pairs:
        pair.silent(there, max(0.0, end - time.monotonic()))


def arrive(pairs, there=True):
    """Something is sent by each and arrives, byte for byte, with what TCP had
    to send again."""
    for pair, data in [(pair, pair.send(there)) for pair in pairs]:
        pair.receive(data, there, 15.0)


def known(c, pairs, times=40):
    """Until both directions of each are known, if they may be. Returns how
    many packets each pair's flows have carried by then."""
    wanted = 0 if c.mode == "off" else 2
    for _ in range(times):
        for pair in pairs:
            pair.both(1 if wanted else 3)
        flows = c.flows()
        mine = [pair.listed(flows) for pair in pairs]
        left = [str(pair) for pair, its in zip(pairs, mine)
                if len(its) != wanted]
        if not left:
            return [sum(f["packets"] for f in its) for its in mine]
    raise Failed(f"not both directions are known: {', '.join(left)}")


def carried(c, pairs, times=4):
    """All are known, and packets of theirs go past the stack."""
    before = known(c, pairs)
    for pair in pairs:
        pair.both(times)
    flows = c.flows()
    for pair, old in zip(pairs, before):
        grown = sum(f["packets"] for f in pair.listed(flows)) - old
        # In both directions; UDP shows itself to the stack once a second
        # until it is assured.
        past(grown, times + 1, f"packets past the stack: {pair}", c.mode)


def assured(c, pairs, node="w0"):
    """Until conntrack has assured them. Until then UDP shows itself to the
    stack once a second, known or not; and it takes UDP two seconds.
    """
    def left():
        for pair in pairs:
            pair.both()
        return [pair for pair in pairs if pair.port not in
                {int(port) for line in conntrack(c[node], "-p", pair.transport,
                                                 "-f", f"ipv{pair.family}")
                 if "[ASSURED]" in line
                 for port in re.findall(r"port=(\d+)", line)}]

    wait_for("assured flows", lambda: not left())


@contextlib.contextmanager
def firewall(ns, rules):
    """Rules for nft that make a table "inet t", for a time."""
    ns.run("nft", rules)
    try:
        yield
    finally:
        ns.run("nft", "delete table inet t")


def pairs_of(c, *places, transports=("udp", "tcp"), families=(4, 6)):
    """A pair for each transport and family."""
    return [Pair(c, transport, family, where) for where in places
            for transport in transports for family in families]


def close(pairs):
    """All."""
    for pair in pairs:
        pair.close()


def new_flows(c, places, error=None):
    """What new flows from p00 get: an answer, or that error."""
    asks = [(where, Ask(c["p00"], transport, c.vip[where, family], 80))
            for where in places for transport in ("udp", "tcp")
            for family in (4, 6)]
    gather([one for _, one in asks], QUIET if error else 5)
    for where, one in asks:
        expect((one.name, one.error),
               (None if error else c.places[where], error),
               f"a new flow: {one.proto} to {one.addr}")
