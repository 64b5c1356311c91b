"""A WebSocket server that echoes, by `websockets`. Prints its port; serves until its input ends.

A path of `/refuse` is answered 403; a message of "close" is answered by a close with 4001.
"""

import http
import sys
import threading

from websockets.sync.server import serve


def answer(connection, request):
    if request.path == "/refuse":
        return connection.respond(http.HTTPStatus.FORBIDDEN, "not here\n")
    return None


def choose(connection, offered):
    return "chat" if "chat" in offered else None


def echo(connection):
    for message in connection:
        if message == "close":
            connection.close(4001, "as you wish")
            return
        connection.send(message)


with serve(
    echo,
    "127.0.0.1",
    0,
    process_request=answer,
    select_subprotocol=choose,
    max_size=None,
) as server:
    print(server.socket.getsockname()[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    server.shutdown()
