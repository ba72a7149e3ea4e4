"""The rows that are judged, as a plot: how many times better each is than what must be."""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from bench.rows import TARGETS, Row

WIDTH, LINE, TOP, BOTTOM = 900, 26, 50, 40
LEFT, RIGHT = 480, 30
DECADES = 2
"""To either side; what is further out ends there."""
FONT = 'font-family="sans-serif" font-size="12"'
COLOURS = {(True, True): "#2a7", (True, False): "#9b7", (False, False): "#c43"}


def svg(rows: Sequence[Row]) -> str:
    """A bar for each row that is judged, on a logarithmic axis: to the right of the line it is met."""
    judged = [row for row in rows if row.must is not None and row.aim is not None]
    height = TOP + LINE * len(judged) + BOTTOM
    foot = height - BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {FONT}>',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<text x="20" y="24" font-size="14">How many times better than what must be; the small line is the aim</text>',
    ]
    for decade in range(-DECADES, DECADES + 1):
        x, stroke = _across(10.0**decade), "#444" if decade == 0 else "#ddd"
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 10}" y2="{foot}" stroke="{stroke}"/>')
        parts.append(f'<text x="{x:.1f}" y="{foot + 18}" text-anchor="middle">{10.0**decade:g}</text>')
    for number, row in enumerate(judged):
        parts += _bar(row, TOP + LINE * number)
    return "\n".join([*parts, "</svg>", ""])


def _bar(row: Row, y: float) -> Sequence[str]:
    one, reached, aim = _across(1.0), _across(_better(row, row.value)), _across(_better(row, row.aim or 0.0))
    middle = y + LINE / 2
    return [
        f'<text x="{LEFT - 10}" y="{middle}" text-anchor="end">{escape(_short(TARGETS[row.name].what))}</text>',
        f'<rect x="{min(one, reached):.1f}" y="{y + 3}" width="{abs(reached - one):.1f}" height="{LINE - 12}" '
        f'fill="{COLOURS[bool(row.met), bool(row.aimed)]}"/>',
        f'<line x1="{aim:.1f}" x2="{aim:.1f}" y1="{y}" y2="{y + LINE - 6}" stroke="#147" stroke-width="2"/>',
    ]


def _better(row: Row, value: float) -> float:
    """Than what must be: above 1 it is met, whichever direction is better."""
    must, aim = row.must or 0.0, row.aim or 0.0
    return value / must if aim > must else must / value if value else math.inf


def _across(times: float) -> float:
    part = min(max(math.log10(times) if times > 0 else -math.inf, -DECADES), DECADES) / DECADES
    return (LEFT + WIDTH - RIGHT) / 2 + part * (WIDTH - RIGHT - LEFT) / 2


def _short(what: str) -> str:
    return what if len(what) <= 70 else f"{what[:69]}…"
