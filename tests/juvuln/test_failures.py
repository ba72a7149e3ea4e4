"""Failures in a row, as they are on record, on both databases."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count

import pytest

from juvuln.clock import new_run_id
from juvuln.database import DatabaseError
from juvuln.failures import Failures
from juvuln.programs import Program
from juvuln.runs.record import RunRecord, open_record
from juvuln.runs.run import Ending, PastEnding, Run, Trigger
from shared.wire import Outcome
from tests.juvuln.support import program
from tests.support.databases import DatabaseServer

NOW_MS = 1_700_000_000_000
LIMIT = 3


@dataclass
class Lives:
    """A manager that is as if it was started anew for each run."""

    record: RunRecord
    given_up: list[int] = field(default_factory=list)
    """After which runs the program was set to failed."""
    numbers: Iterable[int] = field(default_factory=count)

    async def ends(self, *outcomes: Outcome, revision: int = 0) -> None:
        """Have runs of the routine end so, one after the other."""
        for outcome in outcomes:
            number = next(iter(self.numbers))

            async def set_failed(_: Program, number: int = number) -> bool:
                self.given_up.append(number)
                return True

            at_ms = NOW_MS + 1000 * number
            it = Run(
                new_run_id(at_ms), program(revision=revision), Trigger.SCHEDULE, at_ms, at_ms, failures_limit=LIMIT
            )
            await self.record.claim([it])
            ending = Ending(outcome, at_ms + 1)
            note = await Failures(self.record.past, set_failed).ended(it, ending)
            self.record.close(it, ending._replace(reason=note))


@pytest.fixture
async def lives(databases: DatabaseServer) -> AsyncIterator[Lives]:
    async with open_record(await databases.create(), "manager", lambda _: None) as opened:
        writer = asyncio.create_task(opened.write())
        yield Lives(opened)
        writer.cancel()


async def test_failures_in_a_row_are_counted_across_restarts_and_whatever_else_happened_between(lives: Lives) -> None:
    await lives.ends(Outcome.FAILED, Outcome.TIMED_OUT, Outcome.SKIPPED, Outcome.LOST, Outcome.MISSED)
    assert lives.given_up == []
    await lives.ends(Outcome.CRASHED)
    assert lives.given_up == [5]


async def test_a_success_begins_anew(lives: Lives) -> None:
    await lives.ends(Outcome.FAILED, Outcome.FAILED, Outcome.SUCCEEDED, Outcome.FAILED, Outcome.FAILED)
    assert lives.given_up == []


async def test_failures_of_an_earlier_revision_do_not_count(lives: Lives) -> None:
    await lives.ends(Outcome.FAILED, Outcome.FAILED)
    await lives.ends(Outcome.FAILED, Outcome.FAILED, revision=1)
    assert lives.given_up == []
    await lives.ends(Outcome.FAILED, revision=1)
    assert lives.given_up == [4]


async def test_a_program_that_was_set_to_active_again_may_fail_as_often_again(lives: Lives) -> None:
    await lives.ends(*[Outcome.FAILED] * 5)
    assert lives.given_up == [2]
    await lives.ends(Outcome.FAILED)
    assert lives.given_up == [2, 5]


async def test_a_record_that_cannot_be_read_gives_no_program_up() -> None:
    async def away(_program: Program, _outcomes: Iterable[Outcome], _limit: int) -> Sequence[PastEnding]:
        raise DatabaseError("record of runs", "did not answer in time")

    async def set_failed(_: Program) -> bool:
        raise AssertionError

    it = Run(new_run_id(NOW_MS), program(), Trigger.SCHEDULE, NOW_MS, NOW_MS, failures_limit=1)
    note = await Failures(away, set_failed).ended(it, Ending(Outcome.FAILED, NOW_MS))
    assert "could not be seen" in (note or "")
