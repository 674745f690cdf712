# SPDX-License-Identifier: GPL-2.0
"""Generic netlink by hand: messages that no tool would send. Numbers come from
uapi/linux/k8snet.h, so that a test says "SERVICE_NAME".
"""
import os
import re
import socket
import struct

NETLINK_GENERIC = 16
SOL_NETLINK = 270
SO_RCVBUFFORCE = 33
NETLINK_ADD_MEMBERSHIP, NETLINK_CAP_ACK, NETLINK_EXT_ACK = 1, 10, 11
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
NLM_F_DUMP_INTR, NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x10, 0x100, 0x200
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLMSGERR_ATTR_MSG, NLMSGERR_ATTR_OFFS = 1, 2
NLA_F_NESTED, NLA_TYPE_MASK = 0x8000, 0x3fff
GENL_ID_CTRL, CTRL_CMD_GETFAMILY = 16, 3
CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME, CTRL_ATTR_MCAST_GROUPS = 1, 2, 7
CTRL_ATTR_MCAST_GRP_NAME, CTRL_ATTR_MCAST_GRP_ID = 1, 2


def constants():
    """Names and numbers of the header, without "K8SNET_", "K8SNET_A_"."""
    path = os.path.dirname(os.path.realpath(__file__)) + \
        "/../../uapi/linux/k8snet.h"
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    values = {}
    for body in re.findall(r"\benum\b[^{;]*\{(.*?)\}", text, re.S):
        number = -1
        for item in filter(None, (i.strip() for i in body.split(","))):
            name, _, value = (part.strip() for part in item.partition("="))
            number += 1
            if value:
                for known in sorted(values, key=len, reverse=True):
                    value = value.replace(known, str(values[known]))
                number = eval(value)    # pylint: disable=eval-used
            values[name] = number
    for name, value in re.findall(
            r"#define\s+(_*K8SNET_\w+)\s+\(?(0x[0-9a-f]+U|\d+|1U << \d+)\b",
            text):
        values[name] = eval(value.replace("U", ""))  # pylint: disable=eval-used
    out = {}
    for name, value in values.items():
        out[re.sub(r"^K8SNET_(A_)?", "", name)] = value
    return out


C = constants()


def nla(kind, payload):
    """An attribute; KIND is a name of the header or a number."""
    number = C[kind] if isinstance(kind, str) else kind
    if isinstance(payload, list):
        payload = b"".join(payload)
        number |= NLA_F_NESTED
    size = 4 + len(payload)
    return struct.pack("=HH", size, number) + payload + bytes(-size % 4)


def u8(kind, value):
    """An attribute of one byte."""
    return nla(kind, struct.pack("=B", value))


def u16(kind, value):
    """An attribute of two bytes."""
    return nla(kind, struct.pack("=H", value))


def be16(kind, value):
    """A port."""
    return nla(kind, struct.pack("!H", value))


def u32(kind, value):
    """An attribute of four bytes."""
    return nla(kind, struct.pack("=I", value))


def string(kind, value):
    """A string with its NUL."""
    return nla(kind, value.encode() + b"\0")


def addr(kind, value):
    """An address given as text."""
    return nla(kind, socket.inet_pton(socket.AF_INET6 if ":" in value
                                      else socket.AF_INET, value))


def prefix(kind, value):
    """A nested prefix given as ADDR/LEN."""
    text, _, bits = value.partition("/")
    return nla(kind, [addr("PREFIX_ADDR", text), u8("PREFIX_LEN", int(bits))])


def frontend(kind, port, address=None):
    """A nested frontend; KIND as in enum k8snet_frontend_type."""
    return nla("SERVICE_FRONTEND", [
        u8("FRONTEND_TYPE", C["FRONTEND_" + kind]),
        *([addr("FRONTEND_ADDR", address)] if address else []),
        be16("FRONTEND_PORT", port)])


def endpoint(address, port, *more):
    """A nested endpoint."""
    return nla("SERVICE_ENDPOINT", [addr("ENDPOINT_ADDR", address),
                                    be16("ENDPOINT_PORT", port), *more])


def attrs(data):
    """Attributes: a list of (type, payload)."""
    out = []
    while len(data) >= 4:
        size, kind = struct.unpack_from("=HH", data)
        out.append((kind & NLA_TYPE_MASK, data[4:size]))
        data = data[(size + 3) & ~3:]
    return out


def find(data, kind, default=None):
    """The first attribute of a kind."""
    number = C[kind] if isinstance(kind, str) else kind
    for have, payload in attrs(data):
        if have == number:
            return payload
    return default


class Error(Exception):
    """The kernel's refusal: errno and extended ACK."""

    def __init__(self, number, text, offset):
        super().__init__(f"{os.strerror(number)}: {text}")
        self.errno, self.text, self.offset = number, text, offset


class Genl:
    """A netlink socket and the family's id."""

    # The kernel fills messages as large as the largest read so far.
    def __init__(self, ns=None, sock=None, name="k8snet", size=1 << 20):
        self.size = size
        if sock is None:
            sock = (ns.socket if ns else socket.socket)(
                socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.sock = sock
        sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        except PermissionError:
            pass
        sock.bind((0, 0))
        sock.settimeout(30)
        self.seq = 0
        self.groups = {}
        self.family = GENL_ID_CTRL
        answer = self.request(CTRL_CMD_GETFAMILY,
                              string(CTRL_ATTR_FAMILY_NAME, name))[0]
        self.family = struct.unpack(
            "=H", find(answer, CTRL_ATTR_FAMILY_ID))[0]
        for _, group in attrs(find(answer, CTRL_ATTR_MCAST_GROUPS, b"")):
            self.groups[find(group, CTRL_ATTR_MCAST_GRP_NAME)
                        .rstrip(b"\0").decode()] = struct.unpack(
                            "=I", find(group, CTRL_ATTR_MCAST_GRP_ID))[0]

    def listen(self, group="config"):
        """Subscribes to notifications."""
        self.sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
                             self.groups[group])

    def message(self, cmd, payload, flags):
        """A whole message."""
        number = C["CMD_" + cmd] if isinstance(cmd, str) else cmd
        body = struct.pack("=BBH", number, 1, 0) + payload
        self.seq += 1
        return struct.pack("=IHHII", 16 + len(body), self.family, flags,
                           self.seq, 0) + body

    def read(self):
        """The messages of one recv(): (type, flags, seq, payload)."""
        data = self.sock.recv(self.size)
        out = []
        while len(data) >= 16:
            size, kind, flags, seq, _ = struct.unpack_from("=IHHII", data)
            out.append((kind, flags, seq, data[16:size]))
            data = data[(size + 3) & ~3:]
        return out

    @staticmethod
    def check(flags, payload, done=False):
        """Raises what an error message says, or the end of a dump."""
        number = -struct.unpack_from("=i", payload)[0]
        if not number:
            return
        text, offset = "", None
        if flags & NLM_F_ACK_TLVS:
            at = 4 if done else 4 + 16
            if not done and not flags & NLM_F_CAPPED:
                at = 4 + struct.unpack_from("=I", payload, 4)[0]
            for kind, value in attrs(payload[(at + 3) & ~3:]):
                if kind == NLMSGERR_ATTR_MSG:
                    text = value.rstrip(b"\0").decode()
                elif kind == NLMSGERR_ATTR_OFFS:
                    offset = struct.unpack("=I", value)[0]
        raise Error(number, text, offset)

    def request(self, cmd, payload=b"", flags=NLM_F_REQUEST | NLM_F_ACK):
        """Sends and returns the answers' attributes; raises Error."""
        self.sock.send(self.message(cmd, payload, flags))
        out = []
        while True:
            for kind, more, seq, body in self.read():
                if seq != self.seq:
                    continue
                if kind == NLMSG_ERROR:
                    self.check(more, body)
                    return out
                out.append(body[4:])

    def dump(self, cmd, payload=b""):
        """(objects, interrupted)."""
        self.sock.send(self.message(cmd, payload, NLM_F_REQUEST | NLM_F_DUMP))
        out, interrupted = [], False
        while True:
            for kind, flags, seq, body in self.read():
                if seq != self.seq:
                    continue
                interrupted |= bool(flags & NLM_F_DUMP_INTR)
                if kind == NLMSG_ERROR:
                    self.check(flags, body)
                elif kind == NLMSG_DONE:
                    self.check(flags | NLM_F_ACK_TLVS, body, True)
                    return out, interrupted
                else:
                    out.append(body[4:])

    def lookup(self, proto, src, sport, dst, dport):
        """The answer's attributes."""
        number = {"tcp": 6, "udp": 17, "sctp": 132}[proto]
        return self.request("LOOKUP", u8("LOOKUP_PROTO", number) +
                            addr("LOOKUP_SRC", src) +
                            be16("LOOKUP_SPORT", sport) +
                            addr("LOOKUP_DST", dst) +
                            be16("LOOKUP_DPORT", dport))[0]

    def choice(self, *flow):
        """ADDR:PORT that a flow would get."""
        data = find(self.lookup(*flow), "LOOKUP_CHOICE")
        if data is None:
            return None
        raw = find(data, "ENDPOINT_ADDR")
        return socket.inet_ntop(socket.AF_INET6 if len(raw) == 16
                                else socket.AF_INET, raw)
