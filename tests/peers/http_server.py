"""A server of HTTP/1 by Python's http.server, which answers with what it got.

Its argument is the version that it speaks. It writes its port in a line of its own and serves until
it is ended. The answer is the method, the path and the body, each in a line.
"""

import http.server
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = sys.argv[1]

    def body(self):
        if self.headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return body
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def answer(self):
        text = f"{self.command}\n{self.path}\n".encode() + self.body()
        self.send_response(204 if self.path == "/nothing" else 200)
        if self.path == "/nothing":
            text = b""
        elif self.path != "/until-close":
            self.send_header("content-length", str(len(text)))
        else:
            self.close_connection = True
            self.send_header("connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
