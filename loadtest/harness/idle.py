"""Memory of idle connections: every peer in turn, with more and more of them; a table and a chart.

What counts is the proportional set size of the proxy's processes before the first connection and
with all of them, two seconds after the last one's request. The kernel's memory of a socket is in
nobody's figure. Once is enough: memory hardly varies from run to run.
"""

import json
import subprocess
import sys
import time

from . import goals, measure, plot, report
from .peers import OWN
from .process import Failed, allow_files, apart

HOLD = "harness/hold.py"
# Descriptors that a proxy needs besides those of clients.
SPARE = 600
SETTLE = 2.0
# One process of holders has memory and descriptors for this many.
PER_HOLDER = 10_000


class Holders:
    """The processes that hold the connections of one peer."""

    def __init__(self, kind, port, options, count):
        argv = [sys.executable, str(options.here / HOLD), kind, str(port)]
        self.children = [
            subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(-(-count // PER_HOLDER))]

    def reach(self, count, how):
        """That many connections in all; {open, failed, closed}."""
        total = {"open": 0, "failed": 0, "closed": 0}
        for index, child in enumerate(self.children):
            of_this = count // len(self.children) + (index < count % len(self.children))
            child.stdin.write(f"{of_this} {how}\n")
            child.stdin.flush()
        for child in self.children:
            line = child.stdout.readline()
            if not line:
                raise Failed("who holds the connections has ended")
            for key, value in json.loads(line).items():
                total[key] += value
        return total

    def end(self):
        for child in self.children:
            child.stdin.close()
        for child in self.children:
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()


def counts_within(counts, most):
    """The counts, as far as the limit of open files lets a proxy have so many clients."""
    return sorted({min(count, most - SPARE) for count in counts})


def one(peer, kind, counts, how, options, on):
    """[{connections, how, kib, per_connection, …}] for one running peer, with more and more connections."""
    port = peer.setup.http if kind == "plain" else peer.setup.https
    # One request first, so that what is made once is made; it is in no connection's figure.
    measure.warm(peer, {"connections": 4, "size": 200}, options, 0.5, on)
    settle = SETTLE if not options.smoke else SETTLE / 10
    time.sleep(settle / 4)
    empty = peer.process.memory_kib()
    rows = []
    holders = Holders(kind, port, options, counts[-1])
    try:
        for count in counts:
            began = time.monotonic()
            seen = holders.reach(count, how)
            took = time.monotonic() - began
            time.sleep(settle)
            kib, before = peer.process.memory_kib(), peer.process.cpu()
            time.sleep(settle / 2)
            _, _, spent, _ = peer.process.cpu().since(before)
            rows.append({"connections": seen["open"], "how": how, "kib": kib, "empty_kib": empty, "per_connection": (kib - empty) / max(1, seen["open"]),
                         "failed": seen["failed"], "closed": seen["closed"], "opened_in_s": round(took, 1),
                         "busy_while_idle": spent / (settle / 2)})
    finally:
        holders.end()
    return rows


def run(name, scenario, peers, origin, options, cert, record):
    """One kind of connection for all peers; [what is wrong with tidegate]."""
    kind, wrong, left_out, found = scenario["connections"], [], {}, {}
    proxy_on, load_on = apart(options)
    counts = [50] if options.smoke else counts_within(scenario["counts"], allow_files())
    # A burst first and by itself: what it leaves behind is not to be in the figures of the calm.
    ways = [("burst", counts[:1]), ("calm", counts)]
    for peer_name, binary in peers.items():
        for how, of_these in ways:
            running, why = measure.start(f"{name}-{how}", {peer_name: binary}, origin, options, cert, proxy_on,
                                         clients=counts[-1] + SPARE // 2)
            left_out.update(why)
            try:
                for peer in running.values():
                    rows = one(peer, kind, of_these, how, options, load_on)
                    found.setdefault(peer_name, []).extend(rows)
                    print(f"  {name} {peer_name}, {how}: {rows[-1]['per_connection']:.2f} KiB each of {rows[-1]['connections']}",
                          file=sys.stderr, flush=True)
            except (Failed, OSError) as problem:
                left_out[peer_name] = str(problem)
            finally:
                measure.end(running)
    for row in found.get("tidegate", []):
        if row["failed"] or row["closed"]:
            wrong.append(f"{name}: of {row['connections']} connections {row['failed']} failed and {row['closed']} were closed")
    if "tidegate" in left_out:
        wrong.append(f"{name}: {left_out['tidegate']}")
    record.add(name, table(name, found, left_out, None if options.smoke else record.verdicts), {"peers": found, "left_out": left_out},
               images(name, kind, found))
    return wrong


def table(name, found, left_out, verdicts):
    heads = ["connections", "proxy", "PSS KiB", "without any", "KiB each", "÷ best peer", "processor while idle", "failed", "closed"]
    rows, said = [], []
    for index in range(max((len(r) for r in found.values()), default=0)):
        at = {one: r[index] for one, r in found.items() if index < len(r)}
        others = {one: r["per_connection"] for one, r in at.items() if one not in OWN and not r["failed"] and not r["closed"]}
        best = min(others, key=others.get) if others else None
        for one, row in sorted(at.items(), key=lambda item: item[1]["per_connection"]):
            rows.append([f"{row['connections']}, {row['how']}", one, str(row["kib"]), str(row["empty_kib"]), f"{row['per_connection']:.2f}",
                         f"{row['per_connection'] / others[best]:.2f}" if best else "", f"{100 * row['busy_while_idle']:.1f} %",
                         str(row["failed"]), str(row["closed"])])
        if "tidegate" in at and verdicts:
            said += judged(name, at["tidegate"], best, others, verdicts)
    text = f"## {name}\n\n{report.markdown(heads, rows)}"
    return text + ("\n\n" + "\n".join(said) if said else "") + report.missing(left_out) + f"\n\n![{name}]({name}.svg)\n"


def judged(name, ours, best, others, verdicts):
    """Sentences about the goals that there are for this kind; the one beside a peer is about the burst."""
    said, each, of = [], ours["per_connection"], f"{name}, {ours['connections']} {ours['how']}"
    if name in goals.IDLE_TO_BEST_PEER and best and ours["how"] == "burst":
        goal = goals.IDLE_TO_BEST_PEER[name]
        said.append(f"Goal ≤ {goal:.2f} of the best peer ({best}) after a burst: "
                    f"{verdicts.add(f'{of} ÷ {best}', each / others[best], goal)}, {each / others[best]:.2f}.")
    if name in goals.IDLE_KIB:
        goal = goals.IDLE_KIB[name]
        said.append(f"Goal < {goal:g} KiB each, {ours['connections']} {ours['how']}: {verdicts.add(of, each, goal, 'KiB')}, {each:.2f} KiB.")
    return said


def images(name, kind, found):
    """The calm alone, from no connection on."""
    series = {}
    for one, rows in found.items():
        calm = [row for row in rows if row["how"] == "calm"]
        if calm:
            series[one] = [(0, calm[0]["empty_kib"] / 1024)] + [(row["connections"], row["kib"] / 1024) for row in calm]
    if not series:
        return {}
    return {f"{name}.svg": plot.chart(f"Memory with idle connections: {kind}", "idle connections", "memory (PSS), MiB", series)}
