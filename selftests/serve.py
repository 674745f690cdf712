#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""serve.py [OPTION...] LISTEN...: a server that says who it is and who asks.

LISTEN is PROTO:PORT (all addresses of both families) or PROTO:ADDR:PORT with
an IPv6 address in brackets. PROTO is tcp, udp or sctp.

Every request (a line; for UDP a datagram) gets one line as an answer:
    NAME CLIENT-ADDRESS CLIENT-PORT
Some requests get another:
    size N    the line, filled up with dots to N bytes (a UDP answer, padded)
    get N     the line, then N bytes made by pattern() (not for UDP)
    put N     takes the N bytes that follow; the line ends in "ok" if they are
              those of pattern(), else in "BAD"
    GET ...   HTTP/1.0: the line as a text/plain body (curl, wget)
A UDP answer leaves from the address that was asked.

    -n NAME   its name (default "server")
    -r FILE   is created when all sockets listen
    -c N      ends after N requests
When all sockets listen "ready" is printed.
"""
import getopt
import os
import socket
import struct
import sys
import threading

TYPES = {"tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
         "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
         "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP)}
IP_PKTINFO = 8
IPV6_RECVPKTINFO = 49
IPV6_PKTINFO = 50


def pattern(size):
    """Bytes that differ from one place to another, so that a lost, doubled or
    moved segment changes them."""
    block = struct.pack(">4096I", *((n * 2654435761) & 0xffffffff
                                    for n in range(4096)))
    out = bytearray()
    while len(out) < size:
        out += struct.pack(">I", len(out)) + block
    return bytes(out[:size])


class Server:
    def __init__(self, name, limit):
        self.name = name
        self.left = limit
        self.lock = threading.Lock()
        self.threads = []

    def line(self, peer, more=""):
        return f"{self.name} {peer[0].split('%')[0]} {peer[1]}{more}\n".encode()

    def served(self):
        """Counts one request; the last one that was asked for ends us."""
        with self.lock:
            if self.left:
                self.left -= 1
                if not self.left:
                    os._exit(0)

    def connection(self, conn, peer):
        with conn, conn.makefile("rb") as requests:
            try:
                for request in requests:
                    if self.request(conn, requests, peer, request.split()):
                        break
            except OSError:
                pass

    def request(self, conn, requests, peer, words):
        """Answers one line. True: nothing follows on this connection."""
        verb = words[0] if words else b""
        if verb == b"GET":
            while requests.readline().strip():
                pass
            body = self.line(peer)
            conn.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n"
                         b"Content-Length: %d\r\n\r\n" % len(body) + body)
        elif verb == b"get":
            conn.sendall(self.line(peer) + pattern(int(words[1])))
        elif verb == b"put":
            data = requests.read(int(words[1]))
            good = data == pattern(int(words[1]))
            conn.sendall(self.line(peer, " ok" if good else " BAD"))
        else:
            conn.sendall(self.line(peer))
        self.served()
        return verb == b"GET"

    def accept(self, sock):
        while True:
            try:
                conn, peer = sock.accept()
            except OSError:
                continue
            threading.Thread(target=self.connection, args=(conn, peer),
                             daemon=True).start()

    def datagrams(self, sock):
        while True:
            try:
                data, ancillary, _flags, peer = sock.recvmsg(65536, 256)
            except OSError:
                continue
            words = data.split()
            answer = self.line(peer)
            if len(words) == 2 and words[0] == b"size":
                answer = (answer[:-1] + b" ").ljust(int(words[1]), b".")
            source = []
            for level, kind, value in ancillary:
                if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
                    source = [(level, kind, struct.pack("=i", 0) + value[8:12]
                               + bytes(4))]
                elif (level, kind) == (socket.IPPROTO_IPV6, IPV6_PKTINFO):
                    source = [(level, kind, value)]
            try:
                sock.sendmsg([answer], source, 0, peer)
            except OSError as error:
                print("serve.py:", error, file=sys.stderr, flush=True)
            self.served()

    def listen(self, proto, family, address, port):
        kind, number = TYPES[proto]
        sock = socket.socket(family, kind, number)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        work = self.accept
        if proto == "udp":
            work = self.datagrams
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        else:
            sock.listen(256)
        self.threads.append(threading.Thread(target=work, args=(sock,),
                                             daemon=True))


def main():
    opts, listens = getopt.getopt(sys.argv[1:], "n:r:c:h")
    opts = dict(opts)
    if "-h" in opts or not listens:
        print(__doc__.strip())
        return
    server = Server(opts.get("-n", "server"), int(opts.get("-c", 0)))
    for listen in listens:
        proto, _, rest = listen.partition(":")
        address, _, port = rest.rpartition(":")
        address = address.strip("[]")
        if not address:
            server.listen(proto, socket.AF_INET, "0.0.0.0", int(port))
            server.listen(proto, socket.AF_INET6, "::", int(port))
        else:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            server.listen(proto, family, address, int(port))
    for thread in server.threads:
        thread.start()
    print("ready", flush=True)
    if "-r" in opts:
        with open(opts["-r"], "w", encoding="ascii"):
            pass
    for thread in server.threads:
        thread.join()


if __name__ == "__main__":
    main()
