"""Which runs are new, and which have ended, since the last look. It remembers no more than what is still open."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from juvuln.commands.errors import UnreachableError

L = TypeVar("L")

Run = dict[str, Any]

PAGE = 100
MOST_PAGES = 10
"""How far back a look goes; runs that are open for longer than that many others are given up."""


@dataclass(frozen=True, slots=True)
class Look:
    """Runs, oldest first."""

    open: Sequence[Run]
    """All that are under way, each time."""
    ended: Sequence[Run]
    """Those that have ended, each once."""


class RunWatch:
    """``fetch(limit, before)`` gives runs, newest first. The ids of runs rise with their time."""

    def __init__(self, fetch: Callable[[int, str | None], Sequence[Run]], first: int) -> None:
        self._fetch = fetch
        self._first = first
        self._settled: str | None = None
        """There is nothing more to tell of this run and all before it."""
        self._told: set[str] = set()

    def look(self) -> Look:
        """The first look is at the newest ``first`` runs, each other one at what came of them and after them."""
        recent = self._recent()
        ended = [run for run in recent if run["outcome"] is not None and run["id"] not in self._told]
        under_way = [run for run in recent if run["outcome"] is None]
        self._told.update(run["id"] for run in ended)
        self._settle(recent, under_way)
        return Look(under_way, ended)

    def _recent(self) -> list[Run]:
        if self._settled is None:
            return list(reversed(self._fetch(self._first, None)))
        found: list[Run] = []
        for _ in range(MOST_PAGES):
            page = self._fetch(PAGE, found[-1]["id"] if found else None)
            news = [run for run in page if run["id"] > self._settled]
            found += news
            if len(news) < PAGE:
                break
        return list(reversed(found))

    def _settle(self, recent: Sequence[Run], under_way: Sequence[Run]) -> None:
        oldest_open = under_way[0]["id"] if under_way else None
        done = [run["id"] for run in recent if oldest_open is None or run["id"] < oldest_open]
        self._settled = max([self._settled or "", *done])
        self._told = {told for told in self._told if told > self._settled}


class OneRun:
    """The same for one run alone, which ``fetch`` gives: after its end there is nothing to look for."""

    def __init__(self, fetch: Callable[[], Run]) -> None:
        self._fetch = fetch
        self._told = False

    def look(self) -> Look | None:
        if self._told:
            return None
        run = self._fetch()
        self._told = run["outcome"] is not None
        return Look([], [run]) if self._told else Look([run], [])


def look_again(look: Callable[[], L], warn: Callable[[str], None], seconds: float) -> L:
    """Another look, for which a server that is away is waited for: asked every so many seconds, and said once."""
    try:
        return look()
    except UnreachableError as error:
        warn(f"{error}; trying again")
    while True:
        time.sleep(seconds)
        with suppress(UnreachableError):
            return look()
