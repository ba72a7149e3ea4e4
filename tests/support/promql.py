"""As much of Prometheus' query language as it takes to see which figures and labels an expression asks for."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

STRING = r'"(?:[^"\\]|\\.)*"'
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SELECTOR = re.compile(rf"(?P<name>{NAME})(?:\{{(?P<matchers>(?:[^{{}}\"]|{STRING})*)\}})?(?P<called>\s*\()?")
MATCHER = re.compile(rf"({NAME})\s*(=~|!~|!=|=)\s*({STRING})")
LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
WORDS = frozenset({"and", "or", "unless", "by", "without", "on", "ignoring", "bool", "offset"})
DURATION = re.compile(r"\[[^\]]*\]")


@dataclass(frozen=True, slots=True)
class Selector:
    """The name of a figure, and what its labels must be: operator and value by label."""

    name: str
    matchers: Mapping[str, tuple[str, str]]


def selectors(expression: str) -> Iterator[Selector]:
    bare = LABELS.sub(" ", DURATION.sub("", expression))
    for match in SELECTOR.finditer(bare):
        if match["called"] or match["name"] in WORDS:
            continue
        found = MATCHER.findall(match["matchers"] or "")
        yield Selector(match["name"], {label: (sign, value[1:-1]) for label, sign, value in found})


def grouping_labels(expression: str) -> set[str]:
    """The labels that it groups or joins by."""
    return {label.strip() for labels in LABELS.findall(expression) for label in labels.split(",") if label.strip()}
