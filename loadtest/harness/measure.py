"""One scenario: the peers in turns, processor time before and after, figures and verdicts."""

import json
import math
import statistics
import sys
import urllib.request

from . import tools
from .peers import KNOWN, Setup
from .process import Failed, Process, free_ports

# The peers' share in the comparison; the reload scenario changes them as it goes.
WEIGHTS = (95, 5)

# How long a peer is driven before each run.
WAKE = 0.2


class Origin:
    """The upstream side: two groups of our own origin, which may look for fields in requests."""

    def __init__(self, load_binary, folder, on, fields=()):
        self.ports = free_ports(2)
        argv = [load_binary, "origin"]
        for name, port in zip(("blue", "green"), self.ports):
            argv += ["--group", f"{name}=127.0.0.1:{port}"]
        for name in fields:
            argv += ["--count-field", name]
        self.process = Process(argv, folder, f"origin-{self.ports[0]}", on)
        for port in self.ports:
            self.process.await_port(port)

    def address(self, index):
        return f"127.0.0.1:{self.ports[index]}"

    def ask(self, path):
        with urllib.request.urlopen(f"http://{self.address(0)}{path}", timeout=20) as answer:
            return json.load(answer)


def measure(peer, scenario, origin, options, seconds=None, load_cpus=None):
    """One measured run of one peer that is already warm; pinned as the options say, or by `load_cpus`."""
    seconds, load_cpus = seconds or options.seconds, load_cpus or options.load_cpus
    argv = tools.command(scenario, options.load_binary, peer.setup.http, peer.setup.https, seconds, peer.setup.folder)
    answered, before = origin.ask("/_counts"), peer.process.cpu()
    seen = tools.finish(tools.start(argv, load_cpus), scenario, peer.setup.folder, seconds)
    user, system, spent, worker = peer.process.cpu().since(before)
    answered_after = origin.ask("/_counts")
    requests = seen["requests"]
    if not requests:
        raise Failed(f"{peer.name}: not one request succeeded: {seen}")
    by_group = [answered_after[name] - answered[name] for name in ("blue", "green")]
    seen.update(
        user_us=1e6 * user / requests, system_us=1e6 * system / requests, cpu_us=1e6 * spent / requests,
        worker_us=1e6 * worker / requests, busy=spent / tools.length(scenario, seconds),
        share=by_group[1] / max(1, sum(by_group)), answered=sum(by_group), memory_kib=peer.process.memory_kib(),
        anonymous_kib=peer.process.memory_kib("Pss_Anon"))
    return seen


def warm(peer, scenario, options, seconds=None, load_cpus=None):
    """Load before the first measured run."""
    seconds = seconds or options.warm
    argv = tools.command(scenario, options.load_binary, peer.setup.http, peer.setup.https, seconds, peer.setup.folder)
    tools.finish(tools.start(argv, load_cpus or options.load_cpus), scenario, peer.setup.folder, seconds)


def wake(peer, scenario, options, load_cpus=None):
    """A little load before each run: while others had their turns, connections to upstreams may have ended."""
    own = scenario if scenario.get("tool") == "own" else {"connections": 64}
    warm(peer, own, options, WAKE, load_cpus)


def problems(seen, wanted=WEIGHTS[1] / sum(WEIGHTS), draws=None):
    """What is wrong with a run, in words; none is good.

    `wanted` is the canary's share, and `draws` says of how many draws that is, where it is not one
    for each request: of users who stay where they are, it is their number.
    """
    found = []
    if seen["errors"]:
        found.append(f"{seen['errors']} failed requests {seen.get('errors_by_cause', '')}")
    if seen["non_2xx"]:
        found.append(f"{seen['non_2xx']} responses other than 2xx")
    if seen.get("announced_closes"):
        found.append(f"{seen['announced_closes']} connections closed by the proxy")
    if abs(seen["share"] - wanted) > tolerance(wanted, min(draws or seen["answered"], seen["answered"])):
        found.append(f"share of the canary {seen['share']:.4f}, not {wanted:.4f}")
    return found


def tolerance(share, count):
    """Four standard deviations of a fair draw, and a little for what is in flight at the edges."""
    return 4 * math.sqrt(share * (1 - share) / max(1, count)) + 0.003


def start(name, peers, origin, options, cert, on, **more):
    """Starts every peer that can be; ({peer: running}, {peer: why not})."""
    running, left_out = {}, {}
    for peer_name, binary in peers.items():
        folder = options.folder / f"{name}-{peer_name}"
        folder.mkdir()
        http, https, admin = free_ports(3)
        setup = Setup(folder, http, https, admin, origin.address(0), origin.address(1), *cert,
                      workers=len(on) if on else 1, weights=WEIGHTS, **more)
        peer = KNOWN[peer_name](binary, setup, on)
        try:
            running[peer_name] = peer.start()
        except (Failed, OSError) as problem:
            left_out[peer_name] = str(problem)
            print(f"{name}: {peer_name} is left out: {problem}", file=sys.stderr)
    return running, left_out


def end(running):
    for peer in running.values():
        if peer.process:
            peer.process.end()


def turns(name, running, rounds, run, left_out):
    """Runs `run(peer)` for all in turns; {name: [figures, …]}. Who fails is left out from then on."""
    runs, order = {one: [] for one in running}, list(running)
    for turn in range(rounds):
        first = turn % max(1, len(order))
        for one in order[first:] + order[:first]:
            if one in left_out:
                continue
            try:
                seen = run(running[one])
            except Failed as problem:
                left_out[one] = str(problem)
                print(f"{name}: {one} is left out: {problem}", file=sys.stderr)
                continue
            runs[one].append(seen)
            print(f"  {name} {turn + 1}/{rounds} {one}: {seen['cpu_us']:.2f} µs/request, {seen['rps']:.0f}/s "
                  f"{'; '.join(seen.get('problems', []))}", file=sys.stderr, flush=True)
    return {one: of_one for one, of_one in runs.items() if of_one}


def compare(name, scenario, peers, origin, options, cert):
    """Runs a scenario for all peers in turns; ({peer: [run, …]}, {peer: why it is missing})."""
    running, left_out = start(name, peers, origin, options, cert, options.proxy_cpus)

    def run(peer):
        wake(peer, scenario, options)
        seen = measure(peer, scenario, origin, options)
        seen["problems"] = problems(seen)
        return seen

    try:
        for one, peer in running.items():
            try:
                warm(peer, scenario, options)
            except Failed as problem:
                left_out[one] = str(problem)
                print(f"{name}: {one} is left out: {problem}", file=sys.stderr)
        return turns(name, running, options.rounds, run, left_out), left_out
    finally:
        end(running)


def median(runs, key):
    values = [run[key] for run in runs if run.get(key) is not None]
    return statistics.median(values) if values else None


def ratio(ours, theirs, key="cpu_us"):
    """The ratio of two medians, and the least and the greatest ratio of one turn."""
    by_turn = [a[key] / b[key] for a, b in zip(ours, theirs) if b[key]]
    whole = median(ours, key) / median(theirs, key)
    return whole, min(by_turn, default=whole), max(by_turn, default=whole)
