"""A WebSocket client over HTTP/1.1, by `websockets`.

usage: websocket_client.py URL

Talks on 20 WebSockets, with permessage-deflate; closes them in order, from either side; sees that a
refusal is one. Prints "done".
"""

import contextlib
import sys

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

N_SOCKETS = 20


def main(url):
    try:
        with connect(url + "/refuse"):
            raise AssertionError("it was not refused")
    except InvalidStatus as refused:
        assert refused.response.status_code == 403, refused.response
        assert refused.response.body == b"not here\n", refused.response

    with contextlib.ExitStack() as opened:
        talk([
            opened.enter_context(connect(url + "/ws", subprotocols=["other", "chat"], max_size=None))
            for _ in range(N_SOCKETS)
        ])
    print("done")


def talk(sockets):
    for opened in sockets:
        assert opened.subprotocol == "chat"
        assert "permessage-deflate" in opened.response.headers["sec-websocket-extensions"]
    for n, opened in enumerate(sockets):
        opened.send(f"hello {n}")
    for n, opened in enumerate(sockets):
        assert opened.recv() == f"hello {n}"
    for opened in sockets:
        large = "".join(chr(33 + n * n % 90) for n in range(200_000))
        opened.send(large)
        assert opened.recv() == large
    assert sockets[0].ping("are you there").wait(timeout=30)

    asked = sockets.pop(0)
    asked.send("close")
    try:
        asked.recv()
        raise AssertionError("it was not closed")
    except ConnectionClosed as closed:
        assert (closed.rcvd.code, closed.rcvd.reason) == (4001, "as you wish"), closed
    for opened in sockets:
        opened.close(1000, "goodbye")
        assert opened.close_code == 1000, opened.close_code


main(*sys.argv[1:])
