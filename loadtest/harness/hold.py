#!/usr/bin/env python3
"""Connections that are open and do nothing: each has had one request.

    hold.py plain|tls|h2 PORT

Reads `NUMBER calm` or `NUMBER burst` from its input, one a line: opens connections until there are
that many, and answers with a line of JSON: how many there are, how many failed, how many of the
earlier ones were closed. Calm, each has its request when it is made, a few at a time; in a burst all
are made first, and then all requests are on their way at once.
Ends, and closes all, with its input. HTTP/2 is spoken by hand: one request needs very little of it.
"""

import json
import select
import socket
import ssl
import struct
import sys
from concurrent.futures import ThreadPoolExecutor

PATH = b"/200"
# Handshakes at once: enough to keep a proxy busy while this side computes.
AT_ONCE = 8
# With so many failures in a row there is no use in going on.
HOPELESS = 200

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, section 3.4
DATA, HEADERS, SETTINGS, GOAWAY = 0, 1, 4, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1


class Holder:
    """The connections to one port."""

    def __init__(self, kind, port):
        self.kind, self.port, self.open, self.failed = kind, port, [], 0
        self.failed_in_a_row = 0
        self.context = ssl.create_default_context()
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        self.context.set_alpn_protocols(["h2" if kind == "h2" else "http/1.1"])

    def reach(self, count, burst):
        wanted = range(len(self.open) + self.failed, count)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            steps = [[self.connect], [self.ask], [self.hear]] if burst else [[self.connect, self.ask, self.hear]]
            made = list(wanted)
            for step in steps:
                made = list(pool.map(lambda one, step=step: self.go(one, step), made))
        self.open += [one for one in made if one]
        self.failed += sum(1 for one in made if not one)

    def go(self, made, steps):
        """Takes a connection some steps further; None when one failed."""
        if made is None or self.failed_in_a_row >= HOPELESS:
            return None
        try:
            for step in steps:
                made = step(made)
            self.failed_in_a_row = 0
            return made
        except (OSError, ValueError):
            self.failed_in_a_row += 1
            return None

    def connect(self, _number):
        made = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return made if self.kind == "plain" else self.context.wrap_socket(made)

    def ask(self, made):
        if self.kind != "h2":
            made.sendall(b"GET %s HTTP/1.1\r\nhost: localhost\r\n\r\n" % PATH)
            return made
        if made.selected_alpn_protocol() != "h2":
            raise ValueError("HTTP/2 was not agreed on")
        # RFC 7541: :method GET and :scheme https of the static table; :path and :authority with their values.
        fields = b"\x82\x87" + b"\x04" + text(PATH) + b"\x01" + text(b"localhost")
        made.sendall(PREFACE + frame(SETTINGS, 0, 0, b"") + frame(HEADERS, END_STREAM | END_HEADERS, 1, fields))
        return made

    def hear(self, made):
        (self.by_http2 if self.kind == "h2" else self.by_http1)(made)
        return made

    def by_http1(self, made):
        head, _, body = until(made, b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        left = int(fields[b"content-length"]) - len(body)
        while left > 0:
            left -= len(received(made))
        if not head.startswith(b"HTTP/1.1 200"):
            raise ValueError(head)

    def by_http2(self, made):
        ended = settled = False
        status = None
        data = b""
        while not (ended and settled):
            while len(data) < 9 or len(data) < 9 + int.from_bytes(data[:3], "big"):
                data += received(made)
            length, kind, flags, stream = int.from_bytes(data[:3], "big"), data[3], data[4], int.from_bytes(data[5:9], "big")
            payload, data = data[9:9 + length], data[9 + length:]
            if kind == SETTINGS and not flags & ACK:
                made.sendall(frame(SETTINGS, ACK, 0, b""))
                settled = True
            elif kind == GOAWAY:
                raise ValueError("GOAWAY")
            elif stream == 1:
                status = status or (first_field(payload) if kind == HEADERS else None)
                ended = ended or bool(kind in (DATA, HEADERS) and flags & END_STREAM)
        # 0x88 is :status 200 of the static table.
        if status != 0x88:
            raise ValueError(f"no 200: {status}")

    def closed(self):
        """How many the other side has ended."""
        poll = select.poll()
        for made in self.open:
            poll.register(made, select.POLLRDHUP)
        return len(poll.poll(0))


def received(made):
    got = made.recv(65536)
    if not got:
        raise ValueError("closed")
    return got


def until(made, mark):
    data = b""
    while mark not in data:
        data += received(made)
    return data.partition(mark)


def first_field(block):
    """The first byte of a field block that is no dynamic table size update; RFC 7541, section 6.3."""
    at = 0
    while block[at] & 0xE0 == 0x20:
        more = block[at] & 0x1F == 0x1F
        at += 1
        while more:
            more = block[at] & 0x80 != 0
            at += 1
    return block[at]


def text(value):
    """A string of HPACK without Huffman coding; shorter than 127 bytes."""
    return bytes([len(value)]) + value


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def main():
    holder = Holder(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        count, how = line.split()
        holder.reach(int(count), how == "burst")
        print(json.dumps({"open": len(holder.open), "failed": holder.failed, "closed": holder.closed()}), flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
