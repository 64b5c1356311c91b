"""A client of HTTP/1.1 by Python's http.client, all of whose requests go over one connection.

Its argument is the port. It writes a JSON list: for each request what was answered and what ought to
be, where the server is `http_server.py`.
"""

import http.client
import json
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=30)
connection.connect()
socket = connection.sock
seen = []


def ask(method, path, status, ought, body=None, headers=None):
    connection.request(method, path, body=body, headers=headers or {})
    response = connection.getresponse()
    text = response.read().decode()
    same = connection.sock is socket
    seen.append({"is": [response.status, text, same], "ought": [status, ought, True]})


ask("GET", "/a?b=c", 200, "GET\n/a?b=c\n")
ask("POST", "/length", 200, "POST\n/length\nbody", body=b"body")
ask("POST", "/chunks", 200, "POST\n/chunks\none, two", body=iter([b"one, ", b"two"]))
ask("PUT", "/nothing", 204, "", body=b"x" * 100_000)
ask("HEAD", "/head", 200, "")
ask("DELETE", "/gone", 200, "DELETE\n/gone\n")
ask("GET", "/until-close", 200, "GET\n/until-close\n")
ask("GET", "/after", 200, "GET\n/after\n", headers={"Connection": "keep-alive"})
json.dump(seen, sys.stdout)
