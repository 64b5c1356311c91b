"""How cost grows: tidegate against itself with more and more of something; a table and a chart each.

*routes* and *variants*: processor time per request, and memory. *reload*: how long until a new file
is live, and the longest wait of any request meanwhile. *scrape*: time and bytes of /metrics.
"""

import http.client
import statistics
import sys
import time

from . import goals, measure, plot, report, shapes, tools, used
from .peers import Setup
from .process import Failed, apart, free_ports

# Different requests of a run, spread over all routes: the generator's own cost is the same for all.
LINES = 10_000
# How long tidegate is given to begin with its largest configuration.
PATIENCE = 180
# A reload is given this long to become live.
LIVE_PATIENCE = 60
# How often the answer is looked at until a reload is live.
LOOK = 0.001
# Traffic before the first reload, and after the last.
MARGIN = 1.0


def begin(label, shape, binary, origin, options, cert, on):
    folder = options.folder / f"growth-{label}"
    folder.mkdir()
    http_port, https, admin = free_ports(3)
    setup = Setup(folder, http_port, https, admin, origin.address(0), origin.address(1), None, None, workers=len(on) if on else 1)
    peer = shapes.Shaped(binary, setup, on, shape)
    began = time.monotonic()
    peer.start(PATIENCE)
    peer.began_ms = 1000 * (time.monotonic() - began)
    peer.memory_kib = peer.process.memory_kib("Pss_Anon")
    return peer


def load(peer, lines, **more):
    """A scenario of our own generator over these lines."""
    path = peer.setup.folder / "requests"
    path.write_text("\n".join(lines) + "\n")
    return {"tool": "own", "connections": 64, "size": 200, "requests": path, **more}


def run(name, scenario, binary, options, cert, record):
    """One scenario of this kind; [what is wrong]."""
    of = {"routes": routes, "variants": variants, "reload": reloads, "scrape": scrapes}[scenario["of"]]
    counts = scenario["smoke"] if options.smoke else scenario["counts"]
    load_on = apart(options)[1] if scenario["of"] in ("reload", "scrape") else options.load_cpus
    origin = measure.Origin(options.load_binary, options.folder, load_on)
    try:
        return of(name, counts, binary, origin, options, cert, record)
    finally:
        origin.process.end()


# ── Processor time by the number of routes, and of variants ─────────────────────────────────────

def in_turns(name, shapes_by_count, lines_of, share_of, binary, origin, options, cert):
    """({count: peer}, {count: runs}, {count: why it is missing}) of configurations by a count."""
    running, left_out = {}, {}
    try:
        for count, shape in shapes_by_count.items():
            try:
                peer = running[count] = begin(f"{name}-{count}", shape, binary, origin, options, cert, options.proxy_cpus)
                peer.load = load(peer, lines_of(count))
                measure.warm(peer, peer.load, options)
            except (Failed, OSError) as problem:
                left_out[count] = str(problem)
                print(f"{name}: {count} is left out: {problem}", file=sys.stderr)

        def one(peer):
            measure.wake(peer, peer.load, options)
            seen = measure.measure(peer, peer.load, origin, options)
            seen["problems"] = measure.problems(seen, share_of(peer.count))
            return seen

        for count, peer in running.items():
            peer.count = count
        return running, measure.turns(name, running, options.rounds, one, left_out), left_out
    finally:
        measure.end(running)


def wrong_of(name, runs, left_out):
    found = [f"{name}, {count}: {problem}" for count, r in runs.items() for seen in r for problem in seen["problems"]]
    return found + [f"{name}, {count}: {why}" for count, why in left_out.items()]


def routes(name, counts, binary, origin, options, cert, record):
    by_count = {count: (lambda setup, scale=1, count=count: shapes.many_routes(count, scale)) for count in counts}
    running, runs, left_out = in_turns(name, by_count, lambda count: shapes.requests(LINES, count), lambda _: 0.05,
                                       binary, origin, options, cert)
    heads = ["routes", "CPU µs/req", "range", "÷ one route", "range of that", "started in ms", "MiB at the start",
             "after the runs", "KiB each at the start", "MiB per 10 000 after the runs"]
    rows, first = [], counts[0]
    least = running[first].memory_kib if first in running else 0
    for count, of_one in runs.items():
        peer, after = running[count], measure.median(of_one, "anonymous_kib")
        more = max(1, count - first)
        grew = (after - measure.median(runs[first], "anonymous_kib")) / more if first in runs else 0
        rows.append([f"{count}", f"{measure.median(of_one, 'cpu_us'):.2f}", report.span([s["cpu_us"] for s in of_one]),
                     *(report.ratio_cells(measure.ratio(of_one, runs[first])) if first in runs else ("", "")),
                     f"{peer.began_ms:.0f}", f"{peer.memory_kib / 1024:.1f}", f"{after / 1024:.1f}",
                     f"{(peer.memory_kib - least) / more:.2f}" if count > first else "",
                     f"{10_000 * grew / 1024:.1f}" if count > first else ""])
    text = (f"## {name}\n\nRequests go to {LINES} different places, spread over all routes. Memory is the anonymous part.\n\n"
            f"{report.markdown(heads, rows)}")
    images = {f"{name}.svg": plot.chart("Processor time by the number of routes", "routes", "processor time per request, µs",
                                        {"tidegate": points(runs)}, log_x=True)}
    memory = {count: peer.memory_kib / 1024 for count, peer in running.items()}
    after = {count: measure.median(r, "anonymous_kib") / 1024 for count, r in runs.items()}
    images[f"{name}-memory.svg"] = plot.chart("Memory by the number of routes", "routes", "anonymous memory, MiB",
                                              {"at the start": list(memory.items()), "after the runs": list(after.items())}, log_x=True)
    record.add(name, f"{text}{report.missing(left_out)}\n\n![{name}]({name}.svg)\n\n![{name}, memory]({name}-memory.svg)\n",
               {"runs": runs, "at_the_start_kib": {c: p.memory_kib for c, p in running.items()},
                "started_ms": {c: p.began_ms for c, p in running.items()}}, images)
    return wrong_of(name, runs, left_out)


def variants(name, counts, binary, origin, options, cert, record):
    by_count = {count: (lambda setup, scale=1, count=count: shapes.variants(setup, count)) for count in counts}
    _, runs, left_out = in_turns(name, by_count, lambda count: ["\t/200"], lambda count: 0.5 if count > 1 else 0.0,
                                 binary, origin, options, cert)
    heads = ["variants", "CPU µs/req", "range", f"÷ {counts[0]}", "range of that", "anonymous MiB"]
    rows = [[f"{count}", f"{measure.median(r, 'cpu_us'):.2f}", report.span([s["cpu_us"] for s in r]),
             *(report.ratio_cells(measure.ratio(r, runs[counts[0]])) if counts[0] in runs else ("", "")),
             f"{measure.median(r, 'anonymous_kib') / 1024:.1f}"] for count, r in runs.items()]
    image = plot.chart("Processor time by the number of variants", "variants of the split", "processor time per request, µs",
                       {"tidegate": points(runs)}, log_x=True)
    record.add(name, f"## {name}\n\nOne route; variants of equal weight take turns between two upstreams.\n\n"
               f"{report.markdown(heads, rows)}{report.missing(left_out)}\n\n![{name}]({name}.svg)\n",
               {"runs": runs}, {f"{name}.svg": image})
    return wrong_of(name, runs, left_out)


def points(runs):
    return [(count, measure.median(r, "cpu_us"), min(s["cpu_us"] for s in r), max(s["cpu_us"] for s in r)) for count, r in runs.items()]


# ── Reloads ─────────────────────────────────────────────────────────────────────────────────────

def edition(count, number):
    """So many routes; the last of them says in a field which edition of the file made it."""
    def shape(_setup, scale=1):
        last = f'[route.r{count - 1}.response_headers]\nset = {{ x-edition = "{number}" }}\n'
        return shapes.many_routes(count, scale) + last
    return shape


class Look:
    """A client that asks the last route for its edition, on one connection."""

    def __init__(self, peer, count):
        self.host, path = shapes.place(count - 1)
        self.path = f"{path}/1"
        self.connection = http.client.HTTPConnection("127.0.0.1", peer.setup.http, timeout=LIVE_PATIENCE)

    def edition(self):
        self.connection.request("GET", self.path, headers={"host": self.host})
        answer = self.connection.getresponse()
        answer.read()
        return answer.getheader("x-edition")

    def until(self, wanted):
        end = time.monotonic() + LIVE_PATIENCE
        while self.edition() != str(wanted):
            if time.monotonic() > end:
                raise Failed(f"edition {wanted} was not live within {LIVE_PATIENCE} s")
            time.sleep(LOOK)


def reload_under_load(peer, count, times, options, load_on, scenario):
    """Reloads one after the other while requests are due at a fixed rate; (ms until live, what clients saw)."""
    look, took = Look(peer, count), []
    look.until(0)
    seconds = times + 2 * MARGIN
    argv = tools.command(scenario, options.load_binary, peer.setup.http, peer.setup.https, seconds, peer.setup.folder)
    child = tools.start(argv, load_on)
    try:
        time.sleep(MARGIN)
        for number in range(1, times + 1):
            peer.shape = edition(count, number)
            new = peer.setup.folder / "tidegate.toml.new"
            new.write_text(peer.config())
            began = time.monotonic()
            new.rename(peer.setup.folder / "tidegate.toml")
            look.until(number)
            took.append(1000 * (time.monotonic() - began))
            time.sleep(max(0, 1 - (time.monotonic() - began)))
        return took, tools.finish(child, scenario, peer.setup.folder, seconds)
    except BaseException:
        child.kill()
        raise
    finally:
        look.connection.close()


def reloads(name, counts, binary, origin, options, cert, record):
    proxy_on, load_on = apart(options)
    times, found, left_out = 2 if options.smoke else 10, {}, {}
    for count in counts:
        peer = None
        try:
            peer = begin(f"{name}-{count}", edition(count, 0), binary, origin, options, cert, proxy_on)
            scenario = load(peer, shapes.requests(min(LINES, count), count), mode="open", rate=1000, connections=32)
            seconds = times + 2 * MARGIN
            argv = tools.command(scenario, options.load_binary, peer.setup.http, peer.setup.https, seconds, peer.setup.folder)
            quiet = tools.finish(tools.start(argv, load_on), scenario, peer.setup.folder, seconds)
            took, seen = reload_under_load(peer, count, times, options, load_on, scenario)
            found[count] = {"live_ms": took, "with": seen, "without": quiet, "memory_kib": [peer.memory_kib, peer.process.memory_kib("Pss_Anon")]}
            print(f"  {name} {count}: live in {max(took):.0f} ms, longest request {seen['max_us'] / 1000:.1f} ms", file=sys.stderr, flush=True)
        except (Failed, OSError, http.client.HTTPException) as problem:
            left_out[count] = str(problem)
            print(f"{name}: {count} is left out: {problem}", file=sys.stderr)
        finally:
            if peer and peer.process:
                peer.process.end()
    record.add(name, reload_table(name, found, left_out, times, record.verdicts), {"counts": found, "left_out": left_out}, reload_images(name, found))
    bad = [f"{name}, {count}: {f['with']['errors']} failed requests, {f['with']['non_2xx']} not 2xx, {f['with']['announced_closes']} closes"
           for count, f in found.items() if f["with"]["errors"] + f["with"]["non_2xx"] + f["with"]["announced_closes"]]
    return bad + [f"{name}, {count}: {why}" for count, why in left_out.items()]


def reload_table(name, found, left_out, times, verdicts):
    heads = ["routes", "live in ms: median", "most", "goal", "", "longest request ms", "same without reloads", "p99.9 ms",
             "same without", "generator late by at most ms", "failed", "anonymous MiB before", "after"]
    rows = []
    for count, f in found.items():
        seen, quiet, most = f["with"], f["without"], max(f["live_ms"])
        goal = goals.LIVE_MS.get(count)
        verdict = verdicts.add(f"{name}, {count} routes: the slowest of {times}", most, goal, "ms", precise=0) if goal else ""
        rows.append([f"{count}", f"{statistics.median(f['live_ms']):.1f}", f"{most:.1f}", f"≤ {goal}" if goal else "", verdict,
                     *(f"{one[key] / 1000:.1f}" for key in ("max_us", "p999_us") for one in (seen, quiet)),
                     f"{seen['late_us']['max'] / 1000:.1f}", str(seen["errors"] + seen["non_2xx"]),
                     *(f"{kib / 1024:.1f}" for kib in f["memory_kib"])])
    return (f"## {name}\n\n{times} reloads, one a second, each with a new field on the last route: from the rename until a client gets it. "
            f"Meanwhile 1000 requests a second are due, over all routes. Proxy and load have a processor each, where there are two.\n\n"
            f"{report.markdown(heads, rows)}{report.missing(left_out)}\n\n![{name}]({name}.svg)\n")


def reload_images(name, found):
    if not found:
        return {}
    series = {"live": [(c, statistics.median(f["live_ms"]), min(f["live_ms"]), max(f["live_ms"])) for c, f in found.items()],
              "longest request": [(c, f["with"]["max_us"] / 1000) for c, f in found.items()],
              "without reloads": [(c, f["without"]["max_us"] / 1000) for c, f in found.items()]}
    return {f"{name}.svg": plot.chart("Reloads by the number of routes", "routes", "milliseconds", series, log_x=True)}


# ── Scrapes ─────────────────────────────────────────────────────────────────────────────────────

def scrapes(name, counts, binary, origin, options, cert, record):
    proxy_on, load_on = apart(options)
    times, found, left_out = 3 if options.smoke else 20, {}, {}
    for count in counts:
        peer = None
        try:
            peer = begin(f"{name}-{count}", lambda setup, scale=1, count=count: shapes.many_routes(count, scale), binary, origin,
                         options, cert, proxy_on)
            # Each route has had requests, so that all its series are there.
            measure.warm(peer, load(peer, shapes.requests(count, count)), options, max(1, options.warm), load_on)
            took, size, before = [], 0, peer.process.cpu()
            for _ in range(times):
                began = time.monotonic()
                size = len(used.scrape(peer))
                took.append(1000 * (time.monotonic() - began))
            _, _, spent, worker = peer.process.cpu().since(before)
            found[count] = {"ms": took, "bytes": size, "cpu_ms": 1000 * spent / times, "worker_ms": 1000 * worker / times}
        except (Failed, OSError) as problem:
            left_out[count] = str(problem)
        finally:
            if peer and peer.process:
                peer.process.end()
    heads = ["routes", "ms: median", "range", "processor ms", "of that workers", "bytes", "bytes per route"]
    rows = [[f"{count}", f"{statistics.median(f['ms']):.2f}", report.span(f["ms"]), f"{f['cpu_ms']:.2f}", f"{f['worker_ms']:.2f}",
             str(f["bytes"]), f"{f['bytes'] / count:.0f}"] for count, f in found.items()]
    images = {}
    if found:
        series = {"scrape": [(c, statistics.median(f["ms"]), min(f["ms"]), max(f["ms"])) for c, f in found.items()]}
        images[f"{name}.svg"] = plot.chart("Scrapes by the number of routes", "routes", "time of a scrape, ms", series, log_x=True)
        series = {"scrape": [(c, f["bytes"] / 1024) for c, f in found.items()]}
        images[f"{name}-bytes.svg"] = plot.chart("Bytes of a scrape by the number of routes", "routes", "size of a scrape, KiB", series, log_x=True)
    record.add(name, f"## {name}\n\n{times} scrapes one after the other, without compression; two variants on each route.\n\n"
               f"{report.markdown(heads, rows)}{report.missing(left_out)}\n\n![{name}]({name}.svg)\n\n![{name}, bytes]({name}-bytes.svg)\n",
               {"counts": found, "left_out": left_out}, images)
    return [f"{name}, {count}: {why}" for count, why in left_out.items()]
