"""Figures over something that grows, as data and as a plot."""

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 40, 50
GRID_LINES = 4
FONT = 'font-family="sans-serif" font-size="12"'
BAR = 'stroke="#9bc" stroke-width="4"'


@dataclass(frozen=True, slots=True)
class Point:
    """The median of some rounds, and the least and the most of them."""

    at: float
    value: float
    spread: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    name: str
    title: str
    over: str
    """What grows."""
    unit: str
    points: Sequence[Point]


def point(at: float, rounds: Sequence[float]) -> Point:
    return Point(at, statistics.median(rounds), (min(rounds), max(rounds)))


def to_json(curves: Iterable[Curve]) -> str:
    return json.dumps([asdict(each) for each in curves], indent=1) + "\n"


def svg(curve: Curve) -> str:
    """The plot: what grows on a logarithmic axis, the figures from zero on, with a bar from least to most."""
    across = _across([each.at for each in curve.points])
    highest = max(each.spread[1] for each in curve.points) or 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {FONT}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{escape(curve.title)}</text>',
        f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{escape(curve.over)}</text>',
    ]
    for number in range(GRID_LINES + 1):
        value = highest * number / GRID_LINES
        y = _up(value, highest)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        label = f"{value:.3g} {curve.unit}" if number == GRID_LINES else f"{value:.3g}"
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>')
    for each in curve.points:
        x, (least, most) = across(each.at), (_up(value, highest) for value in each.spread)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{least:.1f}" y2="{most:.1f}" {BAR}/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_count(each.at)}</text>')
        parts.append(f'<circle cx="{x:.1f}" cy="{_up(each.value, highest):.1f}" r="3" fill="#147"/>')
    line = " ".join(f"{across(each.at):.1f},{_up(each.value, highest):.1f}" for each in curve.points)
    parts.append(f'<polyline points="{line}" fill="none" stroke="#147"/>')
    return "\n".join([*parts, "</svg>", ""])


def _across(positions: Sequence[float]) -> "_Axis":
    return _Axis(math.log(min(positions)), math.log(max(positions)))


@dataclass(frozen=True, slots=True)
class _Axis:
    least: float
    most: float

    def __call__(self, at: float) -> float:
        part = (math.log(at) - self.least) / (self.most - self.least) if self.most > self.least else 0.5
        return LEFT + 20 + part * (WIDTH - LEFT - RIGHT - 40)


def _up(value: float, highest: float) -> float:
    return HEIGHT - BOTTOM - value / highest * (HEIGHT - TOP - BOTTOM)


def _count(number: float) -> str:
    for size, sign in ((1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:.3g}{sign}"
    return f"{number:.3g}"
