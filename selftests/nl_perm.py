#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
"""Who may: CAP_NET_ADMIN in the user namespace that owns the network namespace,
for changes and for reading. An unprivileged user has it in namespaces of his
own, and nowhere else.
"""
import errno
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from genl import C, Error, Genl, addr, be16, endpoint, find, frontend, nla, \
    prefix, string, u8
from svclib import CLONE_NEWNET, Cluster, Failed, Tap, check, expect, libc

CLONE_NEWUSER = 0x10000000
PR_SET_DUMPABLE = 4
NOBODY = 65534
NAME = string("SERVICE_NAME", "perm")
REQUESTS = {
    "NODE_GET": b"", "NODE_SET": u8("NODE_FASTPATH", 2),
    "BRIDGE_GET": string("BRIDGE_IFNAME", "cnio0"),
    "PORT_GET": string("PORT_IFNAME", "vp00"),
    "PORT_SET": string("PORT_IFNAME", "vp00") + u8("PORT_ANTISPOOF", 0),
    "POD_NEW": addr("POD_ADDR", "10.200.0.9") +
               string("POD_PORT_NAME", "vp00") +
               nla("POD_LLADDR", b"\2\0\0\0\0\2"),
    "POD_GET": addr("POD_ADDR", "10.200.0.2"),
    "POD_DEL": addr("POD_ADDR", "10.200.0.2"),
    "ROUTE_NEW": prefix("ROUTE_PREFIX", "10.9.0.0/16") +
                 addr("ROUTE_VIA", "10.240.0.21"),
    "ROUTE_GET": prefix("ROUTE_PREFIX", "10.9.0.0/16"),
    "ROUTE_DEL": prefix("ROUTE_PREFIX", "10.9.0.0/16"),
    "MASQ_NEW": prefix("MASQ_PREFIX", "10.9.0.0/16"),
    "MASQ_GET": prefix("MASQ_PREFIX", "10.200.0.0/16"),
    "MASQ_DEL": prefix("MASQ_PREFIX", "10.200.0.0/16"),
    "SERVICE_NEW": NAME + u8("SERVICE_PROTO", 6),
    "SERVICE_SET": NAME, "SERVICE_GET": NAME, "SERVICE_DEL": NAME,
    "ENDPOINT_NEW": NAME + endpoint("10.1.1.1", 1),
    "ENDPOINT_SET": NAME + endpoint("10.1.1.1", 1),
    "ENDPOINT_DEL": NAME + endpoint("10.1.1.1", 1),
    "LOOKUP": u8("LOOKUP_PROTO", 6) + addr("LOOKUP_SRC", "10.0.0.1") +
              addr("LOOKUP_DST", "10.0.0.2") + be16("LOOKUP_DPORT", 80),
    "FLUSH": b"",
}
DUMPS = ("BRIDGE_GET", "PORT_GET", "POD_GET", "ROUTE_GET", "MASQ_GET",
         "SERVICE_GET", "ENDPOINT_GET", "FLOW_GET", "STATS_GET")


def child(func, *args):
    """Runs FUNC in a process of its own: what it has to say, or None."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        text = ""
        try:
            os.close(read)
            func(*args)
        except BaseException as error:      # pylint: disable=broad-except
            text = f"{type(error).__name__}: {error}"
        os.write(write, text.encode()[:4000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(pid, 0)
    if text:
        raise Failed(text)


def nobody():
    """An ordinary user."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)     # or /proc/self is root's


def own_namespaces(net=True):
    """A user namespace, in which this user is root, and a network one."""
    def unshare(flags):
        if libc.unshare(flags):
            raise Failed("unshare() failed")

    unshare(CLONE_NEWUSER)
    for file, text in (("setgroups", "deny"), ("gid_map", f"0 {NOBODY} 1"),
                       ("uid_map", f"0 {NOBODY} 1")):
        with open(f"/proc/self/{file}", "w", encoding="ascii") as out:
            out.write(text)
    if net:
        unshare(CLONE_NEWNET)


def denied(genl, what, func, *args):
    """EPERM."""
    try:
        func(*args)
    except Error as error:
        if error.errno != errno.EPERM:
            raise Failed(f"{what}: {error}, wanted EPERM") from error
        return
    except PermissionError:
        return
    raise Failed(f"{what} was accepted")


def all_denied():
    """Each request and dump is refused."""
    genl = Genl()
    for cmd, payload in REQUESTS.items():
        denied(genl, cmd, genl.request, cmd, payload)
    for cmd in DUMPS:
        denied(genl, cmd, genl.dump, cmd)
    denied(genl, "listening", genl.listen)
    genl.sock.close()


def in_ns_as(ns, prepare):
    """Enters the node's namespace as root, then becomes what PREPARE says."""
    ns.__enter__()      # and never back: this process ends here
    prepare()
    all_denied()


def user_root():
    """Root of a user namespace of his own, but not of this network one."""
    nobody()
    own_namespaces(net=False)


def own_node():
    """His own network namespace is his."""
    nobody()
    own_namespaces()
    genl = Genl()
    genl.listen()
    genl.request("SERVICE_NEW", NAME + u8("SERVICE_PROTO", 6) +
                 frontend("CLUSTER_IP", 80, "10.32.0.1") +
                 endpoint("10.1.1.1", 1))
    got = genl.dump("SERVICE_GET")[0]
    expect([find(data, "SERVICE_NAME") for data in got], [b"perm\0"])
    genl.request("MASQ_NEW", prefix("MASQ_PREFIX", "10.9.0.0/16"))
    genl.request("NODE_SET", u8("NODE_FASTPATH", C["FASTPATH_OFF"]))
    # Of the node from which he comes he sees nothing.
    expect(len(genl.dump("MASQ_GET")[0]), 1, "masquerade rules")
    genl.request("FLUSH")
    expect(genl.dump("SERVICE_GET")[0], [], "services after flush")


def main():
    """The test."""
    tap = Tap()
    c = Cluster(nodes=1, pods=1)
    before = c.tool("w0", "save").out
    with open("/proc/sys/user/max_user_namespaces", encoding="ascii") as file:
        check(int(file.read()) > 0, "no user namespaces")
    try:
        with open("/proc/sys/kernel/unprivileged_userns_clone", "w",
                  encoding="ascii") as file:
            file.write("1")
    except FileNotFoundError:
        pass                    # Debian's own switch
    node = c["w0"]
    tap.case("a user without capabilities may nothing, not even read", child,
             in_ns_as, node, nobody)
    tap.case("root of another user namespace may nothing in this network "
             "namespace", child, in_ns_as, node, user_root)

    def dropped():
        """Root without CAP_NET_ADMIN."""
        header = struct.pack("=Ii", 0x20080522, 0)
        no_admin = ~(1 << 12) & 0xffffffff
        data = struct.pack("=6I", no_admin, no_admin, 0, 0xff, 0xff, 0)
        check(not libc.syscall(126, header, data), "capset() failed")

    tap.case("root without CAP_NET_ADMIN may nothing", child, in_ns_as, node,
             dropped)
    tap.case("a user in a network namespace of his own may everything there",
             child, own_node)
    tap.case("in all of this nothing has changed",
             lambda: expect(c.tool("w0", "save").out, before))
    tap.end()


main()
