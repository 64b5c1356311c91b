"""The proxies side by side: each configured for the same work.

The same work is: HTTP/1.1 keep-alive on both sides, TLS with HTTP/2 and HTTP/1.1 by ALPN, two
groups by weight, X-Forwarded-For added, no access log, and as many workers as there are processors
for the proxy. Whatever else a peer does by default, it does here.
"""

import json
import os
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from .process import Failed, Process, find


@dataclass
class Setup:
    """Where a peer listens and whom it sends to."""

    folder: Path
    http: int
    https: int
    admin: int
    blue: str
    green: str
    cert: Path | None
    key: Path | None
    workers: int
    weights: tuple = (95, 5)
    side: tuple | None = None       # two more addresses, for /side/: the tunnel and the download


class Peer:
    """A proxy that was found; `start` it, and it has a process."""

    reloads = False

    def __init__(self, binary, setup, on):
        self.binary, self.setup, self.on, self.process = binary, setup, on, None

    def write(self, name, text):
        """Puts a file in place whole: whoever reads it sees the old or the new."""
        path, new = self.setup.folder / name, self.setup.folder / f"{name}.new"
        new.write_text(text)
        new.rename(path)
        return path

    def start(self):
        self.process = Process(self.command(), self.setup.folder, self.name, self.on)
        self.process.await_port(self.setup.http)
        return self

    @classmethod
    def version(cls, binary):
        done = subprocess.run([binary, cls.version_option], capture_output=True, text=True, timeout=20)
        return (done.stdout + done.stderr).strip().splitlines()[0]


class Tidegate(Peer):
    name, version_option, reloads = "tidegate", "--version", True

    @staticmethod
    def find():
        return os.environ.get("TIDEGATE_BIN")

    def config(self):
        s = self.setup
        tls = side = ""
        if s.cert:
            tls = f"""
[listener.https]
address = "127.0.0.1:{s.https}"
protocols = ["h2", "http/1.1"]
[listener.https.tls]
certificates = [{{ cert = "{s.cert}", key = "{s.key}" }}]
"""
        if s.side:
            side = f"""
[upstream.side-a]
endpoints = ["{s.side[0]}"]
[upstream.side-b]
endpoints = ["{s.side[1]}"]
[route.side]
match = {{ path = "/side/" }}
[route.side.split]
stable = {{ upstream = "side-a", weight = {s.weights[0]} }}
canary = {{ upstream = "side-b", weight = {s.weights[1]} }}
"""
        return f"""
[runtime]
workers = {s.workers}
[access_log]
output = "off"
[admin]
address = "127.0.0.1:{s.admin}"
[listener.http]
address = "127.0.0.1:{s.http}"
{tls}
[upstream.blue]
endpoints = ["{s.blue}"]
[upstream.green]
endpoints = ["{s.green}"]
[route.load]
match = {{ path = "/" }}
[route.load.split]
stable = {{ upstream = "blue", weight = {s.weights[0]} }}
canary = {{ upstream = "green", weight = {s.weights[1]} }}
{side}"""

    def command(self):
        return [self.binary, "run", "--config", self.write("tidegate.toml", self.config())]

    def reweigh(self, weights):
        """The new weights by a rename of the file alone: it is tidegate that has to notice."""
        self.setup.weights = weights
        self.write("tidegate.toml", self.config())

    def status(self):
        url = f"http://127.0.0.1:{self.setup.admin}/api/v1/status"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)

    def generation(self):
        return self.status()["generation"]

    def live_weights(self):
        variants = self.status()["routes"]["load"]["variants"]
        return variants["stable"]["weight"], variants["canary"]["weight"]


class Nginx(Peer):
    name, version_option, reloads = "nginx", "-v", True

    @staticmethod
    def find():
        return find("nginx")

    def config(self):
        s = self.setup
        tls = side = side_upstream = ""
        # nginx refuses a weight of 0; the nearest it can do is to mark the server as down.
        blue, green = (f"weight={w}" if w else "down" for w in s.weights)
        if s.cert:
            tls = (f"listen 127.0.0.1:{s.https} ssl http2 backlog=4096; ssl_certificate {s.cert}; "
                   f"ssl_certificate_key {s.key}; ssl_protocols TLSv1.2 TLSv1.3;")
        if s.side:
            side_upstream = f"upstream side {{ server {s.side[0]} {blue}; server {s.side[1]} {green}; }}"
            side = ("location /side/ { proxy_pass http://side; proxy_http_version 1.1; proxy_buffering off; "
                    "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection; }")
        temporary = "\n".join(f"    {kind}_temp_path {s.folder}/{kind};"
                              for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return f"""
daemon off;
pid {s.folder}/nginx.pid;
error_log stderr error;
worker_processes {s.workers};
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
{temporary}
    access_log off;
    server_tokens off;
    keepalive_requests 2000000000;
    keepalive_timeout 75s;
    client_body_buffer_size 32k;
    upstream load {{
        server {s.blue} {blue};
        server {s.green} {green};
        keepalive 128;
        keepalive_requests 2000000000;
    }}
    {side_upstream}
    server {{
        listen 127.0.0.1:{s.http} backlog=4096;
        {tls}
        location / {{
            proxy_pass http://load;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_buffer_size 16k;
            proxy_buffers 8 32k;
            proxy_max_temp_file_size 0;
        }}
        {side}
    }}
}}
"""

    def command(self):
        return [self.binary, "-p", self.setup.folder, "-e", "stderr", "-c", self.write("nginx.conf", self.config())]

    def reweigh(self, weights):
        import signal
        self.setup.weights = weights
        self.write("nginx.conf", self.config())
        self.process.signal(signal.SIGHUP)


class Haproxy(Peer):
    name, version_option = "haproxy", "-v"

    @staticmethod
    def find():
        return find("haproxy")

    def config(self):
        s = self.setup
        tls = ""
        if s.cert:
            both = self.write("both.pem", s.cert.read_text() + s.key.read_text())
            tls = f"bind 127.0.0.1:{s.https} ssl crt {both} alpn h2,http/1.1"
        return f"""
global
    nbthread {s.workers}
    maxconn 4096
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


KNOWN = {peer.name: peer for peer in (Tidegate, Nginx, Haproxy)}


def certificate(folder):
    """A certificate of our own for 127.0.0.1; (None, None) where there is no openssl."""
    openssl = find("openssl")
    if not openssl:
        return None, None
    cert, key = folder / "edge.crt", folder / "edge.key"
    done = subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert],
        capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"openssl made no certificate:\n{done.stderr}")
    return cert, key
