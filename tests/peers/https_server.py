"""A server of HTTP/1.1 over TLS by Python's ssl (OpenSSL), which answers with what it saw.

It writes its port in a line of its own and serves until it is ended. The answer is a JSON object: the
name that was asked for (sni), the version of TLS, the cipher suite, the protocol of ALPN, the subject
and the issuer of the client's certificate, and the request's line, fields and body.
"""

import argparse
import http.server
import json
import ssl

parser = argparse.ArgumentParser()
parser.add_argument("--cert", required=True)
parser.add_argument("--key", required=True)
parser.add_argument("--client-ca", help="clients must have a certificate from here")
parser.add_argument("--version", choices=["TLSv1_1", "TLSv1_2", "TLSv1_3"], help="speak no other")
arguments = parser.parse_args()

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(arguments.cert, arguments.key)
context.set_alpn_protocols(["http/1.1"])
if arguments.client_ca:
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(arguments.client_ca)
if arguments.version:
    # Without it OpenSSL has no cipher suite for the old ones.
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[arguments.version]

names = {}


def remember(connection, name, _context):
    names[connection] = name


context.sni_callback = remember


def words(name):
    return {key: value for part in name or () for key, value in part}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length).decode()
        client = self.connection.getpeercert() or {}
        saw = {
            "sni": names.get(self.connection),
            "version": self.connection.version(),
            "cipher": self.connection.cipher()[0],
            "alpn": self.connection.selected_alpn_protocol(),
            "client": words(client.get("subject")),
            "issuer": words(client.get("issuer")),
            "line": self.requestline,
            "fields": [[name.lower(), value] for name, value in self.headers.items()],
            "body": body,
        }
        body = json.dumps(saw).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def finish_request(self, request, client_address):
        try:
            secure = context.wrap_socket(request, server_side=True)
        except (ssl.SSLError, OSError):
            return
        with secure:
            super().finish_request(secure, client_address)

    def handle_error(self, *_):
        pass


server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
