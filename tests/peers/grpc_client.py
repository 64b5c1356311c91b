"""A gRPC client by grpcio, which makes the calls of one scenario and checks what comes of them.

usage: grpc_client.py ADDRESS CA|- SCENARIO [ARGUMENT...]

With a file of authorities it speaks TLS and asks for edge.test; with "-" it does not. Prints what
the scenario has to say, and fails when something is not as it must be.
"""

import json
import sys
import threading

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

LIMIT = 60


def connect(address, ca):
    options = [
        ("grpc.ssl_target_name_override", "edge.test"),
        ("grpc.default_authority", "edge.test"),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.enable_retries", 0),
    ]
    if ca == "-":
        return grpc.insecure_channel(address, options)
    with open(ca, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    return grpc.secure_channel(address, credentials, options)


def unary(channel):
    call = channel.unary_unary("/test.Echo/Unary")
    metadata = (("x-user", "alice"), ("x-user", "bob"), ("x-bytes-bin", b"\x00\x01\xfe"))
    answer, done = call.with_call(b"hello", metadata=metadata, timeout=LIMIT)
    assert answer.endswith(b":hello"), answer
    assert done.code() == grpc.StatusCode.OK
    initial = dict(done.initial_metadata())
    trailing = dict(done.trailing_metadata())
    assert initial["x-initial"] == "one", initial
    assert trailing["x-trailing"] == "two", trailing
    assert trailing["x-bytes-bin"] == b"\x00\xff", trailing
    print(answer.decode())


def client_stream(channel):
    call = channel.stream_unary("/test.Echo/ClientStream")
    answer = call((b"x" * 1000 for _ in range(500)), timeout=LIMIT)
    assert answer == b"500:500000", answer


def server_stream(channel):
    call = channel.unary_stream("/test.Echo/ServerStream")
    answers = list(call(b"500x1000", timeout=LIMIT))
    assert len(answers) == 500
    assert answers[499] == b"499:" + b"x" * 1000


def bidi(channel):
    """One message at a time: each is answered before the next is sent."""
    turn = threading.Semaphore(1)

    def requests():
        for n in range(200):
            turn.acquire()
            yield b"%d" % n

    call = channel.stream_stream("/test.Echo/Bidi")
    n = 0
    for answer in call(requests(), timeout=LIMIT):
        assert answer == b"echo:%d" % n, answer
        n += 1
        turn.release()
    assert n == 200, n


def bidi_unread(channel):
    """A client that sends all before it reads anything: each side has its own flow control."""
    sent = threading.Event()

    def requests():
        for _ in range(64):
            yield b"x" * 64 * 1024
        sent.set()

    call = channel.stream_stream("/test.Echo/Bidi")
    answers = call(requests(), timeout=LIMIT)
    total = sum(len(answer) - len(b"echo:") for answer in answers)
    assert total == 64 * 64 * 1024, total
    assert sent.is_set()


def big(channel):
    call = channel.unary_unary("/test.Echo/Unary")
    message = bytes(range(256)) * 64 * 1024
    answer = call(message, timeout=LIMIT)
    assert answer.endswith(b":" + message), len(answer)


def fail(channel, code, message):
    call = channel.unary_unary("/test.Echo/Fail")
    try:
        call(f"{code}:{message}".encode(), timeout=LIMIT)
    except grpc.RpcError as error:
        assert error.code().value[0] == int(code), error
        assert error.details() == message, error
    else:
        raise AssertionError("it went well")


def fail_late(channel):
    call = channel.unary_stream("/test.Echo/FailLate")
    answers = call(b"", timeout=LIMIT)
    assert next(answers) == b"some of it"
    try:
        next(answers)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DATA_LOSS, error
        assert error.details() == "the rest is gone: 100 %", error
    else:
        raise AssertionError("it went well")


def deadline(channel):
    call = channel.unary_unary("/test.Echo/Hang")
    try:
        call(b"", timeout=0.3)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    else:
        raise AssertionError("it went well")


def cancel(channel):
    call = channel.stream_stream("/test.Echo/Hold")
    more = threading.Event()

    def requests():
        yield b"first"
        more.wait(LIMIT)

    answers = call(requests(), timeout=LIMIT)
    assert next(answers) == b"echo:first"
    answers.cancel()
    more.set()
    try:
        next(answers)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.CANCELLED, error
    else:
        raise AssertionError("it went well")


def health(channel, service, status):
    stub = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service=service)
    answer = stub.Check(request, timeout=LIMIT)
    assert health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status) == status, answer


def refused(channel, path, code):
    """A call that does not get through; tells its details and its metadata."""
    call = channel.unary_unary(path)
    try:
        call(b"hello", timeout=LIMIT)
    except grpc.RpcError as error:
        assert error.code().value[0] == int(code), error
        metadata = dict(error.initial_metadata() or ()) | dict(error.trailing_metadata() or ())
        print(json.dumps({"details": error.details(), "metadata": metadata}))
    else:
        raise AssertionError("it went well")


def many(channel, count):
    """Tells how many calls each server answered."""
    call = channel.unary_unary("/test.Echo/Unary")
    calls = [call.future(b"%d" % n, timeout=LIMIT) for n in range(int(count))]
    seen = {}
    for n, future in enumerate(calls):
        name, body = future.result().split(b":")
        assert body == b"%d" % n
        seen[name.decode()] = seen.get(name.decode(), 0) + 1
    print(json.dumps(seen))


def main():
    address, ca, scenario, *arguments = sys.argv[1:]
    with connect(address, ca) as channel:
        globals()[scenario](channel, *arguments)


main()
