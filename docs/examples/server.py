#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""server.py NAME http:PORT|dns:PORT...: what runs in the pods of the demo.

http    answers every request with the client address that it sees and NAME
dns     answers A and AAAA for the names of the example cluster, TXT for
        whoami.cluster.local with the client address, over UDP and TCP

Both listen on all addresses, IPv4 and IPv6. "ready" is printed once they do.
"""
import socket
import struct
import sys
import threading

ZONE = {
    "kubernetes.default.svc.cluster.local": ("10.32.0.1", "fd00:10:32::1"),
    "nginx.default.svc.cluster.local": ("10.32.0.53", "fd00:10:32::53"),
    "kube-dns.kube-system.svc.cluster.local":
        ("10.32.0.10", "fd00:10:32::10"),
}
TYPE_A, TYPE_TXT, TYPE_AAAA = 1, 16, 28
TTL = 5
NXDOMAIN = 3


class Gone(Exception):
    """The client closed the connection."""


def listen(family, kind, port):
    sock = socket.socket(family, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(("", port))
    if kind == socket.SOCK_STREAM:
        sock.listen(64)
    return sock


def http_serve(name, conn, peer):
    """One request a connection: HTTP/1.0."""
    request = b""
    while b"\r\n\r\n" not in request:
        data = conn.recv(4096)
        if not data or len(request) > 65536:
            return
        request += data
    body = f"client_address={peer[0]} pod={name}\n".encode()
    conn.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n"
                 b"Content-Length: %d\r\nConnection: close\r\n\r\n"
                 % len(body) + body)
    # The client closes first, lest our end lingers in TIME_WAIT.
    conn.shutdown(socket.SHUT_WR)
    while conn.recv(4096):
        pass


def dns_answer(name, query, peer):
    """The answer to a DNS message, or None where it is not a query."""
    if len(query) < 12:
        return None
    ident, flags, n_questions = struct.unpack_from("!HHH", query)
    if flags & 0x8000 or n_questions != 1:
        return None
    labels, at = [], 12
    while at < len(query) and 0 < query[at] < 64:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
        at += 1 + query[at]
    if at + 5 > len(query) or query[at]:
        return None
    question = query[12:at + 5]
    kind = struct.unpack_from("!H", query, at + 1)[0]
    host = ".".join(labels).lower()

    data = None
    if host == "whoami.cluster.local" and kind == TYPE_TXT:
        text = f"client_address={peer[0]} pod={name}".encode()
        data = bytes([len(text)]) + text
    elif host in ZONE and kind == TYPE_A:
        data = socket.inet_pton(socket.AF_INET, ZONE[host][0])
    elif host in ZONE and kind == TYPE_AAAA:
        data = socket.inet_pton(socket.AF_INET6, ZONE[host][1])
    known = host in ZONE or host == "whoami.cluster.local"
    reply = struct.pack("!HHHHHH", ident,
                        0x8580 | flags & 0x0100 | (0 if known else NXDOMAIN),
                        1, 1 if data else 0, 0, 0) + question
    if data:
        # 0xc00c: the name of the question, 12 bytes from the start
        reply += struct.pack("!HHHIH", 0xc00c, kind, 1, TTL, len(data)) + data
    return reply


def dns_udp(name, sock):
    while True:
        query, peer = sock.recvfrom(4096)
        answer = dns_answer(name, query, peer)
        if answer:
            sock.sendto(answer, peer)


def receive_exactly(conn, size):
    data = b""
    while len(data) < size:
        more = conn.recv(size - len(data))
        if not more:
            raise Gone
        data += more
    return data


def dns_serve(name, conn, peer):
    while True:
        size = struct.unpack("!H", receive_exactly(conn, 2))[0]
        answer = dns_answer(name, receive_exactly(conn, size), peer)
        if not answer:
            return
        conn.sendall(struct.pack("!H", len(answer)) + answer)


def serve_one(serve, name, conn, peer):
    conn.settimeout(60)
    try:
        with conn:
            serve(name, conn, peer)
    except (Gone, OSError):
        pass            # the client's loss


def accept(serve, name, sock):
    while True:
        conn, peer = sock.accept()
        threading.Thread(target=serve_one, args=(serve, name, conn, peer),
                         daemon=True).start()


def main():
    if len(sys.argv) < 3:
        print(__doc__.strip())
        sys.exit(2)
    name = sys.argv[1]
    threads = []
    for word in sys.argv[2:]:
        proto, _, port = word.partition(":")
        for family in (socket.AF_INET, socket.AF_INET6):
            serve = {"http": http_serve, "dns": dns_serve}[proto]
            sock = listen(family, socket.SOCK_STREAM, int(port))
            threads.append(threading.Thread(target=accept,
                                            args=(serve, name, sock)))
            if proto == "dns":
                sock = listen(family, socket.SOCK_DGRAM, int(port))
                threads.append(threading.Thread(target=dns_udp,
                                                args=(name, sock)))
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
