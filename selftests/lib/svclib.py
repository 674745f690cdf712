# SPDX-License-Identifier: GPL-2.0
"""What the Python tests share: TAP, namespaces, the example cluster, servers
and clients.

A socket stays in the namespace in which it was made. So one process has all
servers and all clients of a test: a row of a table costs a few packets, and
not the start of a program, which takes a second in the VM.

    from svclib import Cluster, Tap, ask

    tap = Tap()
    c = Cluster(nodes=2, pods=1)
    c.serve("p00", "tcp", 8080)
    c.tool("w0", "svc add web vip 10.32.0.1:80/tcp ep 10.200.0.2:8080")

    def reaches():
        a = ask(c["p10"], "tcp", "10.32.0.1", 80)
        tap.expect(a.name, "p00")

    tap.case("a pod reaches the service", reaches)
    tap.end()
"""
import atexit
import ctypes
import errno
import os
import random
import resource
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback

# Servers and clients of a test are sockets of one process.
resource.setrlimit(resource.RLIMIT_NOFILE, (65536, 65536))

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
K8SNETCTL = os.environ.get("K8SNETCTL", "k8snetctl")
# Limits of time are for 6.1: a kernel with instruments is slower by this.
SLOW = int(os.environ.get("K8SNET_SLOW") or 1)
# The whole suite is to pass with each setting of the fast path.
FASTPATH = os.environ.get("K8SNET_FASTPATH") or "auto"

IP_MTU_DISCOVER, IP_RECVERR, IP_MTU, IP_TTL = 10, 11, 14, 2
IPV6_MTU_DISCOVER, IPV6_MTU, IPV6_RECVERR = 23, 24, 25
PMTUDISC_DONT, PMTUDISC_WANT, PMTUDISC_DO = 0, 1, 2
IP_PKTINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO = 8, 49, 50
SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6 = 2, 3


# --- TAP ---------------------------------------------------------------

class Failed(Exception):
    """A case's assertion does not hold."""


class Tap:
    """Prints TAP; a case that raises has failed, and the test goes on."""

    def __init__(self):
        self.count = self.failed = 0
        self.started = time.monotonic()
        print("TAP version 13", flush=True)

    def result(self, good, desc, why=""):
        """One line of the result, and why it failed."""
        self.count += 1
        if not good:
            self.failed += 1
        print(("" if good else "not ") + f"ok {self.count} {desc}")
        if not good:
            for line in str(why).splitlines():
                print("# " + line)
        sys.stdout.flush()

    def case(self, desc, func, *args):
        """Runs one case."""
        start = time.monotonic()
        try:
            func(*args)
        except Failed as failed:
            self.result(False, desc, failed)
        except Exception:           # pylint: disable=broad-except
            self.result(False, desc, traceback.format_exc())
        else:
            self.result(True, desc)
        if time.monotonic() - start > 5:
            self.note(f"that took {time.monotonic() - start:.1f} s")

    def note(self, text):
        """A comment."""
        for line in str(text).splitlines():
            print("# " + line, flush=True)

    def end(self):
        """Prints the plan and ends the program."""
        self.note(f"{time.monotonic() - self.started:.1f} s")
        print(f"1..{self.count}", flush=True)
        sys.exit(1 if self.failed else 0)


def expect(got, wanted, what="value"):
    """Fails the case unless both are equal."""
    if got != wanted:
        raise Failed(f"{what}: got {got!r}, wanted {wanted!r}")


def expect_in(got, wanted, what="value"):
    """Fails the case unless WANTED contains GOT."""
    if got not in wanted:
        raise Failed(f"{what}: got {got!r}, wanted one of {wanted!r}")


def check(condition, what):
    """Fails the case unless the condition holds."""
    if not condition:
        raise Failed(what)


def wait_for(what, func, limit=10.0, pause=0.02):
    """Until FUNC returns something true, which is returned."""
    limit *= SLOW
    end = time.monotonic() + limit
    while True:
        got = func()
        if got:
            return got
        if time.monotonic() > end:
            raise Failed(f"no {what} within {limit} s")
        time.sleep(pause)


# --- programs ----------------------------------------------------------

class Done:
    """What a program has come to."""

    def __init__(self, words, done):
        self.words = words
        self.status = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    def __str__(self):
        return (f"$ {' '.join(self.words)}\nstatus {self.status}\n"
                f"{self.out}{self.err}")


def run(*words, stdin=None, status=0, timeout=60):
    """Runs a program, which must end with STATUS (None: any)."""
    done = Done(words, subprocess.run(
        words, input=stdin, check=False, capture_output=True, text=True,
        timeout=timeout * SLOW))
    if status is not None and done.status != status:
        raise Failed(f"wanted status {status}\n{done}")
    return done


# --- namespaces --------------------------------------------------------

class Netns:
    """A network namespace; "with ns:" is in it, for this thread."""

    def __init__(self, name):
        self.name = name
        self.addr = {}          # its main address by family
        self.fd = os.open("/run/netns/" + name, os.O_RDONLY | os.O_CLOEXEC)
        self.back = []

    def __enter__(self):
        self.back.append(os.open("/proc/thread-self/ns/net",
                                 os.O_RDONLY | os.O_CLOEXEC))
        setns(self.fd)
        return self

    def __exit__(self, *_):
        fd = self.back.pop()
        setns(fd)
        os.close(fd)

    def socket(self, *args):
        """A socket in this namespace."""
        with self:
            return socket.socket(*args)

    def sysctl(self, path, value=None):
        """Reads or writes below /proc/sys/net."""
        with self, open("/proc/sys/net/" + path, "r" if value is None else "w",
                        encoding="ascii") as file:
            if value is None:
                return file.read().strip()
            file.write(str(value))
            return None

    def run(self, *words, **opts):
        """Runs a program in the namespace."""
        with self:
            return run(*words, **opts)

    def ip(self, commands, status=0):
        """Runs ip(8) commands, one a line."""
        return run("ip", "-n", self.name, "-batch", "-", stdin=commands + "\n",
                   status=status)

    def close(self):
        """The namespace can go."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def setns(fd):
    """os.setns() is younger than Debian 12's Python."""
    if libc.setns(fd, CLONE_NEWNET):
        err = ctypes.get_errno()
        raise OSError(err, os.strerror(err))


def family_of(addr):
    """Address family of an address in text form."""
    return socket.AF_INET6 if ":" in addr else socket.AF_INET


def endpoint(addr, port):
    """ADDR:PORT as the tool writes it."""
    return f"[{addr}]:{port}" if ":" in addr else f"{addr}:{port}"


# --- the cluster -------------------------------------------------------

class Cluster:
    """The example cluster of lib.sh's topo_cluster, with the same addresses;
    NODES w0.., PODS p00, p01, p10.. on each; "out", the outside client, is
    the nodes' default gateway. c["p00"] is the namespace.
    """

    def __init__(self, nodes=3, pods=2, masq=True, vlan=None, kinds=None):
        self.tag = f"{random.randrange(1 << 24):06x}"
        self.ns = {}
        self.servers = None
        self.nodes = [f"w{n}" for n in range(nodes)]
        self.pods = [f"p{n}{p}" for n in range(nodes) for p in range(pods)]
        self.vlan = vlan
        self.kinds = kinds or {}
        atexit.register(self.remove)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.add("fabric", "out", *self.nodes, *self.pods)
        self.wire()
        for n, node in enumerate(self.nodes):
            self.setup_node(n, node, nodes, pods, masq)

    def __getitem__(self, name):
        return self.ns[name]

    def add(self, *names):
        """Makes namespaces."""
        run("ip", "-batch", "-", stdin="".join(
            f"netns add {name}-{self.tag}\n" for name in names))
        for name in names:
            ns = self.ns[name] = Netns(f"{name}-{self.tag}")
            if name != "fabric":
                ns.addr = {socket.AF_INET: self.ip4(name),
                           socket.AF_INET6: self.ip6(name)}
            for which in "all", "default":
                ns.sysctl(f"ipv6/conf/{which}/accept_dad", 0)
            ns.sysctl("ipv6/conf/default/router_solicitations", 0)
            # Rate limits must not hold back errors that tests wait for: that
            # of a destination, and the machine's.
            ns.sysctl("ipv4/icmp_ratelimit", 0)
            ns.sysctl("ipv6/icmp/ratelimit", 0)
            ns.sysctl("ipv4/icmp_ratemask", 0)
            ns.sysctl("ipv6/icmp/ratemask", 255)

    def wire(self):
        """Devices and addresses of everything but the pod bridges."""
        hosts = ["out"] + self.nodes
        self.ns["fabric"].ip(
            "link set lo up\n"
            "link add br0 type bridge mcast_snooping 0\nlink set br0 up\n" +
            "".join(f"link add n{h} type veth peer name eth0 netns "
                    f"{self.ns[h].name}\nlink set n{h} master br0 up\n"
                    for h in hosts))
        for host in hosts:
            dev = "eth0"
            text = "link set lo up\nlink set eth0 up\n"
            if self.vlan:
                dev = f"eth0.{self.vlan}"
                text += (f"link add link eth0 name {dev} type vlan id "
                         f"{self.vlan}\nlink set {dev} up\n")
            for addr, bits in (self.ip4(host), 24), (self.ip6(host), 64):
                text += f"addr add {addr}/{bits} dev {dev} nodad\n"
            if host != "out":
                text += ("route add default via 10.240.0.100\n"
                         "route add default via fd00:10:240::100\n")
            self.ns[host].ip(text.rstrip())

    def setup_node(self, n, node, nodes, pods, masq):
        """The pod bridge, the pods and the routes of one node."""
        text = (f"bridge add cnio0 addr 10.200.{n}.0/24 "
                f"addr fd00:10:200:{n}::/64\n"
                f"node set ip {self.ip4(node)} ip {self.ip6(node)} "
                "cluster-cidr 10.200.0.0/16 cluster-cidr fd00:10:200::/48\n")
        if FASTPATH != "auto":
            text += f"node set fastpath {FASTPATH}\n"
        for other in range(nodes):
            if other != n:
                text += (f"route add 10.200.{other}.0/24 via "
                         f"{self.ip4(f'w{other}')}\n"
                         f"route add fd00:10:200:{other}::/64 via "
                         f"{self.ip6(f'w{other}')}\n")
        if masq:
            text += ("masq add 10.200.0.0/16 except 10.240.0.0/24\n"
                     "masq add fd00:10:200::/48 except fd00:10:240::/64\n")
        self.batch(node, text)
        mine = [f"p{n}{p}" for p in range(pods)]
        if mine:
            self.ns[node].ip("\n".join(
                f"link add v{pod} type veth peer name eth0 netns "
                f"{self.ns[pod].name}\nlink set v{pod} up" for pod in mine))
        for pod in mine:
            self.ns[pod].ip(
                "link set lo up\nlink set eth0 up\n"
                f"addr add {self.ip4(pod)}/24 dev eth0\n"
                f"addr add {self.ip6(pod)}/64 dev eth0 nodad\n"
                f"route add default via 10.200.{n}.1\n"
                f"route add default via fd00:10:200:{n}::1")
        if mine:
            self.batch(node, "".join(
                f"pod add {self.ip4(pod)},{self.ip6(pod)} port v{pod} "
                "bridge cnio0\n" for pod in mine))

    @staticmethod
    def ip4(host):
        """IPv4 address of a host or pod."""
        if host == "out":
            return "10.240.0.100"
        if host[0] == "w":
            return f"10.240.0.2{host[1]}"
        return f"10.200.{host[1]}.{int(host[2:]) + 2}"

    @staticmethod
    def ip6(host):
        """IPv6 address of a host or pod."""
        if host == "out":
            return "fd00:10:240::100"
        if host[0] == "w":
            return f"fd00:10:240::2{host[1]}"
        subnet = "" if host[1] == "0" else f":{host[1]}"
        return f"fd00:10:200{subnet}::{int(host[2:]) + 2}"

    def addr(self, host, family):
        """Address of a host or pod; FAMILY is 4 or 6."""
        return self.ip6(host) if family == 6 else self.ip4(host)

    def tool(self, node, words, status=0, options=()):
        """Runs k8snetctl; WORDS are one string, split at blanks."""
        return run(K8SNETCTL, "-N", self.ns[node].name, *options,
                   *words.split(), status=status)

    def batch(self, node, commands, status=0):
        """Runs k8snetctl commands, one a line."""
        return run(K8SNETCTL, "-N", self.ns[node].name, "-b", "-",
                   stdin=commands, status=status)

    def everywhere(self, commands):
        """The same commands on all nodes; "{local:POD}" becomes ",local" on
        the pod's node and nothing elsewhere."""
        for node in self.nodes:
            text = commands
            for pod in self.pods:
                text = text.replace("{local:%s}" % pod, ",local"
                                    if pod[1] == node[1] else "")
            self.batch(node, text)

    def stat(self, node, name):
        """One of the node's counters."""
        import json
        for item in json.loads(self.tool(node, "stats",
                                         options=("-j",)).out):
            if item["name"] == name:
                return item["value"]
        raise Failed(f"no counter {name}")

    def serve(self, host, proto, *ports, families=(4, 6), name=None):
        """Servers on a host's addresses, which answer with its name."""
        if not self.servers:
            self.servers = Servers()
        for family in families:
            for port in ports:
                self.servers.listen(self.ns[host], name or host, proto,
                                    self.addr(host, family), port)

    def remove(self):
        """Everything goes; may be called twice."""
        if self.servers:
            self.servers.stop()
            self.servers = None
        for ns in self.ns.values():
            ns.close()
        if self.ns:
            run("ip", "-force", "-batch", "-", stdin="".join(
                f"netns del {ns.name}\n" for ns in self.ns.values()),
                status=None)
        self.ns = {}


# --- servers -----------------------------------------------------------

SOCKET = {"tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
          "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
          "cudp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
          "sctp": (socket.SOCK_STREAM, 132)}


def pattern(size):
    """Bytes that differ from place to place: a lost, doubled or moved segment
    changes them."""
    block = struct.pack(">4096I", *((n * 2654435761) & 0xffffffff
                                    for n in range(4096)))
    return b"".join(struct.pack(">I", n) + block
                    for n in range(size // len(block) + 1))[:size]


class Servers:
    """Any number of servers in any namespaces, served by one thread. Each
    request is answered with "NAME CLIENT-ADDRESS CLIENT-PORT".

    A datagram "size N" gets an answer filled up to N bytes; a longer one is
    also answered with its length and the sum of its bytes.
    """

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.wake, self.waker = socket.socketpair()
        self.wake.setblocking(False)
        self.selector.register(self.wake, selectors.EVENT_READ, None)
        self.lock = threading.Lock()
        self.sockets = []
        self.silent = set()
        self.seen = []          # (name, client, port) of datagrams
        self.ended = False
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def listen(self, ns, name, proto, addr, port):
        """One more listening socket."""
        sock = ns.socket(family_of(addr), *SOCKET[proto])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((addr, port))
        if proto != "udp":
            sock.listen(512)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.setblocking(False)
        with self.lock:
            self.sockets.append(sock)
            self.selector.register(sock, selectors.EVENT_READ,
                                   (proto, name, None))
        self.waker.send(b"x")
        return sock

    def loop(self):
        """The thread."""
        while not self.ended:
            for key, _ in self.selector.select():
                if key.data is None:
                    self.wake.recv(64)
                    continue
                proto, name, peer = key.data
                try:
                    if proto == "udp":
                        self.datagrams(key.fileobj, name)
                    elif peer is None:
                        self.accept(key.fileobj, proto, name)
                    else:
                        self.request(key.fileobj, name, peer)
                except BlockingIOError:
                    pass
                except OSError:
                    if peer is not None:
                        self.forget(key.fileobj)

    def accept(self, listener, proto, name):
        """All connections that wait."""
        while True:
            conn, peer = listener.accept()
            conn.setblocking(False)
            with self.lock:
                self.selector.register(conn, selectors.EVENT_READ,
                                       (proto, name, peer))

    def forget(self, conn):
        """A connection is over."""
        with self.lock:
            self.selector.unregister(conn)
        conn.close()

    @staticmethod
    def line(name, peer):
        """The answer."""
        return f"{name} {peer[0].split('%')[0]} {peer[1]}\n".encode()

    def request(self, conn, name, peer):
        """What came on a connection; every piece gets an answer."""
        data = conn.recv(65536)
        if not data:
            self.forget(conn)
        elif name not in self.silent:
            conn.send(self.line(name, peer))

    def datagrams(self, sock, name):
        """All datagrams that wait."""
        while True:
            data, peer = sock.recvfrom(65536)
            self.seen.append((name, peer[0], peer[1]))
            if name in self.silent:
                continue
            answer = self.line(name, peer)
            words = data[:32].split()
            if words[:1] == [b"size"]:
                answer = answer[:-1] + b" "
                answer += pattern(int(words[1]) - len(answer))
            elif len(data) > 64:
                answer = answer[:-1] + b" %d %d\n" % (len(data), sum(data))
            try:
                sock.sendto(answer, peer)
            except OSError as error:
                # Of a pod that is just going, it does not matter.
                if error.errno not in (errno.ENETUNREACH, errno.EAGAIN):
                    print("# server:", error, flush=True)

    def stop(self):
        """Closes everything."""
        self.ended = True
        self.waker.send(b"x")
        self.thread.join(10)
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()


# --- clients -----------------------------------------------------------

class Ask:
    """One request, made without waiting: see gather(). Afterwards

    name, client, port   the server's answer: who it is, whom it saw
    peer                 (address, port) where the answer came from
    error                None, "timeout" or the name of an errno
    """

    def __init__(self, ns, proto, addr, port, sport=0, src=None,
                 payload=b"who\n", sock=None, dontfrag=None):
        self.ns, self.proto, self.addr, self.dport = ns, proto, addr, port
        self.sport, self.src, self.payload = sport, src, payload
        self.dontfrag = dontfrag
        self.name = self.client = self.port = self.peer = self.error = None
        self.data = b""
        self.keep = sock is not None
        self.sock = sock
        self.done = False
        self.connected = sock is not None
        self.seconds = 0.0
        self.start_time = time.monotonic()

    def __str__(self):
        if self.error:
            return self.error
        return (f"{self.name} saw {self.client}, answer from "
                f"{self.peer[0]} {self.peer[1]}")

    def fileno(self):
        """For selectors."""
        return self.sock.fileno()

    def start(self):
        """Sends, or begins to connect."""
        self.start_time = time.monotonic()
        try:
            if self.sock is None:
                self.open()
            if self.connected:
                self.send()
        except OSError as error:
            self.fail(error.errno)

    def open(self):
        """Makes the socket."""
        family = family_of(self.addr)
        self.sock = sock = self.ns.socket(family, *SOCKET[self.proto])
        sock.setblocking(False)
        if self.proto != "tcp":
            # Without it ICMP errors do not reach an unconnected UDP socket,
            # and do not end the attempt to connect of an SCTP one.
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        if self.dontfrag is not None:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER,
                                self.dontfrag)
            else:
                sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER,
                                self.dontfrag)
        if self.proto == "sctp" and not self.src:
            # One that is bound to no address offers all that its host has.
            # The server then probes the others, from an address that this
            # end does not know, for it knows the service's: no NAT can help.
            self.src = self.ns.addr.get(family)
        if self.sport or self.src:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self.src or ("::" if family == socket.AF_INET6
                                    else "0.0.0.0"), self.sport))
        if self.proto == "udp":
            self.connected = True
            return
        err = sock.connect_ex((self.addr, self.dport))
        if err not in (0, errno.EINPROGRESS):
            raise OSError(err, "")
        self.connected = "udp" in self.proto

    def send(self):
        """Sends the request."""
        if self.proto == "udp":
            self.sock.sendto(self.payload, (self.addr, self.dport))
        else:
            self.sock.send(self.payload)

    def events(self):
        """What to wait for."""
        return selectors.EVENT_READ if self.connected else \
            selectors.EVENT_WRITE

    def ready(self):
        """The socket has something to say."""
        try:
            if not self.connected:
                err = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if err:
                    self.fail(err)
                    return
                self.connected = True
                self.send()
                return
            if "udp" in self.proto:
                self.data, self.peer = self.sock.recvfrom(65536)
                self.finish()
                return
            data = self.sock.recv(65536)
            if not data:
                self.fail(errno.ECONNRESET)
                return
            self.data += data
            if self.data.endswith(b"\n"):
                self.peer = self.sock.getpeername()
                self.finish()
        except BlockingIOError:
            pass
        except OSError as error:
            self.fail(error.errno)

    def finish(self):
        """An answer."""
        words = self.data.split(None, 3)
        self.name, self.client = words[0].decode(), words[1].decode()
        self.port = int(words[2])
        self.peer = (self.peer[0].split("%")[0], self.peer[1])
        self.end()

    def fail(self, number):
        """None came."""
        self.error = errno.errorcode.get(number, str(number))
        self.end()

    def end(self):
        """Over."""
        self.done = True
        self.seconds = time.monotonic() - self.start_time
        if self.sock and not self.keep:
            self.sock.close()
            self.sock = None


def gather(asks, timeout=5.0, width=64):
    """Makes requests, WIDTH of them at a time."""
    waiting = list(reversed(asks))
    active = {}
    selector = selectors.DefaultSelector()
    while waiting or active:
        while waiting and len(active) < width:
            one = waiting.pop()
            one.start()
            if not one.done:
                active[one] = one.events()
                selector.register(one.sock, one.events(), one)
        if not active:
            continue
        now = time.monotonic()
        first = min(one.start_time for one in active) + timeout
        for key, _ in selector.select(max(0.0, first - now)):
            one, sock = key.data, key.fileobj
            fd = key.fd
            one.ready()
            if one.done:
                del active[one]
                selector.unregister(fd if sock.fileno() < 0 else sock)
            elif one.events() != active[one]:
                active[one] = one.events()
                selector.modify(sock, one.events(), one)
        now = time.monotonic()
        for one in [one for one in active if now >= one.start_time + timeout]:
            selector.unregister(one.sock)
            del active[one]
            one.error = "timeout"
            one.end()
    selector.close()
    return asks


def ask(ns, proto, addr, port, timeout=5.0, **more):
    """One request."""
    return gather([Ask(ns, proto, addr, port, **more)], timeout)[0]


def ping(ns, addr, size=56, timeout=3.0, ttl=None, df=False):
    """An echo request by a ping socket or a raw one: "reply" or an error."""
    words = ["ping", "-n", "-c", "1", "-W", str(int(timeout)), "-s", str(size)]
    if ttl:
        words += ["-t", str(ttl)]
    if df:
        words += ["-M", "do"]
    return ns.run(*words, addr, status=None)


def read_all(sock):
    """What comes until the other end closes."""
    got = b""
    while data := sock.recv(65536):
        got += data
    return got


def conntrack(ns, *words):
    """Lines of "conntrack -L"."""
    done = ns.run("conntrack", "-L", *words, status=None)
    return done.out.splitlines()


def have(*programs):
    """All programs that a test wants must be there."""
    for program in programs:
        if not shutil.which(program):
            print(f"Bail out! no {program}")
            sys.exit(1)
