# SPDX-License-Identifier: GPL-2.0
"""What is compared: each datapath makes the cluster's bridge and services its
own way. The rules are those that kube-proxy of Kubernetes 1.31 writes in each
of its modes for such services, chain by chain, without session affinity,
source ranges and load balancers, which none of the services has.
"""
import base64
import hashlib
import os
import subprocess

from cluster import (ADDR, BRIDGE, ip_batch, make_linux_bridge, parse_datapath,
                     run, services)

MARK = "0x4000"


def chain_hash(text):
    digest = hashlib.sha256(text.encode()).digest()
    return base64.b32encode(digest).decode()[:16]


def with_port(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def write(name, text):
    path = f"/tmp/{name}"
    with open(path, "w", encoding="ascii") as out:
        out.write(text)
    return path


def timed(*words, path=None):
    """Instructions of a command, its start included: the processor time of
    its process, in which waiting for a grace period does not count."""
    with open(path or os.devnull, "rb") as data, \
            open("/tmp/stderr", "wb+") as errors:
        child = subprocess.Popen(words, stdin=data, stderr=errors,
                                 stdout=subprocess.DEVNULL)
        _pid, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if status:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(words)}: "
                               + errors.read().decode()[-2000:])
    return round((usage.ru_utime + usage.ru_stime) * 1e9)


# --- iptables ----------------------------------------------------------

def iptables_services(services_, at, add):
    """Chains and rules of services, as lines for iptables-restore."""
    chains = []
    rules = []
    bits = at.bits
    for svc in services_:
        proto = svc.proto
        svc_chain = "KUBE-SVC-" + chain_hash(svc.title + proto)
        ext_chain = "KUBE-EXT-" + chain_hash(svc.title + proto)
        chains.append(f":{svc_chain} - [0:0]")
        rules.append(
            f"{add} KUBE-SERVICES -m comment --comment \"{svc.title} cluster "
            f"IP\" -m {proto} -p {proto} -d {svc.vip} --dport {svc.port} "
            f"-j {svc_chain}")
        if svc.node_port:
            chains.append(f":{ext_chain} - [0:0]")
            rules.append(
                f"{add} KUBE-NODEPORTS -m comment --comment {svc.title} "
                f"-m {proto} -p {proto} --dport {svc.node_port} "
                f"-j {ext_chain}")
            rules.append(
                f"-A {ext_chain} -m comment --comment \"masquerade traffic "
                f"for {svc.title} external destinations\" -j KUBE-MARK-MASQ")
            rules.append(f"-A {ext_chain} -j {svc_chain}")
        rules.append(
            f"-A {svc_chain} -m comment --comment \"{svc.title} cluster IP\" "
            f"-m {proto} -p {proto} -d {svc.vip} --dport {svc.port} "
            f"! -s {at.cluster} -j KUBE-MARK-MASQ")
        left = len(svc.endpoints)
        for address, port, _local in svc.endpoints:
            target = with_port(address, port)
            sep = "KUBE-SEP-" + chain_hash(svc.title + proto + target)
            pick = ("" if left == 1 else "-m statistic --mode random "
                    f"--probability {1 / left:0.10f} ")
            chains.append(f":{sep} - [0:0]")
            rules.append(
                f"-A {svc_chain} -m comment --comment \"{svc.title} -> "
                f"{target}\" {pick}-j {sep}")
            rules.append(f"-A {sep} -m comment --comment {svc.title} "
                         f"-s {address}/{bits} -j KUBE-MARK-MASQ")
            rules.append(f"-A {sep} -m comment --comment {svc.title} "
                         f"-m {proto} -p {proto} -j DNAT "
                         f"--to-destination {target}")
            left -= 1
    return chains, rules


def iptables_text(family, list_):
    at = ADDR[family]
    chains, rules = iptables_services(list_, at, "-A")
    loopback = "127.0.0.0/8" if family == 4 else "::1/128"
    return "\n".join([
        "*filter",
        ":KUBE-NODEPORTS - [0:0]", ":KUBE-SERVICES - [0:0]",
        ":KUBE-EXTERNAL-SERVICES - [0:0]", ":KUBE-FIREWALL - [0:0]",
        ":KUBE-FORWARD - [0:0]", ":KUBE-PROXY-FIREWALL - [0:0]",
        "-A INPUT -m conntrack --ctstate NEW -m comment --comment "
        "\"kubernetes load balancer firewall\" -j KUBE-PROXY-FIREWALL",
        "-A INPUT -m comment --comment \"kubernetes health check service "
        "ports\" -j KUBE-NODEPORTS",
        "-A INPUT -m conntrack --ctstate NEW -m comment --comment "
        "\"kubernetes externally-visible service portals\" "
        "-j KUBE-EXTERNAL-SERVICES",
        "-A INPUT -j KUBE-FIREWALL",
        "-A FORWARD -m conntrack --ctstate NEW -m comment --comment "
        "\"kubernetes load balancer firewall\" -j KUBE-PROXY-FIREWALL",
        "-A FORWARD -m comment --comment \"kubernetes forwarding rules\" "
        "-j KUBE-FORWARD",
        "-A FORWARD -m conntrack --ctstate NEW -m comment --comment "
        "\"kubernetes service portals\" -j KUBE-SERVICES",
        "-A FORWARD -m conntrack --ctstate NEW -m comment --comment "
        "\"kubernetes externally-visible service portals\" "
        "-j KUBE-EXTERNAL-SERVICES",
        "-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "
        "\"kubernetes load balancer firewall\" -j KUBE-PROXY-FIREWALL",
        "-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "
        "\"kubernetes service portals\" -j KUBE-SERVICES",
        "-A OUTPUT -j KUBE-FIREWALL",
        f"-A KUBE-FIREWALL ! -s {loopback} -d {loopback} -m comment --comment "
        "\"block incoming localnet connections\" -m conntrack ! --ctstate "
        "RELATED,ESTABLISHED,DNAT -j DROP",
        "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
        "-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding "
        f"rules\" -m mark --mark {MARK}/{MARK} -j ACCEPT",
        "-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding "
        "conntrack rule\" -m conntrack --ctstate RELATED,ESTABLISHED "
        "-j ACCEPT",
        "COMMIT",
        "*nat",
        ":KUBE-SERVICES - [0:0]", ":KUBE-NODEPORTS - [0:0]",
        ":KUBE-POSTROUTING - [0:0]", ":KUBE-MARK-MASQ - [0:0]",
        *chains,
        "-A PREROUTING -m comment --comment \"kubernetes service portals\" "
        "-j KUBE-SERVICES",
        "-A OUTPUT -m comment --comment \"kubernetes service portals\" "
        "-j KUBE-SERVICES",
        "-A POSTROUTING -m comment --comment \"kubernetes postrouting "
        "rules\" -j KUBE-POSTROUTING",
        f"-A KUBE-POSTROUTING -m mark ! --mark {MARK}/{MARK} -j RETURN",
        f"-A KUBE-POSTROUTING -j MARK --xor-mark {MARK}",
        "-A KUBE-POSTROUTING -m comment --comment \"kubernetes service "
        "traffic requiring SNAT\" -j MASQUERADE --random-fully",
        f"-A KUBE-MARK-MASQ -j MARK --or-mark {MARK}",
        *rules,
        "-A KUBE-SERVICES -m comment --comment \"kubernetes service "
        "nodeports; NOTE: this must be the last rule in this chain\" "
        "-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS",
        "COMMIT", ""])


# --- nftables ----------------------------------------------------------

def nft_chain_base(svc):
    text = f"bench/{svc.name.split(':')[0]}/{svc.proto}/p"
    digest = hashlib.sha256(text.encode()).digest()
    return base64.b32encode(digest).decode()[:8] + "-" + text


def nft_services(list_, at):
    """Lines of the services alone, in the order of kube-proxy's input."""
    ipx = "ip6" if at.family == 6 else "ip"
    table = f"{ipx} kube-proxy"
    out = []
    for svc in list_:
        base = nft_chain_base(svc)
        out.append(f"add chain {table} service-{base}")
        for address, port, _local in svc.endpoints:
            out.append(f"add chain {table} endpoint-{base}__"
                       f"{address.replace(':', '.')}/{port}")
    for svc in list_:
        base = nft_chain_base(svc)
        out.append(f"add element {table} cluster-ips {{ {svc.vip} }}")
        out.append(f"add element {table} service-ips {{ {svc.vip} . "
                   f"{svc.proto} . {svc.port} : goto service-{base} }}")
        if svc.node_port:
            out.append(f"add chain {table} external-{base}")
            out.append(f"add rule {table} external-{base} "
                       "jump mark-for-masquerade")
            out.append(f"add rule {table} external-{base} "
                       f"goto service-{base}")
            out.append(f"add element {table} service-nodeports {{ "
                       f"{svc.proto} . {svc.node_port} : "
                       f"goto external-{base} }}")
        out.append(f"add rule {table} service-{base} {ipx} daddr {svc.vip} "
                   f"{svc.proto} dport {svc.port} {ipx} saddr != "
                   f"{at.cluster} jump mark-for-masquerade")
        names = [f"endpoint-{base}__{address.replace(':', '.')}/{port}"
                 for address, port, _local in svc.endpoints]
        picks = " , ".join(f"{i} : goto {name}"
                           for i, name in enumerate(names))
        out.append(f"add rule {table} service-{base} numgen random mod "
                   f"{len(names)} vmap {{ {picks} }}")
        for name, (address, port, _local) in zip(names, svc.endpoints):
            out.append(f"add rule {table} {name} {ipx} saddr {address} "
                       "jump mark-for-masquerade")
            out.append(f"add rule {table} {name} meta l4proto {svc.proto} "
                       f"dnat to {with_port(address, port)}")
    return out


def nft_text(family, list_):
    at = ADDR[family]
    ipx = "ip6" if family == 6 else "ip"
    addr_type = "ipv6_addr" if family == 6 else "ipv4_addr"
    table = f"{ipx} kube-proxy"

    def base_chain(name, kind, hook, priority):
        return (f"add chain {table} {name} {{ type {kind} hook {hook} "
                f"priority {priority} ; }}")

    def rule(chain, text):
        return f"add rule {table} {chain} {text}"

    out = [f"add table {table}"]
    for name in ("services", "mark-for-masquerade", "masquerading",
                 "cluster-ips-check", "service-endpoints-check",
                 "nodeport-endpoints-check", "firewall-check",
                 "reject-chain"):
        out.append(f"add chain {table} {name}")
    out += [
        base_chain("filter-prerouting-pre-dnat", "filter", "prerouting",
                   "-110"),
        base_chain("filter-output-pre-dnat", "filter", "output", "-110"),
        base_chain("filter-input", "filter", "input", "0"),
        base_chain("filter-forward", "filter", "forward", "0"),
        base_chain("filter-output", "filter", "output", "0"),
        base_chain("nat-prerouting", "nat", "prerouting", "-100"),
        base_chain("nat-output", "nat", "output", "-100"),
        base_chain("nat-postrouting", "nat", "postrouting", "100"),
        f"add set {table} cluster-ips {{ type {addr_type} ; }}",
        f"add set {table} nodeport-ips {{ type {addr_type} ; }}",
        f"add element {table} nodeport-ips {{ {at.node} }}",
    ]
    for name in ("no-endpoint-services", "firewall-ips", "service-ips"):
        out.append(f"add map {table} {name} {{ type {addr_type} . inet_proto "
                   ". inet_service : verdict ; }")
    for name in ("no-endpoint-nodeports", "service-nodeports"):
        out.append(f"add map {table} {name} {{ type inet_proto . "
                   "inet_service : verdict ; }")
    dispatch = f"{ipx} daddr . meta l4proto . th dport vmap"
    node_ports = f"{ipx} daddr @nodeport-ips meta l4proto . th dport vmap"
    out += [
        rule("filter-prerouting-pre-dnat", "ct state new jump firewall-check"),
        rule("filter-output-pre-dnat", "ct state new jump firewall-check"),
        rule("filter-input", "ct state new jump nodeport-endpoints-check"),
        rule("filter-input", "ct state new jump service-endpoints-check"),
        rule("filter-forward", "ct state new jump service-endpoints-check"),
        rule("filter-forward", "ct state new jump cluster-ips-check"),
        rule("filter-output", "ct state new jump service-endpoints-check"),
        rule("filter-output", "ct state new jump cluster-ips-check"),
        rule("nat-prerouting", "jump services"),
        rule("nat-output", "jump services"),
        rule("nat-postrouting", "jump masquerading"),
        rule("mark-for-masquerade", f"mark set mark or {MARK}"),
        rule("masquerading", f"mark and {MARK} == 0 return"),
        rule("masquerading", f"mark set mark xor {MARK}"),
        rule("masquerading", "masquerade fully-random"),
        rule("reject-chain", "reject"),
        rule("cluster-ips-check", f"{ipx} daddr @cluster-ips reject"),
        rule("service-endpoints-check", f"{dispatch} @no-endpoint-services"),
        rule("nodeport-endpoints-check",
             f"{node_ports} @no-endpoint-nodeports"),
        rule("firewall-check", f"{dispatch} @firewall-ips"),
        rule("services", f"{dispatch} @service-ips"),
        rule("services", f"{node_ports} @service-nodeports"),
    ]
    return "\n".join(out + nft_services(list_, at)) + "\n"


# What an administrator would add for nf_flowtable. Only the original
# direction adds: a reply inside the bridge has no route of its own yet, and
# one entry serves both directions.
FLOWTABLE = """
table inet bench {
	flowtable fast {
		hook ingress priority 0
		devices = { "va", "vb", "wan" }
	}
	chain forward {
		type filter hook forward priority 10
		ct state established ct direction original flow add @fast
	}
}
"""


# --- IPVS --------------------------------------------------------------

def ipvs_rules(family):
    at = ADDR[family]
    six = "6-" if family == 6 else ""
    loopback = "127.0.0.0/8" if family == 4 else "::1/128"

    def kset(name):
        return f"KUBE-{six}{name}"

    returns = [
        f"-A KUBE-IPVS-FILTER -m set --match-set {kset(name)} {how} -j RETURN"
        for name, how in (("LOAD-BALANCER", "dst,dst"),
                          ("CLUSTER-IP", "dst,dst"),
                          ("EXTERNAL-IP", "dst,dst"),
                          ("EXTERNAL-IP-LOCAL", "dst,dst"),
                          ("HEALTH-CHECK-NODE-PORT", "dst"))]
    return "\n".join([
        "*nat",
        ":KUBE-SERVICES - [0:0]", ":KUBE-POSTROUTING - [0:0]",
        ":KUBE-NODE-PORT - [0:0]", ":KUBE-LOAD-BALANCER - [0:0]",
        ":KUBE-MARK-MASQ - [0:0]",
        "-A PREROUTING -m comment --comment \"kubernetes service portals\" "
        "-j KUBE-SERVICES",
        "-A OUTPUT -m comment --comment \"kubernetes service portals\" "
        "-j KUBE-SERVICES",
        "-A POSTROUTING -m comment --comment \"kubernetes postrouting "
        "rules\" -j KUBE-POSTROUTING",
        f"-A KUBE-SERVICES -s {loopback} -j RETURN",
        "-A KUBE-SERVICES -m comment --comment \"Kubernetes service cluster "
        "ip + port for masquerade purpose\" -m set --match-set "
        f"{kset('CLUSTER-IP')} dst,dst ! -s {at.cluster} -j KUBE-MARK-MASQ",
        "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT",
        f"-A KUBE-SERVICES -m set --match-set {kset('CLUSTER-IP')} dst,dst "
        "-j ACCEPT",
        "-A KUBE-NODE-PORT -p tcp -m comment --comment \"Kubernetes nodeport "
        "TCP port for masquerade purpose\" -m set --match-set "
        f"{kset('NODE-PORT-TCP')} dst -j KUBE-MARK-MASQ",
        "-A KUBE-NODE-PORT -p udp -m comment --comment \"Kubernetes nodeport "
        "UDP port for masquerade purpose\" -m set --match-set "
        f"{kset('NODE-PORT-UDP')} dst -j KUBE-MARK-MASQ",
        "-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ",
        f"-A KUBE-MARK-MASQ -j MARK --or-mark {MARK}",
        "-A KUBE-POSTROUTING -m comment --comment \"Kubernetes endpoints dst "
        "ip:port, source ip for solving hairpin purpose\" -m set --match-set "
        f"{kset('LOOP-BACK')} dst,dst,src -j MASQUERADE",
        f"-A KUBE-POSTROUTING -m mark ! --mark {MARK}/{MARK} -j RETURN",
        f"-A KUBE-POSTROUTING -j MARK --xor-mark {MARK}",
        "-A KUBE-POSTROUTING -m comment --comment \"kubernetes service "
        "traffic requiring SNAT\" -j MASQUERADE --random-fully",
        "COMMIT",
        "*filter",
        ":KUBE-FORWARD - [0:0]", ":KUBE-NODE-PORT - [0:0]",
        ":KUBE-PROXY-FIREWALL - [0:0]", ":KUBE-SOURCE-RANGES-FIREWALL - [0:0]",
        ":KUBE-IPVS-FILTER - [0:0]", ":KUBE-IPVS-OUT-FILTER - [0:0]",
        "-A INPUT -m comment --comment \"kubernetes ipvs access filter\" "
        "-j KUBE-IPVS-FILTER",
        "-A INPUT -m comment --comment \"kubernetes ipvs firewall\" "
        "-j KUBE-PROXY-FIREWALL",
        "-A INPUT -m comment --comment \"kubernetes health check rules\" "
        "-j KUBE-NODE-PORT",
        "-A FORWARD -m comment --comment \"kubernetes ipvs firewall\" "
        "-j KUBE-PROXY-FIREWALL",
        "-A FORWARD -m comment --comment \"kubernetes forwarding rules\" "
        "-j KUBE-FORWARD",
        "-A OUTPUT -m comment --comment \"kubernetes ipvs access filter\" "
        "-j KUBE-IPVS-OUT-FILTER",
        "-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding "
        f"rules\" -m mark --mark {MARK}/{MARK} -j ACCEPT",
        "-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding "
        "conntrack rule\" -m conntrack --ctstate RELATED,ESTABLISHED "
        "-j ACCEPT",
        "-A KUBE-NODE-PORT -m comment --comment \"Kubernetes health check "
        "node port\" -m set --match-set "
        f"{kset('HEALTH-CHECK-NODE-PORT')} dst -j ACCEPT",
        "-A KUBE-SOURCE-RANGES-FIREWALL -j DROP",
        *returns,
        "-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -m set --match-set "
        f"{kset('IPVS-IPS')} dst -j REJECT",
        "-A KUBE-IPVS-OUT-FILTER -m conntrack --ctstate NEW -m set "
        f"--match-set {kset('IPVS-IPS')} dst -j REJECT",
        "COMMIT", ""])


def ipvs_sets(family, list_):
    inet = "inet6" if family == 6 else "inet"
    six = "6-" if family == 6 else ""
    out = []
    for name, kind in (("LOOP-BACK", "hash:ip,port,ip"),
                       ("CLUSTER-IP", "hash:ip,port"),
                       ("LOAD-BALANCER", "hash:ip,port"),
                       ("EXTERNAL-IP", "hash:ip,port"),
                       ("EXTERNAL-IP-LOCAL", "hash:ip,port"),
                       ("IPVS-IPS", "hash:ip")):
        out.append(f"create KUBE-{six}{name} {kind} family {inet} "
                   "hashsize 1024 maxelem 65536")
    for name in ("NODE-PORT-TCP", "NODE-PORT-UDP", "HEALTH-CHECK-NODE-PORT"):
        out.append(f"create KUBE-{six}{name} bitmap:port range 0-65535")
    for svc in list_:
        out.append(f"add KUBE-{six}CLUSTER-IP {svc.vip},{svc.proto}:"
                   f"{svc.port} -exist")
        out.append(f"add KUBE-{six}IPVS-IPS {svc.vip} -exist")
        for address, port, local in svc.endpoints:
            if local:
                out.append(f"add KUBE-{six}LOOP-BACK {address},{svc.proto}:"
                           f"{port},{address} -exist")
        if svc.node_port:
            out.append(f"add KUBE-{six}NODE-PORT-{svc.proto.upper()} "
                       f"{svc.node_port} -exist")
    return "\n".join(out) + "\n"


def ipvs_services(list_, at):
    """Lines for ipvsadm -R."""
    out = []
    for svc in list_:
        flag = "-t" if svc.proto == "tcp" else "-u"
        fronts = [with_port(svc.vip, svc.port)]
        if svc.node_port:
            fronts.append(with_port(at.node, svc.node_port))
        for front in fronts:
            out.append(f"-A {flag} {front} -s rr")
            for address, port, _local in svc.endpoints:
                out.append(f"-a {flag} {front} -r {with_port(address, port)} "
                           "-m -w 1")
    return "\n".join(out) + "\n"


# --- k8snet ------------------------------------------------------------

def k8snet_services(list_):
    """Lines for k8snetctl -b."""
    out = []
    for svc in list_:
        words = [f"svc add {svc.name} vip "
                 f"{with_port(svc.vip, svc.port)}/{svc.proto}"]
        if svc.node_port:
            words.append(f"node-port {svc.node_port}")
        for address, port, local in svc.endpoints:
            words.append(f"ep {with_port(address, port)}"
                         + (",local" if local else ""))
        out.append(" ".join(words))
    return "\n".join(out) + "\n"


# --- the datapaths -----------------------------------------------------

class Plain:
    """A Linux bridge and routes; no service, no connection tracking. What is
    sent to a service elsewhere goes to its endpoint's address here."""

    service = False
    rows_without = ()

    def __init__(self, count, endpoints, families):
        self.count = count
        self.endpoints = endpoints
        self.families = families

    def list(self, family):
        return services(family, self.count, self.endpoints)

    def bridge(self):
        make_linux_bridge()

    def load(self):
        pass


class KubeProxy(Plain):
    service = True

    def bridge(self):
        make_linux_bridge()
        run("modprobe", "br_netfilter")
        run("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1",
            "net.bridge.bridge-nf-call-ip6tables=1")


class Iptables(KubeProxy):
    flavour = "legacy"

    def load(self):
        for family in self.families:
            path = write(f"iptables{family}",
                         iptables_text(family, self.list(family)))
            six = "6" if family == 6 else ""
            run(f"ip{six}tables-{self.flavour}-restore", path)


class IptablesNft(Iptables):
    flavour = "nft"


class Nftables(KubeProxy):
    def load(self):
        for family in self.families:
            path = write(f"nft{family}", nft_text(family, self.list(family)))
            run("nft", "-f", path)


class Flowtable(Nftables):
    def load(self):
        super().load()
        run("nft", "-f", "-", stdin=FLOWTABLE)


class Ipvs(KubeProxy):
    def load(self):
        run("modprobe", "ip_vs")
        run("sysctl", "-qw", "net.ipv4.vs.conntrack=1",
            "net.ipv4.vs.conn_reuse_mode=0",
            "net.ipv4.vs.expire_nodest_conn=1",
            "net.ipv4.vs.expire_quiescent_template=1",
            "net.ipv4.conf.all.arp_ignore=1",
            "net.ipv4.conf.all.arp_announce=2")
        ip_batch(["link add kube-ipvs0 type dummy"])
        for family in self.families:
            at = ADDR[family]
            list_ = self.list(family)
            nodad = " nodad" if family == 6 else ""
            ip_batch(sorted({f"addr add {svc.vip}/{at.bits} dev kube-ipvs0"
                             + nodad for svc in list_}))
            run("ipset", "restore", stdin=ipvs_sets(family, list_))
            run("ip6tables-legacy-restore" if family == 6 else
                "iptables-legacy-restore", stdin=ipvs_rules(family))
            run("ipvsadm", "-R", stdin=ipvs_services(list_, at))


class Ebpf(Plain):
    """Two tc programs, one hash lookup each: see redirect.bpf.c. The least
    an eBPF datapath can do between two pods, not a product."""

    service = True
    rows_without = ("*remote*", "nodeport*")

    def load(self):
        obj = os.environ["BENCH_BPF"]
        for dev, section in (("va", "client"), ("vb", "server")):
            run("tc", "qdisc", "add", "dev", dev, "clsact")
            run("tc", "filter", "add", "dev", dev, "ingress", "bpf",
                "direct-action", "object-file", obj, "section",
                f"tc/{section}")
        import ebpf
        ebpf.fill(self.families)


class K8snet(Plain):
    service = True
    fastpath = "auto"

    def bridge(self):
        a4, a6 = ADDR[4], ADDR[6]
        run("modprobe", "k8snet")
        run("k8snetctl", "-b", "-", stdin="\n".join([
            f"bridge add {BRIDGE} addr {a4.gateway}/{a4.pod_len} "
            f"addr {a6.gateway}/{a6.pod_len}",
            f"pod add {a4.a},{a6.a} port va",
            f"pod add {a4.b},{a6.b} port vb",
            f"route add {a4.pods2} via {a4.node2}",
            f"route add {a6.pods2} via {a6.node2}",
            f"node set ip {a4.node} ip {a6.node} cluster-cidr {a4.cluster} "
            f"cluster-cidr {a6.cluster} fastpath {self.fastpath}", ""]))

    def load(self):
        for family in self.families:
            path = write(f"k8snet{family}", k8snet_services(self.list(family)))
            run("k8snetctl", "-b", path)


class K8snetEstablished(K8snet):
    fastpath = "established"


class K8snetOff(K8snet):
    fastpath = "off"


CLASSES = {
    "plain": Plain,
    "iptables": Iptables,
    "iptables-nft": IptablesNft,
    "nftables": Nftables,
    "flowtable": Flowtable,
    "ipvs": Ipvs,
    "ebpf": Ebpf,
    "k8snet-off": K8snetOff,
    "k8snet-established": K8snetEstablished,
    "k8snet-auto": K8snet,
}


def make(text, families):
    name, count, endpoints = parse_datapath(text)
    if name not in CLASSES:
        raise SystemExit(f"no datapath {name}: one of {' '.join(CLASSES)}")
    return CLASSES[name](count, endpoints, families)
