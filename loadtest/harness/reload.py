"""reload-under-load: the weights change again and again, and nobody may notice.

While wrk (HTTP/1.1), h2load (HTTP/2 over TLS) and our own generator (a fixed rate, so that a stall
is seen by all it delays) drive the proxy, and a WebSocket and a slow download are open, the file is
rewritten by rename with new weights. Every check below has to hold.
"""

import json
import subprocess
import sys
import time

from . import report, tools
from .measure import Origin, tolerance
from .peers import KNOWN, Setup
from .process import Failed, Process, client_ports, find, free_ports

SIDE = "harness/side.py"
# The canary's weights out of 100, one after the other. Only the last is the usual one again.
CANARY = (10, 25, 50, 75, 99, 60, 33, 15, 1, 0, 20, 45, 90, 66, 5)
# Traffic before the first rewrite and after the last.
MARGIN = 1.5
# What is in flight at a change may be answered this long after it, by weights of before.
EDGE = 0.015
# How long weights stay in force at least, also on a machine that is too slow for the pace.
LEAST = 0.08
# How long a peer without an admin API is given to obey a new file.
BLIND = 0.06


def canary_weights(count):
    return [CANARY[n % len(CANARY)] for n in range(count - 1)] + [5]


def python_with_websockets(folder, here):
    """An interpreter that has the `websockets` package: this one, or a new venv's; else this one."""
    if subprocess.run([sys.executable, "-c", "import websockets"], capture_output=True).returncode == 0:
        return sys.executable
    venv = here / "target" / "venv"
    python = venv / "bin" / "python3"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], capture_output=True)
    if python.exists():
        has = subprocess.run([python, "-c", "import websockets"], capture_output=True).returncode == 0
        got = has or subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "websockets"],
                                    capture_output=True, timeout=120).returncode == 0
        if got:
            return str(python)
    return sys.executable


def compare(name, scenario, peers, _origin, options, cert, record):
    """Runs it for each peer that can reload a file; [what does not hold for tidegate]."""
    if options.smoke:
        scenario = {**scenario, "rewrites": 10, "seconds": 2}
    wrong = []
    for peer_name, binary in peers.items():
        if not KNOWN[peer_name].reloads or (options.smoke and peer_name != "tidegate"):
            continue
        try:
            figures = run(scenario, peer_name, binary, options, cert)
        except Failed as problem:
            wrong += [f"{name}: {problem}"] if peer_name == "tidegate" else []
            record.add(peer_name, f"## {name}, {peer_name}: it did not run to its end\n\n{problem}\n", {})
            continue
        results = checks(figures)
        figures["checks"] = [{"check": check, "holds": holds, "numbers": numbers} for check, holds, numbers in results]
        record.add(peer_name, told(name, peer_name, figures, results), figures)
        if peer_name == "tidegate":
            wrong += [f"{name}: not so: {check} ({numbers})" for check, holds, numbers in results if not holds]
    return wrong


def told(name, peer_name, figures, results):
    """Its tables."""
    verdict = "PASS" if all(holds for _, holds, _ in results) else "FAIL"
    rows = [[check, "PASS" if holds else "FAIL", numbers] for check, holds, numbers in results]
    loads = [[load, f"{s['requests']}", f"{s['rps']:.0f}", str(s["errors"]), str(s["non_2xx"]),
              *(f"{s[key]:.0f}" if s.get(key) is not None else "" for key in ("p50_us", "p99_us", "p999_us"))]
             for load, s in figures["generators"].items()]
    heads = ["generator", "requests", "req/s", "failed", "non-2xx", "p50 µs", "p99 µs", "p99.9 µs"]
    return (f"## {name}, {peer_name}: {verdict}\n\n{figures['rewrites']} rewrites in {figures['span_s']} s; "
            f"from rename to live, ms: {figures['to_live_ms'] or 'not known'}; PSS KiB before and after: {figures['memory_kib']}\n\n"
            f"{report.markdown(['check', '', 'numbers'], rows)}\n\n{report.markdown(heads, loads)}\n")


def run(scenario, peer_name, binary, options, cert):
    """Runs it against one peer; the figures, without `checks`."""
    folder = options.folder / f"reload-{peer_name}"
    folder.mkdir()
    rewrites, span = scenario["rewrites"], scenario["seconds"]
    python = python_with_websockets(folder, options.here)
    http, https, admin, side_a, side_b = free_ports(5)
    started = []
    try:
        origin = Origin(options.load_binary, folder, None)
        started.append(origin.process)
        side = Process([sys.executable, options.here / SIDE, "serve", side_a, side_b], folder, "side")
        started.append(side)
        side.await_port(side_a)
        side.await_port(side_b)
        setup = Setup(folder, http, https, admin, origin.address(0), origin.address(1), *cert, workers=2,
                      side=(f"127.0.0.1:{side_a}", f"127.0.0.1:{side_b}"))
        peer = KNOWN[peer_name](binary, setup, None)
        peer.start()
        started.append(peer.process)
        return watch(peer, origin, python, rewrites, span, options, folder)
    finally:
        for process in reversed(started):
            process.end()


def generators(peer):
    """What drives the proxy, as far as it is installed."""
    chosen = {"own (open loop)": {"tool": "own", "mode": "open", "rate": 1000, "connections": 32}}
    if find("wrk"):
        chosen["wrk (HTTP/1.1)"] = {"tool": "wrk", "connections": 24}
    if find("h2load") and peer.setup.cert:
        chosen["h2load (HTTP/2, TLS)"] = {"tool": "h2load", "tls": True, "connections": 4, "streams": 8}
    return chosen


def watch(peer, origin, python, rewrites, span, options, folder):
    knows = hasattr(peer, "generation")
    seconds = round(span + 2 * MARGIN)
    chosen, setup = generators(peer), peer.setup
    memory = peer.process.memory_kib()
    before = peer.generation() if knows else 0
    began = time.time()
    loads = {name: tools.start(tools.command(s, options.load_binary, setup.http, setup.https, seconds, folder))
             for name, s in chosen.items()}
    sides = {what: subprocess.Popen([python, str(options.here / SIDE), what, str(setup.http), str(seconds)],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
             for what in ("websocket", "download")}
    # Connections are compared in the middle of the run: all are open by then, and none has ended.
    time.sleep(MARGIN)
    open_first = client_ports({setup.http, setup.https})
    epochs, took = rewrite(peer, rewrites, span, knows)
    open_last = client_ports({setup.http, setup.https})
    seen = {name: tools.finish(child, chosen[name], folder, seconds) for name, child in loads.items()}
    aside = {what: json.loads(child.communicate(timeout=60)[0] or "{}") for what, child in sides.items()}
    ended = time.time()
    after = peer.generation() if knows else None
    timeline = origin.ask("/_timeline")
    return {
        "peer": peer.name, "rewrites": rewrites, "span_s": round(epochs[-1]["until"] - epochs[0]["at"], 2),
        "generators": seen, "side": aside, "seconds": round(ended - began, 2), "generations": [before, after],
        "to_live_ms": spread(took), "memory_kib": [memory, peer.process.memory_kib()],
        "connections": {"compared": len(open_first), "gone": len(open_first - open_last), "new": len(open_last - open_first)},
        "shares": shares(epochs, timeline), "last_weights": list(peer.live_weights()) if knows else None,
    }


def rewrite(peer, count, span, knows):
    """Rewrites the file `count` times in `span` seconds; when each was in force, and how soon."""
    epochs, took, step = [], [], span / count
    start = time.monotonic()
    for n, canary in enumerate(canary_weights(count)):
        wait = start + n * step - time.monotonic()
        if epochs:
            wait = max(wait, epochs[-1]["live"] + LEAST - time.time())
        if wait > 0:
            time.sleep(wait)
        generation, at = peer.generation() if knows else None, time.time()
        if epochs:
            epochs[-1]["until"] = at
        peer.reweigh((100 - canary, canary))
        if knows:
            limit = time.monotonic() + 5
            while peer.generation() == generation:
                if time.monotonic() > limit:
                    raise Failed(f"rewrite {n + 1} of {count} was not obeyed within 5 s\n{peer.process.said()}")
                time.sleep(0.001)
            took.append(1000 * (time.time() - at))
        else:
            time.sleep(BLIND)
        epochs.append({"canary": canary / 100, "at": at, "live": time.time(), "until": None})
    time.sleep(max(LEAST, start + count * step - time.monotonic()))
    epochs[-1]["until"] = time.time()
    return epochs, took


def shares(epochs, timeline):
    """For each time that weights were in force: the share they ask for and the one they got."""
    width, found = timeline["slice_ms"] / 1000, []
    for epoch in epochs:
        first, last = epoch["live"] + EDGE, epoch["until"] - EDGE
        inside = [row for row in timeline["slices"] if first <= row[0] / 1000 and row[0] / 1000 + width <= last]
        blue, green = sum(row[1] for row in inside), sum(row[2] for row in inside)
        if blue + green:
            got, wanted = green / (blue + green), epoch["canary"]
            allowed = tolerance(wanted, blue + green)
            found.append({"wanted": wanted, "got": round(got, 4), "requests": blue + green,
                          "holds": abs(got - wanted) <= allowed, "off": round(abs(got - wanted), 4)})
    return found


def spread(values):
    if not values:
        return None
    values = sorted(values)
    return {"p50": round(values[len(values) // 2], 1), "max": round(values[-1], 1)}


def checks(figures):
    """[(sentence, holds, numbers)]: what "nobody notices" means."""
    own, all_seen = figures["generators"]["own (open loop)"], figures["generators"].values()
    websocket, download = figures["side"]["websocket"], figures["side"]["download"]
    before, after = figures["generations"]
    connections, shares_seen = figures["connections"], figures["shares"]
    off = [one for one in shares_seen if not one["holds"]]
    total = sum(seen["requests"] + seen["errors"] for seen in all_seen)
    failed = sum(seen["errors"] for seen in all_seen)
    non_2xx = sum(seen["non_2xx"] for seen in all_seen)
    found = [
        ("no request failed", failed == 0 and total > 0, f"{failed} of {total}"),
        ("every response was 2xx", non_2xx == 0, f"{non_2xx} were not"),
        ("no connection was closed by the proxy",
         own["announced_closes"] == 0 and own["errors_by_cause"]["closed"] == 0 and connections["gone"] == 0
         and connections["compared"] > 0,
         f"{connections['compared']} open before the first rewrite, {connections['gone']} of them gone after the last"),
        ("the WebSocket stayed open and echoed everything",
         websocket.get("said", 0) > 0 and websocket.get("said") == websocket.get("heard") and websocket.get("close_code") == 1000,
         str(websocket)),
        ("the slow download came whole and right", download.get("right") is True, str(download)),
        ("shares followed the weights", bool(shares_seen) and not off,
         f"{len(shares_seen) - len(off)} of {len(shares_seen)} spans; furthest off {max((s['off'] for s in shares_seen), default=1):.4f}"),
        ("every span of weights was seen", len(shares_seen) == figures["rewrites"], f"{len(shares_seen)} of {figures['rewrites']}"),
    ]
    if after is not None:
        found.append(("each rewrite made one generation", after - before == figures["rewrites"], f"{before} → {after}"))
        found.append(("the last weights are live", figures["last_weights"] == [95, 5], str(figures["last_weights"])))
    return found
