#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
"""What an nft firewall on the node gets to see, and can forbid: the hooks and
priorities that docs/datapath.md promises.
"""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from nfqueue import Queue
from svclib import Ask, Cluster, Tap, ask, check, conntrack, endpoint, expect, \
    gather, wait_for

PORT = 31000


def vip(family, number):
    """A cluster IP."""
    return f"fd00:10:32::{number}" if family == 6 else f"10.32.0.{number}"


def rules(c, family, lines):
    """One table; "IP" is the family's, {NAME} the address of a host."""
    text = lines.replace("IP ", "ip6 " if family == 6 else "ip ")
    for host in c.nodes + c.pods + ["out"]:
        text = text.replace("{%s}" % host, c.addr(host, family))
    for number in 1, 2, 3:
        text = text.replace("{vip%d}" % number, vip(family, number))
    c["w0"].run("nft", "-f", "-",
                stdin=f"table inet t\ndelete table inet t\ntable inet t {{\n"
                      f"{text}\n}}\n")


def counts(c):
    """Packets of the named counters."""
    out = c["w0"].run("nft", "-j", "list", "counters", "table", "inet",
                      "t").out
    return {item["counter"]["name"]: item["counter"]["packets"]
            for item in json.loads(out)["nftables"] if "counter" in item}


def counters(*names):
    """Their definitions."""
    return "".join(f"counter {name} {{ }}\n" for name in names)


def answer(c, src, addr, port, name):
    """A request over TCP that must be answered by NAME."""
    one = ask(c[src], "tcp", addr, port)
    expect((one.name, one.error), (name, None), f"{src} to {addr}")
    return one


def forward_sees(c, family):
    """After DNAT and before masquerade."""
    rules(c, family, counters("good", "vip") + """
        chain f {
            type filter hook forward priority 0;
            iifname cnio0 oifname cnio0 IP saddr {p00} IP daddr {p01} \\
                tcp dport 80 ct status dnat ct original IP daddr {vip1} \\
                counter name good
            IP daddr {vip1} counter name vip
        }""")
    answer(c, "p00", vip(family, 1), 80, "p01")
    got = counts(c)
    check(got["good"] > 0, "FORWARD saw no packet to the endpoint")
    expect(got["vip"], 0, "packets to the cluster IP in FORWARD")


def prerouting_sees(c, family):
    """Before dstnat there is the cluster IP."""
    rules(c, family, counters("raw", "mangle") + """
        chain r {
            type filter hook prerouting priority -300;
            iifname cnio0 IP daddr {vip1} counter name raw
        }
        chain m {
            type filter hook prerouting priority -150;
            iifname cnio0 IP daddr {vip1} ct state new counter name mangle
        }""")
    answer(c, "p00", vip(family, 1), 80, "p01")
    got = counts(c)
    check(got["raw"] > 1, "raw saw no packet to the cluster IP")
    expect(got["mangle"], 1, "new packets in mangle")


def nat_chains(c, family):
    """Asked only about what has no translation yet."""
    rules(c, family, counters("n_dst", "n_src") + """
        chain d {
            type nat hook prerouting priority -100;
            tcp dport { 80, 31000 } counter name n_dst
        }
        chain s {
            type nat hook postrouting priority 100;
            tcp dport 80 counter name n_src
        }""")
    answer(c, "p00", vip(family, 1), 80, "p01")
    expect(counts(c)["n_dst"], 0, "dstnat, service flow")
    src = counts(c)["n_src"]
    answer(c, "out", c.addr("w0", family), PORT, "p01")
    got = counts(c)
    expect((got["n_dst"], got["n_src"]), (0, src), "dstnat and srcnat, node port")
    answer(c, "p00", c.addr("p01", family), 80, "p01")
    got = counts(c)
    expect((got["n_dst"], got["n_src"]), (1, src + 1), "both, no service")


def postrouting_device(c, family):
    """To a pod route it is the bridge."""
    rules(c, family, counters("by_bridge", "by_uplink") + """
        chain p {
            type filter hook postrouting priority 0;
            oifname cnio0 IP daddr {p10} counter name by_bridge
            oifname eth0 IP daddr {p10} counter name by_uplink
        }""")
    answer(c, "p00", vip(family, 2), 80, "p10")
    got = counts(c)
    check(got["by_bridge"] > 0, "POST_ROUTING saw nothing leave by the bridge")
    expect(got["by_uplink"], 0, "packets by the uplink in POST_ROUTING")


def policy(c, family):
    """What FORWARD drops does not arrive, through a service or not."""
    rules(c, family, """
        chain f {
            type filter hook forward priority 0;
            ct state established accept
            IP saddr {p00} IP daddr {p01} tcp dport 80 drop
        }""")
    for addr in vip(family, 1), c.addr("p01", family):
        one = ask(c["p00"], "tcp", addr, 80, timeout=1.5)
        expect(one.error, "timeout", f"p00 to {addr}")
    # Others may.
    answer(c, "p00", vip(family, 2), 80, "p10")
    answer(c, "w0", vip(family, 1), 80, "p01")
    c["w0"].run("nft", "flush", "chain", "inet", "t", "f")
    answer(c, "p00", vip(family, 1), 80, "p01")


def node_port(c, family):
    """Restricted in FORWARD by the original port, not in INPUT."""
    rules(c, family, """
        chain i {
            type filter hook input priority 0;
            tcp dport 31000 drop
        }
        chain f {
            type filter hook forward priority 0;
        }""")
    answer(c, "out", c.addr("w0", family), PORT, "p01")
    c["w0"].run("nft", "add", "rule", "inet", "t", "f",
                "meta l4proto tcp "
                f"ct original proto-dst {PORT} drop")
    one = ask(c["out"], "tcp", c.addr("w0", family), PORT, timeout=1.5)
    expect(one.error, "timeout", "to the node port")
    answer(c, "out", c.addr("w0", family), PORT + 1, "p10")


def refused(c, family):
    """A service without endpoints rejects before FORWARD."""
    rules(c, family, counters("seen") + """
        chain f {
            type filter hook forward priority 0;
            tcp dport 80 counter name seen
        }""")
    one = ask(c["p00"], "tcp", vip(family, 3), 80)
    expect(one.error, "ECONNREFUSED", "service without endpoints")
    expect(counts(c)["seen"], 0, "its packets in FORWARD")


def masquerade(c, family):
    """FORWARD sees the pod's own address, srcnat is not asked any more."""
    rules(c, family, counters("pod", "late") + """
        chain f {
            type filter hook forward priority 0;
            iifname cnio0 oifname eth0 IP saddr {p00} tcp dport 8080 \\
                counter name pod
        }
        chain s {
            type nat hook postrouting priority 100;
            tcp dport 8080 counter name late
        }""")
    one = answer(c, "p00", c.addr("out", family), 8080, "out")
    expect(one.client, c.addr("w0", family), "address that the server saw")
    got = counts(c)
    check(got["pod"] > 0, "FORWARD did not see the pod's address")
    expect(got["late"], 0, "srcnat")


def queued(c, family):
    """nfnetlink_queue takes no packet whose connection others hold, which is
    not in conntrack's table yet."""
    queue = Queue(c["w0"], 7)
    try:
        rules(c, family, """
            chain f {
                type filter hook forward priority 0;
                ct state new IP daddr {p01} queue num 7
            }""")
        answer(c, "p00", vip(family, 1), 80, "p01")
        check(queue.seen, "no packet in the queue")
    finally:
        queue.close()


def older(c, family):
    """An entry from before there was anything to translate: the client's next
    try is a new flow."""
    w0 = c["w0"]
    c.tool("w0", "flush")
    rules(c, family, """
        chain f {
            type filter hook forward priority 0;
            ct state new accept
        }""")
    addr = vip(family, 99)
    w0.ip("link add nowhere type dummy\nlink set nowhere up\n"
          f"route add {addr} dev nowhere\n"
          f"route add {c.addr('p10', family)} via {c.addr('w1', family)}")
    c["out"].ip(f"route add {addr} via {c.addr('w0', family)}")
    try:
        one = Ask(c["out"], "tcp", addr, 80, sport=7000 + family)
        one.start()
        wait_for("entry without translation", lambda: conntrack(
            w0, "-f", f"ipv{family}", "-p", "tcp", "-d", addr))
        c.tool("w0", f"svc add late vip {endpoint(addr, 80)}/tcp "
                     f"ep {endpoint(c.addr('p10', family), 80)}")
        gather([one], timeout=15)
        expect((one.name, one.error), ("p10", None))
        check(c.stat("w0", "conntrack_stale"), "not counted")
    finally:
        w0.ip("link del nowhere\n"
              f"route del {c.addr('p10', family)} via {c.addr('w1', family)}")
        c["out"].ip(f"route del {addr}")


def flushed(c, family):
    """Who removes all rules removes nothing of ours."""
    for words in (("nft", "flush", "ruleset"), ("iptables", "-F"),
                  ("iptables", "-t", "nat", "-F"), ("ip6tables", "-F")):
        c["w0"].run(*words)
    answer(c, "p00", vip(family, 1), 80, "p01")
    answer(c, "p00", vip(family, 2), 80, "p10")
    answer(c, "out", c.addr("w0", family), PORT, "p01")


def main():
    """The test."""
    tap = Tap()
    c = Cluster(nodes=2, pods=2, masq=False)
    c.everywhere("masq add 10.200.0.0/16\nmasq add fd00:10:200::/48\n")
    for pod in "p01", "p10":
        c.serve(pod, "tcp", 80)
    c.serve("out", "tcp", 8080)
    for number, pod in (1, "p01"), (2, "p10"), (3, None):
        text = f"svc add s{number} node-port {PORT + number - 1}"
        for family in 4, 6:
            text += f" vip {endpoint(vip(family, number), 80)}/tcp"
            if pod:
                text += " ep " + endpoint(c.addr(pod, family), 80) + \
                    "{local:%s}" % pod
        c.everywhere(text + "\n")
    for family in 4, 6:
        for src, addr in ("p00", vip(family, 1)), ("p00", vip(family, 2)), \
                ("out", c.addr("w0", family)):
            wait_for(f"answer from {addr}", lambda s=src, a=addr: ask(
                c[s], "tcp", a, PORT if s == "out" else 80,
                timeout=2).name, limit=20)
    for family in 4, 6:
        for what, func in (
                ("FORWARD: destination is the endpoint, source the client",
                 forward_sees),
                ("PRE_ROUTING before -100: destination is the cluster IP",
                 prerouting_sees),
                ("nat chains: not asked about flows of services", nat_chains),
                ("POST_ROUTING: pod routes leave by the bridge",
                 postrouting_device),
                ("a policy in FORWARD holds through a service", policy),
                ("node port: FORWARD by the original port, INPUT has no say",
                 node_port),
                ("rejected packets do not come to FORWARD", refused),
                ("a queue (NFQUEUE) gets first packets and lets them pass",
                 queued),
                ("masquerade: after FORWARD, before srcnat", masquerade),
                ("services outlive the removal of all rules", flushed)):
            tap.case(f"IPv{family}: {what}", func, c, family)
    # Last: nothing is left of the node's configuration.
    for family in 4, 6:
        tap.case(f"IPv{family}: an entry older than the services is no "
                 "hindrance for long", older, c, family)
    tap.end()


main()
