"""The record's writer: all that is put on record goes through it, many rows in one transaction.

A claim is answered once it outlives this process, so that nothing is dispatched that is not on record. Whatever waits
when a transaction begins goes into it together (group commit): a thousand runs cost about as much as one. An ending
that cannot be written, for a full disk or a database that is away, is kept and tried again until it can. Beside a
record in SQLite is a file for what is not in the database yet (:mod:`juvuln.runs.pending`): claims of webhooks, which
no due time keeps apart, and endings.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence

import structlog

from juvuln.database import DatabaseError, RefusedError
from juvuln.runs.batch import Batch, Claim
from juvuln.runs.managers import BEAT_SECONDS, LEFT_OPEN
from juvuln.runs.meter import RunMeter, WriteMeter
from juvuln.runs.pending import PendingRows, open_pending
from juvuln.runs.rows import Row, claimed_row, ended_row
from juvuln.runs.run import Ending, Run
from juvuln.runs.tables import WHAT
from juvuln.runs.writing import Writing
from shared.news import News
from shared.wire import Outcome

RETRY_SECONDS = 1.0
ENDING_DELAY_SECONDS = 0.005
"""How long they wait for a claim, and for each other, to share a transaction with."""
PENDING_DELAY_SECONDS = 0.05
"""The same for what is in the file of pending rows, where it is safe."""
PATIENCE_SECONDS = 1.0
"""How long a start waits for that file: its last owner may be about to end. Longer, and it is a neighbour's."""
ROOM_BYTES = 8 * 1024 * 1024
"""For the logs and errors of one transaction, which takes less than a second then. After a while in which the record
could not be written there may be hundreds of times as many, more than a database takes at once, or in its time."""

log = structlog.get_logger()


class ClaimInDoubtError(DatabaseError):
    """Nobody knows whether a claim was written. It will be, as of runs that were lost; they must not be started."""


class RecordWriter:
    """It writes while :meth:`write` is at work."""

    def __init__(
        self,
        writing: Writing,
        manager: str,
        report_problem: Callable[[str | None], None],
        pending_path: str | None,
    ) -> None:
        self._writing = writing
        self._loop = asyncio.get_running_loop()
        self.manager = manager
        """The name of this manager in the record."""
        self.meter = RunMeter()
        self.writes = WriteMeter()
        self._report_problem = report_problem
        self._claims: list[Claim] = []
        self._endings: list[Row] = []
        self._pending_path = pending_path
        self._pending: PendingRows | None = None
        self._open: dict[str, Row] = {}
        """Runs whose claim is only in the file of pending rows, by id."""
        self._timer: asyncio.Handle | None = None
        """Wakes the writer for what nobody waits for."""
        self._wakes_at_seconds = 0.0
        self._said = 0
        """How many runs were closed, or claimed in that file, so far."""
        self._settled = 0
        """How many of these are in the database."""
        self._attempted = News()
        """Told after every attempt to write."""
        self._owed: list[Row] = []
        self.failing = False
        """Whether it could not be written when that was last tried."""
        self._is_crowded = False
        """Whether claims came together lately: then it is worth while to wait a turn of the loop for more."""
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    async def claim(self, claimed: Sequence[Run], ended: Sequence[tuple[Run, Ending]] = ()) -> set[str]:
        """Put runs on record, in one transaction: as under way, or those in ``ended`` with their ending.

        Gives the ids of those that were not there yet; a due time that is on record already is left alone.
        Raises DatabaseError; then nothing of it counts as being on record, but for ClaimInDoubtError.
        """
        rows = [claimed_row(run, self.manager) for run in claimed]
        rows += [ended_row(run, self.manager, ending) for run, ending in ended]
        answer: asyncio.Future[set[str]] = self._loop.create_future()
        self._claims.append(Claim(rows, answer))
        self._idle.clear()
        self._work.set()
        try:
            added = await answer
        except ClaimInDoubtError:
            lost = [(run, _not_started(run.claimed_ms)) for run in claimed]
            self._count((), [*lost, *ended], {run.id for run, _ in [*lost, *ended]})
            raise
        self._count(claimed, ended, added)
        return added

    async def claim_call(self, run: Run) -> None:
        """Put a run on record that is for no due time. It outlives this process, but not always a power cut.

        Raises DatabaseError; then it is not on record. Should the database refuse later what is in it, which would
        take a trigger or the like that is not ours, nobody hears of that but the log.
        """
        row = claimed_row(run, self.manager)
        if self.failing or not self._put_into_file(row):
            await self.claim([run])
            return
        self.meter.note_claimed(run)
        self._open[run.id] = row
        self._said += 1
        self._write_within(PENDING_DELAY_SECONDS)

    def _put_into_file(self, row: Row) -> bool:
        """Write a claim to the file of pending rows. False if that cannot be done."""
        if self._pending is None or not self._pending.add(row):
            return False
        if not self._pending.write():
            self._write_within(ENDING_DELAY_SECONDS)  # for endings that were to be written with it
            return False
        return True

    def _count(self, claimed: Sequence[Run], ended: Sequence[tuple[Run, Ending]], added: Collection[str]) -> None:
        """Count what is on record now."""
        for run in claimed:
            if run.id in added:
                self.meter.note_claimed(run)
        for run, ending in ended:
            if run.id in added:
                self.meter.note_claimed(run)
                self.meter.note_ended(run, ending)

    @property
    def waiting(self) -> int:
        """Claims and endings that wait to be written."""
        claimed = sum(len(claim.rows) for claim in self._claims) + len(self._open)
        return claimed + len(self._endings) + len(self._owed)

    def close(self, run: Run, ending: Ending) -> None:
        """Close a run that was claimed. It is written soon, and not given up; the first ending of a run counts."""
        self.meter.note_ended(run, ending)
        row = ended_row(run, self.manager, ending)
        self._open.pop(run.id, None)
        self._endings.append(row)
        self._said += 1
        self._write_within(PENDING_DELAY_SECONDS if self._add_pending(row) else ENDING_DELAY_SECONDS)

    def _add_pending(self, row: Row) -> bool:
        """Have an ending in the file of pending rows with the end of this turn. False if it has no place there."""
        if self._pending is None:
            return False
        is_first = not self._pending.has_lines
        if not self._pending.add(row):
            return False
        if is_first:
            # Before any answer: whoever sends one does so later in this turn or in one of the next.
            self._loop.call_soon(self._write_pending, self._pending)
        return True

    def _write_pending(self, pending: PendingRows) -> None:
        if not pending.write():
            self._write_within(ENDING_DELAY_SECONDS)

    def _write_within(self, seconds: float) -> None:
        """Wake the writer then at the latest."""
        self._idle.clear()
        at_seconds = self._loop.time() + seconds
        if self._timer is not None:
            if self._wakes_at_seconds <= at_seconds:
                return
            self._timer.cancel()
        self._wakes_at_seconds = at_seconds
        self._timer = self._loop.call_later(seconds, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._work.set()

    async def flush(self) -> None:
        """Wait until everything said so far is written."""
        self._work.set()
        await self._idle.wait()

    async def take_pending(self, now_ms: int, *, patience_seconds: float = 0.0) -> int:
        """Use the file of pending rows from now on, unless a neighbour has it for longer than that.

        Gives back when what an earlier owner left there is in the database, unless that is :attr:`failing`; what that
        left open is lost, and gives how many. The writer must be at work. Raises DatabaseError if it cannot be read.
        """
        if self._pending_path is None or self._pending is not None:
            return 0
        until_seconds = self._loop.time() + patience_seconds
        while (pending := open_pending(self._pending_path)) is None:
            if self._loop.time() >= until_seconds:
                return 0
            await asyncio.sleep(PATIENCE_SECONDS / 10)
        try:
            rows = pending.read()
        except DatabaseError:
            pending.close()
            raise
        self._pending = pending
        if not rows:
            pending.clear()  # of what is no row
            return 0
        left_open = [row.ended(_left_open(now_ms)) for row in rows if row.outcome is None]
        self._endings += [*(row for row in rows if row.outcome is not None), *left_open]
        self.meter.left_open += len(left_open)
        self._said += 1
        self._write_within(0)
        await self.written()
        return len(left_open)

    def leave_pending(self) -> None:
        """Let another process have that file."""
        if self._pending is not None:
            self._pending.close()
            self._pending = None

    async def watch_pending(self, now_ms: Callable[[], int]) -> None:
        """For ever: take the file of pending rows when a neighbour that had it is gone."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                left_open = await self.take_pending(now_ms())
            except DatabaseError as error:
                log.error("pending_rows_not_taken", reason=error.reason)
            else:
                if left_open:
                    log.warning("runs_lost_with_a_neighbour", count=left_open)

    async def write(self) -> None:
        """The writer: for ever, everything that waits in one transaction."""
        while True:
            await self._work.wait()
            if self._is_crowded:
                # The more share a transaction, the less each costs.
                await asyncio.sleep(0)
            self._work.clear()
            if not self._has_work and not self.failing:
                self._idle.set()
                continue
            self._is_crowded = len(self._claims) > 1
            said, pending = self._said, self._pending
            added = pending.added if pending is not None else 0
            if await self._write_or_keep(self._next_batch()):
                self.failing = False
                self._settled = said
                self._attempted.tell()
                if pending is not None and pending is self._pending and pending.added == added:
                    pending.clear()
                self._report_problem(None)
                if not self._has_work:
                    self._idle.set()
            else:
                await asyncio.sleep(RETRY_SECONDS)

    @property
    def _has_work(self) -> bool:
        return bool(self._claims or self._endings or self._open)

    def _next_batch(self) -> Batch:
        """All that waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch = Batch(self._claims, self._endings, [*self._owed, *self._open.values()])
        self._claims, self._endings, self._owed, self._open = [], [], [], {}
        return batch

    async def _write_or_keep(self, batch: Batch) -> bool:
        """Write a batch, but for what the database refuses. False if it cannot be written now; then it is kept."""
        left = batch.portions(ROOM_BYTES)[::-1]
        while left:
            part, began = left.pop(), time.perf_counter()
            try:
                added = await self._write_batch(part)
            except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits must hear and endings must stay
                self.writes.errors += 1
                if not isinstance(error, RefusedError) or part.in_doubt:
                    self._keep_for_later([*left, part], error)
                    return False
                left += reversed(_without_what_is_refused(part, error))
            else:
                self.writes.rows.add(len(part))
                self.writes.seconds.add(time.perf_counter() - began)
                for claim in part.claims:
                    claim.succeed(added)
        return True

    async def _write_batch(self, batch: "Batch") -> set[str]:
        rows = [*batch.owed, *(row for claim in batch.claims for row in claim.rows)]
        return await self._writing.write(rows, batch.endings, batch.come_into_doubt)

    def _keep_for_later(self, batches: Sequence[Batch], error: Exception) -> None:
        """After the last of the batches failed, which go last to first: tell who waits, keep the endings, try again."""
        reason = error.reason if isinstance(error, DatabaseError) else repr(error)
        for batch in batches:
            if batch.in_doubt:
                _have_it_end(batch)
            for claim in batch.claims:
                claim.fail(ClaimInDoubtError(WHAT, reason) if batch.in_doubt else error)
            self._endings = batch.endings + self._endings
            self._owed = batch.owed + self._owed
        self.failing = True
        self._attempted.tell()
        self._work.set()
        self._report_problem(f"cannot be written: {reason}")
        whole = Batch.of(batches)
        log.error("record_not_written", reason=reason, claims=len(whole.claims), endings=len(whole.endings))

    async def written(self) -> None:
        """Wait until what was said so far is in the database; while it cannot be written nobody waits."""
        said = self._said
        if self._settled < said:
            self._write_within(ENDING_DELAY_SECONDS)
        while self._settled < said and not self.failing:
            await self._attempted.wait()


def _have_it_end(batch: Batch) -> None:
    """Writing it failed, and may have been done all the same. What was claimed is not going to be run: it is put on
    record as lost, or, if it is there after all, closed.
    """
    for row in [row for claim in batch.claims for row in claim.rows]:
        lost = row.ended(_not_started(row.claimed_ms))
        batch.owed.append(row if row.outcome else lost)
        batch.endings.append(lost)


def _without_what_is_refused(batch: Batch, error: RefusedError) -> list[Batch]:
    """What to write instead of a batch that was refused: its halves, or, if it is one run, as little as can be said."""
    parts = batch.parts()
    if len(parts) > 1:
        middle = len(parts) // 2
        return [Batch.of(parts[:middle]), Batch.of(parts[middle:])]
    for claim in batch.claims:
        claim.fail(error)
    for row in batch.owed:
        log.error("run_refused_by_record", run=row.id, reason=error.reason)
    bare = [_bare(row, error.reason) for row in batch.endings]
    for row in batch.endings:
        log.error("ending_refused_by_record", run=row.id, outcome=row.outcome, reason=error.reason)
    return [Batch(endings=bare)] if bare != batch.endings else []


def _bare(row: Row, refusal: str) -> Row:
    """The ending of a run whose details the database refuses."""
    reason = f"its details could not be written: {refusal}"
    assert row.outcome is not None, "it is that of an ending"
    return row.ended(Ending(Outcome(row.outcome), row.ended_ms or 0, reason))


def _left_open(now_ms: int) -> Ending:
    return Ending(Outcome.LOST, ended_ms=now_ms, reason=LEFT_OPEN)


def _not_started(claimed_ms: int) -> Ending:
    reason = "it was not certain to be on record, so it was not started"
    return Ending(Outcome.LOST, ended_ms=claimed_ms, reason=reason)
