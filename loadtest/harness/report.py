"""Figures as Markdown for people and JSON for programs; a part's record is written anew as it grows."""

import datetime
import json
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

from . import goals
from .measure import median, ratio
from .peers import OWN

COLUMNS = [
    ("CPU µs/req", "cpu_us", "{:.2f}"), ("user", "user_us", "{:.2f}"), ("system", "system_us", "{:.2f}"),
    ("req/s", "rps", "{:.0f}"), ("busy", "busy", "{:.2f}"), ("p50 µs", "p50_us", "{:.0f}"), ("p99 µs", "p99_us", "{:.0f}"),
    ("p99.9 µs", "p999_us", "{:.0f}"), ("PSS KiB", "memory_kib", "{:.0f}"), ("canary", "share", "{:.4f}"),
]


class Record:
    """One part of a run: its tables, its data and its goals, on disk after every scenario."""

    def __init__(self, folder, part, heading):
        self.folder, self.part, self.heading = folder, part, heading
        self.texts, self.data, self.images, self.verdicts = [], {}, {}, goals.Verdicts()

    def add(self, name, text, data, images=None):
        """Takes in one scenario; `images` are SVG texts by the name of their file."""
        self.texts.append(text)
        self.data[name] = data
        self.images.update(images or {})
        if self.folder:
            self.save()

    def save(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        reached = f"## Goals\n\n{goal_table(self.verdicts)}\n\n" if self.verdicts.rows else ""
        text = f"# {self.part.capitalize()}\n\n{self.heading}\n\n{reached}" + "\n".join(self.texts)
        write(self.folder / f"{self.part}.md", text.rstrip() + "\n")
        whole = {"note": self.heading, "goals": [{k: v for k, v in row.items() if k != "text"} for row in self.verdicts.rows],
                 "scenarios": self.data}
        write(self.folder / f"{self.part}.json", json.dumps(whole, indent=1, ensure_ascii=False, default=str) + "\n")
        for name, image in self.images.items():
            write(self.folder / name, image)


def write(path, text):
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.rename(path)


def new_folder(runs, parts):
    """runs/DATE, or DATE-2 and so on where one of these parts is recorded already: no record is overwritten."""
    today, number = f"{datetime.date.today():%Y-%m-%d}", 1
    while True:
        folder = runs / (today if number == 1 else f"{today}-{number}")
        if not any((folder / f"{part}.json").exists() for part in parts):
            return folder
        number += 1


def goal_table(verdicts):
    return markdown(["goal", "figure", "wanted", ""], verdicts.cells())


def comparison(name, runs, left_out, verdicts):
    """One scenario's table: medians, the spread of the main figure, its ratio to the best other."""
    heads = ["proxy"] + [head for head, _, _ in COLUMNS] + ["range", "÷ best peer", "range of that", "failed", "runs"]
    others = {one: median(r, "cpu_us") for one, r in runs.items() if one not in OWN}
    best = min(others, key=others.get) if others else None
    rows = []
    for one, of_peer in sorted(runs.items(), key=lambda item: median(item[1], "cpu_us") or 0):
        row = [one]
        for _, key, form in COLUMNS:
            value = median(of_peer, key)
            row.append("" if value is None else form.format(value))
        row.append(span([run["cpu_us"] for run in of_peer], 1))
        row += ratio_cells(ratio(of_peer, runs[best])) if best else ["", ""]
        row += [str(sum(run["errors"] + run["non_2xx"] for run in of_peer)), str(len(of_peer))]
        rows.append(row)
    text = markdown(heads, rows)
    if best and "tidegate" in runs and name in goals.TO_BEST_PEER:
        figure, goal = ratio(runs["tidegate"], runs[best])[0], goals.TO_BEST_PEER[name]
        text += f"\n\nGoal ≤ {goal:.2f} of the best peer ({best}): {verdicts.add(f'{name} ÷ {best}', figure, goal)}, {figure:.2f}."
    return text + missing(left_out)


def missing(left_out):
    """Who is not in a table, and why."""
    firsts = [f"{one} is missing: {' '.join(why.split())[:300]}" for one, why in left_out.items()]
    return "\n\n" + "\n".join(firsts) if firsts else ""


def span(values, precise=2):
    return f"{min(values):.{precise}f}–{max(values):.{precise}f}"


def ratio_cells(found):
    whole, least, most = found
    return [f"{whole:.3f}", f"{least:.2f}–{most:.2f}"]


def markdown(heads, rows):
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]

    def line(cells):
        return "| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths))) + " |"

    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([line(heads), rule, *map(line, rows)])


def provenance(here, known, peers):
    """Command, date, machine, versions and commit: without them a figure says nothing."""
    versions = "\n".join(f"- {name}: {known[name].version(binary)}" for name, binary in peers.items())
    commit = output(["git", "rev-parse", "--short", "HEAD"], here)
    changed = output(["git", "status", "--porcelain", "--untracked-files=no"], here)
    command = shlex.join(["loadtest/run", *sys.argv[1:]])
    tools = "; ".join(filter(None, (first_line([name, "--version"]) for name in ("h2load", "openssl"))))
    return (f"`{command}` on {datetime.datetime.now():%Y-%m-%d %H:%M}, {machine()}. Commit {commit or 'unknown'}"
            f"{', with changes that are not committed' if changed else ''}. Python {platform.python_version()}; {tools}.\n\n{versions}\n")


def output(argv, folder):
    try:
        return subprocess.run(argv, cwd=folder, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def first_line(argv):
    option = argv if argv[0] != "openssl" else ["openssl", "version"]
    return next(iter(output(option, "/").splitlines()), "")


def machine():
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "unknown processor")
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} × {model}, Linux {platform.release()}, load average at the start {load}"
