"""An HTTP/2 client by the h2 package, whose frames are cut as no library would cut them.

usage: h2_client.py PORT SCENARIO

It speaks HTTP/2 without TLS by prior knowledge. Fails when something is not as it must be.
"""

import socket
import sys

import h2.config
import h2.connection
import h2.events
import hpack
from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame

HEAD = [(":method", "POST"), (":scheme", "http"), (":authority", "edge.test"), (":path", "/a?b=c")]


class Client:
    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = h2.config.H2Configuration(header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.flush()
        self.status, self.body, self.trailers, self.ended = None, b"", {}, None

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def answer(self):
        """Reads until the stream has ended, by itself or by a reset."""
        while self.ended is None:
            data = self.sock.recv(65536)
            assert data, "the connection was closed"
            for event in self.h2.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    self.status = dict(event.headers)[":status"]
                elif isinstance(event, h2.events.DataReceived):
                    self.body += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length,
                                                      event.stream_id)
                elif isinstance(event, h2.events.TrailersReceived):
                    self.trailers = dict(event.headers)
                elif isinstance(event, h2.events.StreamEnded):
                    self.ended = "clean"
                elif isinstance(event, h2.events.StreamReset):
                    self.ended = int(event.error_code)
            self.flush()


def in_pieces(client):
    """A head of many fragments, and padded data of a byte each."""
    fields = HEAD + [("x-long", "y" * 3000), ("x-last", "z"), ("content-length", "5")]
    client.h2.send_headers(1, HEAD + [("content-length", "5")])
    client.h2.data_to_send()
    block = hpack.Encoder().encode(fields)
    frame = HeadersFrame(1, block[:7], flags=["PRIORITY"], stream_weight=3)
    client.sock.sendall(frame.serialize())
    for at in range(7, len(block), 500):
        frame = ContinuationFrame(1, block[at:at + 500])
        if at + 500 >= len(block):
            frame.flags.add("END_HEADERS")
        client.sock.sendall(frame.serialize())
    for n, byte in enumerate(b"hello"):
        frame = DataFrame(1, bytes([byte]), flags=["PADDED"], pad_length=200)
        if n == 4:
            frame.flags.add("END_STREAM")
        client.sock.sendall(frame.serialize())
    client.answer()
    assert (client.status, client.body) == ("200", b"hello"), (client.status, client.body)


def small_window(client):
    """A client that takes a large answer in small bites."""
    client.h2.send_headers(1, [(":method", "GET"), *HEAD[1:]], end_stream=True)
    client.flush()
    client.answer()
    assert client.ended == "clean", client.ended
    assert client.status == "200"
    assert len(client.body) == 3_000_000, len(client.body)


def main():
    port, scenario = sys.argv[1:]
    globals()[scenario](Client(int(port)))


main()
