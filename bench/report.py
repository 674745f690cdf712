# SPDX-License-Identifier: GPL-2.0
"""Turns results into tables, for the terminal and docs/performance.md."""
import re

from guest import PACKET_ROWS, RR_ROWS

ORDER = list(PACKET_ROWS) + list(RR_ROWS)


def number(value):
    return f"{value:,}" if isinstance(value, int) else str(value)


def columns(results):
    """(row, family, flows) that occur, in the order of the rows."""
    found = {(r["row"], int(r["family"]), int(r["flows"])) for r in results}
    return sorted(found, key=lambda c: (c[1], c[2], ORDER.index(c[0])))


def label(column):
    row, family, flows = column
    return (row + (" v6" if family == 6 else "")
            + (f" {flows:,} flows" if flows > 1 else ""))


def grid(results):
    """Header and lines of cells: a line a row, a column a datapath."""
    results = [r for r in results if "row" in r]
    names = list(dict.fromkeys(r["datapath"] for r in results))
    cells = {}
    for r in results:
        cells[r["row"], int(r["family"]), int(r["flows"]), r["datapath"]] = (
            number(r["net"]) if "net" in r else "failed")
    lines = [[label(c)] + [cells.get(c + (name,), "-") for name in names]
             for c in columns(results)]
    return ["instructions"] + names, lines


def text(header, lines):
    widths = [max(len(line[i]) for line in [header] + lines)
              for i in range(len(header))]
    return "\n".join("  ".join(
        cell.ljust(width) if not i else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(line, widths))).rstrip()
        for line in [header] + lines)


def markdown(header, lines):
    def line_of(cells):
        return "| " + " | ".join(cells) + " |"
    return "\n".join([line_of(header),
                      "|---" + "|---:" * (len(header) - 1) + "|"]
                     + [line_of(line) for line in lines])


def table(results):
    return text(*grid(results))


def load_grid(results):
    header = ["loading", "services", "instructions a service, bulk",
              "one more service", "kernel bytes a service"]
    return header, [[r["datapath"], number(r["flows"]), number(r["bulk"]),
                     number(r["one"]), number(r["bytes"])] for r in results]


def load_table(results):
    return text(*load_grid(results))


def profile_grid(results, limit=24):
    header = ["function", "instructions", "share"]
    lines = []
    for r in results:
        for name, count, share in r.get("functions", [])[:limit]:
            lines.append([name, number(count), f"{share:.1f} %"])
    return header, lines


def profile_table(results):
    return "\n\n".join(
        f"{r['datapath']} {r['row']} v{r['family']}: {r['net']} a packet, "
        f"{r['base']} of them at the base\n" + text(*profile_grid([r], 60))
        for r in results if "functions" in r)


def smp_grid(results):
    header = ["two senders", "one sender, packets/s", "two senders, packets/s",
              "scaling"]
    return header, [[r["datapath"], number(r["one"]), number(r["two"]),
                     f"{r['scaling']:.2f}"] for r in results]


def smp_table(results):
    return text(*smp_grid(results))


# Frames a second that fill 100 Gbit/s: 1,500-byte packets (38 bytes of Ethernet
# around each), and the 64 kB that GRO and TSO hand over at once.
FULL_RATE = 100e9 / 8 / 1538
AGGREGATED = 100e9 / 8 / (65536 * 1538 / 1500)


def rate_grid(results):
    """Processors that 100 Gbit/s take in the node, coming from the uplink."""
    header = ["replies from the uplink to a pod", "instructions a packet",
              "processors, each packet alone", "processors, 64 kB at once"]
    return header, [[r["datapath"], number(r["net"]),
                     f"{r['net'] * FULL_RATE / 3e9:.1f}",
                     f"{r['net'] * AGGREGATED / 3e9:.2f}"] for r in results]


def replace(page, name, body):
    """The part between <!-- NAME --> and <!-- /NAME -->."""
    pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?"
                         rf"(<!-- /{re.escape(name)} -->)", re.DOTALL)
    return pattern.sub(lambda m: m.group(1) + body + "\n" + m.group(2), page)


def select(results, kind, family=None, flows=None, names=None):
    out = [r for r in results if r.get("kind") == kind
           and (family is None or int(r["family"]) == family)
           and (flows is None or int(r["flows"]) == flows)
           and (names is None or r["datapath"] in names)]
    if names:
        out.sort(key=lambda r: names.index(r["datapath"]))
    return out


MAIN = ["plain", "iptables-1000", "nftables-1000", "ipvs-1000",
        "flowtable-1000", "ebpf", "k8snet-off-1000",
        "k8snet-established-1000", "k8snet-auto-1000"]
GROWTH = ["iptables-1", "iptables-1000", "iptables-10000", "nftables-1",
          "nftables-1000", "nftables-10000", "ipvs-1", "ipvs-1000",
          "ipvs-10000", "k8snet-auto-1", "k8snet-auto-1000",
          "k8snet-auto-10000", "k8snet-auto-50000x5"]


def write_docs(known, path):
    results = known["results"]
    with open(path, encoding="utf-8") as data:
        page = data.read()
    for name, chosen, show in (
            ("table v4", select(results, "rows", 4, 1, MAIN), grid),
            ("table v6", select(results, "rows", 6, 1, MAIN), grid),
            ("table flows", select(results, "rows", None, 100000, MAIN), grid),
            ("table growth", [
                r for r in select(results, "rows", 4, 1, GROWTH)
                if r["row"] in ("vip-local", "vip-remote", "tcp-crr",
                                "udp-rr")], grid),
            ("table rate", [
                r for r in select(results, "rows", 4, 1, MAIN)
                if r["row"] == "vip-remote-reply"], rate_grid),
            ("table load", select(results, "load"), load_grid),
            ("table smp", select(results, "smp"), smp_grid)):
        header, lines = show(chosen)
        body = markdown(header, lines) if lines else "(not measured)"
        page = replace(page, name, body)
    profiles = [r for r in results if r.get("kind") == "profile"]
    page = replace(page, "profiles", "\n\n".join(
        f"{r['datapath']}, `{r['row']}`, IPv{r['family']}:\n\n"
        + markdown(*profile_grid([r])) for r in profiles)
        or "(not measured)")
    with open(path, "w", encoding="utf-8") as out:
        out.write(page)
