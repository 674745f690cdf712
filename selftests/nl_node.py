#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
"""Node settings, masquerade rules and counters at the netlink interface: what
each bad message is answered with (errno and sentence), that it changes
nothing, what listeners are told, and dumps that changes interrupt.
"""
import atexit
import errno
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from genl import C, Error, Genl, addr, attrs, find, nla, prefix, string, \
    u8, u16, u32
from svclib import Netns, Tap, check, expect, run

MODE_PREFIXES = C["NODEPORT_PREFIXES"]
NOT_UNICAST = "node ip is not a unicast address of global scope"
BEYOND = "prefix has bits set beyond its length"
NEEDS_BOTH = "prefix needs an address and a length"
BAD_SIZE = "address is neither 4 nor 16 bytes long"
# The kernel's own sentences, where the policy refuses.
RANGE = "integer out of range"
SIZE = "binary attribute size out of range"
MASK = "reserved bit set"
REJECT = "Attribute failed policy validation"
UNKNOWN = "Unknown attribute type"


def ip(text):
    """NODE_IP."""
    return addr("NODE_IP", text)


def many(kind, count):
    """A list of prefixes."""
    return b"".join(prefix(kind, f"10.{n}.0.0/16") for n in range(count))


# Description, attributes, errno, how the sentence begins.
BAD_NODE = [
    ("ip of 5 bytes", nla("NODE_IP", bytes(5)), errno.EINVAL, BAD_SIZE),
    ("ip of 3 bytes", nla("NODE_IP", bytes(3)), errno.ERANGE, SIZE),
    ("ip of 17 bytes", nla("NODE_IP", bytes(17)), errno.ERANGE, SIZE),
    *((f"ip {a}", ip(a), errno.EINVAL, NOT_UNICAST) for a in (
        "0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::", "::1",
        "ff02::1", "fe80::1", "::ffff:10.0.0.1")),
    ("two ip of IPv4", ip("192.0.2.1") + ip("192.0.2.2"), errno.EINVAL,
     "node has more than one ip of a family"),
    ("three ip", ip("192.0.2.1") + ip("2001:db8::1") + ip("2001:db8::2"),
     errno.EINVAL, "node has more than one ip of a family"),
    ("a good ip before a bad one", ip("192.0.2.1") + ip("::1"),
     errno.EINVAL, NOT_UNICAST),
    ("ip given and cleared", ip("192.0.2.1") +
     u32("NODE_CLEAR", C["NODE_CLEAR_IP"]), errno.EINVAL,
     "node list is both given and cleared"),
    ("cluster-cidr given and cleared",
     prefix("NODE_CLUSTER_CIDR", "10.0.0.0/8") +
     u32("NODE_CLEAR", C["NODE_CLEAR_CLUSTER_CIDR"]), errno.EINVAL,
     "node list is both given and cleared"),
    ("unknown bit in clear", u32("NODE_CLEAR", 1 << 31), errno.EINVAL, MASK),
    ("service-cidr given and cleared",
     prefix("NODE_SERVICE_CIDR", "10.0.0.0/8") +
     u32("NODE_CLEAR", C["NODE_CLEAR_SERVICE_CIDR"]), errno.EINVAL,
     "node list is both given and cleared"),
    ("dead-ports that is none", u8("NODE_DEAD_PORTS",
                                   C["NO_ENDPOINTS_PASS"] + 1),
     errno.ERANGE, RANGE),
    ("unassigned-ips that is none", u8("NODE_UNASSIGNED_IPS",
                                       C["NO_ENDPOINTS_PASS"] + 1),
     errno.ERANGE, RANGE),
    ("zone of 64 bytes", string("NODE_ZONE", "z" * 64), errno.EINVAL, REJECT),
    ("name of 254 bytes", string("NODE_NAME", "n" * 254), errno.EINVAL, REJECT),
    ("mode that is none", u8("NODE_NODEPORT_MODE", MODE_PREFIXES + 1),
     errno.ERANGE, RANGE),
    ("mode prefixes without any", u8("NODE_NODEPORT_MODE", MODE_PREFIXES),
     errno.EINVAL, "node port mode prefixes needs a prefix"),
    ("prefixes in another mode",
     prefix("NODE_NODEPORT_PREFIX", "192.0.2.0/24"), errno.EINVAL,
     "node port prefixes need node port mode prefixes"),
    ("65 node port prefixes", u8("NODE_NODEPORT_MODE", MODE_PREFIXES) +
     many("NODE_NODEPORT_PREFIX", 65), errno.E2BIG, "too many prefixes"),
    ("65 cluster prefixes", many("NODE_CLUSTER_CIDR", 65), errno.E2BIG,
     "too many prefixes"),
    ("range from 0", u16("NODE_NODEPORT_MIN", 0), errno.ERANGE, RANGE),
    ("range to 0", u16("NODE_NODEPORT_MAX", 0), errno.ERANGE, RANGE),
    ("range that ends before it begins", u16("NODE_NODEPORT_MIN", 200) +
     u16("NODE_NODEPORT_MAX", 199), errno.EINVAL,
     "node port range ends before it begins"),
    ("minimum above the maximum in force", u16("NODE_NODEPORT_MIN", 32768),
     errno.EINVAL, "node port range ends before it begins"),
    ("maximum below the minimum in force", u16("NODE_NODEPORT_MAX", 29999),
     errno.EINVAL, "node port range ends before it begins"),
    ("range of one byte", nla("NODE_NODEPORT_MIN", b"\1"), errno.EINVAL, ""),
    ("fastpath that is none", u8("NODE_FASTPATH", C["FASTPATH_OFF"] + 1),
     errno.ERANGE, RANGE),
    ("host bits", prefix("NODE_CLUSTER_CIDR", "10.0.0.1/8"), errno.EINVAL,
     BEYOND),
    ("IPv4 prefix of 33 bits", prefix("NODE_CLUSTER_CIDR", "10.0.0.0/33"),
     errno.EINVAL, "prefix is longer than the address"),
    ("IPv6 prefix of 129 bits", prefix("NODE_CLUSTER_CIDR", "fd00::/129"),
     errno.ERANGE, RANGE),
    ("prefix without a length",
     nla("NODE_CLUSTER_CIDR", [addr("PREFIX_ADDR", "10.0.0.0")]),
     errno.EINVAL, NEEDS_BOTH),
    ("prefix without an address",
     nla("NODE_CLUSTER_CIDR", [u8("PREFIX_LEN", 8)]), errno.EINVAL,
     NEEDS_BOTH),
    ("prefix that is not nested",
     nla("NODE_CLUSTER_CIDR", bytes(8)), errno.EINVAL, ""),
    ("address, which is an answer", addr("NODE_ADDRESS", "192.0.2.1"),
     errno.EINVAL, REJECT),
    ("attribute 0", nla("NODE_UNSPEC", b""), errno.EINVAL, ""),
    ("unknown attribute", nla(C["NODE_MAX"] + 1, bytes(4)), errno.EINVAL,
     UNKNOWN),
]

BAD_MASQ = [
    ("MASQ_NEW", "no prefix", b"", errno.EINVAL,
     "masquerade rule needs a prefix"),
    ("MASQ_DEL", "no prefix", b"", errno.EINVAL,
     "masquerade rule needs a prefix"),
    ("MASQ_GET", "no prefix", b"", errno.EINVAL,
     "masquerade rule needs a prefix"),
    ("MASQ_NEW", "host bits", prefix("MASQ_PREFIX", "10.0.0.1/8"),
     errno.EINVAL, BEYOND),
    ("MASQ_NEW", "host bits in an exception",
     prefix("MASQ_PREFIX", "10.1.0.0/16") +
     prefix("MASQ_EXCEPT", "192.0.2.1/24"), errno.EINVAL, BEYOND),
    ("MASQ_NEW", "exception of IPv6 to IPv4",
     prefix("MASQ_PREFIX", "10.1.0.0/16") +
     prefix("MASQ_EXCEPT", "192.0.2.0/24") +
     prefix("MASQ_EXCEPT", "fd00::/64"), errno.EINVAL,
     "exception is of another address family than the masquerade rule"),
    ("MASQ_NEW", "exception of IPv4 to IPv6",
     prefix("MASQ_PREFIX", "fd01::/64") +
     prefix("MASQ_EXCEPT", "192.0.2.0/24"), errno.EINVAL,
     "exception is of another address family than the masquerade rule"),
    ("MASQ_NEW", "65 exceptions", prefix("MASQ_PREFIX", "172.16.0.0/12") +
     many("MASQ_EXCEPT", 65), errno.E2BIG, "too many prefixes"),
    ("MASQ_NEW", "a rule that is there", prefix("MASQ_PREFIX", "10.0.0.0/8"),
     errno.EEXIST, "a masquerade rule has this prefix already"),
    ("MASQ_DEL", "a rule that is not there",
     prefix("MASQ_PREFIX", "10.0.0.0/9"), errno.ENOENT,
     "no masquerade rule has this prefix"),
    ("MASQ_GET", "a rule that is not there",
     prefix("MASQ_PREFIX", "fd00::/8"), errno.ENOENT,
     "no masquerade rule has this prefix"),
    ("MASQ_NEW", "a counter, which is an answer",
     prefix("MASQ_PREFIX", "10.1.0.0/16") + nla("MASQ_FLOWS", bytes(8)),
     errno.EINVAL, REJECT),
    ("MASQ_NEW", "unknown attribute", prefix("MASQ_PREFIX", "10.1.0.0/16") +
     nla(C["MASQ_MAX"] + 1, bytes(4)), errno.EINVAL, UNKNOWN),
    ("MASQ_NEW", "prefix of 0 bytes", nla("MASQ_PREFIX", []), errno.EINVAL,
     NEEDS_BOTH),
]


def refused(cmd, payload, number, text):
    """A request ends with an errno and a sentence, and changes nothing."""
    before = state()
    try:
        genl.request(cmd, payload)
    except Error as error:
        expect(errno.errorcode[error.errno], errno.errorcode[number], "errno")
        check(error.text.startswith(text),
              f"sentence: got {error.text!r}, wanted {text!r}")
    else:
        expect("accepted", "refused")
    expect(state(), before, "state")


def node():
    """The settings, as they are answered."""
    return genl.request("NODE_GET")[0]


def state():
    """Settings and rules; counters do not move here."""
    return node(), genl.dump("MASQ_GET")[0]


def values(data, kind):
    """All payloads of a kind."""
    return [payload for have, payload in attrs(data) if have == C[kind]]


def text_of(data):
    """Prefix as text."""
    raw = find(data, "PREFIX_ADDR")
    family = socket.AF_INET6 if len(raw) == 16 else socket.AF_INET
    return f"{socket.inet_ntop(family, raw)}/{find(data, 'PREFIX_LEN')[0]}"


def node_limits():
    """What is just allowed, in one message, comes back whole."""
    genl.request("NODE_SET", ip("192.0.2.1") + ip("2001:db8::1") +
                 u8("NODE_NODEPORT_MODE", MODE_PREFIXES) +
                 many("NODE_NODEPORT_PREFIX", 64) +
                 many("NODE_CLUSTER_CIDR", 64) +
                 u16("NODE_NODEPORT_MIN", 1) + u16("NODE_NODEPORT_MAX", 65535))
    data = node()
    wanted = [f"10.{n}.0.0/16" for n in range(64)]
    expect([text_of(p) for p in values(data, "NODE_NODEPORT_PREFIX")], wanted)
    expect([text_of(p) for p in values(data, "NODE_CLUSTER_CIDR")], wanted)
    expect(values(data, "NODE_IP"), values(data, "NODE_ADDRESS"))
    expect(struct.unpack("=H", find(data, "NODE_NODEPORT_MIN"))[0], 1)
    expect(struct.unpack("=H", find(data, "NODE_NODEPORT_MAX"))[0], 65535)


def node_prefixes_stay():
    """Mode prefixes again, without prefixes: those in force stay; another
    mode drops them.
    """
    genl.request("NODE_SET", u8("NODE_NODEPORT_MODE", MODE_PREFIXES))
    expect(len(values(node(), "NODE_NODEPORT_PREFIX")), 64)
    genl.request("NODE_SET", u8("NODE_NODEPORT_MODE", C["NODEPORT_ALL"]))
    expect(len(values(node(), "NODE_NODEPORT_PREFIX")), 0)


def node_clear():
    """Lists are emptied by their bits, each alone."""
    genl.request("NODE_SET", u32("NODE_CLEAR", C["NODE_CLEAR_IP"]))
    expect(len(values(node(), "NODE_IP")), 0)
    expect(len(values(node(), "NODE_CLUSTER_CIDR")), 64)
    genl.request("NODE_SET", u32("NODE_CLEAR", C["NODE_CLEAR_CLUSTER_CIDR"]))
    expect(len(values(node(), "NODE_CLUSTER_CIDR")), 0)


def notified(cmd, payload, notification):
    """A change is told as GET would answer it."""
    listener = Genl(ns)
    listener.listen()
    genl.request(cmd, payload)
    _, _, _, body = listener.read()[0]
    expect(body[0], C["CMD_" + notification], "command")
    listener.sock.close()
    return body[4:]


def node_notified():
    """NODE_NTF."""
    told = notified("NODE_SET", u16("NODE_NODEPORT_MIN", 20000), "NODE_NTF")
    expect(told, node())


def masq_notified():
    """MASQ_NTF and MASQ_DEL_NTF."""
    key = prefix("MASQ_PREFIX", "10.7.0.0/16")
    told = notified("MASQ_NEW", key + prefix("MASQ_EXCEPT", "192.0.2.0/24"),
                    "MASQ_NTF")
    expect(told, genl.request("MASQ_GET", key)[0])
    expect(notified("MASQ_DEL", key, "MASQ_DEL_NTF"), told)


def flush_notified():
    """FLUSH_NTF, and the settings are the defaults again."""
    genl.request("NODE_SET", ip("192.0.2.9"))
    notified("FLUSH", b"", "FLUSH_NTF")
    expect(state(), (defaults, []))


def rule(n, excepts=64):
    """A rule that takes some room in a dump."""
    return prefix("MASQ_PREFIX", f"172.{16 + n // 256}.{n % 256}.0/24") + \
        many("MASQ_EXCEPT", excepts)


def dump_whole():
    """256 long rules take several parts; each is there once."""
    for n in range(256):
        genl.request("MASQ_NEW", rule(n))
    rules, interrupted = genl.dump("MASQ_GET")
    expect(interrupted, False)
    expect(len(rules), 256)
    expect(len({find(r, "MASQ_PREFIX") for r in rules}), 256)
    check(all(len(values(r, "MASQ_EXCEPT")) == 64 for r in rules), "excepts")


def limit():
    """The 257th rule is refused."""
    refused("MASQ_NEW", prefix("MASQ_PREFIX", "10.9.0.0/16"), errno.ENOSPC,
            "too many masquerade rules")


def dump_interrupted():
    """A rule that goes in the middle of a dump marks it; what stayed is
    there once.
    """
    other = Genl(ns)
    other.sock.send(other.message("MASQ_GET", b"", 0x301))
    got, interrupted, done, changed = [], False, False, False
    while not done:
        for kind, flags, _, body in other.read():
            interrupted |= bool(flags & 0x10)
            done |= kind == 3
            if kind != 3:
                got.append(find(body[4:], "MASQ_PREFIX"))
        if not changed:
            changed = True
            check(len(got) < 256, "one part holds all")
            genl.request("MASQ_DEL", prefix("MASQ_PREFIX", "172.16.0.0/24"))
            genl.request("MASQ_DEL", prefix("MASQ_PREFIX", "172.16.255.0/24"))
    expect(interrupted, True, "NLM_F_DUMP_INTR")
    expect(len(got), len(set(got)), "rules shown twice")
    check(len(got) >= 254, f"{len(got)} rules")


def flush_rules():
    """Flush removes all of them, and new ones can come."""
    genl.request("FLUSH")
    expect(genl.dump("MASQ_GET")[0], [])
    genl.request("MASQ_NEW", rule(1))
    expect(len(genl.dump("MASQ_GET")[0]), 1)
    genl.request("FLUSH")


def stats():
    """Each counter has one name and eight bytes."""
    found, interrupted = genl.dump("STATS_GET")
    expect(interrupted, False)
    names = [find(s, "STATS_NAME").rstrip(b"\0").decode() for s in found]
    expect(len(names), len(set(names)), "names")
    check({"masq_flows", "snat_flows", "service_flows", "spoofed"} <=
          set(names), f"names: {names}")
    check(all(len(find(s, "STATS_VALUE")) == 8 for s in found), "sizes")


run("modprobe", "k8snet")
tap = Tap()
name = f"nl-node-{os.getpid()}"
run("ip", "netns", "add", name)
atexit.register(run, "ip", "netns", "del", name, status=None)
with Netns(name) as ns:
    genl = Genl(ns)
    defaults = node()
    genl.request("MASQ_NEW", prefix("MASQ_PREFIX", "10.0.0.0/8"))
    for what, data_, code, why in BAD_NODE:
        tap.case("NODE_SET: " + what, refused, "NODE_SET", data_, code, why)
    tap.case("NODE_GET: takes no attribute", refused, "NODE_GET",
             ip("192.0.2.1"), errno.EINVAL, "request takes no attributes")
    for command, what, data_, code, why in BAD_MASQ:
        tap.case(f"{command}: {what}", refused, command, data_, code, why)
    tap.case("lists of full length", node_limits)
    tap.case("prefixes stay with their mode", node_prefixes_stay)
    tap.case("lists are emptied", node_clear)
    tap.case("settings are told", node_notified)
    tap.case("rules are told", masq_notified)
    tap.case("flush is told", flush_notified)
    tap.case("a dump of many rules is whole", dump_whole)
    tap.case("one rule too many", limit)
    tap.case("a dump that a change interrupts is marked", dump_interrupted)
    tap.case("flush removes all rules", flush_rules)
    tap.case("counters", stats)
tap.end()
