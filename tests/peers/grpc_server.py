"""A gRPC server by grpcio, with generic handlers over raw bytes: no protoc.

usage: grpc_server.py NAME

Prints its port, and then one line of JSON for each call that it saw: as it began, and as it ended.
"""

import json
import sys
import threading
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

NAME = sys.argv[1].encode()
LOCK = threading.Lock()


def tell(**event):
    with LOCK:
        print(json.dumps(event), flush=True)


def begin(context, method):
    """Notes a call with its metadata, and how it ends."""
    metadata = {key: value if isinstance(value, str) else value.hex()
                for key, value in context.invocation_metadata()}
    tell(began=method, metadata=metadata, peer=context.peer())
    ended = threading.Event()

    def end():
        tell(ended=method, cancelled=not finished.is_set())
        ended.set()

    finished = threading.Event()
    context.add_callback(end)
    return finished, ended


def unary(request, context):
    finished, _ = begin(context, "unary")
    context.send_initial_metadata((("x-initial", "one"), ("x-served-by", NAME.decode())))
    context.set_trailing_metadata((("x-trailing", "two"), ("x-bytes-bin", b"\x00\xff")))
    finished.set()
    return NAME + b":" + request


def client_stream(requests, context):
    finished, _ = begin(context, "client_stream")
    parts = [part for part in requests]
    finished.set()
    return b"%d:%d" % (len(parts), sum(len(part) for part in parts))


def server_stream(request, context):
    finished, _ = begin(context, "server_stream")
    count, size = (int(word) for word in request.split(b"x"))
    for n in range(count):
        yield b"%d:" % n + b"x" * size
    finished.set()


def bidi(requests, context):
    finished, _ = begin(context, "bidi")
    for request in requests:
        yield b"echo:" + request
    finished.set()


def hold(requests, context):
    """Goes on when the requests end: the call ends only by being cancelled."""
    _, ended = begin(context, "hold")
    for request in requests:
        yield b"echo:" + request
    ended.wait(60)


def fail(request, context):
    finished, _ = begin(context, "fail")
    code, message = request.decode().split(":", 1)
    codes = {code.value[0]: code for code in grpc.StatusCode}
    finished.set()
    context.abort(codes[int(code)], message)


def fail_late(request, context):
    finished, _ = begin(context, "fail_late")
    yield b"some of it"
    finished.set()
    context.abort(grpc.StatusCode.DATA_LOSS, "the rest is gone: 100 %")


def hang(request, context):
    _, ended = begin(context, "hang")
    ended.wait(60)
    return b""


HANDLERS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
    "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
    "Bidi": grpc.stream_stream_rpc_method_handler(bidi),
    "Hold": grpc.stream_stream_rpc_method_handler(hold),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "FailLate": grpc.unary_stream_rpc_method_handler(fail_late),
    "Hang": grpc.unary_unary_rpc_method_handler(hang),
}


def main():
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=32),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("test.Echo", HANDLERS),))
    service = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(service, server)
    service.set("test.Echo", health_pb2.HealthCheckResponse.SERVING)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    tell(port=port)
    server.wait_for_termination()


main()
