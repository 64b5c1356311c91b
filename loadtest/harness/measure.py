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


class Origin:
    """The upstream side: two groups of our own origin."""

    def __init__(self, load_binary, folder, on):
        self.ports = free_ports(2)
        argv = [load_binary, "origin"]
        for name, port in zip(("blue", "green"), self.ports):
            argv += ["--group", f"{name}=127.0.0.1:{port}"]
        self.process = Process(argv, folder, "origin", on)
        for port in self.ports:
            self.process.await_port(port)

    def address(self, index):
        return f"127.0.0.1:{self.ports[index]}"

    def ask(self, path):
        with urllib.request.urlopen(f"http://{self.address(0)}{path}", timeout=20) as answer:
            return json.load(answer)


def measure(peer, scenario, origin, options):
    """One measured run of one peer that is already warm."""
    argv = tools.command(scenario, options.load_binary, peer.setup.http, peer.setup.https, options.seconds, peer.setup.folder)
    answered, (user, system) = origin.ask("/_counts"), peer.process.cpu_seconds()
    child = tools.start(argv, options.load_cpus)
    seen = tools.finish(child, scenario, peer.setup.folder, options.seconds)
    user_after, system_after = peer.process.cpu_seconds()
    answered_after = origin.ask("/_counts")
    requests = seen["requests"]
    if not requests:
        raise Failed(f"{peer.name}: not one request succeeded: {seen}")
    by_group = [answered_after[name] - answered[name] for name in ("blue", "green")]
    seen.update(
        user_us=1e6 * (user_after - user) / requests, system_us=1e6 * (system_after - system) / requests,
        cpu_us=1e6 * (user_after - user + system_after - system) / requests,
        busy=(user_after - user + system_after - system) / options.seconds,
        share=by_group[1] / max(1, sum(by_group)), answered=sum(by_group), memory_kib=peer.process.memory_kib())
    return seen


def problems(seen):
    """What is wrong with a run, in words; none is good."""
    found = []
    if seen["errors"]:
        found.append(f"{seen['errors']} failed requests {seen.get('errors_by_cause', '')}")
    if seen["non_2xx"]:
        found.append(f"{seen['non_2xx']} responses other than 2xx")
    if seen.get("announced_closes"):
        found.append(f"{seen['announced_closes']} connections closed by the proxy")
    wanted = WEIGHTS[1] / sum(WEIGHTS)
    if abs(seen["share"] - wanted) > tolerance(wanted, seen["answered"]):
        found.append(f"share of the canary {seen['share']:.4f}, not {wanted:.4f}")
    return found


def tolerance(share, count):
    """Four standard deviations of a fair draw, and a little for what is in flight at the edges."""
    return 4 * math.sqrt(share * (1 - share) / max(1, count)) + 0.003


def compare(name, scenario, peers, origin, options, cert):
    """Runs a scenario for all peers in turns; {peer: [run, …]}."""
    running, runs = [], {}
    try:
        for peer_name, binary in peers.items():
            folder = options.folder / f"{name}-{peer_name}"
            folder.mkdir()
            http, https, admin = free_ports(3)
            setup = Setup(folder, http, https, admin, origin.address(0), origin.address(1), *cert,
                          workers=len(options.proxy_cpus) if options.proxy_cpus else 1, weights=WEIGHTS)
            peer = KNOWN[peer_name](binary, setup, options.proxy_cpus)
            try:
                peer.start()
                argv = tools.command(scenario, options.load_binary, http, https, options.warm, folder)
                tools.finish(tools.start(argv, options.load_cpus), scenario, folder, options.warm)
            except Failed as problem:
                if peer.process:
                    peer.process.end()
                if peer_name == "tidegate":
                    raise
                print(f"{name}: {peer_name} is left out: {problem}", file=sys.stderr)
                continue
            running.append(peer)
            runs[peer_name] = []
        for turn in range(options.rounds):
            first = turn % max(1, len(running))
            for peer in running[first:] + running[:first]:
                seen = measure(peer, scenario, origin, options)
                seen["problems"] = problems(seen)
                runs[peer.name].append(seen)
                print(f"  {name} {turn + 1}/{options.rounds} {peer.name}: {seen['cpu_us']:.1f} µs/request, "
                      f"{seen['rps']:.0f}/s {'; '.join(seen['problems'])}", file=sys.stderr, flush=True)
    finally:
        for peer in running:
            peer.process.end()
    return runs


def median(runs, key):
    values = [run[key] for run in runs if run.get(key) is not None]
    return statistics.median(values) if values else None
