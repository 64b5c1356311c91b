"""A WebSocket client over HTTP/2 (RFC 8441), by `h2`; the frames of WebSockets by `websockets`.

usage: websocket_http2.py HOST PORT [CA]; with CA over TLS, for edge.test

Opens 20 WebSockets on one connection and talks on all of them, one with permessage-deflate; closes
them in order, from either side; sees that a refusal is one. Prints "done".
"""

import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Close, Frame, Opcode
from websockets.headers import build_extension, parse_extension

N_SOCKETS = 20


class Connection:
    """One HTTP/2 connection."""

    def __init__(self, host, port, ca):
        self.socket = socket.create_connection((host, port), timeout=30)
        self.scheme = "http"
        if ca:
            context = ssl.create_default_context(cafile=ca)
            context.set_alpn_protocols(["h2", "http/1.1"])
            self.socket = context.wrap_socket(self.socket, server_hostname="edge.test")
            assert self.socket.selected_alpn_protocol() == "h2"
            self.scheme = "https"
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config=config)
        self.h2.initiate_connection()
        self.streams = {}
        self.is_told = False
        self.flush()
        while not self.is_told:
            self.step()
        code = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL
        assert self.h2.remote_settings[code] == 1, self.h2.remote_settings

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def step(self):
        """Reads once."""
        data = self.socket.recv(65536)
        assert data, "the connection was closed"
        for event in self.h2.receive_data(data):
            self.is_told |= isinstance(event, h2.events.RemoteSettingsChanged)
            stream = self.streams.get(getattr(event, "stream_id", None))
            if isinstance(event, h2.events.ConnectionTerminated):
                raise AssertionError(event)
            if stream is None:
                continue
            if isinstance(event, h2.events.ResponseReceived):
                stream.head = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                stream.data += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                stream.ended = True
            elif isinstance(event, h2.events.StreamReset):
                stream.reset = event.error_code
        self.flush()

    def open(self, path, fields=()):
        stream = Stream(self, path, fields)
        while stream.head is None:
            self.step()
        return stream


class Stream:
    """One stream, and the WebSocket on it."""

    def __init__(self, connection, path, fields):
        self.connection = connection
        self.id = connection.h2.get_next_available_stream_id()
        self.head, self.data, self.ended, self.reset = None, b"", False, None
        self.extensions = []
        connection.streams[self.id] = self
        head = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", connection.scheme),
            (":path", path),
            (":authority", "edge.test"),
            ("sec-websocket-version", "13"),
            ("origin", f"{connection.scheme}://edge.test"),
        ]
        connection.h2.send_headers(self.id, head + list(fields), end_stream=False)
        connection.flush()

    def send(self, frame):
        data = frame.serialize(mask=True, extensions=self.extensions)
        while data:
            window = self.connection.h2.local_flow_control_window(self.id)
            room = min(window, self.connection.h2.max_outbound_frame_size, len(data))
            if room == 0:
                self.connection.step()
                continue
            self.connection.h2.send_data(self.id, data[:room])
            self.connection.flush()
            data = data[room:]

    def receive(self):
        reader = Frame.parse(self.take, mask=False, extensions=self.extensions)
        try:
            while True:
                next(reader)
        except StopIteration as done:
            return done.value

    def take(self, n):
        while len(self.data) < n:
            assert not self.ended and self.reset is None, (self.ended, self.reset)
            self.connection.step()
            yield
        taken, self.data = self.data[:n], self.data[n:]
        return taken

    def echo(self, text):
        self.send(Frame(Opcode.TEXT, text.encode()))
        frame = self.receive()
        while not frame.fin:
            more = self.receive()
            frame = Frame(frame.opcode, bytes(frame.data) + bytes(more.data), more.fin)
        assert bytes(frame.data).decode() == text, frame

    def end(self):
        """The end of the stream, after the closing handshake."""
        self.connection.h2.end_stream(self.id)
        self.connection.flush()
        while not self.ended and self.reset is None:
            self.connection.step()
        assert self.ended or self.reset == 0, self.reset


def main(host, port, ca=None):
    connection = Connection(host, int(port), ca)

    refused = connection.open("/refuse")
    assert refused.head[":status"] == "403", refused.head
    while not refused.ended:
        connection.step()
    assert refused.data == b"not here\n", refused.data

    sockets = [connection.open("/ws") for _ in range(N_SOCKETS)]
    for stream in sockets:
        assert stream.head[":status"] == "200", stream.head
        assert "sec-websocket-accept" not in stream.head, stream.head
    for n, stream in enumerate(sockets):
        stream.send(Frame(Opcode.TEXT, f"hello {n}".encode()))
    for n, stream in enumerate(sockets):
        assert bytes(stream.receive().data) == f"hello {n}".encode()
    for stream in sockets:
        stream.echo("x" * 300_000)

    factory = ClientPerMessageDeflateFactory(client_max_window_bits=True)
    offer = build_extension([(factory.name, factory.get_request_params())])
    fields = [("sec-websocket-extensions", offer), ("sec-websocket-protocol", "other, chat")]
    deflated = connection.open("/ws", fields)
    assert deflated.head[":status"] == "200", deflated.head
    assert deflated.head["sec-websocket-protocol"] == "chat", deflated.head
    [(name, params)] = parse_extension(deflated.head["sec-websocket-extensions"])
    assert name == factory.name
    deflated.extensions = [factory.process_response_params(params, [])]
    deflated.echo("deflated " * 10_000)
    sockets.append(deflated)

    sockets.append(connection.open("/ws"))
    sockets[-1].echo("one more, while others are open")

    sockets[0].send(Frame(Opcode.PING, b"are you there"))
    pong = sockets[0].receive()
    assert (pong.opcode, bytes(pong.data)) == (Opcode.PONG, b"are you there"), pong

    # Closed by the server, and then by the client.
    asked = sockets.pop(0)
    asked.send(Frame(Opcode.TEXT, b"close"))
    close = Close.parse(bytes(asked.receive().data))
    assert (close.code, close.reason) == (4001, "as you wish"), close
    asked.send(Frame(Opcode.CLOSE, close.serialize()))
    asked.end()
    for stream in sockets:
        stream.send(Frame(Opcode.CLOSE, Close(1000, "goodbye").serialize()))
        frame = stream.receive()
        assert frame.opcode is Opcode.CLOSE, frame
        assert Close.parse(bytes(frame.data)).code == 1000, frame
        stream.end()

    print("done")


main(*sys.argv[1:])
