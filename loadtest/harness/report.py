"""Figures as Markdown for people and JSON for programs."""

import json
import os
import platform
from pathlib import Path

from .measure import median

COLUMNS = [
    ("CPU µs/req", "cpu_us", "{:.2f}"), ("user", "user_us", "{:.2f}"), ("system", "system_us", "{:.2f}"),
    ("req/s", "rps", "{:.0f}"), ("busy", "busy", "{:.2f}"), ("p50 µs", "p50_us", "{:.0f}"), ("p99 µs", "p99_us", "{:.0f}"),
    ("p99.9 µs", "p999_us", "{:.0f}"), ("PSS KiB", "memory_kib", "{:.0f}"), ("canary", "share", "{:.4f}"),
]


def table(runs):
    """One scenario's table: medians, the spread of the main figure, its ratio to the best other."""
    heads = ["proxy"] + [head for head, _, _ in COLUMNS] + ["spread", "÷ best peer", "failed", "runs"]
    others = [median(r, "cpu_us") for name, r in runs.items() if name != "tidegate" and r]
    best = min(others) if others else None
    rows = []
    for name, of_peer in sorted(runs.items(), key=lambda item: median(item[1], "cpu_us") or 0):
        if not of_peer:
            continue
        row = [name]
        for _, key, form in COLUMNS:
            value = median(of_peer, key)
            row.append("" if value is None else form.format(value))
        spread = [run["cpu_us"] for run in of_peer]
        failed = sum(run["errors"] + run["non_2xx"] for run in of_peer)
        row += [f"{min(spread):.1f}–{max(spread):.1f}", f"{median(of_peer, 'cpu_us') / best:.2f}" if best else "",
                str(failed), str(len(of_peer))]
        rows.append(row)
    return markdown(heads, rows)


def markdown(heads, rows):
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]

    def line(cells):
        return "| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths))) + " |"

    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([line(heads), rule, *map(line, rows)])


def machine():
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "unknown processor")
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} × {model}, Linux {platform.release()}, load average at the start {load}"


def save(folder, name, markdown_text, data):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(markdown_text)
    (folder / f"{name}.json").write_text(json.dumps(data, indent=1, ensure_ascii=False, default=str) + "\n")
    print(f"recorded in {folder}/{name}.md and .json")
