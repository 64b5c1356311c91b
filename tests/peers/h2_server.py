"""An HTTP/2 server by the h2 package, which behaves as a scenario says: frames out of order, streams
refused, connections given up. What a well-behaved library would not send is sent frame by frame.

usage: h2_server.py SCENARIO

Prints its port, and then one line of JSON for each thing that it sees. Connections are served one
by one as they come, each by a thread; a scenario gets the number of its connection, from 0.
"""

import json
import socket
import sys
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import hpack
from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame, PushPromiseFrame

LOCK = threading.Lock()
OK = [(":status", "200"), ("content-length", "5")]


def tell(**event):
    with LOCK:
        print(json.dumps(event), flush=True)


class Connection:
    """One connection, with what has come on it."""

    def __init__(self, sock, number):
        config = h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8", validate_outbound_headers=False,
            normalize_outbound_headers=False)
        self.sock, self.number = sock, number
        self.h2 = h2.connection.H2Connection(config)
        self.events = []
        self.heads, self.bodies, self.ended = {}, {}, set()

    def begin(self, **settings):
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings({
                getattr(h2.settings.SettingCodes, name.upper()): value
                for name, value in settings.items()})
        self.flush()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def raw(self, *frames):
        """Sends frames as they are, past the library's rules."""
        self.flush()
        self.sock.sendall(b"".join(frame.serialize() for frame in frames))

    def step(self):
        """Reads once; False at the end of the connection."""
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            tell(connection=self.number, closed=True)
            return False
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                head = dict(event.headers)
                self.heads[event.stream_id] = head
                self.bodies[event.stream_id] = b""
                tell(connection=self.number, stream=event.stream_id, method=head[":method"],
                     path=head[":path"])
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(event.stream_id)
                tell(connection=self.number, stream=event.stream_id, ended=True,
                     body=len(self.bodies[event.stream_id]))
            elif isinstance(event, h2.events.StreamReset):
                tell(connection=self.number, stream=event.stream_id, reset=int(event.error_code))
            elif isinstance(event, h2.events.ConnectionTerminated):
                tell(connection=self.number, goaway=int(event.error_code))
        self.flush()
        return True

    def until(self, condition):
        while not condition():
            if not self.step():
                return False
        return True

    def request(self, n=1):
        """Waits until so many requests have ended, and tells their streams."""
        self.until(lambda: len(self.ended) >= n)
        return sorted(self.ended)

    def answer(self, stream, body=b"hello", fields=()):
        head = [(":status", "200"), ("content-length", str(len(body))), *fields]
        self.h2.send_headers(stream, head)
        self.h2.send_data(stream, body, end_stream=True)
        self.flush()

    def serve(self, n=None):
        """Answers whatever comes, n requests at most."""
        answered = set()
        while n is None or len(answered) < n:
            for stream in sorted(self.ended - answered):
                answered.add(stream)
                self.answer(stream)
            if n is not None and len(answered) >= n:
                return
            if not self.step():
                return

    def head_frame(self, stream, fields, flags=("END_HEADERS",)):
        frame = HeadersFrame(stream)
        frame.data = hpack.Encoder().encode(fields, huffman=False)
        for flag in flags:
            frame.flags.add(flag)
        return frame

    def data_frame(self, stream, data, flags=()):
        frame = DataFrame(stream, data)
        for flag in flags:
            frame.flags.add(flag)
        return frame

    def close(self):
        self.flush()
        self.sock.shutdown(socket.SHUT_RDWR)


# ── connections that end ──


def goaway_halfway(peer):
    """Takes the first of two requests, and says so; another connection takes all."""
    peer.begin()
    if peer.number > 0:
        return peer.serve()
    first, second = peer.request(2)
    assert second > first
    peer.h2.close_connection(last_stream_id=first)
    peer.flush()
    # What was taken is finished all the same.
    head = peer.head_frame(first, OK)
    peer.raw(head, peer.data_frame(first, b"hello", ["END_STREAM"]))
    while peer.step():
        pass


def goaway_at_once(peer):
    """The first connection takes nothing at all, and closes."""
    peer.begin()
    if peer.number > 0:
        return peer.serve()
    peer.request()
    peer.h2.close_connection(last_stream_id=0)
    peer.close()


def goaway_between(peer):
    """Each connection answers one request and asks to leave it."""
    peer.begin()
    peer.serve(1)
    peer.h2.close_connection(last_stream_id=1)
    peer.flush()
    while peer.step():
        pass


def closes_in_use(peer):
    """Each connection answers one request and closes at the next, without a word."""
    peer.begin()
    peer.serve(1)
    peer.until(lambda: len(peer.heads) > 1)
    peer.sock.close()


def one_at_a_time(peer):
    peer.begin(max_concurrent_streams=1)
    peer.serve()


def held(peer):
    """Leaves requests for /held without an answer."""
    peer.begin()
    answered = set()
    while peer.step():
        for stream in peer.ended - answered:
            answered.add(stream)
            if peer.heads[stream][":path"] != "/held":
                peer.answer(stream)


# ── answers that are none ──


def answering(make):
    """A scenario that sends, to each request, what `make` makes."""

    def scenario(peer):
        peer.begin()
        answered = set()
        try:
            while True:
                for stream in sorted(peer.ended - answered):
                    answered.add(stream)
                    make(peer, stream)
                if not peer.step():
                    return
        except (OSError, h2.exceptions.ProtocolError):
            tell(connection=peer.number, closed=True)

    return scenario


def no_status(peer, stream):
    peer.raw(peer.head_frame(stream, [("content-length", "5")]),
             peer.data_frame(stream, b"hello", ["END_STREAM"]))


def upper_case(peer, stream):
    peer.raw(peer.head_frame(stream, [(":status", "200"), ("X-Upper", "1")]),
             peer.data_frame(stream, b"hello", ["END_STREAM"]))


def connection_field(peer, stream):
    peer.raw(peer.head_frame(stream, [(":status", "200"), ("connection", "close")]),
             peer.data_frame(stream, b"hello", ["END_STREAM"]))


def transfer_encoding(peer, stream):
    peer.raw(peer.head_frame(stream, [(":status", "200"), ("transfer-encoding", "chunked")]),
             peer.data_frame(stream, b"hello", ["END_STREAM"]))


def line_break(peer, stream):
    peer.raw(peer.head_frame(stream, [(":status", "200"), ("x-a", "b\r\nx-c: d")]),
             peer.data_frame(stream, b"hello", ["END_STREAM"]))


def two_lengths(peer, stream):
    fields = [(":status", "200"), ("content-length", "5"), ("content-length", "6")]
    peer.raw(peer.head_frame(stream, fields), peer.data_frame(stream, b"hello", ["END_STREAM"]))


def too_short(peer, stream):
    peer.raw(peer.head_frame(stream, OK), peer.data_frame(stream, b"hell", ["END_STREAM"]))


def too_long(peer, stream):
    peer.raw(peer.head_frame(stream, OK), peer.data_frame(stream, b"hello!", ["END_STREAM"]))


def switching(peer, stream):
    peer.raw(peer.head_frame(stream, [(":status", "101"), ("upgrade", "websocket")]))


def data_first(peer, stream):
    peer.raw(peer.data_frame(stream, b"hello", ["END_STREAM"]))


def pseudo_trailers(peer, stream):
    peer.raw(peer.head_frame(stream, [(":status", "200")]), peer.data_frame(stream, b"hello"),
             peer.head_frame(stream, [(":status", "500"), ("x-sum", "7")],
                             ["END_HEADERS", "END_STREAM"]))


def over_the_window(peer, stream):
    """More data than the stream's window allows, without asking."""
    peer.raw(peer.head_frame(stream, [(":status", "200")]))
    for _ in range(256):
        peer.raw(peer.data_frame(stream, b"x" * 16384))
    peer.raw(peer.data_frame(stream, b"", ["END_STREAM"]))


def pushing(peer, stream):
    """A promise, although the settings forbid it."""
    frame = PushPromiseFrame(stream)
    frame.promised_stream_id = 2
    frame.data = hpack.Encoder().encode(
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")])
    frame.flags.add("END_HEADERS")
    peer.raw(frame)


def endless_head(peer, stream):
    """A head that never ends: what is kept of it must be bounded."""
    peer.raw(peer.head_frame(stream, [(":status", "200")], []))
    block = hpack.Encoder().encode([(f"x-{n}", "y" * 100) for n in range(100)], huffman=False)
    for _ in range(20000):
        frame = ContinuationFrame(stream)
        frame.data = block
        peer.raw(frame)


def garbage(peer, stream):
    peer.flush()
    peer.sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello" * 10)


ANSWERS = [no_status, upper_case, connection_field, transfer_encoding, line_break, two_lengths,
           too_short, too_long, switching, data_first, pseudo_trailers, over_the_window, pushing,
           endless_head, garbage]
SCENARIOS = {scenario.__name__: scenario for scenario in
             [goaway_halfway, goaway_at_once, goaway_between, closes_in_use, one_at_a_time,
              held]}
SCENARIOS |= {make.__name__: answering(make) for make in ANSWERS}


def main():
    scenario = SCENARIOS[sys.argv[1]]
    with socket.create_server(("127.0.0.1", 0)) as server:
        tell(port=server.getsockname()[1])
        number = 0
        while True:
            sock, _ = server.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = Connection(sock, number)
            threading.Thread(target=scenario, args=[peer], daemon=True).start()
            number += 1


main()
