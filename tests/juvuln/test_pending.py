"""Rows that are on record, but not in its database yet."""

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from juvuln.clock import new_run_id
from juvuln.database import DatabaseError
from juvuln.runs.pending import PendingRows, open_pending, pending_path
from juvuln.runs.rows import COLUMNS, Row, claimed_row, ended_row
from juvuln.runs.run import Ending, Run, Trigger
from shared.wire import Outcome
from tests.juvuln.support import program

NOW_MS = 1_700_000_000_000


def a_run(number: int) -> Run:
    return Run(new_run_id(NOW_MS, number), program(), Trigger.WEBHOOK, claimed_ms=NOW_MS)


RUN = a_run(1)
CLAIMED = claimed_row(RUN, "manager")
OTHER = claimed_row(a_run(2), "manager")
ENDED = ended_row(RUN, "manager", Ending(Outcome.FAILED, NOW_MS + 5, reason='a\nb "c" é', duration_ms=0.25))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "record.db-pending"


def opened(file: Path) -> PendingRows:
    pending = open_pending(str(file))
    assert pending is not None
    return pending


@pytest.fixture
def pending(file: Path) -> Iterator[PendingRows]:
    made = opened(file)
    yield made
    made.close()


def written(pending: PendingRows, *rows: Row) -> bool:
    return all(pending.add(row) for row in rows) and pending.write()


def kept(file: Path) -> list[Row]:
    """What another owner would find."""
    pending = PendingRows(os.open(file, os.O_RDONLY))
    rows = pending.read()
    pending.close()
    return rows


def test_of_each_run_the_first_ending_comes_back_or_else_its_claim(pending: PendingRows, file: Path) -> None:
    assert kept(file) == []
    assert written(pending, CLAIMED)
    assert kept(file) == [CLAIMED]
    assert written(pending, OTHER, ENDED, CLAIMED, ENDED._replace(outcome="lost"))
    assert kept(file) == [ENDED, OTHER]
    pending.clear()
    assert kept(file) == []
    assert written(pending, ENDED)
    assert kept(file) == [ENDED]


def test_only_its_owner_may_read_the_file(pending: PendingRows, file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "nonsense",
    [b'["018\n', b"\0" * 700 + b"\n", b'\n\n["x"]\n', b"\xff\xfe\n", b"5\n", b"{}\n", b"[" * 100_000 + b"\n"],
)
def test_lines_that_are_no_rows_leave_the_others_good(pending: PendingRows, file: Path, nonsense: bytes) -> None:
    written(pending, CLAIMED)
    with file.open("ab") as end:
        end.write(nonsense)
    written(pending, OTHER)
    assert pending.read() == [CLAIMED, OTHER]
    with file.open("ab") as end:
        end.write(nonsense.rstrip(b"\n"))
    assert pending.read() == [CLAIMED, OTHER]


def test_a_row_of_wrong_types_is_none(pending: PendingRows, file: Path) -> None:
    written(pending, CLAIMED, OTHER)
    file.write_bytes(file.read_bytes().replace(b'"manager",null', b'"manager",["x"]', 1))
    assert pending.read() == [OTHER]


def test_a_broken_head_is_that_of_this_version(pending: PendingRows, file: Path) -> None:
    written(pending, CLAIMED)
    _, line = file.read_bytes().splitlines()
    file.write_bytes(b"\0\0\0\n" + line + b"\n")
    assert pending.read() == [CLAIMED]


def test_rows_of_a_version_with_other_columns_are_understood(pending: PendingRows, file: Path) -> None:
    written(pending, ENDED)
    head, line = file.read_bytes().splitlines()
    without_attempts = line[: line.rindex(b",")] + b"]"
    file.write_bytes(head.replace(b'"attempts"', b'"colour"') + b"\n" + line + b"\n")
    assert pending.read() == [ENDED]
    file.write_bytes(head.replace(b',"attempts"', b"") + b"\n" + without_attempts + b"\n")
    assert pending.read() == [ENDED]
    assert COLUMNS[-1] == "attempts"


def test_a_disk_that_is_full_is_told_and_leaves_no_half_row(pending: PendingRows, file: Path) -> None:
    written(pending, CLAIMED)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 20, before[1]))
    try:
        assert not written(pending, ENDED)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert kept(file) == [CLAIMED]
    assert written(pending, ENDED)
    assert kept(file) == [ENDED]


def test_it_has_room_for_some_megabytes_and_again_when_it_was_cleared(pending: PendingRows, file: Path) -> None:
    long = ENDED._replace(log="x" * 1_000_000)
    assert [pending.add(long) for _ in range(6)] == [True] * 4 + [False] * 2
    assert pending.write()
    assert not pending.add(long)
    assert file.stat().st_size < 4 * 1024 * 1024
    pending.clear()
    assert not pending.add(ENDED._replace(log="x" * 5_000_000))
    assert written(pending, long)


def test_a_file_that_was_slow_rests_for_a_while(file: Path) -> None:
    times = iter([0.0, 0.01, 5.0, 5.2, 10.0, 15.3, 15.3, 15.3])
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    pending = PendingRows(descriptor, lambda: next(times))
    assert written(pending, CLAIMED)
    assert written(pending, ENDED)  # takes 0.2 s
    assert not pending.add(OTHER)  # at 10
    assert written(pending, OTHER)  # at 15.3
    assert pending.read() == [ENDED, OTHER]
    pending.close()


def test_a_file_that_ends_with_half_a_line_is_not_used_before_it_was_cleared(
    pending: PendingRows, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truncate, write = os.ftruncate, os.write

    def fail(*_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:-9]))
    monkeypatch.setattr(os, "ftruncate", fail)
    assert not written(pending, CLAIMED)
    monkeypatch.setattr(os, "write", write)
    assert not pending.add(OTHER)
    pending.clear()
    assert not pending.add(OTHER)
    monkeypatch.setattr(os, "ftruncate", truncate)
    pending.clear()
    assert written(pending, OTHER)
    assert pending.read() == [OTHER]


def test_one_process_has_the_file_at_a_time(file: Path) -> None:
    first = opened(file)
    assert written(first, CLAIMED)
    assert open_pending(str(file)) is None
    first.close()
    second = opened(file)
    assert second.read() == [CLAIMED]
    second.close()


def test_it_is_beside_the_file_of_a_record_in_sqlite_and_of_no_other(tmp_path: Path) -> None:
    assert pending_path(f"sqlite:///{tmp_path}/record.db") == str(tmp_path / "record.db-pending")
    (tmp_path / "link.db").symlink_to(tmp_path / "record.db")
    assert pending_path(f"sqlite:///{tmp_path}/link.db") == str(tmp_path / "record.db-pending")
    assert pending_path("postgresql://localhost/record") is None


def test_a_file_that_cannot_be_opened_is_an_error_for_it_may_say_what_nothing_else_does(file: Path) -> None:
    file.mkdir()
    with pytest.raises(DatabaseError, match=r"record\.db-pending: Is a directory"):
        open_pending(str(file))


def test_the_last_room_is_for_endings_of_runs_that_are_there_already(pending: PendingRows) -> None:
    assert written(pending, CLAIMED)
    while pending.add(ENDED._replace(log="x" * 100_000)):
        assert pending.write()
        if not pending.add(OTHER):
            break
    assert written(pending, ENDED)
    pending.clear()
    assert written(pending, OTHER)


def test_nothing_comes_behind_what_an_earlier_owner_left_until_it_was_cleared(pending: PendingRows) -> None:
    assert written(pending, CLAIMED)
    assert pending.read() == [CLAIMED]
    assert not pending.add(OTHER)
    pending.clear()
    assert written(pending, OTHER)


def test_a_row_with_an_outcome_that_nobody_knows_is_none(pending: PendingRows) -> None:
    assert written(pending, ENDED._replace(outcome="dreamt"), OTHER, CLAIMED._replace(trigger="moon"))
    assert pending.read() == [OTHER]
