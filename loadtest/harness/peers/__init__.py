"""The proxies side by side: each configured for the same work.

The same work is: HTTP/1.1 keep-alive on both sides, TLS with HTTP/2 and HTTP/1.1 by ALPN, two
groups by weight, X-Forwarded-For added, no access log, and as many workers as there are processors
for the proxy. Whatever else a peer does by default, it does here.
"""

import subprocess

from ..process import Failed, find
from .caddy import Caddy
from .envoy import Envoy
from .haproxy import Haproxy
from .nginx import Nginx
from .peer import Setup  # noqa: F401  (this is the door)
from .pingora import Pingora
from .tidegate import Tidegate, TidegatePgo
from .traefik import Traefik

OWN = (Tidegate.name, TidegatePgo.name)
KNOWN = {peer.name: peer for peer in (Tidegate, TidegatePgo, Nginx, Haproxy, Envoy, Traefik, Caddy, Pingora)}


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
