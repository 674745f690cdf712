#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""bench.py rows|load|profile|smp|docs: measures datapaths side by side.

Called by bench.mk; docs/performance.md says what the figures are. One VM a
datapath, one at a time, all with the same kernel and cluster. The results are
kept in bench/results.json, where a new one replaces its predecessor.
"""
import argparse
import json
import os
import subprocess
import sys
import time

from cluster import parse_datapath
from guest import PACKET_ROWS, RR_ROWS
import report

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(HERE)
BUILD = os.environ.get("K8SNET_BUILD", TOP + "/build")
RESULTS = HERE + "/results.json"

QUICK = ("plain", "iptables-1000", "nftables-1000", "ipvs-1000",
         "flowtable-1000", "ebpf", "k8snet-off-1000",
         "k8snet-established-1000", "k8snet-auto-1000")
QUICK_ROWS = tuple(row for row in PACKET_ROWS) + (
    "tcp-crr", "tcp-rr", "tcp-60k", "udp-rr")
FULL = ("plain",
        "iptables-1", "iptables-1000", "iptables-10000",
        "nftables-1", "nftables-1000", "nftables-10000",
        "ipvs-1", "ipvs-1000", "ipvs-10000",
        "flowtable-1000", "ebpf",
        "k8snet-off-1000", "k8snet-established-1000",
        "k8snet-auto-1", "k8snet-auto-1000", "k8snet-auto-10000",
        "k8snet-auto-50000x5")
LOAD = ("iptables", "nftables", "ipvs", "k8snet-auto")


def build():
    """The two programs of the guest."""
    out = BUILD + "/bench"
    os.makedirs(out, exist_ok=True)
    subprocess.run(["gcc", "-O2", "-Wall", "-static", "-o", out + "/rr",
                    HERE + "/rr.c"], check=True)
    subprocess.run(["clang", "-O2", "-g", "-target", "bpf", "-Wall",
                    "-I/usr/include/x86_64-linux-gnu", "-c",
                    HERE + "/redirect.bpf.c", "-o",
                    out + "/redirect.bpf.o"], check=True)


def boot(mode, name, words, smp=False, limit=3000):
    """Runs guest.py in a VM; the parsed result, or None."""
    log = f"bench-{mode}-{name}"
    command = [TOP + "/selftests/vm/run.sh", "-n", log, "-t", str(limit),
               "-r", "3072",
               "-e", f"BENCH_RR={BUILD}/bench/rr",
               "-e", f"BENCH_BPF={BUILD}/bench/redirect.bpf.o"]
    command += ["-c", "2"] if smp else ["-x"]
    if not name.startswith("k8snet"):
        command += ["-M", "-T"]
    command += ["--", "python3", HERE + "/guest.py", mode, name] + words
    start = time.monotonic()
    out = f"{BUILD}/log/{log}/job/result.json"
    if os.path.exists(out):
        os.unlink(out)
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          text=True, check=False)
    for line in done.stdout.splitlines():
        if not line.startswith("{"):
            print(line, file=sys.stderr)
    print(f"bench: {name}: {time.monotonic() - start:.0f} s", file=sys.stderr,
          flush=True)
    try:
        with open(out, encoding="ascii") as data:
            found = json.load(data)
    except FileNotFoundError:
        print(f"bench: {name} gave no result: see {BUILD}/log/{log}",
              file=sys.stderr)
        return None
    found["status"] = done.returncode
    return found


def read_results():
    try:
        with open(RESULTS, encoding="ascii") as data:
            return json.load(data)
    except FileNotFoundError:
        return {"kernel": "", "results": []}


def key(result):
    return tuple(str(result.get(name, "")) for name in
                 ("kind", "datapath", "row", "family", "flows"))


def keep(found, kind):
    """Merges results into results.json, failed ones apart."""
    known = read_results()
    known["kernel"] = found["kernel"]
    table = {key(result): result for result in known["results"]}
    for result in found["results"]:
        result["kind"] = kind
        if "error" not in result:
            table[key(result)] = result
    known["results"] = [table[name] for name in sorted(table)]
    with open(RESULTS + ".new", "w", encoding="ascii") as out:
        out.write("{\n\"kernel\": " + json.dumps(known["kernel"])
                  + ",\n\"results\": [\n" + ",\n".join(
                      json.dumps(result) for result in known["results"])
                  + "\n]\n}\n")
    os.rename(RESULTS + ".new", RESULTS)


def canonical(name):
    """One name for one thing: without a number there are 1,000 services."""
    kind, count, endpoints = parse_datapath(name)
    if kind in ("plain", "ebpf"):
        return kind
    return f"{kind}-{count}" + (f"x{endpoints}" if endpoints > 1 else "")


def rows(args):
    names = [canonical(name) for name in
             args.datapaths or (FULL if args.full else QUICK)]
    wanted = args.rows or (list(PACKET_ROWS) + list(RR_ROWS) if args.full
                           else list(QUICK_ROWS))
    families = args.families or (["4", "6"] if args.full else ["4"])
    flows = args.flows or (["1", "100000"] if args.full else ["1"])
    found = []
    bad = False
    for name in names:
        one = boot("rows", name, [f"rows={','.join(wanted)}",
                                  f"families={','.join(families)}",
                                  f"flows={','.join(flows)}"])
        if one is None:
            bad = True
            continue
        bad |= bool(one["status"])
        keep(one, "rows")
        found += one["results"]
    print(report.table(found))
    return bad


def load(args):
    bad = False
    found = []
    for name in args.datapaths or LOAD:
        one = boot("load", name, [])
        if one is None:
            bad = True
            continue
        bad |= bool(one["status"])
        keep(one, "load")
        found += one["results"]
    print(report.load_table(found))
    return bad


def profile(args):
    name = args.datapaths[0]
    one = boot("profile", name,
               [f"rows={args.rows[0]}",
                f"families={','.join(args.families or ['4'])}",
                f"flows={','.join(args.flows or ['1'])}"])
    if one is None:
        return True
    keep(one, "profile")
    print(report.profile_table(one["results"]))
    return bool(one["status"])


def smp(args):
    bad = False
    found = []
    for name in args.datapaths or ("plain", "k8snet-auto"):
        one = boot("smp", name, [], smp=True)
        if one is None:
            bad = True
            continue
        bad |= bool(one["status"])
        keep(one, "smp")
        found += one["results"]
    print(report.smp_table(found))
    # What shares a cache line in what every packet touches.
    for name in ("k8snet_flow", "k8snet_net"):
        module = BUILD + "/6.1/src/k8snet.ko"
        if os.path.exists(module):
            subprocess.run(["pahole", "-C", name, module], check=False)
    return bad


def docs(_args):
    report.write_docs(read_results(), TOP + "/docs/performance.md")
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("mode", choices=("rows", "load", "profile", "smp",
                                         "docs"))
    parser.add_argument("--full", action="store_true")
    for name in ("datapaths", "rows", "families", "flows"):
        parser.add_argument("--" + name, type=str.split, default=[])
    args = parser.parse_args()
    if args.mode != "docs":
        build()
    return globals()[args.mode](args)


if __name__ == "__main__":
    sys.exit(main())
