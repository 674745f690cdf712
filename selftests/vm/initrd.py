#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""initrd.py MODULES BUSYBOX INIT OUTPUT: makes the VM's initramfs.

It holds a static busybox, INIT as /init, and the modules needed to reach the
root file system, in the order in which they have to be loaded. MODULES is the
kernel's /lib/modules/RELEASE; what is built in is left out.
"""
import os
import sys

WANTED = ("virtio_pci", "virtio_console", "virtio_rng", "9pnet_virtio", "9p",
          "overlay")


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

    def add(self, name, mode, data=b"", rdev=(0, 0)):
        self.inode += 1
        name = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev,
                  len(name), 0)
        self._write(b"070701" + b"".join(b"%08X" % f for f in fields) + name)
        self._write(data)

    def _write(self, data):
        self.output.write(data + b"\0" * (-len(data) % 4))


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
        cpio.add("TRAILER!!!", 0)


if __name__ == "__main__":
    main()
