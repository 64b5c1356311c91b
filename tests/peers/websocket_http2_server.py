"""A WebSocket server over HTTP/2 (RFC 8441) that echoes, by `h2`; WebSockets by `websockets`.

Prints its port; serves until its input ends. A path of `/refuse` is answered 403; a message of
"close" is answered by a close with 4001.
"""

import socket
import sys
import threading

import h2.config
import h2.connection
import h2.events
import h2.settings
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Opcode
from websockets.headers import build_extension, parse_extension
from websockets.protocol import Protocol, Side


class Socket:
    """The WebSocket on one stream."""

    def __init__(self):
        self.protocol = Protocol(Side.SERVER, max_size=None)
        self.message = b""
        self.pending = b""
        self.ends = False

    def receive(self, data):
        self.protocol.receive_data(data)
        for frame in self.protocol.events_received():
            if frame.opcode not in (Opcode.TEXT, Opcode.CONT):
                continue
            self.message += bytes(frame.data)
            if not frame.fin:
                continue
            message, self.message = self.message, b""
            if message == b"close":
                self.protocol.send_close(4001, "as you wish")
            else:
                self.protocol.send_text(message)
        self.collect()

    def receive_eof(self):
        self.protocol.receive_eof()
        self.collect()

    def collect(self):
        for data in self.protocol.data_to_send():
            self.pending += data
            self.ends |= data == b""


class Connection:
    """One HTTP/2 connection."""

    def __init__(self, connected):
        self.socket = connected
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config=config)
        code = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values={code: 1})
        self.sockets = {}

    def serve(self):
        self.h2.initiate_connection()
        self.socket.sendall(self.h2.data_to_send())
        while data := self.socket.recv(65536):
            for event in self.h2.receive_data(data):
                self.handle(event)
            for stream_id in list(self.sockets):
                self.send(stream_id)
            self.socket.sendall(self.h2.data_to_send())

    def handle(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.open(event.stream_id, dict(event.headers))
        elif isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if event.stream_id in self.sockets:
                self.sockets[event.stream_id].receive(event.data)
        elif isinstance(event, h2.events.StreamEnded):
            if event.stream_id in self.sockets:
                self.sockets[event.stream_id].receive_eof()
        elif isinstance(event, h2.events.StreamReset):
            self.sockets.pop(event.stream_id, None)

    def open(self, stream_id, head):
        assert (head[":method"], head[":protocol"]) == ("CONNECT", "websocket"), head
        assert head["sec-websocket-version"] == "13", head
        assert "sec-websocket-key" not in head and "upgrade" not in head, head
        if head[":path"] == "/refuse":
            self.h2.send_headers(stream_id, [(":status", "403"), ("content-length", "9")])
            self.h2.send_data(stream_id, b"not here\n", end_stream=True)
            return
        answer = [(":status", "200")]
        opened = Socket()
        if "chat" in head.get("sec-websocket-protocol", ""):
            answer.append(("sec-websocket-protocol", "chat"))
        if offer := head.get("sec-websocket-extensions"):
            factory = ServerPerMessageDeflateFactory()
            [(name, params), *_] = parse_extension(offer)
            params, extension = factory.process_request_params(params, [])
            answer.append(("sec-websocket-extensions", build_extension([(name, params)])))
            opened.protocol.extensions = [extension]
        self.h2.send_headers(stream_id, answer)
        self.sockets[stream_id] = opened

    def send(self, stream_id):
        opened = self.sockets[stream_id]
        while opened.pending:
            window = self.h2.local_flow_control_window(stream_id)
            room = min(window, self.h2.max_outbound_frame_size, len(opened.pending))
            if room == 0:
                return
            self.h2.send_data(stream_id, opened.pending[:room])
            opened.pending = opened.pending[room:]
        if opened.ends:
            self.h2.end_stream(stream_id)
            del self.sockets[stream_id]


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)


def accept():
    while True:
        connected, _ = listener.accept()
        threading.Thread(target=Connection(connected).serve, daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
sys.stdin.read()
