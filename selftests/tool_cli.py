#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
"""k8snetctl: what it prints in text and JSON, its exit statuses, batches,
save, restore and apply, monitor; and that a refused command changes nothing.

lib/tool_cli.txt is a session: "$ WORDS" is a command, what follows is what it
prints on standard output; "! TEXT" is a line of standard error and "? N" an
exit status other than 0. "#" lines describe the case. "tool_cli.py -w FILE"
writes the session as it runs now.
"""
import json
import os
import shlex
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from svclib import K8SNETCTL, Cluster, Tap, check, expect, run, wait_for

SESSION = os.path.dirname(os.path.realpath(__file__)) + "/lib/tool_cli.txt"


def read_session():
    """[(comment, command, [lines])]."""
    steps, comment = [], ""
    with open(SESSION, encoding="utf-8") as file:
        for line in file.read().splitlines():
            if line.startswith("# "):
                comment = line[2:]
            elif line.startswith("$ "):
                steps.append((comment, line[2:], []))
            elif line and steps:
                steps[-1][2].append(line)
    return steps


def tool(ns, words, stdin=None):
    """Runs the tool: (status, out, err)."""
    done = subprocess.run([K8SNETCTL, "-N", ns.name, *words], check=False,
                          capture_output=True, text=True, input=stdin,
                          timeout=60)
    return done.returncode, done.stdout, done.stderr


def play(ns, command):
    """Runs a command of the session: the lines it should have."""
    words, _, text = command.partition(" <<< ")
    status, out, err = tool(ns, shlex.split(words),
                            text.replace("\\n", "\n") if text else None)
    lines = [line for line in out.splitlines() if line]
    lines += ["! " + line for line in err.splitlines()]
    if status:
        lines.append(f"? {status}")
    return lines


def state(ns):
    """All that the tool can tell, without counters."""
    return tool(ns, ["save"])[1]


def session(tap, ns, write):
    """The golden session."""
    out, before = [], None

    def unchanged(before):
        expect(state(ns), before, "state after the refusals")

    for comment, command, wanted in read_session():
        refused = any(line.startswith("? ") for line in wanted) and \
            "<<<" not in command
        if refused and not before:
            before = state(ns)
        elif not refused and before:
            tap.case(f"{comment}: what was refused has changed nothing",
                     unchanged, before)
            before = None
        got = play(ns, command)
        out.append((comment, command, got))

        def same(got=got, wanted=wanted, command=command):
            check(got == wanted, f"$ {command}\n--- wanted\n" +
                  "\n".join(wanted) + "\n--- got\n" + "\n".join(got))

        if not write:
            tap.case(f"{comment}: {command[:100]}", same)
    if write:
        last = None
        with open(write, "w", encoding="utf-8") as file:
            with open(SESSION, encoding="utf-8") as old:
                for line in old:
                    if not line.startswith("#"):
                        break
                    file.write(line)
            for comment, command, got in out:
                if comment != last:
                    file.write(f"\n# {comment}\n")
                last = comment
                file.write("\n".join([f"$ {command}", *got]) + "\n")


FULL = """
bridge add cnio0 addr 10.200.0.0/24 addr fd00:10:200::/64 mtu 1450
pod add 10.200.0.2,fd00:10:200::2 port veth0 mac 02:00:00:00:00:02
port set veth1 antispoof off
route add 10.200.1.0/24 via 10.240.0.22
route add fd00:10:200:1::/64 via fd00:10:240::22
masq add 10.200.0.0/16 except 10.0.0.0/8 except 192.168.0.0/16
node set ip 10.240.0.20 nodeport-addresses 10.240.0.0/24 nodeport-range 30000-31999 cluster-cidr 10.200.0.0/16 fastpath established flow-max 1000
svc add default/web:http vip 10.32.0.53:80/tcp vip [fd00:10:32::53]:80/tcp node-port 31088 external-ip 192.0.2.1 lb-ip 203.0.113.1 ep 10.200.0.2:80,weight=3,local ep [fd00:10:200::2]:80,not-ready scheduler maglev affinity 10800 external-policy local internal-policy local source-range 192.0.2.0/24 no-endpoints drop
svc add "kube-system/kube dns" vip 10.32.0.10:53/udp ep 10.200.1.2:53,terminating,serving scheduler rr
svc add empty node-port 31999/sctp
"""


def round_trip(tap, ns, other):
    """save, flush, restore, apply."""
    def objects(text):
        return json.loads(text)

    tool(ns, ["flush"])
    status, _, err = tool(ns, ["-b", "-"], FULL.replace(
        "port set veth1 antispoof off\n", ""))
    tap.case("round trip: the state is made by a batch",
             lambda: expect((status, err), (0, "")))
    saved = state(ns)
    path = "/run/k8snet-test-state.json"
    with open(path, "w", encoding="utf-8") as file:
        file.write(saved)

    def whole():
        got = objects(saved)
        expect(len(got["services"]), 3, "services")
        web = [s for s in got["services"] if s["name"] == "default/web:http"]
        expect(web[0]["scheduler"], "maglev")
        expect(len(web[0]["ep"]), 2, "endpoints")

    tap.case("save: it is JSON and has all", whole)

    def restores():
        expect(tool(ns, ["flush"])[0], 0, "flush")
        empty = objects(state(ns))
        for key in "bridges", "pods", "routes", "masq", "services":
            expect(empty[key], [], f"{key} after flush")
        expect(tool(ns, ["restore", path]), (0, "", ""), "restore")
        expect(state(ns), saved, "state after restore")

    tap.case("restore: brings all back, bridges, ports and pods included",
             restores)

    def twice():
        status, _, err = tool(ns, ["restore", path])
        expect(status, 1, "status")
        check(err.startswith("k8snetctl: "), err)
        expect(state(ns), saved, "state")

    tap.case("restore: over an existing state is refused and changes nothing",
             twice)
    tap.case("apply: the present state is not touched", lambda: expect(
        tool(ns, ["apply", path, "--dry-run"]), (0, "", "")))

    def applies():
        want = objects(saved)
        want["services"][0]["scheduler"] = "lc"
        del want["services"][-1]
        want["masq"] = []
        want["routes"] = want["routes"][:1]
        with open(path + ".2", "w", encoding="utf-8") as file:
            json.dump(want, file)
        status, out, _ = tool(ns, ["apply", path + ".2", "--dry-run"])
        expect(status, 0, "status of the dry run")
        check(len(out.splitlines()) == 4, f"commands that it would run:\n{out}")
        expect(state(ns), saved, "state after the dry run")
        expect(tool(ns, ["apply", path + ".2"])[0], 0, "status")
        expect(objects(state(ns)), want, "state")
        expect(tool(ns, ["apply", path + ".2", "--dry-run"]), (0, "", ""),
               "again")
        expect(tool(ns, ["apply", path])[0], 0, "status of the way back")
        expect(state(ns), saved, "state in the end")

    tap.case("apply: does what differs, and nothing the second time", applies)

    def bad(text, where):
        with open(path + ".bad", "w", encoding="utf-8") as file:
            file.write(text)
        for verb in "restore", "apply":
            status, _, err = tool(ns, [verb, path + ".bad"])
            expect(status, 2, f"status of {verb}")
            check(where in err, f"'{where}' is not in: {err}")
        expect(state(ns), saved, "state")

    for what, text, where in (
            ("no JSON", "{", ":1:1: "),
            ("an unknown member", saved.replace('"scheduler"', '"sheduler"',
                                                1), "sheduler"),
            ("a bad address", saved.replace("10.200.0.2:80", "10.200.0:80"),
             "ep[0]"),
            ("a bad enum", saved.replace('"maglev"', '"magic"'), "scheduler")):
        tap.case(f"restore, apply: {what}: status 2, and it says where", bad,
                 text, where)

    def elsewhere():
        # Another node, with devices of the same name.
        expect(tool(other, ["apply", path]), (0, "", ""), "apply")
        expect(state(other), saved, "state")
        expect(tool(other, ["flush"])[0], 0, "flush")

    tap.case("apply: builds all on an empty node", elsewhere)


def lookups(tap, ns):
    """The frontend that lookup names."""
    tool(ns, ["flush"])
    status, _, err = tool(ns, ["-b", "-"], """
hostport add 8080/tcp 10.200.0.2:80
hostport add 10.240.0.20:8081/tcp 10.200.0.2:80
svc add many vip 10.32.0.1:*/tcp vip 10.32.0.1:100-200/tcp vip [fd00::1]:*/tcp vip 10.32.0.1:80/tcp node-port 30080
""")
    tap.case("lookup: services for it", lambda: expect((status, err), (0, "")))

    def names(dst, frontend):
        src = "fd00::9" if "[" in dst else "192.0.2.9"
        status, out, err = tool(ns, ["lookup", "tcp", src, dst])
        expect((status, err), (0, ""))
        expect(out.splitlines()[1], f"  frontend: {frontend}")

    for dst, frontend in (
            ("10.240.0.20:8080", "host port 8080 of service hostport/8080/tcp"),
            ("10.240.0.20:8081", "host port 10.240.0.20:8081 of service "
             "hostport/10.240.0.20:8081/tcp"),
            ("10.240.0.20:30080", "node port 30080 of service many"),
            ("10.32.0.1:80", "cluster IP 10.32.0.1:80 of service many"),
            ("10.32.0.1:150", "cluster IP 10.32.0.1:100-200 of service many"),
            ("10.32.0.1:99", "cluster IP 10.32.0.1:* of service many"),
            ("[fd00::1]:99", "cluster IP [fd00::1]:* of service many")):
        tap.case(f"lookup: {dst} is {frontend}", names, dst, frontend)
    tool(ns, ["flush"])


# Pairs of states, as batches: apply has to make either out of the other, and so
# have the commands that it prints.
TURNS = (
    ("all there is", FULL.replace("port set veth1 antispoof off\n", ""), ""),
    ("names of the node", "node set name a zone b", "node set name b"),
    ("addresses of a bridge",
     "bridge add br0 addr 10.201.0.0/24 addr fd00:10:201::/64",
     "bridge add br0 addr none lladdr 0a:58:0a:c9:00:01"),
    ("a service without frontends",
     "svc add u vip 10.32.0.1:53/udp ep 10.200.0.2:53\nsvc set u vip none", ""),
    ("words that need quotes", """
svc add "it's \\"a b\\" #1" vip 10.32.0.1:80/tcp ep "10.200.0.2:80,zone=it's,node=#1"
""", ""),
    ("a frontend of another type",
     "svc add a lb-ip 192.0.2.1:80 lb-ip 192.0.2.2:80 external-ip 192.0.2.3:80",
     "svc add a external-ip 192.0.2.1:80 lb-ip 192.0.2.2:80"),
    ("a range of another type, and another one",
     "svc add a lb-ip 192.0.2.1:100-200 lb-ip 192.0.2.2:*",
     "svc add a external-ip 192.0.2.1:150-250 external-ip 192.0.2.2:*"),
    ("a range that becomes two services'",
     "svc add z vip 10.32.0.1:100-200/tcp vip 10.32.0.1:201-300/tcp",
     "svc add a vip 10.32.0.1:151-200/tcp\n"
     "svc add z vip 10.32.0.1:100-150/tcp vip 10.32.0.1:201-300/tcp"),
    ("all ports of an address, with a range and a port in them",
     "svc add m vip 10.32.0.1:*/udp vip 10.32.0.1:53/udp\n"
     "svc add z vip 10.32.0.1:1-65534/udp vip 10.32.0.2:53/udp",
     "svc add a vip 10.32.0.1:*/udp\n"
     "svc add b vip 10.32.0.1:2-65535/udp\n"
     "svc add m vip 10.32.0.1:53/udp\n"
     "svc add z vip 10.32.0.2:53/udp"),
    ("a node port that becomes a host port",
     "svc add kube-system/web vip 10.32.0.1:80/tcp node-port 30080",
     "svc add kube-system/web vip 10.32.0.1:80/tcp\n"
     "hostport add 30080/tcp 10.200.0.2:80"),
    ("an external address that becomes a host port",
     "svc add kube-system/web vip 10.32.0.1:80/tcp external-ip 10.240.0.20:8080",
     "svc add kube-system/web vip 10.32.0.1:80/tcp\n"
     "hostport add 10.240.0.20:8080/tcp 10.200.0.2:80"),
)


def turns(tap, ns):
    """apply from one state to another."""
    def make(text):
        status, out, err = tool(ns, ["-b", "-"], f"flush\n{text}\nsave\n")
        check(not status, err)
        return out

    def applies(before, after):
        want = make(after)
        make(before)
        expect(tool(ns, ["apply", "-"], want), (0, "", ""), "apply")
        expect(state(ns), want, "state")

    def prints(before, after):
        want = make(after)
        make(before)
        status, out, err = tool(ns, ["apply", "--dry-run", "-"], want)
        expect((status, err), (0, ""), "apply")
        status, _, err = tool(ns, ["-b", "-"], out)
        check(not status, f"{err}of\n{out}")
        expect(state(ns), want, f"state after\n{out}")

    def agrees():
        make("svc add u proto sctp")
        expect(json.loads(tool(ns, ["-j", "svc", "list"])[1])[0]["proto"],
               "sctp")
        expect(tool(ns, "svc set u proto sctp".split()), (0, "", ""), "same")
        expect(tool(ns, "svc set u proto udp".split()),
               (1, "", "k8snetctl: service u is sctp, which cannot be changed "
                "to udp\n"), "another one")

    tap.case("svc: a protocol without a frontend", agrees)
    for what, one, two in TURNS:
        for way, before, after in (("", one, two), (" back", two, one)):
            tap.case(f"apply{way}: {what}", applies, before, after)
            tap.case(f"apply{way}: {what}: as commands", prints, before, after)
    tool(ns, ["flush"])


def monitor(tap, ns):
    """monitor prints what happens."""
    path = "/run/k8snet-test-monitor"
    tool(ns, ["flush"])
    with open(path, "w", encoding="utf-8") as file, ns:
        child = subprocess.Popen(       # pylint: disable=consider-using-with
            [K8SNETCTL, "-j", "monitor"], stdout=file,
            stderr=subprocess.STDOUT)
    try:
        def lines():
            with open(path, encoding="utf-8") as file:
                return [json.loads(line) for line in file]

        # It says nothing when it is ready: changes until it sees one.
        def sees():
            tool(ns, ["masq", "add", "10.9.0.0/16"])
            tool(ns, ["masq", "del", "10.9.0.0/16"])
            return lines()

        wait_for("first notification", sees, 10, 0.05)
        commands = [line for line in FULL.strip().splitlines()
                    if not line.startswith("port")]
        for command in commands:
            status, _, err = tool(ns, shlex.split(command))
            check(not status, err)
        tool(ns, shlex.split("ep add empty 10.200.0.9:9"))
        tool(ns, shlex.split("ep del empty 10.200.0.9:9"))
        for words in ("svc del empty", "route del 10.200.1.0/24",
                      "pod del 10.200.0.2", "masq del 10.200.0.0/16", "flush"):
            tool(ns, words.split())
        wait_for("notification of the flush", lambda: "flush" in json.dumps(
            lines()[-1]), 10, 0.05)
        text = json.dumps(lines())

        def says(what):
            check(what in text, f"'{what}' is not in\n" + "\n".join(
                json.dumps(line) for line in lines()))

        for what in ("default/web:http", "kube-system/kube dns", "empty",
                     "10.200.0.9:9", "10.200.1.0/24", "10.200.0.2",
                     "10.200.0.0/16", "31999", "cnio0", "flush"):
            tap.case(f"monitor: a line with {what}", says, what)
    finally:
        child.terminate()
        child.wait()


def batches(tap, ns):
    """Large batches."""
    tool(ns, ["flush"])
    count = 3000
    text = "".join(f"svc add s{n} vip 10.{32 + n // 60000}."
                   f"{n // 250 % 240}.{n % 250}:80/tcp "
                   f"ep 10.200.0.2:{n + 1}\n" for n in range(count))

    def adds():
        start = time.monotonic()
        expect(tool(ns, ["-b", "-"], text), (0, "", ""))
        tap.note(f"{count} services in {time.monotonic() - start:.1f} s")
        out = json.loads(tool(ns, ["-j", "svc", "list"])[1])
        expect(len(out), count, "services")

    tap.case(f"batch: {count} services", adds)

    def stops():
        status, _, err = tool(ns, ["-b", "-"], "svc del s1\nsvc del nope\n"
                              "svc del s2\n")
        expect((status, err), (1, "k8snetctl: stdin:2: no such service\n"))
        out = [s["name"] for s in json.loads(tool(ns, ["-j", "svc",
                                                       "list"])[1])]
        check("s1" not in out and "s2" in out, "not stopped at the error")

    tap.case("batch: ends at the first refusal and names its line", stops)

    def forced():
        status, _, err = tool(ns, ["--force", "-b", "-"],
                              "svc add s3 vip 10.1.1.1:1/tcp\nsvc del s2\n")
        expect((status, err), (1, "k8snetctl: stdin:1: service exists "
                               "already\n"))
        check(tool(ns, ["svc", "show", "s2"])[0] == 1, "not continued")

    tap.case("batch: goes on with --force", forced)

    def unread():
        status, _, err = tool(ns, ["-b", "-"],
                              "svc del s4\nsvc add s5 vip nonsense\n")
        expect(status, 2, "status")
        check(err.startswith("k8snetctl: stdin:2: "), err)
        expect(tool(ns, ["svc", "show", "s4"])[0], 0, "s4 is still there")

    tap.case("batch: with a line that cannot be read nothing is sent", unread)
    tool(ns, ["flush"])


def escapes(tap, ns):
    """Escapes of a batch's words."""
    def nul():
        expect(tool(ns, ["-b", "-"], 'svc add "a\\x00b"\n'),
               (2, "", "k8snetctl: stdin:1: a NUL byte\n"))
        expect(json.loads(tool(ns, ["-j", "svc", "list"])[1]), [], "services")

    tap.case("batch: a NUL byte written as an escape cannot be read", nul)


def nested(tap, ns):
    """apply as a line of a batch."""
    path = "/run/k8snet-test-nested.json"
    tool(ns, ["flush"])
    with open(path, "w", encoding="utf-8") as file:
        file.write('{"services": [{"name": "of-file"}]}')

    def applies(before, behind, wanted):
        expect(tool(ns, ["flush"])[0], 0, "flush")
        status, _, err = tool(ns, ["--force", "-b", "-"], "svc add x\n" +
                              before + f"apply {path}\n" + behind +
                              "svc add y\n")
        expect((status, err), wanted)
        out = json.loads(tool(ns, ["-j", "svc", "list"])[1])
        expect([s["name"] for s in out], ["of-file", "y"], "services")

    twice = "svc add of-file\n"
    for what, before, behind, wanted in (
            ("nothing", "", "", (0, "")),
            ("a line before it", "svc del nope\n", "",
             (1, "k8snetctl: stdin:2: no such service\n")),
            ("a line behind it", "", twice,
             (1, "k8snetctl: stdin:3: service exists already\n"))):
        tap.case(f"batch: apply with --force, {what} refused", applies,
                 before, behind, wanted)
    tool(ns, ["flush"])


def words_of(addrs):
    """The words of a bridge with these addresses."""
    return [word for addr in addrs for word in ("addr", addr)]


def addresses(tap, ns):
    """The addresses of a bridge: which, and in which order."""
    path = "/run/k8snet-test-addrs.json"

    def addrs():
        return json.loads(tool(ns, ["-j", "bridge", "show",
                                    "cnio0"])[1])[0]["addr"]

    def make(before):
        expect(tool(ns, ["-b", "-"], "flush\nbridge add cnio0 " +
                    " ".join(words_of(before)) + "\n"), (0, "", ""),
               "bridge add")

    def sets(before, want, kernels, promote):
        ns.sysctl("ipv4/conf/all/promote_secondaries", promote)
        make(before)
        expect(tool(ns, ["bridge", "set", "cnio0", *words_of(want)]),
               (0, "", ""), "bridge set")
        expect(addrs(), kernels, "addresses")

    # A device without an IPv4 address loses all its IPv4 routes.
    def never_without(before, want):
        make(before)
        ns.ip("route add 192.0.2.0/24 dev cnio0")
        expect(tool(ns, ["bridge", "set", "cnio0", *words_of(want)]),
               (0, "", ""), "bridge set")
        expect(addrs(), want, "addresses")
        check("192.0.2.0/24" in ns.run("ip", "route", "show", "dev",
                                       "cnio0").out, "there was a gap")

    def applies(before, want, kernels):
        make(before)
        node = json.loads(state(ns))
        node["bridges"][0]["addr"] = want
        with open(path, "w", encoding="utf-8") as file:
            json.dump(node, file)
        expect(tool(ns, ["apply", path]), (0, "", ""), "apply")
        node["bridges"][0]["addr"] = kernels
        expect(json.loads(state(ns)), node, "state")
        expect(tool(ns, ["apply", path, "--dry-run"]), (0, "", ""), "again")

    one, two, three = (f"10.200.0.{n}/24" for n in (1, 2, 3))
    other, third = "10.201.0.1/24", "10.202.0.1/24"
    six, six2 = "fd00:10:200::1/64", "fd00:10:201::1/64"
    # Also by apply; and where the kernel promotes secondary addresses.
    table = [
        ("another gateway of the network", [one, six], [two, six], True, True),
        ("its first two the other way round", [one, two], [two, one], False,
         True),
        ("the first of three goes", [one, two, three], [two, three], False,
         True),
        ("networks the other way round", [one, other, six, six2],
         [other, one, six2, six], True, False),
        ("another first network", [one, other], [third, other], False, False),
        ("a network between", [one, other, two], [one, third, other, two],
         False, False),
        ("another length for IPv4", [one, other], ["10.200.0.1/16", other],
         False, False),
        ("another length for IPv6", [one, six], [one, "fd00:10:200::1/48"],
         True, False),
        ("none of IPv6", [one, six], [one], False, False),
    ]
    table = [(what, before, want, want, *more)
             for what, before, want, *more in table]
    table += [
        ("an order of networks that no kernel has", [one],
         [one, two, other], [one, other, two], True, False),
        ("an order of scopes that no kernel has", [one, six],
         [one, six, "fec0::1/64"], [one, "fec0::1/64", six], True, False),
    ]
    for what, before, want, kernels, by_apply, promoted in table:
        tap.case(f"bridge addresses: {what}", sets, before, want, kernels, 0)
        if by_apply:
            tap.case(f"bridge addresses: {what}, by apply", applies, before,
                     want, kernels)
        if promoted:
            tap.case(f"bridge addresses: {what}, secondaries promoted", sets,
                     before, want, kernels, 1)
    ns.sysctl("ipv4/conf/all/promote_secondaries", 0)
    for what, before, want in (("another network", [one], [other]),
                               ("another first", [one, other], [third, other]),
                               ("a second one goes", [one, two], [one])):
        tap.case(f"bridge addresses: never without: {what}", never_without,
                 before, want)

    def restores():
        make([other, one, six2, six])
        saved = state(ns)
        with open(path, "w", encoding="utf-8") as file:
            file.write(saved)
        expect(json.loads(saved)["bridges"][0]["addr"],
               [other, one, six2, six], "addresses saved")
        tool(ns, ["flush"])
        expect(tool(ns, ["restore", path]), (0, "", ""), "restore")
        expect(state(ns), saved, "state")

    tap.case("bridge addresses: save and restore keep their order", restores)

    # No device can have a multicast address.
    def refused(words):
        make([one, two, six])
        before = state(ns)
        status, _, err = tool(ns, ["bridge", "set", "cnio0", *words.split(),
                                   "addr", "ff02::5/64"])
        expect(status, 1, "status")
        expect(len(err.splitlines()), 1, f"lines of {err!r}")
        expect(state(ns), before, "state")

    for what, words in (
            ("MTU and MAC", f"mtu 1300 lladdr 02:00:00:00:00:99 addr {one} "
             f"addr {two} addr {six}"),
            ("IPv6 off by the MTU", f"mtu 1000 addr {other}"),
            ("another network", f"addr {other} addr {six2}"),
            ("another gateway", f"addr {three} addr fd00:10:200::1/48")):
        tap.case(f"bridge set: what was refused is taken back: {what}",
                 refused, words)

    def forwarding():
        make([one])
        ns.sysctl("ipv6/conf/all/forwarding", 0)
        try:
            status, _, err = tool(ns, ["bridge", "set", "cnio0", "addr", one,
                                       "addr", "ff02::5/64"])
            expect(status, 1, "status")
            check("forwarding" not in err, err)
            expect(ns.sysctl("ipv6/conf/all/forwarding"), "0", "forwarding")
        finally:
            ns.sysctl("ipv6/conf/all/forwarding", 1)

    tap.case("bridge set: does not turn on forwarding if it is refused",
             forwarding)
    tool(ns, ["flush"])


def undone(tap, ns):
    """What a restore that is refused takes away again."""
    path = "/run/k8snet-test-undone.json"
    tool(ns, ["flush"])
    tool(ns, ["bridge", "add", "cnio0", "addr", "10.200.0.1/24"])
    tool(ns, ["svc", "add", "holder", "vip", "10.32.0.1:80/tcp"])
    before = json.loads(state(ns))["node"]
    with open(path, "w", encoding="utf-8") as file:
        json.dump({
            "node": dict(before, **{"nodeport-range": "30000-30999"}),
            "pods": [{"addr": "10.200.0.2", "port": "veth0"}],
            "masq": [{"cidr": "10.200.0.0/16"}],
            "services": [{"name": "first", "vip": "10.32.0.2:80/tcp"},
                         {"name": "taken", "vip": "10.32.0.1:80/tcp"}],
        }, file)

    # It stands still where it says what was refused: nobody reads that yet.
    def meanwhile():
        read, write = os.pipe()
        os.set_blocking(write, False)
        try:
            while True:
                os.write(write, bytes(4096))
        except BlockingIOError:
            os.set_blocking(write, True)
        with subprocess.Popen([K8SNETCTL, "-N", ns.name, "restore", path],
                              stderr=write) as child:
            os.close(write)
            with open(read, "rb") as err:
                wait_for("what restore makes", lambda: not tool(
                    ns, ["svc", "show", "first"])[0])
                for words in ("svc add other", "masq add 10.9.0.0/16",
                              "port add veth1 bridge cnio0",
                              "node set name other"):
                    expect(tool(ns, words.split()), (0, "", ""), words)
                said = err.read().lstrip(b"\0").decode()
        expect(child.returncode, 1, "status")
        check("svc add taken: " in said, said)
        now = json.loads(state(ns))
        expect([s["name"] for s in now["services"]], ["holder", "other"],
               "services")
        expect([m["cidr"] for m in now["masq"]], ["10.9.0.0/16"], "masq")
        expect(now["pods"], [], "pods")
        expect([p["name"] for p in now["ports"]], ["veth1"], "ports")
        expect(now["node"], dict(before, name="other"), "the node's settings")

    tap.case("restore: takes back what it made and nobody else's", meanwhile)
    tool(ns, ["flush"])


def main():
    """The test."""
    tap = Tap()
    c = Cluster(nodes=2, pods=0)
    for node in c.nodes:
        run(K8SNETCTL, "-N", c[node].name, "flush")
        # Silent ones: what they say of their own while the port has no pod yet
        # would count as spoofed.
        c[node].sysctl("ipv6/conf/default/disable_ipv6", 1)
        c[node].ip("".join(
            f"link add veth{n} type veth peer name peer{n} address "
            f"02:00:00:00:01:0{n}\nlink set peer{n} up\n" for n in range(2)))
        c[node].sysctl("ipv6/conf/default/disable_ipv6", 0)
    write = sys.argv[2] if sys.argv[1:2] == ["-w"] else None
    session(tap, c["w0"], write)
    if write:
        return
    round_trip(tap, c["w0"], c["w1"])
    lookups(tap, c["w0"])
    turns(tap, c["w0"])
    monitor(tap, c["w0"])
    batches(tap, c["w0"])
    escapes(tap, c["w0"])
    nested(tap, c["w0"])
    addresses(tap, c["w0"])
    undone(tap, c["w0"])
    tap.end()


main()
