#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""mutants.py [TEST...]: can the tests fail?

Breaks a copy of the sources in one place, as mutants.txt of this directory
says, and runs the test that has to notice it: the test must fail, and nothing
else (a copy that does not compile, or a VM that dies, shows nothing). With
TEST..., only the mutants of those tests. The last line is
"N passed, N failed, N skipped", counting mutants. With --texts nothing is run:
says which mutants do not fit the sources any more, for "make static".

mutants.txt is blocks of lines, parted by empty ones; "#" begins a comment:

    test: svc_table             name of the test, without ending
    what: one line for people
    file: module/nat.c
    -text that is in the file once; with more such lines, all of them
    +what it is replaced by; none is nothing
"""
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("K8SNET_BUILD") or TOP + "/build"
TREE = BUILD + "/mutants/tree"


def blocks(path):
    """Of mutants.txt: dictionaries."""
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"^#.*\n", "", file.read(), flags=re.M)
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        one = {"-": [], "+": []}
        for line in block.split("\n"):
            if line[:1] in one:
                one[line[0]].append(line[1:])
            else:
                key, _, value = line.partition(": ")
                one[key] = value
        yield one


def copy_tree():
    """What git knows of, as it is in the checkout now."""
    shutil.rmtree(TREE, ignore_errors=True)
    files = subprocess.run(["git", "-C", TOP, "ls-files", "-z"], check=True,
                           capture_output=True, text=True).stdout
    for name in filter(None, files.split("\0")):
        os.makedirs(os.path.dirname(f"{TREE}/{name}"), exist_ok=True)
        shutil.copy2(f"{TOP}/{name}", f"{TREE}/{name}")


def run(test):
    """Runs the test on the copy, returns what check.py prints."""
    env = dict(os.environ, K8SNET_BUILD=TREE + "/build", K8SNET_JOBS="1")
    return subprocess.run([TREE + "/selftests/check.py", test], env=env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True,
                          check=False).stdout


def verdict(mutant):
    """None, or what is wrong, of a mutant that is in the copy now."""
    out = run(mutant["test"])
    log = f"{BUILD}/mutants/{mutant['test']}.log"
    with open(log, "w", encoding="utf-8") as file:
        file.write(out)
    failed = re.findall(r"^FAIL (\S+)", out, re.M)
    ours = [part for part in failed
            if part.partition(".")[0] == mutant["test"]]
    if not ours:
        return f"was not noticed, see {log}" if not failed else \
            f"{failed[0]} failed, see {log}"
    cases = re.findall(r"^    not ok (.*)", out, re.M)
    for case in cases[:3]:
        print("    " + case)
    if len(cases) > 3:
        print(f"    and {len(cases) - 3} more")
    return None


def stale(one, top=TOP):
    """None, or why the mutant cannot be made."""
    with open(f"{top}/{one['file']}", encoding="utf-8") as file:
        count = file.read().count("".join(line + "\n" for line in one["-"]))
    return None if count == 1 else \
        f"the text is {count} times in {one['file']}"


def texts():
    """Of all mutants."""
    bad = [f"{one['test']}: {one['what']}: {stale(one)}"
           for one in blocks(HERE + "/mutants.txt") if stale(one)]
    print("\n".join(bad), end="\n" if bad else "")
    sys.exit(1 if bad else 0)


def main():
    """All of it."""
    if sys.argv[1:] == ["--texts"]:
        texts()
    wanted = [name.partition(".")[0] for name in sys.argv[1:]]
    mutants = [one for one in blocks(HERE + "/mutants.txt")
               if not wanted or one["test"] in wanted]
    copy_tree()
    bad = 0
    for one in mutants:
        path = f"{TREE}/{one['file']}"
        with open(path, encoding="utf-8") as file:
            text = file.read()
        old = "".join(line + "\n" for line in one["-"])
        new = "".join(line + "\n" for line in one["+"])
        print(f"     {one['test']}: {one['what']}", flush=True)
        wrong = stale(one, TREE)
        if not wrong:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text.replace(old, new))
            wrong = verdict(one)
            shutil.copy2(f"{TOP}/{one['file']}", path)
            os.utime(path)      # what was built of the mutant is too old now
        bad += bool(wrong)
        print(f"FAIL {one['test']}: {wrong}" if wrong else
              f"ok   {one['test']}", flush=True)
    print(f"{len(mutants) - bad} passed, {bad} failed, 0 skipped")
    sys.exit(1 if bad or not mutants else 0)


if __name__ == "__main__":
    main()
