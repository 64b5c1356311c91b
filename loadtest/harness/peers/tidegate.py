"""tidegate, which is measured (TIDEGATE_BIN, or the release build of this repository)."""

import hashlib
import json
import os
import urllib.request
from pathlib import Path

from .peer import Peer


class Tidegate(Peer):
    name, version_option, reloads = "tidegate", "--version", True

    @classmethod
    def find(cls):
        return os.environ.get("TIDEGATE_BIN")

    @classmethod
    def version(cls, binary):
        """With the digest of the binary: it may be of another commit than this load test."""
        digest = hashlib.sha256(Path(binary).read_bytes()).hexdigest()
        return f"{super().version(binary)}, sha256 {digest[:16]}"

    def config(self):
        return self.preamble() + self.routes()

    def preamble(self, access_log="off"):
        """Workers, listeners and the admin API: what is the same whatever the routes."""
        s = self.setup
        tls = ""
        if s.cert:
            tls = f"""
[listener.https]
address = "127.0.0.1:{s.https}"
protocols = ["h2", "http/1.1"]
[listener.https.tls]
certificates = [{{ cert = "{s.cert}", key = "{s.key}" }}]
"""
        return f"""
[runtime]
workers = {s.workers}
[shutdown]
delay = "0s"
spread = "0s"
timeout = "1s"
[access_log]
output = "{access_log}"
[admin]
address = "127.0.0.1:{s.admin}"
[listener.http]
address = "127.0.0.1:{s.http}"
{tls}
[upstream.blue]
endpoints = ["{s.blue}"]
[upstream.green]
endpoints = ["{s.green}"]
"""

    def routes(self):
        """One route for everything, and one for what stays open while the weights change."""
        s = self.setup
        stable, canary = s.weights
        side = ""
        if s.side:
            side = f"""
[upstream.side-a]
endpoints = ["{s.side[0]}"]
[upstream.side-b]
endpoints = ["{s.side[1]}"]
[route.side]
match = {{ path = "/side/" }}
[route.side.split]
stable = {{ upstream = "side-a", weight = {stable} }}
canary = {{ upstream = "side-b", weight = {canary} }}
"""
        return f"""
[route.load]
match = {{ path = "/" }}
[route.load.split]
stable = {{ upstream = "blue", weight = {stable} }}
canary = {{ upstream = "green", weight = {canary} }}
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


class TidegatePgo(Tidegate):
    """The same, built by `loadtest/pgo`; takes part where that was run, or TIDEGATE_PGO_BIN names one."""

    name = "tidegate-pgo"

    @classmethod
    def find(cls):
        target = os.environ.get("CARGO_TARGET_DIR")
        root = Path(target) if target else Path(__file__).resolve().parents[3] / "target"
        return os.environ.get("TIDEGATE_PGO_BIN") or str(root / "pgo" / "tidegate")
