"""HAProxy (HAPROXY_BIN, or haproxy); it may splice bodies in the kernel."""

from .peer import Peer


class Haproxy(Peer):
    name, version_option = "haproxy", "-v"
    program, variable = "haproxy", "HAPROXY_BIN"

    def config(self):
        s = self.setup
        tls = ""
        if s.cert:
            both = self.write("both.pem", s.cert.read_text() + s.key.read_text())
            tls = f"bind 127.0.0.1:{s.https} ssl crt {both} alpn h2,http/1.1"
        return f"""
global
    nbthread {s.workers}
    maxconn {s.clients}
    no strict-limits
defaults
    mode http
    option forwardfor
    option splice-auto
    http-reuse always
    timeout connect 2s
    timeout client 75s
    timeout server 30s
frontend edge
    bind 127.0.0.1:{s.http}
    {tls}
    default_backend load
backend load
    server stable {s.blue} weight {s.weights[0]}
    server canary {s.green} weight {s.weights[1]}
"""

    def command(self):
        return [self.binary, "-db", "-f", self.write("haproxy.cfg", self.config())]
