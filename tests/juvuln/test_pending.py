"""Rows that are on record, but not in its database yet."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from juvuln.clock import new_run_id
from juvuln.runs.pending import PendingRows, open_pending
from juvuln.runs.rows import COLUMNS, Row, claimed_row, ended_row
from juvuln.runs.run import Ending, Run, Trigger
from shared.wire import Outcome
from tests.juvuln.support import program

NOW_MS = 1_700_000_000_000


def a_run(number: int) -> Run:
    return Run(new_run_id(NOW_MS, number), program(), Trigger.WEBHOOK, claimed_ms=NOW_MS)


RUN = a_run(1)
CLAIMED = claimed_row(RUN, "manager")
ENDED = ended_row(RUN, "manager", Ending(Outcome.FAILED, NOW_MS + 5, reason='a\nb "c" é', duration_ms=0.25))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "record.db-pending"


@pytest.fixture
def pending(tmp_path: Path) -> Iterator[PendingRows]:
    with open_pending(f"sqlite:///{tmp_path}/record.db") as opened:
        assert opened is not None
        yield opened


def written(pending: PendingRows, *rows: Row) -> bool:
    for row in rows:
        pending.add(row)
    return pending.write()


def test_rows_come_back_as_they_were_and_in_their_order(pending: PendingRows) -> None:
    assert pending.read() == []
    assert written(pending, CLAIMED)
    assert written(pending, ENDED, CLAIMED)
    assert pending.read() == [CLAIMED, ENDED, CLAIMED]
    pending.clear()
    assert pending.read() == []
    assert written(pending, ENDED)
    assert pending.read() == [ENDED]


def test_only_its_owner_may_read_the_file(pending: PendingRows, file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("end", [b'["018', b"\0" * 700, b'\n\n["x"]\n', b"\xff\xfe\n", b"5\n", b"{}\n"])
def test_what_stands_before_a_broken_end_counts(pending: PendingRows, file: Path, end: bytes) -> None:
    written(pending, CLAIMED, ENDED)
    with file.open("ab") as opened:
        opened.write(end)
    assert pending.read() == [CLAIMED, ENDED]


def test_a_broken_start_leaves_nothing(pending: PendingRows, file: Path) -> None:
    file.write_bytes(b"\0\0\0\n" * 10)
    assert pending.read() == []


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
    assert pending.read() == [CLAIMED]
    assert written(pending, ENDED)
    assert pending.read() == [CLAIMED, ENDED]


def test_it_has_room_for_some_megabytes_and_again_when_it_was_cleared(pending: PendingRows) -> None:
    long = ENDED._replace(log="x" * 1_000_000)
    count = 0
    while pending.has_room:
        assert written(pending, long)
        count += 1
    assert count == 5
    pending.clear()
    assert pending.has_room


def test_a_second_manager_on_the_record_has_none_until_the_first_is_gone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/record.db"
    with open_pending(url) as first:
        assert first is not None
        assert written(first, CLAIMED)
        with open_pending(url) as second:
            assert second is None
    with open_pending(url) as third:
        assert third is not None
        assert third.read() == [CLAIMED]


def test_a_record_in_postgresql_has_none(tmp_path: Path) -> None:
    with open_pending("postgresql://localhost/record") as opened:
        assert opened is None


def test_a_file_that_cannot_be_opened_is_done_without(tmp_path: Path, file: Path) -> None:
    file.mkdir()
    with open_pending(f"sqlite:///{tmp_path}/record.db") as opened:
        assert opened is None
