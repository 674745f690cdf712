#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""run_tests.py TEST...: runs tests one after the other, each from a fresh
state, and prints one TAP stream in kselftest's form:

    TAP version 13
    1..2
    # selftests: svc_nodeport.sh
    # ok 1 tcp from outside
    # 1..1
    ok 1 selftests: svc_nodeport.sh

A test is an executable that prints TAP and ends with 0 (pass), 1 (fail) or 4
(skip). A line "# timeout: SECONDS" among its first 30 gives it more or less
time than the usual 180 s; it is ended after three times that, since machines are
busy at times. Before and after each one the module is unloaded and
namespaces are removed; a test that leaves the module unremovable has failed.

With K8SNET_OUT set, results.jsonl there gets one object a test as soon as it
has ended, and TEST.log what it printed. With K8SNET_VM set a skip is a
failure: in our own VM everything a test wants is there.
"""
import glob
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/vm")
# pylint: disable-next=wrong-import-position
from vm import TROUBLE, without_foreign

LINE = re.compile(r"^(not )?ok\b\s*(\d+)?\s*(?:- )?(.*)$")
PLAN = re.compile(r"^1\.\.(\d+)\s*(#\s*SKIP\b.*)?$", re.IGNORECASE)
SKIP = re.compile(r"#\s*SKIP\b", re.IGNORECASE)
TIMEOUT = 180
PATIENCE = 3
UNLOAD_LIMIT = 10
SLOW = int(os.environ.get("K8SNET_SLOW") or 1)   # of a kernel with instruments


class Result:
    """What one test came to."""

    def __init__(self, name):
        self.name = name
        self.passed = 0
        self.skipped = []
        self.failed = []        # [description, diagnostics]
        self.planned = None
        self.lines = 0
        self.collecting = False

    def read(self, line):
        plan = PLAN.match(line)
        if plan and self.planned is None:
            self.planned = int(plan.group(1))
            if not self.planned and plan.group(2):
                self.skipped.append(plan.group(2).lstrip("# "))
            return
        if line.startswith("Bail out!"):
            self.failed.append([line, ""])
            return
        found = LINE.match(line)
        if found:
            self.lines += 1
            self.collecting = False
            if found.group(1):
                self.failed.append([found.group(3), ""])
                self.collecting = True
            elif SKIP.search(line):
                self.skipped.append(found.group(3))
            else:
                self.passed += 1
        elif self.collecting and line.startswith("#"):
            self.failed[-1][1] += line + "\n"

    def fail(self, why, more=""):
        self.failed.append([why, more])

    def finish(self, status, strict):
        if self.planned is None:
            self.fail("no plan: the test was cut short")
        elif self.planned != self.lines:
            self.fail(f"planned {self.planned} cases, {self.lines} ran")
        if status not in (0, 1, 4):
            self.fail(f"ended with status {status}")
        elif status == 1 and not self.failed:
            self.fail("ended with status 1, but no case failed")
        if strict:
            for what in self.skipped:
                self.fail("skipped: " + what)
            self.skipped = []

    def as_object(self, seconds):
        return {"test": self.name, "passed": self.passed,
                "skipped": self.skipped, "failed": self.failed,
                "seconds": round(seconds, 1)}


def log_to_kernel(text):
    try:
        with open("/dev/kmsg", "w", encoding="utf-8") as kmsg:
            kmsg.write(f"<6>k8snet-test: {text}\n")
    except OSError:
        pass


def namespaces():
    return sorted(os.path.basename(path) for path in
                  glob.glob("/run/netns/*"))


def clean_state(known):
    """Namespaces that a test left go, then the module. Returns what is wrong,
    or None."""
    for name in namespaces():
        if name not in known:
            pids = subprocess.run(["ip", "netns", "pids", name], check=False,
                                  capture_output=True, text=True).stdout
            for pid in pids.split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            subprocess.run(["ip", "netns", "del", name], check=False)
    if not os.environ.get("K8SNET_VM"):
        return None             # the machine's own module is not ours to unload
    end = time.monotonic() + UNLOAD_LIMIT * SLOW
    while os.path.isdir("/sys/module/k8snet"):
        done = subprocess.run(["modprobe", "-r", "k8snet"], check=False,
                              capture_output=True, text=True)
        if done.returncode == 0:
            break
        if time.monotonic() > end:
            return done.stderr.strip()
        time.sleep(0.1)
    return None


def time_limit(path):
    with open(path, encoding="utf-8", errors="replace") as source:
        for _, line in zip(range(30), source):
            found = re.match(r"(?:#|//|\s*\*)\s*timeout:\s*(\d+)", line)
            if found:
                return PATIENCE * int(found.group(1))
    return PATIENCE * TIMEOUT


def kill_group(group, sig):
    try:
        os.killpg(group, sig)
    except ProcessLookupError:
        pass


def kill_strays(session):
    """Ends what has left its process group, but not its session."""
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="utf-8", errors="replace") as stat:
                fields = stat.read().rpartition(") ")[2].split()
            if int(fields[3]) == session:
                os.kill(int(path.split("/")[2]), signal.SIGKILL)
        except (OSError, IndexError, ValueError):
            pass


def trouble_since(mark):
    """Lines of the kernel log after MARK, if one of them is a complaint."""
    log = subprocess.run(["dmesg"], check=False, capture_output=True,
                         text=True, errors="replace").stdout
    lines = without_foreign(
        log.rpartition(f"k8snet-test: {mark}")[2].split("\n"))
    for number, line in enumerate(lines):
        if TROUBLE.search(line):
            return lines[max(0, number - 3):number + 40]
    return []


def run(path, log):
    """Runs one test, copying what it prints. Returns its Result."""
    name = os.path.basename(path)
    result = Result(name)
    limit = time_limit(path) * SLOW
    log_to_kernel(f"begin {name}")
    start = time.monotonic()

    def copy(stream):
        for line in stream:
            line = line.rstrip("\n")
            log.write(line + "\n")
            log.flush()
            print("# " + line, flush=True)
            result.read(line)

    with subprocess.Popen([os.path.realpath(path)], text=True,
                          cwd=os.path.dirname(os.path.realpath(path)),
                          errors="replace", stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True) as child:
        reader = threading.Thread(target=copy, args=(child.stdout,),
                                  daemon=True)
        reader.start()
        # First politely, so that the test can clean up. Then what it left
        # running goes too, which also ends what it can print.
        for sig, wait in ((signal.SIGTERM, limit), (signal.SIGKILL, 10)):
            try:
                status = child.wait(wait)
                break
            except subprocess.TimeoutExpired:
                kill_group(child.pid, sig)
        else:
            status = child.wait()
        kill_group(child.pid, signal.SIGKILL)
        reader.join(2)
        if reader.is_alive():
            kill_strays(child.pid)
            reader.join(10)
    if time.monotonic() - start >= limit:
        result.fail(f"no end after {limit} s")
    else:
        result.finish(status, bool(os.environ.get("K8SNET_VM")))
    log_to_kernel(f"end {name}")
    if os.environ.get("K8SNET_VM"):
        lines = trouble_since(f"begin {name}")
        if lines:
            result.fail("trouble in the kernel log", "\n".join(lines))
    return result


def main():
    tests = sys.argv[1:]
    out = os.environ.get("K8SNET_OUT")
    known = namespaces()
    bad = False
    clean_state(known)
    print(f"TAP version 13\n1..{len(tests)}", flush=True)
    for number, path in enumerate(tests, 1):
        name = os.path.basename(path)
        print(f"# selftests: {name}", flush=True)
        start = time.monotonic()
        with open(f"{out}/{name}.log" if out else os.devnull, "w",
                  encoding="utf-8") as log:
            result = run(path, log)
            wrong = clean_state(known)
            if wrong:
                result.fail("the module cannot be unloaded afterwards", wrong)
        print(("not " if result.failed else "") +
              f"ok {number} selftests: {name}" +
              (" # SKIP" if result.skipped and not result.passed and
               not result.failed else ""), flush=True)
        bad = bad or bool(result.failed)
        if out:
            with open(out + "/results.jsonl", "a", encoding="utf-8") as file:
                json.dump(result.as_object(time.monotonic() - start), file)
                file.write("\n")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
