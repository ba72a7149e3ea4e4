"""One round of chaos: a quiet beginning, the faults, a quiet end, and what is left to be judged."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.checker import Verdict, judge
from tests.chaos.counting import read_effects
from tests.chaos.evidence import Evidence
from tests.chaos.faults import Fault, Plan, fault_schedule
from tests.chaos.perform import perform_all
from tests.chaos.record import read_record
from tests.chaos.stage import Stage, open_stage
from tests.support.daemons import DaemonProcess

WORKERS = 2
BEGIN_SECONDS = 1.0
SETTLE_SECONDS = 6.0
"""After the last fault: everything that is due is seen to within this time."""
LATEST_CLAIM_SECONDS = 4.0
"""What was due so long before the manager was asked to stop must be on record."""


@dataclass(frozen=True, slots=True)
class Round:
    """What happened in a round, and what is to be said of it."""

    faults: Sequence[Fault]
    evidence: Evidence
    verdict: Verdict

    def table(self) -> str:
        """For people."""
        return "\n".join(
            [
                *_counted("faults", Counter(fault.kind.value for fault in self.faults)),
                *_counted("records", Counter(record.outcome or "open" for record in self.evidence.records)),
                f"{self.verdict.due_times:7} due times that had to be on record",
                f"{len(self.evidence.effects):7} effects",
                *_counted("violations", Counter(each.kind.value for each in self.verdict.violations)),
            ]
        )


def _counted(what: str, counts: Counter[str]) -> list[str]:
    return [f"{counts.total():7} {what}", *[f"{number:11} {name}" for name, number in sorted(counts.items())]]


async def run_round(folder: Path, database: str, *, seconds: float, seed: int, pause: float = 1.5) -> Round:
    """A round with a fault every ``pause`` seconds; of ``seconds`` after everything is up, and some more to settle."""
    faults = fault_schedule(Plan(seed, database, BEGIN_SECONDS, seconds, pause, WORKERS))
    async with open_stage(folder, database, WORKERS) as stage:
        looking = asyncio.create_task(stage.look_for_executors())
        try:
            await perform_all(stage, faults)
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
        evidence = await _come_to_rest(stage)
    return Round(faults, evidence, judge(evidence))


async def _come_to_rest(stage: Stage) -> Evidence:
    """Let everything settle and end, in order; gives what is left behind."""
    stage.clock.set_past_all_others()
    for daemon in stage.daemons:
        stage.note_if_ended(daemon)
    await stage.installation.until_ready()
    await asyncio.sleep(SETTLE_SECONDS)
    due_by_ms = stage.clock.now_ms() - round(LATEST_CLAIM_SECONDS * 1000)
    stage.note_executors()
    for daemon in stage.daemons:
        await _stop_at_rest(stage, daemon)
    effects, beats = read_effects(stage.effects_path)
    return Evidence(
        routines=stage.known,
        records=await read_record(stage.record_url),
        effects=effects,
        beats=beats,
        clock=stage.clock.settings,
        due_by_ms=due_by_ms,
        pauses=stage.pauses,
        manager_lives=stage.manager_lives,
        set_to_failed=await stage.set_to_failed(),
        still_running=[*stage.ended, *[f"executor {pid} is alive" for pid in stage.executors_left()]],
    )


async def _stop_at_rest(stage: Stage, daemon: DaemonProcess) -> None:
    """Stop a daemon, which must have nothing to give up."""
    given_up = [name for name in ("runs_given_up", "record_not_complete", "tasks_cancelled") if daemon.events(name)]
    status = await daemon.stop()
    if status != 0:
        stage.ended.append(f"{daemon.name} on port {daemon.port} ended with {status} when it was stopped")
    for name in ("runs_given_up", "record_not_complete", "tasks_cancelled"):
        if name not in given_up and daemon.events(name):
            stage.ended.append(f"{daemon.name} on port {daemon.port} ended with {name}")
