"""The results as an SVG: a panel for each job, a bar for each program, seconds on a log scale."""

import math
from html import escape

from .peers import FLAT, GLOVEBOX, LIMIT, OVERLAY
from .report import seconds

WIDTH = 960
LABELS = 290
RIGHT = 90
BAR = 15
ROW = 20
HEAD = 46
COLOURS = {GLOVEBOX: "#0b7a4b", OVERLAY: "#3f6fb5", FLAT: "#a8a8a8", LIMIT: "#e3b341"}
LEGEND = {
    GLOVEBOX: "glovebox, on the overlay",
    OVERLAY: "others, on the overlay",
    FLAT: "others, on a raw copy made before",
    LIMIT: "the limit",
}


def svg(jobs, results):
    y, parts = 78, []
    for job in jobs:
        rows = sorted((r for r in results if r.job == job.key and r.walls), key=lambda r: r.wall)
        if rows:
            panel, height = draw_panel(job.title, rows, y)
            parts.append(panel)
            y += height
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 10}" '
        f'viewBox="0 0 {WIDTH} {y + 10}" font-family="sans-serif" font-size="12" fill="#222">\n'
        f'<rect width="{WIDTH}" height="{y + 10}" fill="#fff"/>\n'
    )
    title = text(16, 28, "Wall time of a whole process, set-up included", size=18)
    return head + title + legend() + "".join(parts) + "</svg>\n"


def legend():
    x, parts = 16, []
    for source, label in LEGEND.items():
        parts.append(f'<rect x="{x}" y="44" width="12" height="12" fill="{COLOURS[source]}"/>\n')
        parts.append(text(x + 18, 54, label))
        x += 40 + 7 * len(label)
    return "".join(parts)


def draw_panel(title, rows, y):
    """One job: the bars, the least and the most as a whisker, and the decades as a grid."""
    low = math.floor(math.log10(min(min(r.walls) for r in rows)))
    high = math.ceil(math.log10(max(max(r.walls) for r in rows)))
    plot_width = WIDTH - LABELS - RIGHT

    def place(value):
        return LABELS + plot_width * (math.log10(value) - low) / max(1, high - low)

    bottom = y + HEAD + ROW * len(rows)
    parts = [text(16, y + 24, title, size=15)]
    for decade in range(low, high + 1):
        x = place(10.0**decade)
        parts.append(f'<path d="M{x:.1f} {y + HEAD - 6}V{bottom}" stroke="#ddd"/>\n')
        parts.append(text(x, y + HEAD - 10, tick(decade), anchor="middle", colour="#666"))
    for index, row in enumerate(rows):
        parts.append(draw_bar(row, y + HEAD + ROW * index, place))
    return "".join(parts), HEAD + ROW * len(rows) + 14


def draw_bar(row, y, place):
    end = place(row.wall)
    middle = y + BAR / 2
    weight = "bold" if row.source == GLOVEBOX else "normal"
    return (
        text(LABELS - 8, y + 12, row.name, anchor="end", weight=weight)
        + f'<rect x="{LABELS}" y="{y}" width="{max(1, end - LABELS):.1f}" height="{BAR}" '
        f'fill="{COLOURS[row.source]}"/>\n'
        f'<path d="M{place(min(row.walls)):.1f} {middle}H{place(max(row.walls)):.1f}" '
        'stroke="#000" stroke-width="1.5"/>\n'
        + text(max(end, place(max(row.walls))) + 6, y + 12, seconds(row.wall))
    )


def tick(decade):
    return f"{10 ** (decade + 3):g} ms" if decade < 0 else f"{10**decade:g} s"


def text(x, y, words, anchor="start", size=12, colour="#222", weight="normal"):
    return (
        f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" font-size="{size}" fill="{colour}" '
        f'font-weight="{weight}">{escape(words)}</text>\n'
    )
