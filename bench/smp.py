# SPDX-License-Identifier: GPL-2.0
"""Two processors, two pods that send to two others through two services: what
both together reach, compared with what each reaches alone. Without counted
instructions, since the emulator then runs both processors in one thread; so
the absolute figures are this machine's, and only their ratio says something.
"""
import json
import multiprocessing
import re

from cluster import ADDR, BRIDGE, Service, ip_batch, run
from guest import PGDIR, RR, Sink, get, inside, next_hop_mac, put
import datapath

FAMILY = 4
ROUNDS = 7
PACKETS = 60000
# A second pair of pods beside A and B.
C, D = "10.200.0.4", "10.200.0.5"
VIP = "10.47.0.3"


def add_pair(bench):
    at = ADDR[FAMILY]
    for ns, addr in (("c", C), ("d", D)):
        run("ip", "netns", "add", ns)
        ip_batch([f"link add v{ns} type veth peer name eth0 netns {ns}",
                  f"link set v{ns} up"])
        ip_batch(["link set lo up", "link set eth0 up",
                  f"addr add {addr}/24 dev eth0",
                  f"route add default via {at.gateway}"], ns)
        if bench.name.startswith("k8snet"):
            run("k8snetctl", "pod", "add", addr, "port", f"v{ns}")
        else:
            run("ip", "link", "set", f"v{ns}", "master", BRIDGE)
    if bench.path.service:
        svc = datapath.k8snet_services([Service(
            "local-4-udp-80-second:p", "udp", VIP, 80, [(D, 8080, True)])])
        run("k8snetctl", "-b", "-", stdin=svc)


def configure(netns, cpu, src, dst, port):
    mac = next_hop_mac(netns, dst)
    with inside(netns):
        put(f"{PGDIR}/kpktgend_{cpu}", "rem_device_all")
        put(f"{PGDIR}/kpktgend_{cpu}", "add_device eth0")
        for word in ("pkt_size 60", "clone_skb 0", "delay 0",
                     f"dst_mac {mac}", f"dst_min {dst}", f"dst_max {dst}",
                     f"src_min {src}", f"src_max {src}",
                     "udp_src_min 20000", "udp_src_max 20000",
                     f"udp_dst_min {port}", f"udp_dst_max {port}",
                     f"count {PACKETS}"):
            put(f"{PGDIR}/eth0", word)


def start(netns):
    with inside(netns):
        put(PGDIR + "/pgctrl", "start")


def rate(netns):
    with inside(netns):
        text = get(PGDIR + "/eth0")
    done = re.search(r"OK: (\d+)\(.*usec, (\d+) ", text)
    return int(done.group(2)) * 1e6 / int(done.group(1))


def send(netns_list):
    """Packets a second, all senders together."""
    children = [multiprocessing.Process(target=start, args=(netns,))
                for netns in netns_list]
    for child in children:
        child.start()
    for child in children:
        child.join()
    return sum(rate(netns) for netns in netns_list)


def measure(bench):
    add_pair(bench)
    at = ADDR[FAMILY]
    service = bench.path.service
    ends = (("a", "b", at.a, at.b, at.vip_local), ("c", "d", C, D, VIP))
    sinks = []
    for cpu, (src, dst, src_addr, dst_addr, vip) in enumerate(ends):
        called, port = (vip, 80) if service else (dst_addr, 8080)
        seen = json.loads(run(
            RR, "touch", f"client={src}", f"server={dst}", f"src={src_addr}",
            "sport=20000", f"dst={called}", f"dport={port}",
            f"bind={dst_addr}", "bport=8080"))
        if seen["peer"] != src_addr:
            raise RuntimeError(f"the server saw {seen['peer']}")
        configure(src, cpu, src_addr, called, port)
        sinks.append(Sink(dst, "eth0", FAMILY))
    best = {"a": 0, "c": 0, "both": 0}
    rounds = []
    for _ in range(ROUNDS):
        one = {name: send([name]) for name in ("a", "c")}
        one["both"] = send(["a", "c"])
        rounds.append(round(one["both"] / ((one["a"] + one["c"]) / 2), 3))
        best = {name: max(best[name], one[name]) for name in best}
    sent = ROUNDS * 2 * PACKETS
    counted = [sink.count() for sink in sinks]
    if counted != [sent, sent]:
        raise RuntimeError(f"{counted} of {sent} packets were delivered")
    alone = (best["a"] + best["c"]) / 2
    bench.record("smp", FAMILY, 1, one=round(alone), two=round(best["both"]),
                 scaling=best["both"] / alone, rounds=rounds)
