"""Tail latency: requests at fixed rates, for which latency counts from when each was due.

First the peak of each peer by a closed loop. Then all get the same two rates, a quarter and three
quarters of the lowest of those peaks: a proxy is not to look better because it was asked for less.
Proxy and load have a processor each. How late the generator itself was stands beside what it saw.
"""

from . import measure, plot, report
from .process import apart

QUANTILES = (("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p999_us"), ("p99.99", "p9999_us"))


def run(name, scenario, peers, origin, options, cert, record):
    """Peaks and both rates; [what is wrong with tidegate]."""
    proxy_on, load_on = apart(options)
    chosen = {one: binary for one, binary in peers.items() if one in scenario["peers"]}
    running, left_out = measure.start(name, chosen, origin, options, cert, proxy_on)
    wrong, texts, data = [], [], {}
    seconds = options.seconds if options.smoke else scenario["seconds"]

    def at(load, length):
        def one(peer):
            measure.wake(peer, load, options, load_on)
            seen = measure.measure(peer, load, origin, options, length, load_on)
            seen["problems"] = measure.problems(seen)
            return seen
        return one

    origin_was = origin.process.place(load_on)
    try:
        closed = {"tool": "own", "connections": scenario["connections"], "size": scenario["size"]}
        for peer in running.values():
            measure.warm(peer, closed, options, options.warm, load_on)
        peaks = data["peak"] = measure.turns(f"{name}, peak", running, options.rounds, at(closed, options.seconds), left_out)
        texts.append(f"### The peak of each\n\n{peak_table(peaks)}")
        lowest = min(measure.median(r, "rps") for r in peaks.values())
        for part, words in ((0.25, "a quarter"), (0.75, "three quarters")):
            rate = round(part * lowest)
            runs = measure.turns(f"{name}, {rate}/s", {one: running[one] for one in peaks}, options.rounds,
                                 at({**closed, "mode": "open", "rate": rate}, seconds), left_out)
            data[f"{part}"] = {"rate": rate, "runs": runs}
            texts.append(f"### {words.capitalize()} of the lowest peak: {rate} requests a second\n\n{rate_table(runs)}")
        wrong += [f"{name}: {problem}" for found in [peaks, *(data[k]["runs"] for k in ("0.25", "0.75"))]
                  for seen in found.get("tidegate", []) for problem in seen["problems"]]
    finally:
        measure.end(running)
        origin.process.place(origin_was)
    if "tidegate" in left_out:
        wrong.append(f"{name}: {left_out['tidegate']}")
    text = "\n\n".join(texts)
    record.add(name, f"## {name}\n\nProxy on {where(proxy_on)}, origin and generator on {where(load_on)}; "
               f"{scenario['connections']} connections; runs of {seconds:g} s; medians and ranges.\n\n{text}{report.missing(left_out)}\n\n"
               f"![{name}, a quarter]({name}-quarter.svg)\n\n![{name}, three quarters]({name}-three-quarters.svg)\n",
               data, images(name, data))
    return wrong


def where(on):
    return f"processor {','.join(map(str, sorted(on)))}" if on else "any processor"


def peak_table(peaks):
    heads = ["proxy", "req/s", "range", "busy", "CPU µs/req", "p50 µs", "p99 µs", "failed"]
    rows = [[one, f"{measure.median(r, 'rps'):.0f}", report.span([s["rps"] for s in r], 0), f"{measure.median(r, 'busy'):.2f}",
             f"{measure.median(r, 'cpu_us'):.2f}", f"{measure.median(r, 'p50_us'):.0f}", f"{measure.median(r, 'p99_us'):.0f}", failed(r)]
            for one, r in peaks.items()]
    return report.markdown(heads, rows) + ("\n\nWhere `busy` is clearly below 1 the other processor, with origin and generator, was "
                                           "the limit, and the proxy could do more.")


def rate_table(runs):
    heads = ["proxy"] + [f"{head} µs" for name, _ in QUANTILES for head in (name, "range")] + [
        "busy", "waited for a connection", "generator late µs: p99", "p99.9", "most", "failed"]
    rows = []
    for one, r in runs.items():
        cells = [one]
        for _, key in QUANTILES:
            cells += [f"{measure.median(r, key):.0f}", report.span([s[key] for s in r], 0)]
        late = [s["late_us"] for s in r]
        rows.append(cells + [f"{measure.median(r, 'busy'):.2f}", f"{100 * sum(s['queued'] for s in r) / sum(s['requests'] for s in r):.2f} %",
                             *(f"{measure.median(late, key):.0f}" for key in ("p99", "p999", "max")), failed(r)])
    return report.markdown(heads, rows)


def failed(runs):
    return str(sum(s["errors"] + s["non_2xx"] for s in runs))


def images(name, data):
    found = {}
    for part, file, words in (("0.25", "quarter", "a quarter"), ("0.75", "three-quarters", "three quarters")):
        if part not in data:
            continue
        # The share of requests that are slower, so that the tail has room: 1 in 2, in 100, in 1 000, in 10 000.
        series = {one: [(1 / (1 - share), measure.median(r, key) / 1000) for share, key in
                        ((0.5, "p50_us"), (0.99, "p99_us"), (0.999, "p999_us"), (0.9999, "p9999_us"))]
                  for one, r in data[part]["runs"].items()}
        rounded = {one: [(round(x), y) for x, y in points] for one, points in series.items()}
        found[f"{name}-{file}.svg"] = plot.chart(f"Latency at {words} of the peak ({data[part]['rate']} requests a second)",
                                                 "one request in … is slower", "latency, ms", rounded, log_x=True)
    return found
