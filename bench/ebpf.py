# SPDX-License-Identifier: GPL-2.0
"""Fills the two maps of redirect.bpf.c. Its programs send every reply to pod
A, which is the only one that asks here."""
import ipaddress
import json
import struct

from cluster import BRIDGE, measured, run

MAPS = "/sys/fs/bpf/tc/globals"
PROTO = {"tcp": 6, "udp": 17}


def packed(address):
    return ipaddress.ip_address(address).packed.ljust(16, b"\0")


def key(family, address, port, proto):
    return struct.pack("!16sHBB", packed(address), port, PROTO[proto], family)


def link(*words):
    found = json.loads(run("ip", *words))[0]
    return found["ifindex"], bytes.fromhex(found["address"].replace(":", ""))


def update(name, where, value):
    def words(data):
        return ["hex"] + [f"{byte:02x}" for byte in data]
    run("bpftool", "map", "update", "pinned", f"{MAPS}/{name}", "key",
        *words(where), "value", *words(value))


def fill(families):
    va, _ = link("-j", "link", "show", "va")
    vb, _ = link("-j", "link", "show", "vb")
    _, mac_a = link("-n", "a", "-j", "link", "show", "eth0")
    _, mac_b = link("-n", "b", "-j", "link", "show", "eth0")
    _, gateway = link("-j", "link", "show", BRIDGE)
    for family in families:
        for svc in measured(family):
            address, port, local = svc.endpoints[0]
            if not local:
                continue
            update("bench_client", key(family, svc.vip, svc.port, svc.proto),
                   struct.pack("!16sHH", packed(address), port, 0)
                   + struct.pack("=I", vb) + mac_b + gateway)
            update("bench_server", key(family, address, port, svc.proto),
                   struct.pack("!16sHH", packed(svc.vip), svc.port, 0)
                   + struct.pack("=I", va) + mac_a + gateway)
