"""A chart as SVG: lines over an axis that may be logarithmic; readable on light and dark pages alike."""

import math
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 76, 150, 48, 56
# Told apart in both kinds of page, by eyes that see colours otherwise, and by their marks.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a8a00", "#56b4e9", "#8b5cf6")
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 15px; font-weight: 600; }
.grid { stroke: #d0d7de; stroke-width: 1; }
.axis { stroke: #57606a; stroke-width: 1.2; }
.page { fill: #ffffff; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .grid { stroke: #30363d; }
  .axis { stroke: #8b949e; }
  .page { fill: #0d1117; }
}"""


def chart(title, x_label, y_label, series, log_x=False, note=""):
    """SVG text. `series` is {name: [(x, y) or (x, y, least, most), …]}; y begins at 0."""
    points = [point for of_one in series.values() for point in of_one]
    xs = sorted({point[0] for point in points})
    top = nice(max(max(point[1:]) for point in points) or 1)
    low, high = scaled(xs[0], log_x), scaled(xs[-1], log_x)
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at_x(x):
        return LEFT + (width * (scaled(x, log_x) - low) / (high - low) if high > low else width / 2)

    def at_y(y):
        return TOP + height * (1 - y / top)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
             f'role="img" aria-label="{escape(title)}"><style>{STYLE}</style>',
             f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>',
             f'<text class="title" x="{LEFT}" y="24">{escape(title)}</text>']
    for step in range(5):
        value = top * step / 4
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{LEFT + width}" y1="{at_y(value):.1f}" y2="{at_y(value):.1f}"/>'
                     f'<text x="{LEFT - 8}" y="{at_y(value) + 4:.1f}" text-anchor="end">{number(value)}</text>')
    for x in xs:
        parts.append(f'<line class="axis" x1="{at_x(x):.1f}" x2="{at_x(x):.1f}" y1="{TOP + height}" y2="{TOP + height + 5}"/>'
                     f'<text x="{at_x(x):.1f}" y="{TOP + height + 20}" text-anchor="middle">{number(x)}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{LEFT + width}" y1="{TOP + height}" y2="{TOP + height}"/>'
                 f'<line class="axis" x1="{LEFT}" x2="{LEFT}" y1="{TOP}" y2="{TOP + height}"/>'
                 f'<text x="{LEFT + width / 2}" y="{HEIGHT - 14}" text-anchor="middle">{escape(x_label)}{" (logarithmic)" if log_x else ""}</text>'
                 f'<text transform="translate(18 {TOP + height / 2}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>')
    for index, (name, of_one) in enumerate(series.items()):
        parts.append(one_line(index, name, sorted(of_one), at_x, at_y))
    if note:
        parts.append(f'<text x="{WIDTH - 8}" y="{HEIGHT - 14}" text-anchor="end">{escape(note)}</text>')
    return "\n".join(parts) + "\n</svg>\n"


def one_line(index, name, points, at_x, at_y):
    """A line with its marks, its ranges, and its name in the legend."""
    colour, mark = COLOURS[index % len(COLOURS)], (circle, square, diamond)[index % 3]
    path = " ".join(f"{at_x(point[0]):.1f},{at_y(point[1]):.1f}" for point in points)
    parts = [f'<g stroke="{colour}" fill="{colour}"><polyline fill="none" stroke-width="2" points="{path}"/>']
    for x, y, *within in points:
        if within:
            parts.append(f'<line stroke-width="1.2" x1="{at_x(x):.1f}" x2="{at_x(x):.1f}" y1="{at_y(within[0]):.1f}" y2="{at_y(within[1]):.1f}"/>')
        parts.append(mark(at_x(x), at_y(y)))
    across, down = WIDTH - RIGHT + 16, TOP + 10 + 22 * index
    parts.append(mark(across, down) + f'</g><text x="{across + 12}" y="{down + 4}">{escape(name)}</text>')
    return "".join(parts)


def circle(x, y):
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/>'


def square(x, y):
    return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'


def diamond(x, y):
    return f'<path d="M{x:.1f} {y - 5:.1f} l5 5 l-5 5 l-5 -5 z"/>'


def scaled(x, log_x):
    return math.log10(x) if log_x else x


def nice(most):
    """The least round number that is not below: a quarter of it is round as well."""
    magnitude = 10 ** math.floor(math.log10(most))
    return next(step * magnitude for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if most <= step * magnitude)


def number(value):
    """With thin spaces between thousands, and no more digits than it has."""
    return f"{value:,.0f}".replace(",", "\u2009") if value == int(value) else f"{value:.2f}".rstrip("0")
