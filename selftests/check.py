#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""check.py [--kernel KERNEL] [--all] [TEST...]: what "make check" and "make
check-all" do.

Compiles the module for all supported kernels and the tool, warnings being
errors, checks that the VM harness notices what it has to notice, installs the
module by DKMS, and runs the tests of selftests/Makefile in a VM. With TEST...,
only those: names of tests (with or without ending), or "compile", "selfcheck",
"dkms", "planted".

With K8SNET_FASTPATH=established or =off in the environment the nodes of tests
have that setting ("node set fastpath") instead of auto.

With --all the same is done on all kernels, or on KERNEL alone: Debian's three
and the two of our own, on which mistakes planted in a module have to be noticed
first (planted/planted.sh). It ends with a table, test by kernel. --sanitize
builds the tool with the address and undefined behaviour sanitizers; --gcov
builds the module so that a kernel with gcov takes its coverage.

Tests are shared out to as many VMs as there are processors, four at most;
K8SNET_JOBS sets another number. A VM that dies in a test fails that test, and
the rest of its share go on in another one.
The last line is "N passed, N failed, N skipped", counting single cases. With
V=1 in the environment everything the tests print is shown.
"""
import argparse
import atexit
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from run_tests import Result, time_limit

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(HERE)
BUILD = os.environ.get("K8SNET_BUILD") or TOP + "/build"
KERNELS = ("6.1", "6.12", "7.2")
OWN_KERNELS = {"debug": 5, "kcsan": 3}  # how much slower they are
BUILT_KERNELS = (*OWN_KERNELS, "gcov")
SANITIZE = " -fsanitize=address,undefined -fno-sanitize-recover=all"
# Scripts that run VMs themselves, and the kernels they are for.
OUTSIDE = {"selfcheck": ("6.1",), "dkms": KERNELS,
           "noipv6": KERNELS + ("debug",),
           "planted": tuple(OWN_KERNELS)}
VERBOSE = os.environ.get("V", "0") not in ("", "0")
FASTPATHS = ("auto", "established", "off")


class Count:
    """The sum, and what has to be said at the end."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.report = []
        self.lock = threading.Lock()
        self.kernel = None      # that is being tested
        self.table = {}         # part: {kernel: result}

    def note(self, part, passed, failed):
        """Into the table, where a failure is not covered by what follows."""
        part, _, of_kernel = part.partition(" ")
        row = self.table.setdefault(part, {})
        kernel = of_kernel if of_kernel in (*KERNELS, *OWN_KERNELS) \
            else self.kernel
        if not kernel:
            return
        if failed:
            row[kernel] = f"FAIL {failed}"
        elif not row.get(kernel, "").startswith("FAIL"):
            row[kernel] = f"ok {passed}"

    def print_table(self, kernels):
        width = max(len(part) for part in self.table)
        print("\n" + " " * width + "".join(f"{kernel:>9}"
                                           for kernel in kernels))
        for part, row in self.table.items():
            if row:
                print(f"{part:{width}}" + "".join(
                    f"{row.get(kernel, '-'):>9}" for kernel in kernels))

    def add(self, part, passed, failed, skipped, seconds):
        """FAILED is a list of [description, diagnostics]."""
        with self.lock:
            self.passed += passed
            self.failed += len(failed)
            self.skipped += len(skipped)
            self.note(part, passed, len(failed))
            print(f"{'FAIL' if failed else 'ok  '} {part}: {passed} passed" +
                  (f", {len(failed)} failed" if failed else "") +
                  (f", {len(skipped)} skipped" if skipped else "") +
                  f" ({seconds:.0f} s)", flush=True)
            for what, more in failed:
                lines = [f"not ok {part}: {what}"] + more.rstrip("\n").split("\n")
                self.report.append("\n    ".join(line for line in lines if line))
            for what, more in failed:
                print("    not ok " + what, flush=True)
                for line in more.rstrip("\n").split("\n"):
                    if line:
                        print("      " + line, flush=True)

    def end(self):
        if self.report:
            print("\nFailed:\n" + "\n".join(line.split("\n")[0]
                                            for line in self.report))
        print(f"{self.passed} passed, {self.failed} failed, "
              f"{self.skipped} skipped", flush=True)
        sys.exit(1 if self.failed or not self.passed else 0)


def environment():
    return dict(os.environ, K8SNET_BUILD=BUILD)


def compile_module(kernel, count, gcov=False):
    """Returns the path of the module, or None."""
    if kernel in BUILT_KERNELS:
        # Its own time, and a build of some minutes is worth a line.
        done = subprocess.run([HERE + "/vm/kbuild.sh", kernel],
                              stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            count.add("compile " + kernel, 0, [["the kernel is built", ""]],
                      [], 0)
            return None
    start = time.monotonic()
    env = dict(environment(), K8SNET_BUILD=BUILD + ("/gcov" if gcov
                                                    else "/check"))
    flags = ["W=1", "KCFLAGS=-Werror" + (" -g" if kernel in OWN_KERNELS
                                         else "")]
    if gcov:
        flags.append("K8SNET_GCOV=1")
    done = subprocess.run([HERE + "/vm/build.sh", kernel] + flags, env=env, text=True, check=False,
                          capture_output=True)
    wrong = [line for line in done.stderr.split("\n")
             if re.search(r"\b(warning|error|WARNING|ERROR):", line)]
    failed = []
    if done.returncode or wrong:
        failed = [["module compiles without a warning",
                   "\n".join(wrong or done.stderr.split("\n")[-20:])]]
    count.add("compile " + kernel, 0 if failed else 1, failed, [],
              time.monotonic() - start)
    return None if done.returncode else done.stdout.strip()


def compile_tool(count, sanitize=False):
    """In a copy, since the flags are not those of an ordinary build. Returns
    the path of the tool, or None."""
    start = time.monotonic()
    os.makedirs(BUILD + "/check", exist_ok=True)
    where = tempfile.mkdtemp(prefix="tool.", dir=BUILD + "/check")
    atexit.register(shutil.rmtree, where, ignore_errors=True)
    shutil.copytree(TOP + "/uapi", where + "/uapi")
    shutil.copytree(TOP + "/tool", where + "/tool",
                    ignore=shutil.ignore_patterns("*.o", "*.d", "k8snetctl",
                                                  ".flags"))
    done = subprocess.run(["make", "-s", "-C", where + "/tool",
                           "CFLAGS=-O2 -g -Werror" +
                           (SANITIZE if sanitize else "")], text=True, check=False,
                          capture_output=True)
    failed = []
    if done.returncode:
        failed = [["tool compiles without a warning",
                   (done.stdout + done.stderr)[-3000:]]]
    count.add("compile tool", 0 if failed else 1, failed, [],
              time.monotonic() - start)
    return None if failed else where + "/tool/k8snetctl"


def run_outside(name, kernel, count, module):
    """A script of our own that prints TAP and boots VMs itself."""
    start = time.monotonic()
    result = Result(name)
    command = {"selfcheck": [HERE + "/vm/selfcheck.sh"],
               "dkms": [HERE + "/dkms.sh"],
               "noipv6": [HERE + "/noipv6.sh"],
               "planted": [HERE + "/planted/planted.sh", kernel]}[name]
    env = dict(environment(), K8SNET_KERNEL=kernel)
    if module:
        env["K8SNET_MODULE"] = module
    log = f"{BUILD}/log/{name}-{kernel}.log"
    os.makedirs(os.path.dirname(log), exist_ok=True)
    with subprocess.Popen(command, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          errors="replace", env=env) as child, \
            open(log, "w", encoding="utf-8") as copy:
        for line in child.stdout:
            copy.write(line)
            if VERBOSE:
                print(line, end="", flush=True)
            result.read(line.rstrip("\n"))
        status = child.wait()
    result.finish(status, strict=True)
    count.add(f"{name} {kernel}", result.passed, result.failed, result.skipped,
              time.monotonic() - start)


def tests_listed():
    done = subprocess.run(["make", "-s", "-C", HERE, "list",
                           f"OUTPUT={BUILD}/selftests"], text=True,
                          stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit("k8snet: the test programs do not compile")
    return done.stdout.split()


def stem(path):
    return re.sub(r"\.(sh|py)$", "", os.path.basename(path))


def choose(listed, wanted):
    """Paths for the names on the command line."""
    known = {stem(path): path for path in listed}
    chosen = []
    for name in wanted:
        if stem(name) not in known:
            sys.exit(f"k8snet: no test '{name}'; there are: compile "
                     f"{' '.join(OUTSIDE)} {' '.join(known)}")
        chosen.append(known[stem(name)])
    return chosen


def slowness(kernel):
    return int(os.environ.get("K8SNET_SLOW") or OWN_KERNELS.get(kernel, 1))


def run_vm(kernel, number, tests, module, tool, count, single):
    """One VM for TESTS. Returns those it did not come to."""
    name = f"check-{kernel.rstrip('/').rpartition('/')[2]}-" + (
        stem(tests[0]) if single else str(number))
    limit = max(time_limit(path) for path in tests)
    command = [HERE + "/vm/run.sh", "-k", kernel, "-n", name, "-t", "0",
               "-s", str(limit * slowness(kernel) + 60)]
    for program in os.listdir(BUILD + "/selftests"):
        command += ["-b", f"{BUILD}/selftests/{program}"]
    for variable in ("K8SNET_SLOW", "K8SNET_VERBOSE", "K8SNET_FASTPATH"):
        if os.environ.get(variable):
            command += ["-e", f"{variable}={os.environ[variable]}"]
    command += ["-m", module] if module else ["-M"]
    command += ["-K", tool] if tool else ["-T"]
    logs = f"{BUILD}/log/{name}"
    shutil.rmtree(logs, ignore_errors=True)
    start = time.monotonic()
    said = ""
    current = 0
    began = start
    with subprocess.Popen(command + ["--", HERE + "/run_tests.py"] + tests,
                          text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, errors="replace",
                          stderr=subprocess.STDOUT, env=environment()) as vm:
        for line in vm.stdout:
            if VERBOSE:
                print(line, end="", flush=True)
            if line.startswith("k8snet: ") and "waiting for" not in line:
                said += line[8:]
            if line.startswith("# selftests: "):
                began = time.monotonic()
            if re.match(r"(not )?ok \d+ selftests: ", line) and \
                    current < len(tests):
                current += 1
                print(f"     {line.split()[-1]} ended after "
                      f"{time.monotonic() - began:.0f} s", flush=True)
        status = vm.wait()
    done = 0
    failures = False
    try:
        with open(logs + "/job/results.jsonl", encoding="utf-8") as results:
            for line in results:
                result = json.loads(line)
                count.add(result["test"], result["passed"], result["failed"],
                          result["skipped"], result["seconds"])
                failures = failures or bool(result["failed"])
                done += 1
    except (FileNotFoundError, json.JSONDecodeError):
        pass
    if status == 2 and not done:
        count.add("vm", 0, [["the VM could not be started", said]], [],
                  time.monotonic() - start)
        return []
    if done < len(tests):
        count.add(os.path.basename(tests[done]), 0,
                  [["the VM did not survive this test", said]], [], 0)
        return tests[done + 1:]
    # A failed test makes the status 1, too; vm.py says this line only where
    # something else was wrong.
    if "VM run '" in said or (status and not failures):
        count.add(f"vm {kernel}", 0, [["kernel log, unloading and end of the "
                                       "VM are in order", said]], [],
                  time.monotonic() - start)
    else:
        count.add(f"vm {kernel}", 1, [], [], time.monotonic() - start)
    return []


def shares(tests):
    """The tests in lists for VMs that run beside each other, of about the same
    length judging by the tests' limits of time."""
    vms = int(os.environ.get("K8SNET_JOBS", min(os.cpu_count() or 1, 4)))
    lists = [[] for _ in range(max(1, min(vms, len(tests))))]
    for path in sorted(tests, key=time_limit, reverse=True):
        min(lists, key=lambda share: sum(map(time_limit, share))).append(path)
    return [sorted(share, key=tests.index) for share in lists if share]


def check_kernel(kernel, args, outside, tests, compiling, count):
    """Everything on one kernel."""
    count.kernel = kernel
    module = tool = None
    if compiling or tests or outside:
        module = compile_module(kernel, count, args.gcov)
    if compiling or tests:
        args.tool = tool = args.tool or compile_tool(count, args.sanitize)
    for name in outside:
        if kernel in OUTSIDE[name] or (args.tests and name != "planted"):
            run_outside(name, kernel, count, module)
    if tests and not (module and tool):
        count.add("tests", 0, [["module and tool can be tested", ""]], [], 0)
        return
    numbers = itertools.count(1)

    def work(share):
        """Its share of the tests, in as many VMs as that takes."""
        while share:
            share = run_vm(kernel, next(numbers), share, module, tool, count,
                           args.tests and len(tests) == 1)

    workers = [threading.Thread(target=work, args=(share,))
               for share in shares(tests)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernel")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--sanitize", action="store_true")
    parser.add_argument("--gcov", action="store_true")
    parser.add_argument("tests", nargs="*")
    args = parser.parse_args()
    args.tool = None
    if os.environ.get("K8SNET_FASTPATH", "auto") not in FASTPATHS:
        sys.exit("k8snet: FASTPATH is one of " + ", ".join(FASTPATHS))
    if args.kernel:
        args.kernels = [args.kernel]
    elif args.tests == ["planted"]:
        args.kernels = list(OWN_KERNELS)
    else:
        args.kernels = [*KERNELS, *OWN_KERNELS] if args.all else ["6.1"]
    wanted = list(args.tests)
    count = Count()

    def want(part):
        """Whether to do PART: everything is wanted where nothing is named."""
        if part in wanted:
            wanted.remove(part)
            return True
        return not args.tests and not args.gcov

    outside = [name for name in OUTSIDE if want(name)]
    compiling = want("compile")
    tests = choose(tests_listed(), wanted) if wanted or not args.tests else []
    if not args.tests:
        tests = tests_listed()
    if compiling and not args.all:
        # The others are only compiled for: the quick way to know.
        for kernel in KERNELS:
            if kernel not in args.kernels:
                compile_module(kernel, count)
    for kernel in args.kernels:
        check_kernel(kernel, args, outside, tests, compiling, count)
    if args.all:
        count.print_table(args.kernels)
    count.end()


if __name__ == "__main__":
    main()
