"""What the record's own connection to SQLite waits for, and what is certain when it fails."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from juvuln.database import DatabaseError
from juvuln.runs import writing as module
from juvuln.runs.record import open_record
from juvuln.runs.rows import COLUMNS, Row, claimed_row, ended_row
from juvuln.runs.run import Ending, Run, Trigger
from juvuln.runs.tables import runs
from juvuln.runs.writing import SqliteWriting
from shared.wire import Outcome
from tests.juvuln.support import PROGRAM

NOW_MS = 1_790_000_000_000


def a_run(number: int, trigger: Trigger) -> Run:
    due_ms = NOW_MS + number if trigger is Trigger.SCHEDULE else None
    return Run(f"run {number}", PROGRAM, trigger, claimed_ms=NOW_MS, due_ms=due_ms)


def row(number: int, trigger: Trigger = Trigger.WEBHOOK) -> Row:
    return claimed_row(a_run(number, trigger), "manager")


def ended(number: int, trigger: Trigger = Trigger.WEBHOOK) -> Row:
    return ended_row(a_run(number, trigger), "manager", Ending(Outcome.SUCCEEDED, ended_ms=NOW_MS + number))


class Noted:
    """Whether a failure is known to have written nothing."""

    def __init__(self) -> None:
        self.in_doubt = False

    def __call__(self) -> None:
        self.in_doubt = True


@pytest.fixture
async def writing(tmp_path: Path) -> AsyncIterator[SqliteWriting]:
    path = tmp_path / "record.db"
    async with open_record(f"sqlite:///{path}", "manager", lambda _: None):
        pass
    opened = SqliteWriting(str(path))
    yield opened
    await opened.close()


async def synchronous(writing: SqliteWriting) -> int:
    """As SQLite has it for the connection: 1 normal, 2 full."""

    def ask() -> int:
        assert writing._connection is not None
        (value,) = writing._connection.execute("PRAGMA synchronous").fetchone()
        return int(value)

    return await asyncio.get_running_loop().run_in_executor(writing._thread, ask)


async def test_only_what_is_of_webhooks_alone_does_not_wait_for_the_disk(writing: SqliteWriting) -> None:
    levels = []
    for new, endings in (
        ([row(1)], []),
        ([row(2)], [ended(1)]),
        ([row(3), row(4, Trigger.SCHEDULE)], []),
        ([row(5, Trigger.MANUAL)], []),
        ([], [ended(2)]),
        ([row(6)], [ended(4, Trigger.SCHEDULE)]),
        ([], []),
    ):
        await writing.write(new, endings, Noted())
        levels.append(await synchronous(writing))
    assert levels == [1, 1, 2, 2, 1, 2, 2]


async def test_what_did_not_wait_for_the_disk_is_there_a_moment_later(
    writing: SqliteWriting, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(module, "SYNC_SECONDS", 0.01)
    monkeypatch.setattr(module, "_sync_log", synced.append)
    for number in range(3):
        await writing.write([row(number)], [], Noted())
    assert writing._syncing is not None
    async with asyncio.timeout(10):
        await writing._syncing
    assert synced == [writing._path]
    await writing.write([row(3, Trigger.SCHEDULE)], [], Noted())
    assert writing._syncing is None


async def test_a_run_is_added_and_closed_once_in_whatever_order_it_is_said(writing: SqliteWriting) -> None:
    assert await writing.write([row(1), row(2)], [ended(2)], Noted()) == {"run 1", "run 2"}
    again = row(9, Trigger.SCHEDULE)
    assert await writing.write([again], [], Noted()) == {"run 9"}
    other = again._replace(id="run 10")
    assert await writing.write([other, row(3)], [ended(2)], Noted()) == {"run 3"}
    many = [row(number) for number in range(100, 700)]
    assert await writing.write(many, [ended(1), ended(3)], Noted()) == {each.id for each in many}
    with sqlite3.connect(writing._path) as connection:
        closed = connection.execute("SELECT id FROM runs WHERE outcome IS NOT NULL ORDER BY id").fetchall()
    assert closed == [("run 1",), ("run 2",), ("run 3",)]


@pytest.mark.parametrize(
    ("code", "in_doubt"),
    [(sqlite3.SQLITE_BUSY, False), (sqlite3.SQLITE_FULL, False), (sqlite3.SQLITE_IOERR_FSYNC, True), (None, False)],
)
async def test_only_an_error_of_the_disk_itself_leaves_it_in_doubt_whether_something_was_written(
    writing: SqliteWriting, monkeypatch: pytest.MonkeyPatch, code: int | None, in_doubt: bool
) -> None:
    def fail(*_: object) -> int:
        error = sqlite3.OperationalError("something is wrong")
        if code is not None:
            error.sqlite_errorcode = code
        raise error

    monkeypatch.setattr(module, "_put", fail)
    noted = Noted()
    with pytest.raises(DatabaseError, match="something is wrong"):
        await writing.write([row(1)], [], noted)
    assert noted.in_doubt is in_doubt


async def test_what_fails_after_the_commit_leaves_it_in_doubt(
    writing: SqliteWriting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await writing.write([row(1, Trigger.SCHEDULE)], [], Noted())
    monkeypatch.setattr(module, "_SQLITE_FOUND", "SELECT id FROM nowhere WHERE id IN (SELECT value FROM json_each(?))")
    noted = Noted()
    with pytest.raises(DatabaseError, match="nowhere"):
        await writing.write([row(1, Trigger.SCHEDULE)._replace(id="another"), row(2)], [], noted)
    assert noted.in_doubt


async def test_a_log_is_found_behind_a_link_and_none_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        "os.fdatasync", lambda descriptor: synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    )
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "record.db-wal").write_bytes(b"")
    (tmp_path / "record.db").symlink_to(tmp_path / "real" / "record.db")
    module._sync_log(str(tmp_path / "record.db"))
    module._sync_log(str(tmp_path / "none.db"))
    assert synced == [str(tmp_path / "real" / "record.db-wal")]


async def test_at_the_end_nothing_is_left_that_the_disk_has_not(
    writing: SqliteWriting, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(module, "_sync_log", synced.append)
    other = SqliteWriting(writing._path)
    await other.write([row(1)], [], Noted())
    await other.close()
    assert synced == [writing._path]


def test_a_row_has_the_columns_of_the_table() -> None:
    assert set(COLUMNS) == set(runs.columns.keys())
