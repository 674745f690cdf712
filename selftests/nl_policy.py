#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
"""Each bad message is refused with the right errno and sentence, and changes
nothing. The messages are made by hand: no tool sends them.
"""
import errno
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from genl import C, NLM_F_ACK, NLM_F_REQUEST, Error, Genl, addr, be16, \
    endpoint, frontend, nla, prefix, string, u8, u16, u32
from svclib import Cluster, Failed, Tap, check, expect

POLICY = "Attribute failed policy validation"
RANGE = "integer out of range"
UNKNOWN = "Unknown attribute type"
LENGTH = "invalid attribute length"
BINARY = "binary attribute size out of range"

NAME = string("SERVICE_NAME", "one")
OTHER = string("SERVICE_NAME", "other")
TCP = u8("SERVICE_PROTO", 6)
VIP = frontend("CLUSTER_IP", 80, "10.32.0.2")
EP = endpoint("10.200.0.9", 80)


def replace(*words):
    """The list of what is replaced."""
    bits = 0
    for word in words:
        bits |= C["SERVICE_REPLACE_" + word]
    return u32("SERVICE_REPLACE", bits)


def rows():
    """(what, command, attributes, errno, sentence)."""
    new = OTHER + TCP
    yield from (
        ("service without a name", "SERVICE_NEW", TCP, "EINVAL",
         "service has no name"),
        ("service with an empty name", "SERVICE_NEW",
         string("SERVICE_NAME", "") + TCP, "EINVAL", "service has no name"),
        ("service with a name of 254 bytes", "SERVICE_NEW",
         string("SERVICE_NAME", "x" * 254) + TCP, "EINVAL", POLICY),
        ("service with a name that does not end", "SERVICE_NEW",
         nla("SERVICE_NAME", b"abc") + TCP, "EINVAL", POLICY),
        ("service without a protocol", "SERVICE_NEW", OTHER, "EINVAL",
         "service has no protocol"),
        ("service of protocol ICMP", "SERVICE_NEW",
         OTHER + u8("SERVICE_PROTO", 1), "EPROTONOSUPPORT",
         "service's protocol is not TCP, UDP or SCTP"),
        ("service whose protocol has two bytes", "SERVICE_NEW",
         OTHER + u16("SERVICE_PROTO", 6), "EINVAL", LENGTH),
        ("service that exists", "SERVICE_NEW", NAME + TCP, "EEXIST",
         "service exists already"),
        ("new service with something to replace", "SERVICE_NEW",
         new + replace("ENDPOINT"), "EINVAL",
         "a new service has nothing to replace"),
        ("new service with counters", "SERVICE_NEW",
         new + nla("SERVICE_FLOWS", bytes(8)), "EINVAL", POLICY),
        ("unknown attribute", "SERVICE_NEW",
         new + u8(C["SERVICE_MAX"] + 1, 0), "EINVAL", UNKNOWN),
        ("attribute 0", "SERVICE_NEW", new + u8(0, 0), "EINVAL", UNKNOWN),
        ("unknown scheduler", "SERVICE_NEW",
         new + u8("SERVICE_SCHEDULER", C["SCHED_MAX"] + 1), "ERANGE", RANGE),
        ("unknown external policy", "SERVICE_NEW",
         new + u8("SERVICE_EXTERNAL_POLICY", C["POLICY_MAX"] + 1), "ERANGE",
         RANGE),
        ("unknown internal policy", "SERVICE_NEW",
         new + u8("SERVICE_INTERNAL_POLICY", C["POLICY_MAX"] + 1), "ERANGE",
         RANGE),
        ("unknown no-endpoints", "SERVICE_NEW",
         new + u8("SERVICE_NO_ENDPOINTS", C["NO_ENDPOINTS_MAX"] + 1),
         "ERANGE", RANGE),
        ("unknown dsr", "SERVICE_NEW",
         new + u8("SERVICE_DSR", C["DSR_MAX"] + 1), "ERANGE", RANGE),
        ("unknown on-removal", "SERVICE_NEW",
         new + u8("SERVICE_ON_REMOVAL", C["ON_REMOVAL_MAX"] + 1),
         "ERANGE", RANGE),
        ("affinity of more than a day", "SERVICE_NEW",
         new + u32("SERVICE_AFFINITY", 86401), "ERANGE",
         "affinity is over 86400 seconds"),
        ("frontend without a type", "SERVICE_NEW",
         new + nla("SERVICE_FRONTEND", [addr("FRONTEND_ADDR", "10.32.0.2"),
                                        be16("FRONTEND_PORT", 80)]),
         "EINVAL", "frontend needs a type and a port"),
        ("frontend without a port", "SERVICE_NEW",
         new + nla("SERVICE_FRONTEND", [addr("FRONTEND_ADDR", "10.32.0.2"),
                                        u8("FRONTEND_TYPE", 0)]),
         "EINVAL", "frontend needs a type and a port"),
        ("frontend of an unknown type", "SERVICE_NEW",
         new + nla("SERVICE_FRONTEND", [
             u8("FRONTEND_TYPE", 200),
             addr("FRONTEND_ADDR", "10.32.0.2"), be16("FRONTEND_PORT", 80)]),
         "ERANGE", RANGE),
        ("frontend with port 0", "SERVICE_NEW",
         new + frontend("CLUSTER_IP", 0, "10.32.0.2"), "ERANGE", RANGE),
        ("cluster IP without an address", "SERVICE_NEW",
         new + frontend("CLUSTER_IP", 80), "EINVAL",
         "frontend needs an address"),
        ("node port with an address", "SERVICE_NEW",
         new + frontend("NODE_PORT", 30080, "10.32.0.2"), "EINVAL",
         "node port has no address of its own"),
        ("frontend that is not nested", "SERVICE_NEW",
         new + nla(C["SERVICE_FRONTEND"], b"".join([
             u8("FRONTEND_TYPE", 0), addr("FRONTEND_ADDR", "10.32.0.2"),
             be16("FRONTEND_PORT", 80)])), "EINVAL", "NLA_F_NESTED is missing"),
        ("frontend with an address of 5 bytes", "SERVICE_NEW",
         new + nla("SERVICE_FRONTEND", [
             u8("FRONTEND_TYPE", 0), nla("FRONTEND_ADDR", bytes(5)),
             be16("FRONTEND_PORT", 80)]), "EINVAL",
         "address is neither 4 nor 16 bytes long"),
        ("frontend with an address of 3 bytes", "SERVICE_NEW",
         new + nla("SERVICE_FRONTEND", [
             u8("FRONTEND_TYPE", 0), nla("FRONTEND_ADDR", bytes(3)),
             be16("FRONTEND_PORT", 80)]), "ERANGE",
         BINARY),
        ("frontend with an address of 17 bytes", "SERVICE_NEW",
         new + nla("SERVICE_FRONTEND", [
             u8("FRONTEND_TYPE", 0), nla("FRONTEND_ADDR", bytes(17)),
             be16("FRONTEND_PORT", 80)]), "ERANGE",
         BINARY),
    )
    for what in ("0.0.0.0", "::", "127.0.0.1", "::1", "224.0.0.1", "ff02::1",
                 "255.255.255.255", "fe80::1", "::ffff:10.0.0.1"):
        yield (f"frontend with address {what}", "SERVICE_NEW",
               new + frontend("CLUSTER_IP", 80, what), "EINVAL",
               "address is not a global unicast address")
        yield (f"endpoint with address {what}", "SERVICE_NEW",
               new + endpoint(what, 80), "EINVAL",
               "address is not a global unicast address")
    yield from (
        ("frontend of another service", "SERVICE_NEW",
         new + frontend("EXTERNAL_IP", 80, "10.32.0.1"), "EEXIST",
         "frontend belongs to another service"),
        ("node port of another service", "SERVICE_NEW",
         new + frontend("NODE_PORT", 31000), "EEXIST",
         "node port belongs to another service"),
        ("a frontend twice", "SERVICE_NEW", new + VIP + VIP, "EINVAL",
         "frontend given twice"),
        ("129 frontends", "SERVICE_NEW", new + b"".join(
            frontend("CLUSTER_IP", 1 + n, "10.32.0.2") for n in range(129)),
         "E2BIG", "too many frontends for one service"),
        ("257 source ranges", "SERVICE_NEW", new + b"".join(
            prefix("SERVICE_SOURCE_RANGE", f"10.{n // 256}.{n % 256}.0/24")
            for n in range(257)), "E2BIG",
         "too many source ranges for one service"),
        ("endpoint without an address", "SERVICE_NEW",
         new + nla("SERVICE_ENDPOINT", [be16("ENDPOINT_PORT", 80)]), "EINVAL",
         "endpoint needs an address and a port"),
        ("endpoint without a port", "SERVICE_NEW",
         new + nla("SERVICE_ENDPOINT", [addr("ENDPOINT_ADDR", "10.1.1.1")]),
         "EINVAL", "endpoint needs an address and a port"),
        ("endpoint of weight 65536", "SERVICE_NEW",
         new + endpoint("10.1.1.1", 80, u32("ENDPOINT_WEIGHT", 65536)),
         "ERANGE", "endpoint's weight is over 65535"),
        ("endpoint with an unknown condition", "SERVICE_NEW",
         new + endpoint("10.1.1.1", 80, u32("ENDPOINT_FLAGS", 16)), "EINVAL",
         "reserved bit set"),
        ("endpoint that is ready and does not serve", "SERVICE_NEW",
         new + endpoint("10.1.1.1", 80, u32("ENDPOINT_FLAGS", C["EP_READY"])),
         "EINVAL", "ready endpoint must be serving and not terminating"),
        ("endpoint that is ready and terminating", "SERVICE_NEW",
         new + endpoint("10.1.1.1", 80, u32("ENDPOINT_FLAGS", 7)), "EINVAL",
         "ready endpoint must be serving and not terminating"),
        ("new endpoint with a mask", "SERVICE_NEW",
         new + endpoint("10.1.1.1", 80, u32("ENDPOINT_MASK", 1)), "EINVAL",
         "mask is for changing an endpoint"),
        ("endpoint with counters", "SERVICE_NEW",
         new + endpoint("10.1.1.1", 80, nla("ENDPOINT_FLOWS", bytes(8))),
         "EINVAL", POLICY),
        ("an endpoint twice", "SERVICE_NEW", new + EP + EP, "EINVAL",
         "endpoint given twice"),
        ("source range longer than its address", "SERVICE_NEW",
         new + prefix("SERVICE_SOURCE_RANGE", "10.0.0.0/33"), "EINVAL",
         "prefix is longer than the address"),
        ("source range of 129 bits", "SERVICE_NEW",
         new + prefix("SERVICE_SOURCE_RANGE", "fd00::/129"), "ERANGE", RANGE),
        ("source range with host bits", "SERVICE_NEW",
         new + prefix("SERVICE_SOURCE_RANGE", "10.0.0.1/8"), "EINVAL",
         "prefix has bits set beyond its length"),
        ("source range without a length", "SERVICE_NEW",
         new + nla("SERVICE_SOURCE_RANGE", [addr("PREFIX_ADDR", "10.0.0.0")]),
         "EINVAL", "prefix needs an address and a length"),
        # set
        ("set of a service that is not there", "SERVICE_SET", OTHER, "ENOENT",
         "no such service"),
        ("set without a name", "SERVICE_SET", b"", "EINVAL",
         "service has no name"),
        ("set of a protocol", "SERVICE_SET", NAME + TCP, "EINVAL",
         "a service's protocol cannot change"),
        ("set with an unknown list", "SERVICE_SET",
         NAME + u32("SERVICE_REPLACE", 1 << 31), "EINVAL", "reserved bit set"),
        ("set with a frontend whose list is not replaced", "SERVICE_SET",
         NAME + VIP + replace("NODE_PORT"), "EINVAL",
         "frontends of this type are not being replaced"),
        ("set with an endpoint, without replacing", "SERVICE_SET", NAME + EP,
         "EINVAL", "endpoints are not being replaced"),
        ("set with a source range, without replacing", "SERVICE_SET",
         NAME + prefix("SERVICE_SOURCE_RANGE", "10.0.0.0/8"), "EINVAL",
         "source ranges are not being replaced"),
        ("set that makes a cluster IP an external IP", "SERVICE_SET",
         NAME + frontend("EXTERNAL_IP", 80, "10.32.0.1") +
         replace("CLUSTER_IP", "EXTERNAL_IP"), "EEXIST",
         "frontend changes its type: remove it first"),
        ("set of a frontend that the service keeps", "SERVICE_SET",
         NAME + frontend("EXTERNAL_IP", 80, "10.32.0.1") +
         replace("EXTERNAL_IP"), "EEXIST",
         "service has this frontend already"),
        # get, del
        ("get of a service that is not there", "SERVICE_GET", OTHER, "ENOENT",
         "no such service"),
        ("del of a service that is not there", "SERVICE_DEL", OTHER, "ENOENT",
         "no such service"),
        # endpoints
        ("endpoint for no service", "ENDPOINT_NEW", OTHER + EP, "ENOENT",
         "no such service"),
        ("no endpoint", "ENDPOINT_NEW", NAME, "EINVAL", "no endpoint given"),
        ("endpoint that exists", "ENDPOINT_NEW",
         NAME + EP + endpoint("10.200.0.2", 80), "EEXIST",
         "service has this endpoint already"),
        ("change of an endpoint that is not there", "ENDPOINT_SET",
         NAME + endpoint("10.200.0.2", 80, u32("ENDPOINT_WEIGHT", 9)) + EP,
         "ENOENT", "service has no such endpoint"),
        ("end of an endpoint that stays ready", "ENDPOINT_SET",
         NAME + endpoint("10.200.0.2", 80,
                         u32("ENDPOINT_FLAGS", C["EP_TERMINATING"]),
                         u32("ENDPOINT_MASK", C["EP_TERMINATING"])), "EINVAL",
         "ready endpoint must be serving and not terminating"),
        ("removal of an endpoint that is not there", "ENDPOINT_DEL",
         NAME + endpoint("10.200.0.2", 80) + EP, "ENOENT",
         "service has no such endpoint"),
        # lookup
        ("lookup without a destination", "LOOKUP",
         u8("LOOKUP_PROTO", 6) + addr("LOOKUP_SRC", "10.0.0.1"), "EINVAL",
         "lookup needs a protocol, a source, a destination and its port"),
        ("lookup of ICMP", "LOOKUP",
         u8("LOOKUP_PROTO", 1) + addr("LOOKUP_SRC", "10.0.0.1") +
         addr("LOOKUP_DST", "10.0.0.2") + be16("LOOKUP_DPORT", 80),
         "EPROTONOSUPPORT", "protocol is not TCP, UDP or SCTP"),
        ("lookup from IPv4 to IPv6", "LOOKUP",
         u8("LOOKUP_PROTO", 6) + addr("LOOKUP_SRC", "10.0.0.1") +
         addr("LOOKUP_DST", "fd00::1") + be16("LOOKUP_DPORT", 80),
         "EINVAL", "source and destination are not of one family"),
        # node
        ("node with two addresses of a family", "NODE_SET",
         addr("NODE_IP", "10.240.0.20") + addr("NODE_IP", "10.240.0.21"),
         "EINVAL", "node has more than one ip of a family"),
        ("node with a loopback address", "NODE_SET",
         addr("NODE_IP", "127.0.0.1"), "EINVAL",
         "node ip is not a unicast address of global scope"),
        ("node-port range that ends before it begins", "NODE_SET",
         u16("NODE_NODEPORT_MIN", 31000) + u16("NODE_NODEPORT_MAX", 30000),
         "EINVAL", "node port range ends before it begins"),
        ("node-port range from 0", "NODE_SET", u16("NODE_NODEPORT_MIN", 0),
         "ERANGE", RANGE),
        ("unknown node-port mode", "NODE_SET",
         u8("NODE_NODEPORT_MODE", C["NODEPORT_MAX"] + 1), "ERANGE", RANGE),
        ("node-port prefixes in another mode", "NODE_SET",
         u8("NODE_NODEPORT_MODE", C["NODEPORT_ALL"]) +
         prefix("NODE_NODEPORT_PREFIX", "10.0.0.0/8"), "EINVAL",
         "node port prefixes need node port mode prefixes"),
        ("node-port mode prefixes without one", "NODE_SET",
         u8("NODE_NODEPORT_MODE", C["NODEPORT_PREFIXES"]), "EINVAL",
         "node port mode prefixes needs a prefix"),
        ("node list both given and cleared", "NODE_SET",
         addr("NODE_IP", "10.240.0.20") + u32("NODE_CLEAR",
                                              C["NODE_CLEAR_IP"]),
         "EINVAL", "node list is both given and cleared"),
        ("unknown node list cleared", "NODE_SET", u32("NODE_CLEAR", 1 << 31),
         "EINVAL", "reserved bit set"),
        ("node address, which is an answer", "NODE_SET",
         addr("NODE_ADDRESS", "10.240.0.20"), "EINVAL", POLICY),
        ("unknown fastpath", "NODE_SET",
         u8("NODE_FASTPATH", C["FASTPATH_MAX"] + 1), "ERANGE", RANGE),
        # masq
        ("masquerade without a prefix", "MASQ_NEW", b"", "EINVAL",
         "masquerade rule needs a prefix"),
        ("masquerade with an exception of another family", "MASQ_NEW",
         prefix("MASQ_PREFIX", "10.9.0.0/16") +
         prefix("MASQ_EXCEPT", "fd00::/8"), "EINVAL",
         "exception is of another address family than the masquerade rule"),
        ("masquerade that exists", "MASQ_NEW",
         prefix("MASQ_PREFIX", "10.200.0.0/16"), "EEXIST",
         "a masquerade rule has this prefix already"),
        ("removal of a masquerade that is not there", "MASQ_DEL",
         prefix("MASQ_PREFIX", "10.9.0.0/16"), "ENOENT",
         "no masquerade rule has this prefix"),
        ("65 exceptions", "MASQ_NEW",
         prefix("MASQ_PREFIX", "10.9.0.0/16") + b"".join(
             prefix("MASQ_EXCEPT", f"192.168.{n}.0/24") for n in range(65)),
         "E2BIG", "too many prefixes"),
        # pods
        ("pod without an address", "POD_NEW",
         string("POD_PORT_NAME", "vp00") + nla("POD_LLADDR", b"\2" + bytes(5)),
         "EINVAL", "pod needs an address"),
        ("pod without a port", "POD_NEW",
         addr("POD_ADDR", "10.200.0.9") + nla("POD_LLADDR", b"\2" + bytes(5)),
         "EINVAL", "pod needs a port"),
        ("pod without a MAC", "POD_NEW",
         addr("POD_ADDR", "10.200.0.9") + string("POD_PORT_NAME", "vp00"),
         "EINVAL", "pod needs a MAC"),
        ("pod with a multicast MAC", "POD_NEW",
         addr("POD_ADDR", "10.200.0.9") + string("POD_PORT_NAME", "vp00") +
         nla("POD_LLADDR", b"\1" + bytes(5)), "EINVAL",
         "pod MAC is not a unicast address"),
        ("pod with a MAC of 5 bytes", "POD_NEW",
         addr("POD_ADDR", "10.200.0.9") + string("POD_PORT_NAME", "vp00") +
         nla("POD_LLADDR", bytes(5)), "ERANGE", BINARY),
        ("pod on no device", "POD_NEW",
         addr("POD_ADDR", "10.200.0.9") + string("POD_PORT_NAME", "nope") +
         nla("POD_LLADDR", b"\2" + bytes(5)), "ENODEV",
         "no such device for the pod's port"),
        ("pod on a device that is no port", "POD_NEW",
         addr("POD_ADDR", "10.200.0.9") + string("POD_PORT_NAME", "eth0") +
         nla("POD_LLADDR", b"\2" + bytes(5)), "EINVAL",
         "device is not a port of a pod bridge"),
        ("pod with two addresses of a family", "POD_NEW",
         addr("POD_ADDR", "10.200.0.9") + addr("POD_ADDR", "10.200.0.8") +
         string("POD_PORT_NAME", "vp00") + nla("POD_LLADDR", b"\2" + bytes(5)),
         "EINVAL", "pod has two addresses of one family"),
        ("pod with an address that is taken", "POD_NEW",
         addr("POD_ADDR", "10.200.0.2") + string("POD_PORT_NAME", "vp00") +
         nla("POD_LLADDR", b"\2" + bytes(5)), "EEXIST",
         "pod address is taken by another pod"),
        ("pod with the node's address", "POD_NEW",
         addr("POD_ADDR", "10.240.0.20") + string("POD_PORT_NAME", "vp00") +
         nla("POD_LLADDR", b"\2" + bytes(5)), "EADDRINUSE",
         "pod address is an address of the node"),
        ("pod with a multicast address", "POD_NEW",
         addr("POD_ADDR", "224.0.0.1") + string("POD_PORT_NAME", "vp00") +
         nla("POD_LLADDR", b"\2" + bytes(5)), "EINVAL",
         "pod address is not a unicast address"),
        ("removal of a pod that is not there", "POD_DEL",
         addr("POD_ADDR", "10.200.0.9"), "ENOENT", "no pod has this address"),
        # routes
        ("route without a prefix", "ROUTE_NEW",
         addr("ROUTE_VIA", "10.240.0.21"), "EINVAL",
         "pod route needs a prefix"),
        ("route without a node", "ROUTE_NEW",
         prefix("ROUTE_PREFIX", "10.200.7.0/24"), "EINVAL",
         "pod route needs a node it goes by"),
        ("route of two families", "ROUTE_NEW",
         prefix("ROUTE_PREFIX", "10.200.7.0/24") +
         addr("ROUTE_VIA", "fd00:10:240::21"), "EINVAL",
         "node and prefix of the route are of different address families"),
        ("route by this node", "ROUTE_NEW",
         prefix("ROUTE_PREFIX", "10.200.7.0/24") +
         addr("ROUTE_VIA", "10.240.0.20"), "EINVAL",
         "node of the route is this node"),
        ("route that exists", "ROUTE_NEW",
         prefix("ROUTE_PREFIX", "10.200.1.0/24") +
         addr("ROUTE_VIA", "10.240.0.21"), "EEXIST",
         "pod route to this prefix exists"),
        ("route by no bridge", "ROUTE_NEW",
         prefix("ROUTE_PREFIX", "10.200.7.0/24") +
         addr("ROUTE_VIA", "10.240.0.21") + u32("ROUTE_BRIDGE", 9999),
         "ENODEV", "no device has the index of the route's bridge"),
        ("removal of a route that is not there", "ROUTE_DEL",
         prefix("ROUTE_PREFIX", "10.200.7.0/24"), "ENOENT",
         "no pod route to this prefix"),
        # bridges and ports
        ("bridge without a key", "BRIDGE_GET", b"", "EINVAL",
         "request names no device"),
        ("bridge that is not there", "BRIDGE_GET",
         string("BRIDGE_IFNAME", "nope"), "ENODEV", "no such device"),
        ("bridge that is another device", "BRIDGE_GET",
         string("BRIDGE_IFNAME", "eth0"), "ENOENT",
         "device is not a pod bridge"),
        ("bridge with a name of 16 bytes", "BRIDGE_GET",
         string("BRIDGE_IFNAME", "x" * 16), "EINVAL", POLICY),
        ("port that is no port", "PORT_SET",
         string("PORT_IFNAME", "eth0") + u8("PORT_ANTISPOOF", 0), "ENOENT",
         "device is not a port of a pod bridge"),
        ("change of nothing of a port", "PORT_SET",
         string("PORT_IFNAME", "vp00"), "EINVAL",
         "request changes nothing of the port"),
        ("antispoof 2", "PORT_SET",
         string("PORT_IFNAME", "vp00") + u8("PORT_ANTISPOOF", 2), "ERANGE",
         RANGE),
        # those without attributes
        ("flush with an attribute", "FLUSH", u8(1, 0), "EINVAL",
         "request takes no attributes"),
        ("flush with an attribute of a high number", "FLUSH", u8(9, 0),
         "EINVAL", UNKNOWN),
        ("node get with an attribute", "NODE_GET", u8(1, 0), "EINVAL",
         "request takes no attributes"),
    )


def main():
    """The test."""
    tap = Tap()
    c = Cluster(nodes=1, pods=1)
    c.tool("w0", "route add 10.200.1.0/24 via 10.240.0.21")
    c.tool("w0", "svc add one vip 10.32.0.1:80/tcp node-port 31000 "
           "ep 10.200.0.2:80")
    genl = Genl(c["w0"])

    def state():
        return c.tool("w0", "save").out

    before = state()

    def refused(cmd, payload, number, text):
        try:
            genl.request(cmd, payload)
        except Error as error:
            expect((errno.errorcode[error.errno], error.text),
                   (number, text), "errno and sentence")
            return
        raise Failed("the message was accepted")

    for what, cmd, payload, number, text in rows():
        tap.case(what, refused, cmd, payload, number, text)

    def truncated():
        """A message whose last attribute is longer than itself."""
        for cut in range(1, 40):
            payload = OTHER + TCP + VIP + EP
            try:
                genl.request("SERVICE_NEW", payload[:-cut])
            except Error:
                continue
            # A whole number of attributes was cut off.
            genl.request("SERVICE_DEL", OTHER)

    tap.case("cut-off messages do no harm", truncated)

    def permitted():
        """Unknown commands."""
        for cmd in 0, C["CMD_MAX"] + 1, 255:
            try:
                genl.sock.send(genl.message(cmd, b"",
                                            NLM_F_REQUEST | NLM_F_ACK))
                for kind, flags, _, body in genl.read():
                    if kind == 2:
                        genl.check(flags, body)
            except Error as error:
                expect(error.errno, errno.EOPNOTSUPP, "errno")
                continue
            raise Failed(f"command {cmd} was accepted")

    tap.case("unknown commands are refused", permitted)
    tap.case("in all of this nothing has changed", lambda: expect(state(),
                                                                  before))

    def noise():
        """Random attributes. Nearly all are refused; the few that happen to
        be good are obeyed, which flush and restore undo.
        """
        import random
        seed = random.randrange(1 << 32)
        tap.note(f"seed {seed}")
        rand = random.Random(seed)
        bad = 0
        for _ in range(1500):
            cmd = rand.choice([name[4:] for name in C
                               if name.startswith("CMD_") and
                               name.endswith(("NEW", "SET", "GET", "DEL",
                                              "LOOKUP"))])
            payload = b"".join(
                nla(rand.randrange(20) | rand.choice((0, 0x8000)),
                    rand.choice((rand.randbytes(rand.randrange(24)),
                                 u8(rand.randrange(9), rand.randrange(9)) +
                                 addr(rand.randrange(4), "10.0.0.0"))))
                for _ in range(rand.randrange(5)))
            try:
                genl.request(cmd, payload)
            except Error:
                bad += 1
        check(bad > 1000, f"only {bad} of 1500 were refused")
        c.tool("w0", "flush")
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(before)
            file.flush()
            c.tool("w0", f"restore {file.name}")
        expect(state(), before, "state")

    tap.case("random messages do no harm", noise)
    genl.sock.close()
    tap.end()


main()
