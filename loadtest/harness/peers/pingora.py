"""Pingora is a library: a proxy made with it is named by PINGORA_BIN, or found as pingora-lb.

It is called as `pingora-lb HTTP HTTPS BLUE GREEN BLUE-WEIGHT GREEN-WEIGHT WORKERS CERT KEY`, with
ports, addresses and paths, and has to do the same work as all others.
"""

from .peer import Peer


class Pingora(Peer):
    name, version_option = "pingora", "--version"
    program, variable = "pingora-lb", "PINGORA_BIN"

    def surroundings(self):
        return {"RUST_LOG": "off"}

    @classmethod
    def version(cls, binary):
        """There is no option that every such program knows, and one that does not would start."""
        return binary

    def command(self):
        s = self.setup
        return [self.binary, s.http, s.https, s.blue, s.green, *s.weights, s.workers, s.cert or "", s.key or ""]
