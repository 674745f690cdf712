#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""initrd.py MODULES BUSYBOX INIT OUTPUT: makes the VM's initramfs.

It holds a static busybox, INIT as /init, and the modules needed to reach the
root file system, in the order in which they have to be loaded. MODULES is the
kernel's /lib/modules/RELEASE; what is built in is left out.

Below /hot are copies of files that tests open again and again: programs, their
libraries, modules of Python. Read from the host, each open() of each of them is
several messages of 9p, of which each waits for threads of the emulator.
"""
import ast
import glob
import os
import re
import subprocess
import sys

WANTED = ("virtio_pci", "virtio_console", "virtio_rng", "9pnet_virtio", "9p",
          "overlay")
PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin")
# Not all that is used, but what is used often. What is not here is left out.
PROGRAMS = """arping awk basename bash bridge cat chmod conntrack cp cut date
dirname dmesg env ethtool find grep head id ip ipset iptables ipvsadm kill ln ls
mkdir mktemp modprobe mount nc nft nsenter nstat ping python3 readlink realpath rm
rmmod sed seq setpriv sh sleep sort ss stat sysctl tail tc tcpdump timeout touch tr
true umount unshare wc""".split()
FILES = """/bin /sbin /lib /lib64 /etc/iproute2/* /etc/ld.so.cache
/etc/modprobe.d/* /etc/nsswitch.conf /etc/passwd /etc/protocols /etc/services
/etc/sysctl.conf /usr/lib/*/gconv/gconv-modules.cache /usr/lib/locale/C.utf8/*
/usr/lib/locale/C.utf8/*/* /usr/share/iproute2/*""".split()
SELFTESTS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def name_of(path):
    return os.path.basename(path).split(".ko")[0].replace("-", "_")


def load_order(modules):
    """Paths of WANTED and all they depend on, dependencies first."""
    needs = {}
    paths = {}
    with open(os.path.join(modules, "modules.dep"), encoding="ascii") as deps:
        for line in deps:
            path, _, rest = line.partition(":")
            paths[name_of(path)] = path
            needs[name_of(path)] = [name_of(dep) for dep in rest.split()]
    order = []

    def add(name):
        for dep in needs.get(name, ()):
            add(dep)
        if name in paths and paths[name] not in order:
            order.append(paths[name])

    for name in WANTED:
        add(name)
    return order


class Cpio:
    """Writes the "newc" format (Documentation/driver-api/early-userspace)."""

    def __init__(self, output):
        self.output = output
        self.inode = 0

    def add(self, name, mode, data=b"", rdev=(0, 0), mtime=0):
        self.inode += 1
        name = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, mtime, len(data), 0, 0, *rdev,
                  len(name), 0)
        self._write(b"070701" + b"".join(b"%08X" % f for f in fields) + name)
        self._write(data)

    def _write(self, data):
        self.output.write(data + b"\0" * (-len(data) % 4))


def output_of(*command):
    """Empty where it fails: a script has no libraries."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL, check=False).stdout


def imports():
    """Names of the modules that the tests import."""
    names = set()
    for path in glob.glob(SELFTESTS + "/*.py") + \
            glob.glob(SELFTESTS + "/lib/*.py"):
        with open(path, encoding="utf-8") as source:
            for node in ast.walk(ast.parse(source.read())):
                if isinstance(node, ast.Import):
                    names.update(alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom):
                    names.add(node.module)
    return names


def python_files(python):
    """What an interpreter that imports all of that opens."""
    return output_of(python, "-c", f"""
import importlib, sys
for name in {sorted(imports())!r}:
    try:
        importlib.import_module(name)
    except ImportError:
        pass
for module in list(sys.modules.values()):
    for path in (getattr(module, "__file__", None),
                 getattr(module, "__cached__", None)):
        if path:
            print(path)
""").split("\n")


def hot_files():
    """Absolute paths of links and files, with the links on the way to them."""
    found = set()

    def add(path):
        where, name = os.path.split(path)
        path = os.path.join(os.path.realpath(where), name)
        if path in found or not os.path.exists(path) or (
                os.path.isdir(path) and not os.path.islink(path)):
            return
        found.add(path)
        if os.path.islink(path):
            add(os.path.join(where, os.readlink(path)))

    for pattern in FILES:
        for path in glob.glob(pattern):
            add(path)
    for program in PROGRAMS:
        path = next((p for p in (d + "/" + program for d in PATH)
                     if os.path.exists(p)), None)
        if path:
            add(path)
            for library in re.findall(r"/\S+", output_of("ldd", path)):
                add(library)
            if program == "python3":
                for file in python_files(path):
                    add(file)
                    if file.endswith(".so"):
                        for library in re.findall(r"/\S+",
                                                  output_of("ldd", file)):
                            add(library)
    return sorted(found)


def add_hot(cpio):
    """Copies of hot_files() below hot/, with the directories they are in."""
    made = set()

    def directory(path):
        if path not in made:
            made.add(path)
            if path != "/":
                directory(os.path.dirname(path))
            cpio.add("hot" + path.rstrip("/"), 0o040755)

    for path in hot_files():
        directory(os.path.dirname(path))
        if os.path.islink(path):
            cpio.add("hot" + path, 0o120777, os.readlink(path).encode())
        else:
            with open(path, "rb") as data:
                cpio.add("hot" + path, os.stat(path).st_mode, data.read(),
                         mtime=int(os.stat(path).st_mtime))


def main():
    modules, busybox, init, output = sys.argv[1:]
    with open(output, "wb") as out:
        cpio = Cpio(out)
        for name in ("bin", "dev", "proc", "sys", "mod", "low", "top", "new",
                     "job"):
            cpio.add(name, 0o040755)
        cpio.add("dev/console", 0o020600, rdev=(5, 1))
        for source, name in ((busybox, "bin/busybox"), (init, "init")):
            with open(source, "rb") as data:
                cpio.add(name, 0o100755, data.read())
        cpio.add("bin/sh", 0o120777, b"busybox")
        order = load_order(modules)
        for path in order:
            with open(os.path.join(modules, path), "rb") as data:
                cpio.add("mod/" + name_of(path) + ".ko", 0o100644, data.read())
        cpio.add("mod/order", 0o100644,
                 "".join(name_of(path) + "\n" for path in order).encode())
        add_hot(cpio)
        cpio.add("TRAILER!!!", 0)


if __name__ == "__main__":
    main()
