"""Whether requests used a feature, seen from outside: what clients got, what the origin saw, what counters say.

A check takes the counters before and after a run and what the generator saw in it, and gives
complaints; none is good.
"""

import re
import time
import urllib.request
from pathlib import Path

from .process import Failed

# Requests under way at once: what was sent and what was counted may differ by so many.
EDGE = 128
# What proves that edits were made: fields that arrive at the origin, and at the client.
AT_ORIGIN, AT_CLIENT = ("x-env", "x-tag", "x-debug"), ("set-cookie", "strict-transport-security", "vary")
# The counters that prove something.
FAMILIES = ("tidegate_requests_total", "tidegate_selections_total", "tidegate_rule_matches_total", "tidegate_upstream_attempts_total",
            "tidegate_config_generation")


def scrape(peer):
    with urllib.request.urlopen(f"http://127.0.0.1:{peer.setup.admin}/metrics", timeout=120) as answer:
        return answer.read()


def counters(peer):
    """{(family, labels): value} of the counters that prove something."""
    found = {}
    for line in scrape(peer).decode().splitlines():
        if line.startswith(FAMILIES):
            name, _, value = line.rpartition(" ")
            family, _, labels = name.partition("{")
            found[family, labels] = float(value)
    return found


def log_lines(peer):
    path = Path(peer.setup.folder) / "access.log"
    return sum(chunk.count(b"\n") for chunk in pieces(path)) if path.exists() else 0


def pieces(path):
    with open(path, "rb") as log:
        while chunk := log.read(1 << 20):
            yield chunk


def logged(peer, patience=10):
    """The lines of the log, once there is one for each request that has ended.

    A moment after a run there are still lines on their way to the file, and requests that the
    generator has left behind.
    """
    end = time.monotonic() + patience
    while True:
        ended = sum(value for (family, _), value in counters(peer).items() if family == "tidegate_requests_total")
        lines = log_lines(peer)
        if lines == ended:
            return lines
        if time.monotonic() > end:
            raise Failed(f"the log has {lines} lines of {ended:.0f} requests")
        time.sleep(0.05)


def near(what, got, wanted):
    return [] if abs(got - wanted) <= EDGE else [f"{what}: {got}, not {wanted:.0f}"]


def grown(before, after, name, **labels):
    """By how much a counter grew, over all series with these labels."""
    def total(of):
        return sum(value for (family, text), value in of.items()
                   if family == name and all(f'{key}="{one}"' in text for key, one in labels.items()))
    return total(after) - total(before)


def sticky(new, hashed):
    """`new` is the share of requests without an identity, `hashed` of those that are decided by a hash."""
    def check(before, after, seen):
        found = near("cookies that clients got", seen["fields"].get("set-cookie", 0), new * seen["requests"])
        found += near("requests by hash", grown(before, after, "tidegate_selections_total", selection="hash"), hashed * seen["requests"])
        return found + ([f"{seen['wavering']} users were on two variants"] if seen["wavering"] > new * seen["lines"] else [])
    return check


def force(share):
    return lambda before, after, seen: near(
        "forced requests", grown(before, after, "tidegate_selections_total", selection="forced"), share * seen["requests"])


def segments(share):
    return lambda before, after, seen: near(
        "requests by a rule", grown(before, after, "tidegate_rule_matches_total"), share * seen["requests"])


def edits(_before, _after, seen):
    found = []
    for name, wanted in (("x-env", 1), ("x-tag", 1), ("x-debug", 0)):
        found += near(f"{name} at the origin", seen["at_origin"][name], wanted * seen["requests"])
    for name in ("strict-transport-security", "vary"):
        found += near(f"{name} at the client", seen["fields"][name], seen["requests"])
    return found


def routes(count):
    def check(before, after, _seen):
        busy = {text for (family, text), value in after.items()
                if family == "tidegate_selections_total" and value > before.get((family, text), 0)}
        routes = {re.search(r'route="([^"]*)"', text)[1] for text in busy}
        return [] if len(routes) == count else [f"{len(routes)} of {count} routes had a request"]
    return check


def upstreams(count):
    def check(_before, after, _seen):
        busy = {re.search(r'upstream="([^"]*)"', text)[1] for (family, text), value in after.items()
                if family == "tidegate_upstream_attempts_total" and value}
        return [] if len(busy) == count else [f"{len(busy)} of {count} upstreams had a request"]
    return check


def all_of(*checks):
    return lambda before, after, seen: [problem for check in checks for problem in check(before, after, seen)]
