"""What features cost: tidegate against itself, with one feature after the other, in turns.

The plain run is h1-small. Each feature has its own configuration, and requests that use it, every
single one; after each run `used` checks from outside that they did. What those requests cost by
their bytes alone is not the feature's: in each turn the plain configuration gets the same ones, and
the goal is about the ratio to that.
"""

import re
import threading
import time
from dataclasses import dataclass

from . import goals, measure, report, shapes, used
from .peers import Setup
from .process import Failed, free_ports

# Different users, so many that their variants are a fair draw.
USERS = 4096
# Every so manieth request comes from somebody new, who gets a cookie.
NEWCOMERS = 16
ROUTES, UPSTREAMS = 10_000, 1_000

STICKY = '[route.{name}.sticky]\nkeys = ["header:x-user-id"]\ncookie = true\n'
FORCE = '[route.{name}.force]\nheader = "x-variant"\n'
SEGMENTS = """
[[segment.abroad.any]]
all = [{ attr = "header:x-country", op = "in", values = ["DE", "FR"] }, { attr = "cookie:plan", op = "eq", value = "beta" }]
[[segment.abroad.any]]
all = [{ attr = "header:x-email", op = "ends_with", value = "@example.com" }]
[segment.old]
all = [{ attr = "header:x-version", op = "semver_lt", value = "2.0.0" }]
"""
RULES = ('[[route.{name}.rule]]\nsegment = "old"\nweights = { stable = 100 }\n'
         '[[route.{name}.rule]]\nsegment = "abroad"\nweights = { canary = 100 }\n')
EDITS = ('[route.{name}.request_headers]\nremove = ["x-debug"]\nset = { x-env = "prod" }\nadd = { x-tag = "edge" }\n'
         '[route.{name}.response_headers]\nremove = ["server"]\nset = { strict-transport-security = "max-age=31536000" }\n'
         'add = { vary = "x-user-id" }\n')


@dataclass
class Feature:
    """One row of the table."""

    name: str
    what: str
    shape: object                       # (setup, scale) → the text of routes
    goal: float | None = goals.FEATURE
    lines: list | None = None           # of requests; without any, h1-small's
    share: float = 0.05                 # what the canary gets
    draws: int | None = None            # of how many draws that share is
    used: object = None                 # (before, after, seen) → what was not used, in words
    log: bool = False
    scrapes: bool = False
    reloads: bool = False
    fields: tuple = ()
    patience: float = 30


def by_user(number):
    """A user by a field, by a cookie, or nobody yet."""
    if number % NEWCOMERS == NEWCOMERS - 1:
        return ()
    return (f"x-user-id: user-{number}",) if number % 2 else (f"cookie: theme=dark; tidegate_id={shapes.identity(number)}",)


def forced(number):
    return (f"x-variant: {('stable', 'canary')[number % 2]}",)


def abroad(number):
    """Half are in a segment; the other half are not, which takes a look at every condition."""
    country = ("DE", "SE")[number % 2]
    return ("x-version: 2.3.1", f"x-country: {country}", "cookie: theme=dark; plan=beta", "x-email: a@example.org")


def edited(_number):
    return ("x-debug: 1",)


def everything(number):
    """A quarter is forced, a quarter in a segment, the rest goes by the hash of the user."""
    quarter = number % 4
    country = "DE" if quarter == 1 else "SE"
    force = ("x-variant: canary",) if quarter == 0 else ()
    user = by_user(number // 4) if quarter > 1 else (f"x-user-id: user-{number}",)
    cookie = user[0] if user and user[0].startswith("cookie") else None
    others = tuple(one for one in user if one != cookie)
    return ("x-version: 2.3.1", f"x-country: {country}", f"{cookie or 'cookie: theme=dark'}; plan=beta", *others, *force, "x-debug: 1")


def on_one_route(tables="", before=""):
    return lambda setup, scale=1: before + shapes.plain(setup, scale, tables.replace("{name}", "load"))


def many_upstreams(count):
    """That many, two on each route."""
    def shape(setup, scale=1):
        return shapes.upstreams(setup, count) + shapes.many_routes(count // 2, scale, upstreams=lambda number: shapes.pair_of(number, count))
    return shape


def together_on_routes(setup, scale=1):
    tables = STICKY + FORCE + RULES + EDITS
    pairs = shapes.many_routes(ROUTES, scale, tables, lambda number: shapes.pair_of(number, UPSTREAMS))
    return SEGMENTS + shapes.upstreams(setup, UPSTREAMS) + pairs


def rows(small):
    """The features, plain first; fewer routes and upstreams where it has to be quick."""
    routes, upstreams = (100, 100) if small else (ROUTES, UPSTREAMS)
    # A quarter forced to the canary, a quarter sent there by a rule, half by hash or draw.
    combined = 0.5 + 0.5 * 0.05
    four = used.all_of(used.sticky(0.5 / NEWCOMERS, 0.75), used.force(0.25), used.segments(0.25), used.edits)
    by_fields = {"fields": used.AT_CLIENT}
    found = [
        Feature("plain", "h1-small: one route, two upstreams", on_one_route(), goal=None),
        Feature("sticky hash", "by a field or an identity cookie; 1 in 16 gets a new cookie", on_one_route(STICKY),
                lines=shapes.requests(USERS, fields=by_user), draws=USERS, used=used.sticky(1 / NEWCOMERS, 1), **by_fields),
        Feature("force rules", "each request names its variant", on_one_route(FORCE), lines=shapes.requests(USERS, fields=forced),
                share=0.5, used=used.force(1)),
        Feature("segments", "two rules over seven fields and cookies; half of the requests are in one", on_one_route(RULES, SEGMENTS),
                lines=shapes.requests(USERS, fields=abroad), share=0.525, used=used.segments(0.5)),
        Feature("header edits", "three on requests, three on responses", on_one_route(EDITS),
                lines=shapes.requests(USERS, fields=edited), used=used.edits, **by_fields),
        Feature("four together", "sticky, force, segments and edits on one route", on_one_route(STICKY + FORCE + RULES + EDITS, SEGMENTS),
                lines=shapes.requests(USERS, fields=everything), share=combined, draws=USERS // 4, used=four, **by_fields),
        Feature(f"{routes} routes", f"on {routes // shapes.PATHS_ON_HOST} hosts; each is asked for",
                lambda setup, scale=1: shapes.many_routes(routes, scale), lines=shapes.requests(routes, routes), used=used.routes(routes), patience=120),
        Feature(f"{routes} routes, one busy", "only one of them is asked for", lambda setup, scale=1: shapes.many_routes(routes, scale),
                lines=shapes.requests(1, routes), used=used.routes(1), patience=120),
        Feature(f"{upstreams} upstreams", f"two on each of {upstreams // 2} routes; all are used", many_upstreams(upstreams),
                lines=shapes.requests(upstreams // 2, upstreams // 2), used=used.upstreams(upstreams)),
        Feature("access log", "JSON to a file", on_one_route(), goal=goals.LOG, log=True),
        Feature("scrape each second", "/metrics", on_one_route(), scrapes=True),
        Feature("reload each second", "other weights, the same shares", on_one_route(), reloads=True),
    ]
    if small:
        return found
    loaded = {"lines": shapes.requests(ROUTES, ROUTES, fields=everything), "share": combined, "draws": USERS // 4, "patience": 120,
              "used": used.all_of(used.force(0.25), used.segments(0.25), used.edits), "fields": used.AT_CLIENT}
    everywhere = f"four together on each of {ROUTES} routes, {UPSTREAMS} upstreams"
    return found + [Feature("together, loaded", everywhere, together_on_routes, **loaded),
                    Feature("all but the log", f"{everywhere}; scrape and reload each second", together_on_routes,
                            scrapes=True, reloads=True, **loaded)]


class Every(threading.Thread):
    """Does something at once and then after each period, until it is ended."""

    def __init__(self, what, period):
        super().__init__(daemon=True)
        self.what, self.period, self.times, self.failed = what, period, 0, None
        self.over = threading.Event()
        self.start()

    def run(self):
        due = time.monotonic()
        while not self.over.wait(max(0, due - time.monotonic())):
            due += self.period
            try:
                self.what()
                self.times += 1
            except OSError as problem:
                self.failed = str(problem)

    def end(self):
        self.over.set()
        self.join(60)


def run(name, scenario, binary, options, cert, record):
    """All rows in turns; [what is wrong]."""
    origin = measure.Origin(options.load_binary, options.folder, options.load_cpus, used.AT_ORIGIN)
    found, running, left_out, wrong = {row.name: row for row in rows(options.smoke)}, {}, {}, []
    try:
        for row in found.values():
            try:
                running[row.name] = begin(row, binary, origin, options, cert, scenario)
            except (Failed, OSError) as problem:
                left_out[row.name] = str(problem)
        runs = measure.turns(name, running, options.rounds,
                             lambda peer: one_run(peer, found[peer.row], origin, options, running.get("plain")), left_out)
    finally:
        measure.end(running)
        origin.process.end()
    wrong += [f"{name}, {one}: {problem}" for one, of_one in runs.items() for seen in of_one for problem in seen["problems"]]
    wrong += [f"{name}, {one}: {why}" for one, why in left_out.items()]
    text = table(name, found, runs, left_out, record.verdicts)
    record.add(name, text, {"rows": {one: {"what": found[one].what, "runs": of_one} for one, of_one in runs.items()}, "left_out": left_out})
    return wrong


def begin(row, binary, origin, options, cert, scenario):
    """tidegate with one feature, warm."""
    folder = options.folder / f"feature-{re.sub('[^a-z0-9]+', '-', row.name)}"
    folder.mkdir()
    http, https, admin = free_ports(3)
    setup = Setup(folder, http, https, admin, origin.address(0), origin.address(1), None, None,
                  workers=len(options.proxy_cpus) if options.proxy_cpus else 1)
    peer = shapes.Shaped(binary, setup, options.proxy_cpus, row.shape, folder / "access.log" if row.log else "off")
    peer.row = row.name
    peer.load = {"tool": "own", "connections": scenario["connections"], "size": 200, "fields": row.fields}
    if row.lines:
        (folder / "requests").write_text("\n".join(row.lines) + "\n")
        peer.load["requests"] = folder / "requests"
    peer.start(row.patience)
    try:
        measure.warm(peer, peer.load, options)
    except Failed:
        peer.process.end()
        raise
    return peer


def one_run(peer, row, origin, options, plain):
    """One measured run, whether it used what it is about, and what the same requests cost without."""
    measure.wake(peer, peer.load, options)
    # Only what looks at them reads the counters: with 10 000 routes they take a while.
    before = used.counters(peer) if row.used or row.reloads else {}
    at_origin, lines = origin.ask("/_fields"), used.logged(peer) if row.log else 0
    period = min(1, options.seconds / 2)
    alongside = [Every(lambda: used.scrape(peer), period)] if row.scrapes else []
    alongside += [Every(peer.rescale, period)] if row.reloads else []
    try:
        seen = measure.measure(peer, peer.load, origin, options)
    finally:
        for one in alongside:
            one.end()
    after = used.counters(peer) if row.used or row.reloads else {}
    at_origin_after = origin.ask("/_fields")
    seen["at_origin"] = {name: at_origin_after[name] - at_origin[name] for name in used.AT_ORIGIN}
    seen["alongside"] = [one.times for one in alongside]
    found = measure.problems(seen, row.share, row.draws)
    found += row.used(before, after, seen) if row.used else []
    for one in alongside:
        if one.failed or one.times < 1:
            found.append(f"what should happen each second happened {one.times} times {one.failed or ''}")
    if row.reloads and used.grown(before, after, "tidegate_config_generation") < 1:
        found.append("no reload became live")
    if row.log:
        found += used.near("lines in the log", used.logged(peer) - lines, seen["requests"])
    seen["problems"] = found
    seen["same_us"] = None
    if row.lines and plain:
        measure.wake(plain, peer.load, options)
        seen["same_us"] = measure.measure(plain, peer.load, origin, options)["cpu_us"]
    return seen


def table(name, found, runs, left_out, verdicts):
    heads = ["feature", "CPU µs/req", "range", "of that workers", "÷ plain", "÷ same requests", "range of that", "goal", "", "anonymous MiB",
             "used", "what"]
    plain, lines = runs.get("plain"), []
    for one, of_one in runs.items():
        row, problems = found[one], sum(len(seen["problems"]) for seen in of_one)
        cells = [one, f"{measure.median(of_one, 'cpu_us'):.2f}", report.span([seen["cpu_us"] for seen in of_one]),
                 f"{measure.median(of_one, 'worker_us'):.2f}"]
        cells += report.ratio_cells(measure.ratio(of_one, plain))[:1] if plain else [""]
        without = [{"cpu_us": seen["same_us"]} for seen in of_one if seen["same_us"]] or plain
        whole = measure.ratio(of_one, without) if without else (0, 0, 0)
        cells += report.ratio_cells(whole) if without else ["", ""]
        cells += [f"≤ {row.goal:.2f}" if row.goal else "",
                  verdicts.add(f"{one} ÷ the same requests without", whole[0], row.goal, precise=3) if row.goal and without else ""]
        proved = "" if one == "plain" else "no" if problems else "yes"
        lines.append(cells + [f"{measure.median(of_one, 'anonymous_kib') / 1024:.1f}", proved, row.what])
    return (f"## {name}: what features cost\n\n{report.markdown(heads, lines)}\n\nUsed: after each run it is checked that its "
            f"requests had the feature (see README.md).{report.missing(left_out)}\n")
