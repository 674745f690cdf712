#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""frame.py DEV FENCE [FRAME...]: sends frames and prints what comes back.

FENCE is an IPv4 address SENDER>TARGET: after the frames an ARP request for
TARGET by SENDER is sent, and everything that has come in until it is answered
is printed, one line a frame, the fence's answer left out. A frame that gets no
answer has therefore really been dealt with. "-" waits for nothing.

FRAME is KIND:KEY=VALUE,... Common keys are es and ed, the Ethernet source
(default: the device's) and destination, and n, how often. Kinds:
    arp   sip tip [op] [sha]              broadcast
    ns    src target [sll] [dst] [hl] [code] [sum=bad] [opt=zero] [ext=1]
          sll=none: no option; default: the device's MAC
    na    src dst target [tll] [flags]
    nd    src dst type                    any other neighbour discovery type
    udp   src dst [sport] [dport] [len]
    mld   src                             a listener report, hop-by-hop header
    raw   type hex                        any payload of any Ethernet type
Lines printed:
    arp OP SENDER-IP SENDER-MAC to ETHERNET-DESTINATION
    na SOURCE TARGET MAC FLAGS to DESTINATION    FLAGS of r, s and o, or -
    ns SOURCE TARGET
    ip SOURCE DESTINATION PROTOCOL
    other ETHERTYPE
"""
import ipaddress
import socket
import struct
import sys
import time

ETH_P_ALL = 3
PACKET_OUTGOING = 4
LIMIT = 10      # seconds for the fence


def mac(text):
    return bytes(int(x, 16) for x in text.split(":"))


def show_mac(data):
    return ":".join(f"{b:02x}" for b in data)


def ip(text):
    return ipaddress.ip_address(text).packed


def show_ip(data):
    return str(ipaddress.ip_address(bytes(data)))


def csum(data):
    if len(data) % 2:
        data += b"\0"
    s = sum(struct.unpack(f">{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def ipv6(src, dst, proto, payload, hl=255):
    return (struct.pack(">IHBB", 6 << 28, len(payload), proto, hl) + src + dst
            + payload)


def icmp6(src, dst, kind, code, body, bad=False):
    """An ICMPv6 message with its checksum."""
    head = struct.pack(">BBH", kind, code, 0)
    pseudo = src + dst + struct.pack(">II", len(head + body), 58)
    s = csum(pseudo + head + body)
    if bad:
        s ^= 0x1234
    return struct.pack(">BBH", kind, code, s) + body


def inject(ns, src, sport, dst, dport, seq, flags=0x10):
    """Sends a TCP segment that no socket has made from a namespace."""
    a, b = ip(src), ip(dst)
    head = struct.pack(">HHIIBBHHH", sport, dport, seq, 1, 0x50, flags, 1000,
                       0, 0)
    head = head[:16] + struct.pack(">H", csum(
        a + b + struct.pack(">II", len(head), 6) + head)) + head[18:]
    if len(a) == 4:
        family = socket.AF_INET
        data = struct.pack(">BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 6, 0) + a + b \
            + head
    else:
        family = socket.AF_INET6
        data = ipv6(a, b, 6, head, 64)
    with ns.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        sock.sendto(data, (dst, 0))


def mcast_mac(dst):
    return b"\x33\x33" + dst[-4:]


class Device:
    def __init__(self, name):
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                  socket.htons(ETH_P_ALL))
        self.sock.bind((name, 0))
        self.lladdr = self.sock.getsockname()[4]

    def arp(self, key):
        sha = mac(key["sha"]) if "sha" in key else self.lladdr
        return b"\xff" * 6, 0x0806, (
            struct.pack(">HHBBH", 1, 0x0800, 6, 4, int(key.get("op", 1)))
            + sha + ip(key["sip"]) + bytes(6) + ip(key["tip"]))

    def ns(self, key):
        src, target = ip(key["src"]), ip(key["target"])
        dst = (ip(key["dst"]) if "dst" in key else
               ip("ff02::1:ff00:0")[:13] + target[13:])
        body = bytes(4) + target
        sll = key.get("sll", show_mac(self.lladdr))
        if sll != "none":
            size = 0 if key.get("opt") == "zero" else 1
            body += struct.pack(">BB", 1, size) + mac(sll)
        msg = icmp6(src, dst, 135, int(key.get("code", 0)), body,
                    key.get("sum") == "bad")
        proto = 58
        if "ext" in key:
            msg, proto = struct.pack(">BB6x", 58, 0) + msg, 60
        return mcast_mac(dst), 0x86dd, ipv6(src, dst, proto, msg,
                                            int(key.get("hl", 255)))

    def na(self, key):
        src, dst, target = ip(key["src"]), ip(key["dst"]), ip(key["target"])
        body = (struct.pack(">I", int(key.get("flags", "0x20000000"), 0))
                + target + b"\x02\x01"
                + (mac(key["tll"]) if "tll" in key else self.lladdr))
        return mcast_mac(dst), 0x86dd, ipv6(src, dst, 58,
                                            icmp6(src, dst, 136, 0, body))

    def nd(self, key):
        src, dst = ip(key["src"]), ip(key["dst"])
        size = {133: 4, 134: 12, 137: 36}[int(key["type"])]
        return mcast_mac(dst), 0x86dd, ipv6(
            src, dst, 58, icmp6(src, dst, int(key["type"]), 0, bytes(size)))

    def udp(self, key):
        src, dst = ip(key["src"]), ip(key["dst"])
        data = bytes(int(key.get("len", 16)))
        head = struct.pack(">HHHH", int(key.get("sport", 1000)),
                           int(key.get("dport", 2000)), 8 + len(data), 0)
        if len(src) == 16:
            pseudo = src + dst + struct.pack(">II", 8 + len(data), 17)
            s = csum(pseudo + head + data) or 0xffff
            head = head[:6] + struct.pack(">H", s)
            return b"\xff" * 6, 0x86dd, ipv6(src, dst, 17, head + data, 64)
        head4 = struct.pack(">BBHHHBBH", 0x45, 0, 28 + len(data), 0, 0, 64, 17,
                            0) + src + dst
        head4 = head4[:10] + struct.pack(">H", csum(head4)) + head4[12:]
        return b"\xff" * 6, 0x0800, head4 + head + data

    def mld(self, key):
        src, dst = ip(key["src"]), ip("ff02::16")
        msg = icmp6(src, dst, 143, 0, struct.pack(">HHBBH", 0, 1, 4, 0, 0)
                    + ip("ff02::1234"))
        hbh = struct.pack(">BBBBHBB", 58, 0, 5, 2, 0, 1, 0)
        return mcast_mac(dst), 0x86dd, ipv6(src, dst, 0, hbh + msg, 1)

    def raw(self, key):
        return b"\xff" * 6, int(key["type"], 0), bytes.fromhex(key["hex"])

    def send(self, frame):
        kind, _, rest = frame.partition(":")
        key = dict(item.split("=", 1) for item in rest.split(",") if item)
        dst, ethertype, payload = getattr(self, kind)(key)
        if "ed" in key:
            dst = mac(key["ed"])
        src = mac(key["es"]) if "es" in key else self.lladdr
        data = dst + src + struct.pack(">H", ethertype) + payload
        for _ in range(int(key.get("n", 1))):
            self.sock.send(data)

    def receive(self, until):
        """The next frame that came in; None when it is too late."""
        while True:
            left = until - time.monotonic()
            if left <= 0:
                return None
            self.sock.settimeout(left)
            try:
                data, addr = self.sock.recvfrom(65536)
            except socket.timeout:
                return None
            if addr[2] != PACKET_OUTGOING:
                return data


def describe(data):
    ethertype, = struct.unpack(">H", data[12:14])
    body = data[14:]
    if ethertype == 0x0806:
        op, = struct.unpack(">H", body[6:8])
        return (f"arp {op} {show_ip(body[14:18])} {show_mac(body[8:14])} "
                f"to {show_mac(data[:6])}")
    if ethertype == 0x0800:
        return f"ip {show_ip(body[12:16])} {show_ip(body[16:20])} {body[9]}"
    if ethertype == 0x86dd:
        src, dst = show_ip(body[8:24]), show_ip(body[24:40])
        icmp = body[40:]
        if body[6] == 58 and icmp[0] == 136:
            flags = "".join(c for c, bit in (("r", 0x80), ("s", 0x40),
                                             ("o", 0x20)) if icmp[4] & bit)
            return (f"na {src} {show_ip(icmp[8:24])} "
                    f"{show_mac(icmp[26:32])} {flags or '-'} to {dst}")
        if body[6] == 58 and icmp[0] == 135:
            return f"ns {src} {show_ip(icmp[8:24])}"
        return f"ip {src} {dst} {body[6]}"
    return f"other {ethertype:04x}"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    dev = Device(sys.argv[1])
    for frame in sys.argv[3:]:
        dev.send(frame)
    if sys.argv[2] == "-":
        return
    sender, target = sys.argv[2].split(">")
    dev.send(f"arp:sip={sender},tip={target}")
    until = time.monotonic() + LIMIT
    answer = f"arp 2 {target} "
    lines = []
    while True:
        data = dev.receive(until)
        if data is None:
            print("\n".join(lines))
            sys.exit("no answer to the fence")
        lines.append(describe(data))
        if lines[-1].startswith(answer):
            break
    for line in lines[:-1]:
        print(line)


if __name__ == "__main__":
    main()
