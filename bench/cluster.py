# SPDX-License-Identifier: GPL-2.0
"""The benchmark's cluster: addresses, services, and the commands that make it.

    ns a, ns b      pods of the node; eth0 there is va or vb on the node
    the node        the VM itself; "wan" is its uplink
    ns node2        the node behind the uplink (eth0 there), with pod C's
                    addresses on its loopback, and the client outside

    a 10.200.0.2 --- [cni0 10.200.0.1] --- 10.200.0.3 b
                       node 10.240.0.20
                           | wan
                       node2 10.240.0.21, client 10.240.0.99, C 10.200.1.2
"""
import ipaddress
import re
import subprocess

UDP_PORTS = (80, 81)        # of the measured UDP services
TARGET = {80: 8080, 81: 8081}
# A node port is one service's in both families, and here each has its own.
NODE_PORT_LOCAL = {4: 30001, 6: 30003}
NODE_PORT_REMOTE = {4: 30002, 6: 30004}
BRIDGE = "cni0"


class Addresses:
    """Everything that differs between the two families."""

    def __init__(self, family):
        six = family == 6
        self.family = family
        self.node = "fd00:10:240::20" if six else "10.240.0.20"
        self.node2 = "fd00:10:240::21" if six else "10.240.0.21"
        self.client = "fd00:10:240::99" if six else "10.240.0.99"
        self.gateway = "fd00:10:200::1" if six else "10.200.0.1"
        self.a = "fd00:10:200::2" if six else "10.200.0.2"
        self.b = "fd00:10:200::3" if six else "10.200.0.3"
        self.c = "fd00:10:200:1::2" if six else "10.200.1.2"
        self.vip_local = "fd00:10:47::1" if six else "10.47.0.1"
        self.vip_remote = "fd00:10:47::2" if six else "10.47.0.2"
        self.pods = "fd00:10:200::/64" if six else "10.200.0.0/24"
        self.pods2 = "fd00:10:200:1::/64" if six else "10.200.1.0/24"
        self.cluster = "fd00:10:200::/48" if six else "10.200.0.0/16"
        self.filler_vip = int(ipaddress.ip_address(
            "fd00:10:32::" if six else "10.32.0.0"))
        self.filler_ep = int(ipaddress.ip_address(
            "fd00:10:200:2::" if six else "10.201.0.0"))
        self.bits = 128 if six else 32
        self.pod_len = 64 if six else 24

    def text(self, number):
        kind = (ipaddress.IPv6Address if self.family == 6
                else ipaddress.IPv4Address)
        return str(kind(number))


ADDR = {4: Addresses(4), 6: Addresses(6)}


class Service:
    def __init__(self, name, proto, vip, port, endpoints, node_port=0):
        self.name = name
        self.proto = proto
        self.vip = vip
        self.port = port
        self.endpoints = endpoints      # of (address, port, on this node)
        self.node_port = node_port

    @property
    def title(self):
        return f"bench/{self.name}"


def measured(family):
    """The services the packets are sent to."""
    at = ADDR[family]
    out = []
    for proto, ports in (("tcp", (80,)), ("udp", UDP_PORTS)):
        for port in ports:
            first = port == 80
            out += [Service(
                f"local-{family}-{proto}-{port}:p", proto, at.vip_local, port,
                [(at.b, TARGET[port], True)],
                NODE_PORT_LOCAL[family] if first else 0), Service(
                f"remote-{family}-{proto}-{port}:p", proto, at.vip_remote,
                port, [(at.c, TARGET[port], False)],
                NODE_PORT_REMOTE[family] if first else 0)]
    return out


def fillers(family, count, endpoints, first=0):
    """Services nobody calls, with endpoints on other nodes."""
    at = ADDR[family]
    for i in range(first, first + count):
        yield Service(
            f"svc-{family}-{i}:p", "tcp", at.text(at.filler_vip + 256 + i),
            80, [(at.text(at.filler_ep + 256 + i * endpoints + j), 8080, False)
                 for j in range(endpoints)])


def services(family, count, endpoints=1):
    """COUNT services in all, the measured ones in the middle: a datapath
    that walks a list pays half of it, as the average service does."""
    ours = measured(family)
    rest = list(fillers(family, max(0, count - len(ours)), endpoints))
    half = len(rest) // 2
    return rest[:half] + ours + rest[half:]


def run(*words, stdin=None, check=True):
    """Runs a command and returns its output."""
    done = subprocess.run(words, input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(words)[:200]}: status "
                           f"{done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def ip_batch(lines, netns=None):
    run("ip", *(("-n", netns) if netns else ()), "-batch", "-",
        stdin="\n".join(lines) + "\n")


def sysctl(name, value, netns=None):
    run(*(("ip", "netns", "exec", netns) if netns else ()),
        "sysctl", "-qw", f"{name}={value}")


def make_links():
    """Namespaces and cables; the node's ends of the pods' are still bare."""
    common = ["net.ipv6.conf.all.accept_dad=0",
              "net.ipv6.conf.default.accept_dad=0",
              "net.ipv4.conf.all.rp_filter=0",
              "net.ipv4.conf.default.rp_filter=0",
              "net.ipv4.conf.all.send_redirects=0",
              "net.ipv4.conf.default.send_redirects=0"]
    # A neighbour that is probed again in the middle of a row is noise; new
    # devices of all namespaces take this from the node's.
    run("sysctl", "-qw", *common, "net.ipv4.ip_forward=1",
        "net.ipv6.conf.all.forwarding=1")
    run("sysctl", "-eqw",
        "net.ipv4.neigh.default.base_reachable_time_ms=7200000",
        "net.ipv6.neigh.default.base_reachable_time_ms=7200000")
    for ns in ("a", "b", "node2"):
        run("ip", "netns", "add", ns)
        run("ip", "netns", "exec", ns, "sysctl", "-qw", *common)
    ip_batch([f"link add {dev} type veth peer name eth0 netns {ns}"
              for dev, ns in (("va", "a"), ("vb", "b"), ("wan", "node2"))])
    ip_batch(["link set va up", "link set vb up", "link set wan up"])
    for ns in ("a", "b", "node2"):
        ip_batch(["link set lo up", "link set eth0 up"], ns)
    for at in ADDR.values():
        nodad = "nodad" if at.family == 6 else ""
        length = 64 if at.family == 6 else 24
        ip_batch([f"addr add {at.node}/{length} dev wan {nodad}"])
        ip_batch([f"addr add {at.node2}/{length} dev eth0 {nodad}",
                  f"addr add {at.client}/{length} dev eth0 {nodad}",
                  f"addr add {at.c}/{at.bits} dev lo {nodad}",
                  f"route add {at.cluster} via {at.node}"], "node2")
        for ns, addr in (("a", at.a), ("b", at.b)):
            ip_batch([f"addr add {addr}/{at.pod_len} dev eth0 {nodad}",
                      f"route add default via {at.gateway}"], ns)


def make_linux_bridge():
    """The CNI's bridge and host-gw's routes, with nothing of a proxy."""
    ip_batch([f"link add {BRIDGE} address 0a:58:0a:c8:00:01 type bridge",
              f"link set {BRIDGE} up",
              f"link set va master {BRIDGE}", f"link set vb master {BRIDGE}"])
    for at in ADDR.values():
        nodad = "nodad" if at.family == 6 else ""
        ip_batch([f"addr add {at.gateway}/{at.pod_len} dev {BRIDGE} {nodad}",
                  f"route add {at.pods2} via {at.node2}"])
    run("sysctl", "-qw", f"net.ipv4.conf.{BRIDGE}.send_redirects=0")


def wait_for_bridge(limit=30.0):
    """Until both ports forward: a packet goes through."""
    import time
    end = time.monotonic() + limit
    for ns in ("a", "b"):
        for at in ADDR.values():
            while subprocess.run(
                    ["ip", "netns", "exec", ns, "ping", "-qnc1", "-W1",
                     at.gateway], stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, check=False).returncode:
                if time.monotonic() > end:
                    raise RuntimeError(f"pod {ns} does not reach the bridge")


def parse_datapath(text):
    """"k8snet-auto-50000x5" -> ("k8snet-auto", 50000, 5)"""
    match = re.fullmatch(r"(.*?)(?:-(\d+)(?:x(\d+))?)?", text)
    name, count, endpoints = match.groups()
    return name, int(count or 1000), int(endpoints or 1)
