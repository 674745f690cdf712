#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""client.py [OPTION...] PROTO ADDR [PORT]: asks serve.py and prints what comes.

PROTO is tcp, udp (sendto), cudp (connected UDP), sctp or ping (no PORT). Each
request prints one line,
    NAME CLIENT-ADDRESS CLIENT-PORT from ADDRESS PORT
the first three being the server's answer (who it is, whom it saw) and the
rest where the answer came from; for a ping "reply from ADDRESS". Or
    error NAME        what the system call said, e.g. ECONNREFUSED
    timeout           nothing came
Exit status: 0 every request was answered, 1 not.

    -c N      N requests, each with a socket of its own (default 1)
    -k        all requests on one socket
    -i S      seconds between requests (default 0)
    -t S      seconds to wait for each answer (default 3)
    -p PORT   source port
    -b ADDR   source address
    -s N      UDP: wants an answer of N bytes; ping: sends N bytes
    -d N      UDP: sends N bytes
    -g N      fetches N bytes and compares them; the line ends in "get ok"
    -u N      sends N bytes, has them compared; the line ends in "put ok"
    -D        sets "do not fragment" (IP_PMTUDISC_DO)
    -H FILE   keeps the socket open after the last request until FILE is there
    -j        prints a JSON object for each request instead
"""
import errno
import getopt
import os
import socket
import struct
import sys
import time

IP_MTU_DISCOVER = 10
IPV6_MTU_DISCOVER = 23
IP_RECVERR = 11
IPV6_RECVERR = 25
PMTUDISC_DO = 2


class Client:
    def __init__(self, opts, proto, address, port):
        self.opts = opts
        self.proto = proto
        self.address = address
        self.port = port
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.sock = None

    def value(self, name, default=0):
        return int(self.opts.get(name, default))

    def open(self):
        v6 = self.family == socket.AF_INET6
        kind, number = {
            "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
            "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
            "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
            "cudp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
            "ping": (socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if v6
                     else socket.IPPROTO_ICMP)}[self.proto]
        sock = socket.socket(self.family, kind, number)
        self.sock = sock
        sock.settimeout(float(self.opts.get("-t", 3)))
        if "-D" in self.opts:
            if v6:
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER,
                                PMTUDISC_DO)
            else:
                sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER,
                                PMTUDISC_DO)
        if self.proto in ("udp", "cudp"):
            # Without it ICMP errors do not reach an unconnected socket.
            if v6:
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        if "-p" in self.opts or "-b" in self.opts:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self.opts.get("-b", "::" if v6 else "0.0.0.0"),
                       self.value("-p")))
        if self.proto in ("tcp", "sctp", "cudp"):
            sock.connect((self.address, self.port))
            sock.settimeout(float(self.opts.get("-t", 3)))

    def read_line(self):
        line = b""
        while not line.endswith(b"\n"):
            byte = self.sock.recv(1)
            if not byte:
                raise ConnectionResetError(errno.ECONNRESET, "closed")
            line += byte
        return line.decode().strip()

    def ask_stream(self):
        """Returns (answer, peer, note). Imports are late: starting Python
        takes a good part of a second in the VM, and most requests are small.
        """
        note = ""
        if "-g" in self.opts:
            from serve import pattern
            size = self.value("-g")
            self.sock.sendall(b"get %d\n" % size)
            line = self.read_line()
            got = bytearray()
            while len(got) < size:
                data = self.sock.recv(min(1 << 18, size - len(got)))
                if not data:
                    break
                got += data
            note = " get ok" if bytes(got) == pattern(size) else " get BAD"
        elif "-u" in self.opts:
            import hashlib
            from serve import pattern
            data = pattern(self.value("-u"))
            self.sock.sendall(b"put %d\n" % len(data))
            self.sock.sendall(data)
            line, _, digest = self.read_line().rpartition(" ")
            good = digest == hashlib.sha256(data).hexdigest()
            note = " put ok" if good else " put BAD"
        else:
            self.sock.sendall(b"who\n")
            line = self.read_line()
        return line, self.sock.getpeername()[:2], note

    def ask_datagram(self):
        request = b"who"
        if "-s" in self.opts:
            request = b"size %d" % self.value("-s")
        request = request.ljust(self.value("-d"))
        if self.proto == "cudp":
            self.sock.send(request)
        else:
            self.sock.sendto(request, (self.address, self.port))
        answer, peer = self.sock.recvfrom(65536)
        note = ""
        if "-s" in self.opts and len(answer) != self.value("-s"):
            note = f" size {len(answer)} BAD"
        return " ".join(answer.decode().split()[:3]), peer[:2], note

    def ask_ping(self):
        v6 = self.family == socket.AF_INET6
        ident = os.getpid() & 0xffff
        body = struct.pack("!HH", ident, 1) + bytes(self.value("-s", 56))
        packet = struct.pack("!BBH", 128 if v6 else 8, 0, 0) + body
        if not v6:      # the kernel does it for ICMPv6
            total = sum(struct.unpack(f"!{(len(packet) + 1) // 2}H",
                                      packet + b"\0" * (len(packet) % 2)))
            total = (total & 0xffff) + (total >> 16)
            total = ~((total & 0xffff) + (total >> 16)) & 0xffff
            packet = packet[:2] + struct.pack("!H", total) + packet[4:]
        self.sock.sendto(packet, (self.address, 0))
        end = time.monotonic() + float(self.opts.get("-t", 3))
        while time.monotonic() < end:
            self.sock.settimeout(max(0.01, end - time.monotonic()))
            data, peer = self.sock.recvfrom(65536)
            if not v6:
                data = data[(data[0] & 15) * 4:]
            kind = data[0]
            if kind == (129 if v6 else 0) and data[4:8] == body[:4]:
                return "reply", (peer[0], 0), ""
            inner = data[8:] if v6 else data[8 + (data[8] & 15) * 4:] \
                if len(data) > 8 else b""
            inner = inner[40:] if v6 else inner
            if kind in ((1, 2, 3) if v6 else (3, 11)) and \
               inner[4:8] == body[:4]:
                raise OSError(errno.EHOSTUNREACH, "unreachable")
        raise TimeoutError

    def ask(self):
        """One request: a dictionary of what came of it."""
        result = {"proto": self.proto, "to": self.address, "port": self.port}
        try:
            if self.sock is None:
                self.open()
            answer, peer, note = (
                self.ask_ping() if self.proto == "ping" else
                self.ask_datagram() if "udp" in self.proto else
                self.ask_stream())
            words = answer.split()
            result.update(answer=answer, note=note.strip(),
                          ok="BAD" not in note,
                          **{"from": peer[0].split("%")[0],
                             "from-port": peer[1]})
            if len(words) == 3:
                result.update({"name": words[0], "client": words[1],
                               "client-port": int(words[2])})
            result["text"] = f"{answer} from {result['from']}" + (
                f" {peer[1]}" if self.proto != "ping" else "") + note
        except TimeoutError:
            result.update(ok=False, error="timeout", text="timeout")
        except OSError as error:
            name = errno.errorcode.get(error.errno, str(error))
            result.update(ok=False, error=name, text="error " + name)
        return result

    def close(self):
        if self.sock:
            self.sock.close()
            self.sock = None


def main():
    opts, words = getopt.gnu_getopt(sys.argv[1:], "c:ki:t:p:b:s:d:g:u:DH:jh")
    opts = dict(opts)
    if "-h" in opts or len(words) < 2:
        print(__doc__.strip())
        sys.exit(0 if "-h" in opts else 2)
    port = int(words[2]) if len(words) > 2 else 0
    client = Client(opts, words[0], words[1], port)
    good = True
    count = client.value("-c", 1)
    for number in range(count):
        result = client.ask()
        good = good and result["ok"]
        text = result.pop("text")
        if "-j" in opts:
            import json
            text = json.dumps(result)
        print(text, flush=True)
        last = number == count - 1
        if not last and "-i" in opts:
            time.sleep(float(opts["-i"]))
        if ("-k" not in opts or not result["ok"]) and not (last and
                                                          "-H" in opts):
            client.close()
    while "-H" in opts and not os.path.exists(opts["-H"]):
        time.sleep(0.02)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
