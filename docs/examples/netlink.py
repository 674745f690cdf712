#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""netlink.py [NAME ADDR PORT]: the module's netlink interface, without a library.

Lists the services and their frontends. With arguments it first adds a TCP
service NAME with the cluster IP ADDR:PORT, and prints the kernel's sentence if
it refuses.
"""
import os
import socket
import struct
import sys

NETLINK_GENERIC, SOL_NETLINK = 16, 270
NETLINK_CAP_ACK, NETLINK_EXT_ACK = 10, 11
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_DUMP_INTR = 0x10
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLMSGERR_ATTR_MSG = 1
GENL_ID_CTRL, CTRL_CMD_GETFAMILY = 0x10, 3
CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 1, 2

# From uapi/linux/k8snet.h.
SERVICE_NEW, SERVICE_GET = 26, 28
A_NAME, A_PROTO, A_FRONTEND = 1, 2, 3
A_FE_TYPE, A_FE_ADDR, A_FE_PORT = 1, 2, 3
FRONTENDS = ["vip", "external-ip", "lb-ip", "node-port"]


def attr(kind, data):
    return struct.pack("=HH", len(data) + 4, kind) + data + \
        bytes(-len(data) % 4)


def attrs(data):
    """(type, content) of each; a list is the same type repeated."""
    while len(data) >= 4:
        size, kind = struct.unpack_from("=HH", data)
        yield kind & 0x3fff, data[4:size]
        data = data[(size + 3) & ~3:]


def talk(sock, family, command, flags, payload):
    """The attributes of each answer; OSError with the kernel's sentence."""
    body = struct.pack("=BBH", command, 1, 0) + payload
    sock.send(struct.pack("=IHHII", len(body) + 16, family,
                          NLM_F_REQUEST | NLM_F_ACK | flags, 1, 0) + body)
    while True:
        data = sock.recv(1 << 16)
        while data:
            size, kind, flags = struct.unpack_from("=IHH", data)
            message, data = data[16:size], data[(size + 3) & ~3:]
            if flags & NLM_F_DUMP_INTR:
                raise InterruptedError("a change came between: ask again")
            if kind in (NLMSG_ERROR, NLMSG_DONE):
                error = struct.unpack_from("=i", message)[0]
                if not error:
                    return
                # The rest: the header of the request, then attributes.
                text = dict(attrs(message[20:])).get(NLMSGERR_ATTR_MSG)
                raise OSError(-error, text.rstrip(b"\0").decode() if text
                              else os.strerror(-error))
            yield list(attrs(message[4:]))


def main():
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
    sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
    sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
    for answer in talk(sock, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0,
                       attr(CTRL_ATTR_FAMILY_NAME, b"k8snet\0")):
        family = struct.unpack("=H", dict(answer)[CTRL_ATTR_FAMILY_ID])[0]

    if len(sys.argv) > 1:
        name, address, port = sys.argv[1:]
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        frontend = attr(A_FE_TYPE, b"\0") + \
            attr(A_FE_ADDR, socket.inet_pton(kind, address)) + \
            attr(A_FE_PORT, struct.pack("!H", int(port)))
        nested = 0x8000
        list(talk(sock, family, SERVICE_NEW, 0,
                  attr(A_NAME, name.encode() + b"\0") +
                  attr(A_PROTO, bytes([socket.IPPROTO_TCP])) +
                  attr(A_FRONTEND | nested, frontend)))

    for answer in talk(sock, family, SERVICE_GET, NLM_F_DUMP, b""):
        words = [dict(answer)[A_NAME].rstrip(b"\0").decode()]
        for kind, data in answer:
            if kind != A_FRONTEND:
                continue
            fe = dict(attrs(data))
            port = struct.unpack("!H", fe[A_FE_PORT])[0]
            words.append(FRONTENDS[fe[A_FE_TYPE][0]])
            if A_FE_ADDR in fe:
                family6 = len(fe[A_FE_ADDR]) == 16
                text = socket.inet_ntop(socket.AF_INET6 if family6 else
                                        socket.AF_INET, fe[A_FE_ADDR])
                words.append(f"[{text}]:{port}" if family6 else
                             f"{text}:{port}")
            else:
                words.append(str(port))
        print(*words)


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        print(f"netlink.py: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
