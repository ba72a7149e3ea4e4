"""`juvuln` as somebody at a terminal meets it: questions, secrets, colours and width."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.commands import JUVULN, LIMIT_SECONDS
from tests.support.pseudo_terminal import at_terminal
from tests.support.standing import Guest


@pytest.fixture
def environ(hosted: Guest, tmp_path: Path) -> Mapping[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TERM": "xterm",
        "PYTHONUTF8": "1",
        **hosted.as_root,
    }


async def shown_by(*arguments: str, environ: Mapping[str, str], columns: int = 80) -> str:
    async with at_terminal([str(JUVULN), *arguments], environ, columns) as (process, terminal):
        async with asyncio.timeout(LIMIT_SECONDS):
            await process.wait()
            await terminal.ended()
        return terminal.shown


async def test_login_asks_for_what_is_missing_and_never_shows_the_token(
    hosted: Guest, environ: Mapping[str, str]
) -> None:
    nothing = {name: value for name, value in environ.items() if not name.startswith("SELFHOST_")}
    async with at_terminal([str(JUVULN), "login"], nothing) as (process, terminal):
        await terminal.shows("Server [http://127.0.0.1:8097]: ")
        terminal.type(environ["SELFHOST_SERVER"] + "\n")
        await terminal.shows("Domain: ")
        terminal.type(f"{hosted.own_domain}\n")
        await terminal.shows("Token: ")
        terminal.type("root\n")
        await terminal.shows(f"profile default: domain {hosted.own_domain} on ")
        await process.wait()
    assert process.returncode == 0
    assert "root\r\n" not in terminal.shown
    assert "there is no program that you may read" in await shown_by("program", "list", environ=nothing)


async def test_a_deletion_asks_and_takes_only_a_yes(hosted: Guest, environ: Mapping[str, str]) -> None:
    await hosted.domains[hosted.own_domain].add("old", "x := 1")
    for answer, status in (("\n", 1), ("no\n", 1), ("y\n", 0)):
        async with at_terminal([str(JUVULN), "program", "delete", "old"], environ) as (process, terminal):
            await terminal.shows("revisions? [y/N] ")
            terminal.type(answer)
            await terminal.shows("deleted old" if status == 0 else "old stays")
            assert await process.wait() == status


async def test_tables_fit_the_terminal_and_have_colours_unless_they_are_not_wanted(
    hosted: Guest, environ: Mapping[str, str]
) -> None:
    uuid = await hosted.domains[hosted.own_domain].add("n" * 100, "x := 1")
    shown = await shown_by("program", "list", environ=environ, columns=110)
    assert "\x1b[32mactive\x1b[0m" in shown
    assert "n…  webhook  " in shown
    assert str(uuid) in shown
    plain = await shown_by("program", "list", environ={**environ, "NO_COLOR": "1"}, columns=110)
    assert "\x1b" not in plain
    assert max(map(len, plain.splitlines())) == 110
