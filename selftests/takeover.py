#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
"""k8snetctl takeover: what kube-proxy has left is found and removed, and
nothing else.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from svclib import Cluster, Tap, check, expect, have

# As "iptables-save" shows a node of kube-proxy's, shortened; the last chain of
# each table is not its own.
RULES = """*filter
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-FIREWALL - [0:0]
:MINE - [0:0]
-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
-A INPUT -j KUBE-FIREWALL
-A INPUT -p tcp -m tcp --dport 22 -j MINE
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FIREWALL -m mark --mark 0x8000 -j DROP
-A MINE -j ACCEPT
COMMIT
*nat
:KUBE-MARK-MASQ - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]
:KUBE-SVC-BBBBBBBBBBBBBBBB - [0:0]
:KUBE-ROUTER-SNAT - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A POSTROUTING -j KUBE-ROUTER-SNAT
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MASQUERADE
-A KUBE-SERVICES -d {vip} -p tcp -m tcp --dport 443 -j KUBE-SVC-BBBBBBBBBBBBBBBB
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-SVC-BBBBBBBBBBBBBBBB -j KUBE-SEP-AAAAAAAAAAAAAAAA
-A KUBE-SEP-AAAAAAAAAAAAAAAA -p tcp -m tcp -j DNAT --to-destination {ep}
COMMIT
"""
PROGRAMS = ("iptables-legacy", "iptables-nft", "ip6tables-legacy",
            "ip6tables-nft")


def words(program):
    """The rules of one family."""
    if program.startswith("ip6"):
        return RULES.format(vip="fd00:10:96::1/128", ep="[fd00:10:200::9]:6443")
    return RULES.format(vip="10.96.0.1/32", ep="10.200.0.9:6443")


def leave(ns):
    """What a node has when kube-proxy was stopped in all its modes."""
    for program in PROGRAMS:
        ns.run(program + "-restore", stdin=words(program))
    ns.run("nft", "-f", "-", stdin="""
table ip kube-proxy { chain services { }; }
table ip6 kube-proxy { chain services { }; }
table ip mine { chain kube-proxy { }; }
""")
    ns.ip("link add kube-ipvs0 type dummy\n"
          "addr add 10.96.0.10/32 dev kube-ipvs0\n"
          "addr add fd00:10:96::a/128 dev kube-ipvs0")
    ns.run("ipvsadm", "-R", stdin="-A -t 10.96.0.10:53 -s rr\n"
           "-a -t 10.96.0.10:53 -r 10.200.0.9:53 -m\n"
           "-A -u [fd00:10:96::a]:53 -s rr\n")
    ns.run("ipset", "create", "KUBE-CLUSTER-IP", "hash:ip,port")
    ns.run("ipset", "create", "mine", "hash:ip")


def state(ns):
    """Everything, without counters and times."""
    out = [ns.run(program + "-save").out for program in PROGRAMS]
    out += [ns.run("nft", "list", "tables").out, ns.run("ipvsadm", "-Sn").out,
            ns.run("ip", "-o", "link").out, ns.run("ipset", "list", "-n").out]
    return ["\n".join(line.partition(" [")[0] for line in text.splitlines()
                      if not line.startswith("#")) for text in out]


def takeover(c, *more, status=0, options=()):
    """Runs it."""
    return c.tool("w0", "takeover " + " ".join(more), status=status,
                  options=options)


def main():
    """The test."""
    have("iptables-legacy", "iptables-nft", "nft", "ipvsadm", "ipset")
    tap = Tap()
    c = Cluster(nodes=1, pods=0)
    ns = c["w0"]

    def nothing():
        expect(takeover(c, "--yes").out, "0 removed\n", "on an empty node")

    tap.case("a node without leftovers", nothing)
    clean = state(ns)
    leave(ns)

    def refused():
        takeover(c, status=2)
        takeover(c, "--no", status=2)
        takeover(c, "--yes", "now", status=2)

    tap.case("--dry-run or --yes has to be said", refused)

    def dry():
        before = state(ns)
        out = takeover(c, "--dry-run").out
        expect(state(ns), before, "what is there")
        for line in ("iptables-legacy nat: chain KUBE-SVC-BBBBBBBBBBBBBBBB: "
                     "found", "ip6tables-nft filter: chain KUBE-FORWARD: "
                     "found", "nft: table ip kube-proxy: found",
                     "nft: table ip6 kube-proxy: found",
                     "ipvs: service TCP 10.96.0.10:53: found",
                     "link: kube-ipvs0: found", "ipset: KUBE-CLUSTER-IP: "
                     "found", "iptables-nft filter: chain KUBE-FIREWALL: "
                     "left", "ip6tables-legacy nat: chain KUBE-ROUTER-SNAT: "
                     "left"):
            check(line in out.splitlines(), f"no line {line!r}:\n{out}")
        check(out.endswith("to remove, 8 left: not kube-proxy's\n"), out)

    tap.case("--dry-run says what there is, and touches nothing", dry)

    def runs():
        with tempfile.TemporaryDirectory() as path:
            shutil.copy(shutil.which("sleep"), path + "/kube-proxy")
            with subprocess.Popen([path + "/kube-proxy", "60"]) as proxy:
                before = state(ns)
                done = takeover(c, "--yes", status=1)
                proxy.kill()
        check(f"kube-proxy runs (process {proxy.pid})" in done.err, done.err)
        expect(state(ns), before, "what is there")

    tap.case("while a kube-proxy runs nothing is removed", runs)

    def removed():
        found = json.loads(takeover(c, "--dry-run", options=("-j",)).out)
        done = json.loads(takeover(c, "--yes", options=("-j",)).out)
        expect([(item["where"], item["what"]) for item in done],
               [(item["where"], item["what"]) for item in found], "things")
        expect({(a["state"], b["state"]) for a, b in zip(found, done)},
               {("found", "removed"), ("left", "left")}, "states")
        after = state(ns)
        for program, text in zip(PROGRAMS, after):
            chains = [line for line in text.splitlines() if "KUBE" in line]
            expect(sorted(chains), [
                "-A INPUT -j KUBE-FIREWALL",
                "-A KUBE-FIREWALL -m mark --mark 0x8000 -j DROP",
                "-A POSTROUTING -j KUBE-ROUTER-SNAT", ":KUBE-FIREWALL -",
                ":KUBE-ROUTER-SNAT -"], program)
            check("-A INPUT -p tcp -m tcp --dport 22 -j MINE" in text and
                  "-A MINE -j ACCEPT" in text, f"{program}:\n{text}")
        check("kube-proxy" not in after[4] and "table ip mine" in after[4],
              after[4])
        expect(after[5], "", "IPVS services")
        expect(after[6], clean[6], "links")
        expect(after[7], "mine", "ipsets")

    tap.case("--yes removes kube-proxy's and leaves all else", removed)
    tap.case("a second time there is nothing to remove", lambda: expect(
        takeover(c, "--yes").out.splitlines()[-1],
        "0 removed, 8 left: not kube-proxy's"))

    def ipvs():
        ns.run("ipvsadm", "-A", "-t", "192.0.2.1:80", "-s", "rr")
        out = takeover(c, "--yes").out
        check("ipvs: service TCP 192.0.2.1:80: left\n" in out, out)
        check("192.0.2.1:80" in ns.run("ipvsadm", "-Sn").out, "it is gone")

    tap.case("IPVS services without kube-ipvs0 are somebody else's", ipvs)
    tap.end()


main()
