# SPDX-License-Identifier: GPL-2.0
"""Where a row's instructions are: a timer interrupt every so many instructions
(perf's cpu-clock event), counted by function.

Code that runs with interrupts off is seen where it turns them on again.
"""
import collections
import os
import signal
import subprocess

from cluster import run
from guest import NODE_END, PACKET_ROWS, RR_ROWS, Sink

PERIOD = 25013          # instructions; a prime, not to beat with the packets
PACKETS = 40000
DATA = "/tmp/perf.data"
SENDERS = ("kpktgend_0", "ksoftirqd/0", "rr")


def sampled(function):
    """Functions seen while FUNCTION ran: {name: samples}."""
    with subprocess.Popen(["perf", "record", "-q", "-a", "-e", "cpu-clock",
                           "-c", str(PERIOD), "-o", DATA],
                          stdout=subprocess.DEVNULL) as perf:
        while not os.path.exists(DATA) or not os.path.getsize(DATA):
            if perf.poll() is not None:
                raise RuntimeError("perf does not start")
            os.sched_yield()
        function()
        perf.send_signal(signal.SIGINT)
        perf.wait()
    seen = collections.Counter()
    for line in run("perf", "script", "-i", DATA, "-F",
                    "comm,ip,sym,dso").splitlines():
        words = line.split()
        # "comm ADDRESS symbol (dso)"; nobody else's instructions are a
        # packet's, and being idle is none.
        if len(words) < 4 or words[0] not in SENDERS:
            continue
        module = words[-1].strip("()[]")
        name = words[-2]
        seen[name if module == "kernel.kallsyms" else
             f"{name} [{os.path.basename(module)}]"] += 1
    os.unlink(DATA)
    return seen


def measure(bench):
    """bench is prepared; one row of it."""
    for family in bench.families:
        for row in PACKET_ROWS:
            if bench.wanted(row):
                packet_row(bench, row, family, bench.flows[0])
        for row in RR_ROWS:
            if bench.wanted(row):
                rr_row(bench, row, family)


def rr_row(bench, row, family):
    """Of a connection row there is no base: the figures are all there is."""
    # perf takes its time to begin.
    words = bench.rr_words(row, family,
                           20000 if row.startswith("udp") else 3000)
    seen = sampled(lambda: run(*words))
    total = sum(seen.values())
    cost = bench.rr_cost(row, family)
    functions = [(name, round(count / total * cost), 100 * count / total)
                 for name, count in seen.items()]
    functions.sort(key=lambda entry: -entry[1])
    bench.record(row, family, 1, net=round(cost), base=0, samples=total,
                 functions=functions[:60])


def packet_row(bench, row, family, flows):
    stream, receiver = bench.stream(row, family, flows)
    device = NODE_END[stream.netns]
    cost = {}
    seen = {}
    for part, (netns, where) in (("base", (None, device)),
                                 ("row", (receiver, "eth0"))):
        with Sink(netns, where, family):
            stream.send(2000)
            cost[part] = stream.send(20000) / 20000
            seen[part] = sampled(lambda: stream.send(PACKETS))
    totals = {part: sum(seen[part].values()) for part in seen}
    functions = []
    for name in seen["row"] | seen["base"]:
        counts = {part: seen[part][name] / totals[part] * cost[part]
                  for part in seen}
        functions.append((name, round(counts["row"] - counts["base"]),
                          100 * (counts["row"] - counts["base"])
                          / (cost["row"] - cost["base"])))
    functions.sort(key=lambda entry: -entry[1])
    bench.record(row, family, flows, net=round(cost["row"] - cost["base"]),
                 base=round(cost["base"]), samples=totals["row"],
                 functions=[entry for entry in functions
                            if abs(entry[1]) >= 5])
