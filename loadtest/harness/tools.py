"""The generators: our own, wrk and h2load, each brought to the same figures.

A result is a dict: requests, rps, errors, non_2xx, p50_us, p99_us, p999_us, and from our own
generator also what only it can see (dropped connections, groups, causes, its own lateness).
"""

import json
import re
import subprocess
from pathlib import Path

from .process import Failed, find, placed

WRK_SCRIPT = Path(__file__).with_name("wrk.lua")
CLEAN = {"errors": 0, "non_2xx": 0}


def missing(scenario):
    """Why a scenario's generator cannot run here, or None."""
    tool = scenario.get("tool", "own")
    return None if tool == "own" or find(tool) else f"{tool} is not installed"


def command(scenario, load_binary, http, https, seconds, folder):
    """The command line of a run."""
    tool, size = scenario.get("tool", "own"), scenario.get("size", 200)
    port, scheme = (https, "https") if scenario.get("tls") else (http, "http")
    connections = scenario.get("connections", 64)
    if tool == "own":
        argv = [load_binary, "drive", "--address", f"127.0.0.1:{port}", "--mode", scenario.get("mode", "closed"),
                "--connections", connections, "--seconds", seconds, "--size", size]
        for name in ("post", "rate", "requests"):
            if name in scenario:
                argv += [f"--{name}", scenario[name]]
        for name in scenario.get("fields", ()):
            argv += ["--count-field", name]
        return argv
    url = f"{scheme}://127.0.0.1:{port}/{size}"
    whole = length(scenario, seconds)
    if tool == "wrk":
        fields = [word for field in scenario.get("headers", ()) for word in ("-H", field)]
        return [find("wrk"), "-t1", f"-c{connections}", f"-d{whole}s", "--timeout", "10s", "-s", WRK_SCRIPT, *fields, url]
    if tool == "h2load":
        argv = [find("h2load"), "-t1", f"-c{connections}", f"-m{scenario.get('streams', 32)}", "-D", whole]
        return argv + [f"--log-file={folder}/h2load.log", url]
    raise Failed(f"no generator is called {tool}")


def length(scenario, seconds):
    """How long a run is: wrk and h2load know whole seconds only."""
    return seconds if scenario.get("tool", "own") == "own" else max(1, round(seconds))


def start(argv, on=None):
    return subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, preexec_fn=placed(on))


def finish(child, scenario, folder, seconds):
    """Waits for a run that was started; gives its figures."""
    try:
        out, err = child.communicate(timeout=seconds + 60)
    except subprocess.TimeoutExpired:
        child.kill()
        raise Failed(f"{scenario.get('tool', 'own')} did not end") from None
    if child.returncode:
        raise Failed(f"{scenario.get('tool', 'own')} ended with {child.returncode}:\n{out[-800:]}{err[-800:]}")
    return {"own": own, "wrk": wrk, "h2load": h2load}[scenario.get("tool", "own")](out, folder)


def own(out, _folder):
    return json.loads(out)


def wrk(out, _folder):
    """wrk.lua prints one line of JSON after wrk's own report."""
    lines = [line for line in out.splitlines() if line.startswith("{")]
    if not lines:
        raise Failed(f"wrk printed no figures:\n{out[-800:]}")
    seen = json.loads(lines[-1])
    causes = {name: seen[name] for name in ("connect", "read", "write", "timeout")}
    return {**CLEAN, "requests": seen["requests"], "rps": seen["requests"] / (seen["duration_us"] / 1e6),
            "errors": sum(causes.values()), "errors_by_cause": causes, "non_2xx": seen["status"],
            "p50_us": seen["p50_us"], "p99_us": seen["p99_us"], "p999_us": seen["p999_us"]}


def h2load(out, folder):
    """Its summary, and the latencies from its log (start, status, microseconds)."""
    if "Application protocol: h2" not in out:
        raise Failed(f"HTTP/2 was not agreed on:\n{out[-800:]}")
    line = re.search(r"^requests: (\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout",
                     out, re.M)
    rate = re.search(r"finished in [\d.]+\w+, ([\d.]+) req/s", out)
    codes = re.search(r"^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", out, re.M)
    if not (line and rate and codes):
        raise Failed(f"h2load's report was not understood:\n{out[-800:]}")
    failed, errored, timeout = (int(line[n]) for n in (5, 6, 7))
    log = Path(folder) / "h2load.log"
    took = sorted(int(row.split()[2]) for row in log.read_text().splitlines() if row.count("\t") == 2)
    log.unlink()

    def quantile(share):
        return took[min(len(took) - 1, int(len(took) * share))] if took else None

    non_2xx = sum(int(codes[n]) for n in (2, 3, 4))
    # A response with an error status is among "failed" too; it is not counted twice here.
    broken = max(0, failed - non_2xx)
    causes = {"failed": broken, "errored": errored, "timeout": timeout}
    return {**CLEAN, "requests": int(line[4]), "rps": float(rate[1]), "errors": broken, "errors_by_cause": causes,
            "non_2xx": non_2xx, "p50_us": quantile(0.5), "p99_us": quantile(0.99), "p999_us": quantile(0.999)}
