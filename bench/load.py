# SPDX-License-Identifier: GPL-2.0
"""What it costs to load services: instructions of the program that does it,
its start included, and kernel memory that stays."""
import re

from cluster import ADDR, fillers, measured, run
import datapath
from datapath import timed, write

COUNTS = {"iptables": 1000, "nftables": 1000, "ipvs": 10000}
COUNT = 10000
WARM = {
    "iptables": ("iptables-legacy-restore", "--noflush", "--test", "{path}"),
    "nftables": ("nft", "-c", "-f", "{path}"),
    "ipvs": ("ipvsadm", "-Ln"),
    "k8snet": ("k8snetctl", "svc", "list"),
}
FAMILY = 4


def kernel_bytes():
    """Slab, per-CPU and vmalloc memory, once caches are gone."""
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as out:
        out.write("3\n")
    with open("/proc/meminfo", encoding="ascii") as data:
        info = dict(re.findall(r"(\w+):\s+(\d+) kB", data.read()))
    return 1024 * sum(int(info[name])
                      for name in ("Slab", "Percpu", "VmallocUsed"))


def iptables_one(base, bulk, more):
    """As kube-proxy's partial sync: the dispatch chain anew, and the chains
    of the service that changed."""
    at = ADDR[FAMILY]
    old = datapath.iptables_services(base + bulk, at, "-A")[1]
    chains, rules = datapath.iptables_services([more], at, "-A")
    dispatch = [rule for rule in old if rule.startswith("-A KUBE-SERVICES")]
    last = ("-A KUBE-SERVICES -m comment --comment \"kubernetes service "
            "nodeports; NOTE: this must be the last rule in this chain\" "
            "-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS")
    return "\n".join(["*nat", ":KUBE-SERVICES - [0:0]", *chains, *dispatch,
                      *rules, last, "COMMIT", ""])


def steps(name, base, bulk, more):
    """Texts of the first load, the bulk load and one more service, and the
    command that takes each."""
    at = ADDR[FAMILY]
    if name == "iptables":
        restore = ["iptables-legacy-restore", "--noflush"]
        return ((datapath.iptables_text(FAMILY, base), restore[:1]),
                (datapath.iptables_text(FAMILY, base + bulk), restore[:1]),
                (iptables_one(base, bulk, more), restore))
    if name == "nftables":
        return ((datapath.nft_text(FAMILY, base), ["nft", "-f", "-"]),
                ("\n".join(datapath.nft_services(bulk, at)) + "\n",
                 ["nft", "-f", "-"]),
                ("\n".join(datapath.nft_services([more], at)) + "\n",
                 ["nft", "-f", "-"]))
    if name == "ipvs":
        return tuple((datapath.ipvs_services(list_, at), ["ipvsadm", "-R"])
                     for list_ in (base, bulk, [more]))
    return tuple((datapath.k8snet_services(list_), ["k8snetctl", "-b", "-"])
                 for list_ in (base, bulk, [more]))


def measure(bench):
    name = bench.name
    count = COUNTS.get(name, COUNT)
    if name == "ipvs":
        run("modprobe", "ip_vs")
    bench.path.bridge()
    base = measured(FAMILY)
    bulk = list(fillers(FAMILY, count, 1))
    more = next(fillers(FAMILY, 1, 1, first=count))
    took = []
    used = []
    for number, (text, command) in enumerate(steps(name, base, bulk, more)):
        path = write(f"load{number}", text)
        used.append(kernel_bytes())
        # What the program needs of the disk was dropped with the caches.
        run(*(word.format(path=path) for word in WARM[name.split("-")[0]]))
        took.append(timed(*command, path=path))
    # The memory of the bulk is what the second command left.
    bench.record("load", FAMILY, count, bulk=round(took[1] / count),
                 one=took[2], bytes=round((used[2] - used[1]) / count))
