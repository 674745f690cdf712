# SPDX-License-Identifier: GPL-2.0
"""A program that nfnetlink_queue gives packets to, and that lets them pass."""

import socket
import struct
import threading

NETLINK_NETFILTER = 12
SUBSYS_QUEUE = 3
MSG_PACKET, MSG_VERDICT, MSG_CONFIG = range(3)
CFG_CMD, CFG_PARAMS = 1, 2          # NFQA_CFG_*
CMD_BIND, COPY_META = 1, 1
PACKET_HDR, VERDICT_HDR = 1, 2      # NFQA_*
NF_ACCEPT = 1


def attr(kind, data):
    """One attribute, padded."""
    return struct.pack("=HH", 4 + len(data), kind) + data + \
        bytes(-len(data) % 4)


class Queue:
    """Accepts each packet of queue NUMBER of a namespace, and counts them."""

    def __init__(self, ns, number):
        self.number = number
        self.seen = 0
        self.ended = False
        self.sock = ns.socket(socket.AF_NETLINK, socket.SOCK_RAW,
                              NETLINK_NETFILTER)
        self.sock.bind((0, 0))
        self.config(attr(CFG_CMD, struct.pack(">BBH", CMD_BIND, 0, 0)))
        self.config(attr(CFG_PARAMS, struct.pack(">IB", 0, COPY_META)))
        self.sock.settimeout(0.2)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def send(self, kind, flags, attrs):
        """One message of the queue's."""
        data = struct.pack("=BB", 0, 0) + struct.pack(">H", self.number) + attrs
        self.sock.send(struct.pack("=IHHII", 16 + len(data),
                                   SUBSYS_QUEUE << 8 | kind, flags, 1, 0) +
                       data)

    def config(self, attrs):
        """A setting, and its acknowledgement."""
        self.send(MSG_CONFIG, 5, attrs)     # request, ack
        data = self.sock.recv(4096)
        error = struct.unpack_from("=i", data, 16)[0]
        if error:
            raise OSError(-error, "nfnetlink_queue")

    def run(self):
        """The thread."""
        while not self.ended:
            try:
                data = self.sock.recv(1 << 16)
            except TimeoutError:
                continue
            # Header, family and queue, the first attribute's header.
            if data[4] != MSG_PACKET or data[5] != SUBSYS_QUEUE:
                continue
            packet = struct.unpack_from(">I", data, 24)[0]
            self.seen += 1
            self.send(MSG_VERDICT, 1, attr(VERDICT_HDR, struct.pack(
                ">II", NF_ACCEPT, packet)))

    def close(self):
        """No more."""
        self.ended = True
        self.thread.join()
        self.sock.close()
