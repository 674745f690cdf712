#!/usr/bin/python3 -ES
# SPDX-License-Identifier: GPL-2.0
# timeout: 240
"""Dumps are whole, or say that they are not; notifications tell every change,
in the namespace where it is made, and to nobody else.
"""
import os
import struct
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/lib")
# pylint: disable=wrong-import-position
from genl import C, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, \
    NLMSG_DONE, NLMSG_ERROR, Error, Genl, addr, attrs, endpoint, find, \
    frontend, nla, prefix, string, u8, u32
from svclib import Cluster, Tap, check, expect, wait_for

SERVICES = 5000
PODS = 120          # more than three messages of 4 KiB tell


def name_of(data):
    """Of a service or endpoint message."""
    return find(data, "SERVICE_NAME").rstrip(b"\0").decode()


def fill(c):
    """Many of everything that can be many."""
    c.batch("w0", "".join(
        f"svc add s{n} vip 10.{40 + n // 50000}.{n // 250}.{n % 250}:80/tcp "
        "ep 10.200.0.2:80 ep 10.200.0.3:80\n" for n in range(SERVICES)))
    c.batch("w0", "".join(
        f"route add 10.{100 + n // 250}.{n % 250}.0/24 via 10.240.0.21\n"
        for n in range(400)))
    c.batch("w0", "".join(f"masq add 10.99.{n}.0/24 except 10.0.0.0/9 "
                          "except 192.168.0.0/16\n" for n in range(200)))
    c["w0"].ip("".join(
        f"link add x{n} type veth peer name y{n}\n"
        f"link set x{n} master cnio0 up\n" for n in range(PODS)))
    c.batch("w0", "".join(
        f"pod add 10.200.0.{50 + n},fd00:10:200::{50 + n:x} port x{n} "
        f"mac 02:00:00:00:01:{n:02x}\n" for n in range(PODS)))


def dumps(tap, c, genl):
    """Complete and consistent."""
    def services():
        got, intr = genl.dump("SERVICE_GET")
        names = [name_of(data) for data in got]
        expect(intr, False, "interrupted")
        expect(len(names), SERVICES, "services")
        expect(len(set(names)), SERVICES, "different services")

    tap.case(f"a dump of {SERVICES} services has each once", services)

    def endpoints():
        got, _ = genl.dump("ENDPOINT_GET")
        count = {}
        for data in got:
            for kind, payload in attrs(data):
                if kind == C["SERVICE_ENDPOINT"]:
                    key = name_of(data), find(payload, "ENDPOINT_ADDR")
                    count[key] = count.get(key, 0) + 1
        expect(len(count), 2 * SERVICES, "endpoints")
        expect(set(count.values()), {1}, "how often each")

    tap.case("a dump of their endpoints has each once", endpoints)

    def one():
        got, _ = genl.dump("ENDPOINT_GET", string("SERVICE_NAME", "s77"))
        expect({name_of(data) for data in got}, {"s77"}, "services")
        expect(sum(1 for data in got for kind, _ in attrs(data)
                   if kind == C["SERVICE_ENDPOINT"]), 2, "endpoints")

    tap.case("a dump of one service's endpoints has no others", one)

    def none():
        try:
            genl.dump("ENDPOINT_GET", string("SERVICE_NAME", "nope"))
        except Error as error:
            expect(error.text, "no such service", "sentence")
            return
        check(False, "no error")

    tap.case("a dump of the endpoints of no service is refused", none)

    def large():
        """Services that do not fit into the first part of a dump, which is as
        long as the reader has shown to need."""
        names = [f"large{n}" for n in range(3)]
        c.batch("w0", "".join(
            f"svc add {name} lb-ip 192.0.2.{n}:80/tcp " + " ".join(
                f"source-range fd00:{n:x}:{m:x}::/48" for m in range(120)) +
            "\n" for n, name in enumerate(names)))
        got, _ = Genl(c["w0"]).dump("SERVICE_GET")
        got = [name_of(data) for data in got]
        expect([name for name in got if name in names], names, "large ones")
        expect(len(got), SERVICES + 3, "services")
        for name in names:
            c.tool("w0", f"svc del {name}")
        got, _ = Genl(c["w0"]).dump("SERVICE_GET")
        expect(len(got), SERVICES, "services")

    def only_large():
        """There is nothing before it."""
        c.batch("w1", "svc add large lb-ip 192.0.2.1:80/tcp " + " ".join(
            f"source-range fd00::{m:x}:0/112" for m in range(120)) + "\n")
        got, _ = Genl(c["w1"]).dump("SERVICE_GET")
        expect([name_of(data) for data in got], ["large"], "services")
        c.tool("w1", "svc del large")

    tap.case("a dump has services that are longer than its first part", large)
    tap.case("also where there is no other", only_large)

    small = Genl(c["w0"], size=4096)

    def interrupted(cmd, change, undo):
        # The kernel is always one message ahead of the reader.
        for changed in False, True:
            small.sock.send(small.message(cmd, b"",
                                          NLM_F_REQUEST | NLM_F_DUMP))
            data = small.sock.recv(4096)
            if changed:
                change()
            count, intr, done = 0, False, False
            while not done:
                while len(data) >= 16:
                    size, kind, flags = struct.unpack_from("=IHH", data)
                    intr |= bool(flags & NLM_F_DUMP_INTR)
                    check(kind != NLMSG_ERROR, "an error")
                    done |= kind == NLMSG_DONE
                    count += kind == genl.family
                    data = data[(size + 3) & ~3:]
                if not done:
                    data = small.sock.recv(4096)
            if changed:
                undo()
            check(count > 30, f"only {count} objects: too few for this test")
            expect(intr, changed, "NLM_F_DUMP_INTR")

    other = Genl(c["w0"])
    for cmd in ("SERVICE", "ENDPOINT", "ROUTE", "MASQ", "POD", "PORT"):
        tap.case(f"{cmd}_GET: a change in the middle of a dump marks it as "
                 "interrupted, none does not", interrupted, f"{cmd}_GET",
                 lambda: other.request("SERVICE_NEW", string(
                     "SERVICE_NAME", "more") + u8("SERVICE_PROTO", 6)),
                 lambda: other.request("SERVICE_DEL", string("SERVICE_NAME",
                                                             "more")))

    def concurrent():
        """Whatever a dump that was not interrupted says was once so."""
        stop = []

        def changes():
            mine = Genl(c["w0"])
            while not stop:
                for n in range(0, 60, 2):
                    mine.request("SERVICE_DEL", string("SERVICE_NAME",
                                                       f"s{n}"))
                for n in range(0, 60, 2):
                    mine.request("SERVICE_NEW",
                                 string("SERVICE_NAME", f"s{n}") +
                                 u8("SERVICE_PROTO", 6))
            mine.sock.close()

        thread = threading.Thread(target=changes, daemon=True)
        thread.start()
        marked = 0
        try:
            for _ in range(3):
                got, intr = genl.dump("SERVICE_GET")
                names = [name_of(data) for data in got]
                marked += intr
                rest = {name for name in names if int(name[1:]) >= 60}
                expect(len(rest), SERVICES - 60, "those that do not change")
                # One made again may have been seen before.
                if not intr:
                    expect(len(set(names)), len(names), "different services")
        finally:
            stop.append(1)
            thread.join(30)
        check(marked, "no dump was interrupted")

    tap.case("dumps while services come and go miss none of the others",
             concurrent)
    other.sock.close()
    small.sock.close()


def notifications(tap, c):
    """Each change once, in order."""
    here, there = Genl(c["w0"]), Genl(c["w1"])
    ask = Genl(c["w0"])
    for one in here, there:
        one.listen()
        one.sock.settimeout(10)

    def told():
        """The next notification: (command, attributes)."""
        for kind, _, seq, body in here.read():
            expect((kind, seq), (here.family, 0), "type, sequence")
            return body[0], body[4:]
        return None

    def expect_told(cmd, **wanted):
        number, data = told()
        expect(number, C["CMD_" + cmd], "command")
        for key, value in wanted.items():
            have = find(data, key)
            if isinstance(value, str):
                have = have.rstrip(b"\0").decode()
            expect(have, value, key)
        return data

    name = string("SERVICE_NAME", "told")

    def services():
        ask.request("SERVICE_NEW", name + u8("SERVICE_PROTO", 17) +
                    frontend("CLUSTER_IP", 53, "10.32.9.9"))
        expect_told("SERVICE_NTF", SERVICE_NAME="told")
        ask.request("SERVICE_SET", name + u8("SERVICE_SCHEDULER",
                                             C["SCHED_LC"]))
        data = expect_told("SERVICE_NTF", SERVICE_NAME="told")
        expect(find(data, "SERVICE_SCHEDULER"), bytes([C["SCHED_LC"]]))
        expect(data, ask.request("SERVICE_GET", name)[0],
               "the same as SERVICE_GET answers")
        ask.request("ENDPOINT_NEW", name + endpoint("10.200.0.2", 53) +
                    endpoint("10.200.0.3", 53))
        expect_told("ENDPOINT_NTF", SERVICE_NAME="told")
        expect_told("ENDPOINT_NTF", SERVICE_NAME="told")
        ask.request("ENDPOINT_SET", name + endpoint(
            "10.200.0.2", 53, u32("ENDPOINT_WEIGHT", 7)))
        data = expect_told("ENDPOINT_NTF")
        expect(find(find(data, "SERVICE_ENDPOINT"), "ENDPOINT_WEIGHT"),
               struct.pack("=I", 7), "weight")
        ask.request("ENDPOINT_DEL", name + endpoint("10.200.0.2", 53))
        expect_told("ENDPOINT_DEL_NTF", SERVICE_NAME="told")
        # Only what the service had not had, and what it has no more.
        ask.request("SERVICE_SET", name + endpoint("10.200.0.3", 53) +
                    endpoint("10.200.0.4", 53) +
                    u32("SERVICE_REPLACE", C["SERVICE_REPLACE_ENDPOINT"]))
        expect_told("SERVICE_NTF", SERVICE_NAME="told")
        data = expect_told("ENDPOINT_NTF", SERVICE_NAME="told")
        expect(find(find(data, "SERVICE_ENDPOINT"), "ENDPOINT_ADDR"),
               bytes((10, 200, 0, 4)), "the new endpoint")
        ask.request("SERVICE_SET", name + endpoint("10.200.0.4", 53) +
                    u32("SERVICE_REPLACE", C["SERVICE_REPLACE_ENDPOINT"]))
        expect_told("SERVICE_NTF", SERVICE_NAME="told")
        data = expect_told("ENDPOINT_DEL_NTF", SERVICE_NAME="told")
        expect(find(find(data, "SERVICE_ENDPOINT"), "ENDPOINT_ADDR"),
               bytes((10, 200, 0, 3)), "the endpoint that is gone")
        ask.request("SERVICE_DEL", name)
        expect_told("SERVICE_DEL_NTF", SERVICE_NAME="told")

    tap.case("services and endpoints", services)

    def others():
        ask.request("MASQ_NEW", prefix("MASQ_PREFIX", "10.98.0.0/16"))
        expect_told("MASQ_NTF")
        ask.request("MASQ_DEL", prefix("MASQ_PREFIX", "10.98.0.0/16"))
        expect_told("MASQ_DEL_NTF")
        ask.request("NODE_SET", u32("NODE_FLOW_MAX", 1000))
        expect_told("NODE_NTF")
        ask.request("ROUTE_NEW", prefix("ROUTE_PREFIX", "10.97.0.0/24") +
                    addr("ROUTE_VIA", "10.240.0.21"))
        expect_told("ROUTE_NTF")
        ask.request("ROUTE_DEL", prefix("ROUTE_PREFIX", "10.97.0.0/24"))
        expect_told("ROUTE_DEL_NTF")
        ask.request("POD_NEW", addr("POD_ADDR", "10.200.0.250") +
                    string("POD_PORT_NAME", "x0") +
                    nla("POD_LLADDR", b"\2\0\0\0\0\x99"))
        expect_told("POD_NTF")
        ask.request("PORT_SET", string("PORT_IFNAME", "x0") +
                    u8("PORT_ANTISPOOF", 0))
        expect_told("PORT_NTF")
        ask.request("POD_DEL", addr("POD_ADDR", "10.200.0.250"))
        expect_told("POD_DEL_NTF")

    tap.case("masquerade, node, pod routes, pods and ports", others)

    def refused():
        for cmd, payload in (("SERVICE_DEL", name),
                             ("MASQ_DEL", prefix("MASQ_PREFIX",
                                                 "10.98.0.0/16"))):
            try:
                ask.request(cmd, payload)
            except Error:
                continue
            check(False, f"{cmd} was accepted")
        ask.request("NODE_SET", u32("NODE_FLOW_MAX", 2000))
        expect_told("NODE_NTF")     # and nothing before it

    tap.case("a refused request tells nothing", refused)

    def flushed():
        ask.request("FLUSH")
        seen = []

        def flush():
            seen.append(told()[0])
            return seen[-1] == C["CMD_FLUSH_NTF"]

        wait_for("FLUSH_NTF", flush, 60, 0)
        check(C["CMD_BRIDGE_DEL_NTF"] in seen, "the bridge's end is not told")

    tap.case("flush", flushed)

    def nothing():
        there.sock.setblocking(False)
        try:
            there.sock.recv(4096)
        except BlockingIOError:
            return
        check(False, "a change of another namespace was told")

    tap.case("another namespace was told nothing", nothing)

    def empty():
        expect(ask.dump("SERVICE_GET"), ([], False), "services")
        expect(ask.dump("PORT_GET"), ([], False), "ports")

    tap.case("after flush dumps are empty", empty)
    for one in here, there, ask:
        one.sock.close()


def main():
    """The test."""
    tap = Tap()
    c = Cluster(nodes=2, pods=0)
    fill(c)
    genl = Genl(c["w0"])
    dumps(tap, c, genl)
    genl.sock.close()
    notifications(tap, c)
    tap.end()


main()
