#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""coverage.py [TEST...]: runs the tests on a kernel with gcov and a module that
counts which lines are executed, and prints the share by file of module/. With
K8SNET_KERNEL=debug that is the debug kernel, which is some eight times slower.

Lines that were not executed are written to build/log/coverage.txt, each with
its text. Lines of headers count where one of the files executed them.
"""
import glob
import gzip
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.realpath(HERE + "/../..")
BUILD = os.environ.get("K8SNET_BUILD") or TOP + "/build"
KERNEL = os.environ.get("K8SNET_KERNEL") or "gcov"
OBJECTS = f"{BUILD}/gcov/{KERNEL}/src/module"


def collect(lines):
    """Adds what one VM counted to LINES: {file: {number: times}}."""
    for path in glob.glob(f"{BUILD}/log/check-{KERNEL}-*/job/gcov/**/*.gcda",
                          recursive=True):
        name = os.path.basename(path)[:-len(".gcda")]
        notes = f"{OBJECTS}/{name}.gcno"
        if not os.path.exists(notes):
            continue
        with tempfile.TemporaryDirectory() as tmp:
            # gcov looks for both beside each other.
            os.symlink(path, f"{tmp}/{name}.gcda")
            os.symlink(notes, f"{tmp}/{name}.gcno")
            subprocess.run(["gcov-12", "--json-format", "--branch-counts",
                            f"{tmp}/{name}.gcda"], cwd=tmp, check=False,
                           stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            for out in glob.glob(tmp + "/*.gcov.json.gz"):
                with gzip.open(out, "rt", encoding="utf-8") as data:
                    add(lines, json.load(data))


def add(lines, report):
    for file in report["files"]:
        path = file["file"]
        if "/src/module/" not in "/" + path and \
                not path.startswith("module/"):
            continue
        name = "module/" + path.rpartition("module/")[2]
        counts = lines.setdefault(name, {})
        for line in file["lines"]:
            number = line["line_number"]
            counts[number] = counts.get(number, 0) + line["count"]


def print_shares(lines):
    total = executed = 0
    print(f"\n{'file':32}{'lines':>8}{'executed':>10}{'':>8}")
    for name in sorted(lines):
        count = len(lines[name])
        hit = sum(1 for times in lines[name].values() if times)
        total += count
        executed += hit
        print(f"{name:32}{count:8}{hit:10}{100 * hit / count:7.1f}%")
    print(f"{'all':32}{total:8}{executed:10}{100 * executed / total:7.1f}%")


def write_missed(lines):
    where = BUILD + "/log/coverage.txt"
    with open(where, "w", encoding="utf-8") as out:
        for name in sorted(lines):
            with open(f"{TOP}/{name}", encoding="utf-8") as source:
                text = source.read().split("\n")
            for number in sorted(lines[name]):
                if not lines[name][number] and number <= len(text):
                    out.write(f"{name}:{number}: {text[number - 1]}\n")
    print(f"lines that were not executed: {where}")


def main():
    for old in glob.glob(f"{BUILD}/log/check-{KERNEL}-*"):
        subprocess.run(["rm", "-rf", old], check=True)
    done = subprocess.run([HERE + "/../check.py", "--gcov", "--kernel",
                           KERNEL] + sys.argv[1:], check=False)
    lines = {}
    collect(lines)
    if not lines:
        print("k8snet: nothing was counted", file=sys.stderr)
        sys.exit(2)
    print_shares(lines)
    write_missed(lines)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
