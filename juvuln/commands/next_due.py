"""When a program's routine is due next, as far as can be told from outside the manager. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from juvuln.schedule import Every, Schedule, ScheduleError, parse_schedule, schedule_zone, upcoming
from juvuln.schedule_words import schedule_words

COUNT = 3


@dataclass(frozen=True, slots=True)
class NextDue:
    """The schedule in words, or what is wrong with it; and the next due times, in the schedule's zone."""

    words: str = ""
    times: Sequence[datetime] = ()


def next_due(
    program: Mapping[str, Any], revisions: Sequence[Mapping[str, Any]], runs: Sequence[Mapping[str, Any]], now: datetime
) -> NextDue:
    """For a routine. A schedule that names no zone is taken to be in UTC, which the manager can be told otherwise.

    Only an active routine with signed code has due times.
    """
    text = program["schedule"]
    if program["type"] != "routine":
        return NextDue()
    try:
        schedule, zone = parse_schedule(text, UTC), schedule_zone(text, UTC)
        words = schedule_words(schedule, zone, now)
        if program["state"] != "active" or not any(revision["signed"] for revision in revisions):
            return NextDue(words)
        start = _start(schedule, runs, now)
        return NextDue(words, [due.astimezone(zone) for due in upcoming(schedule, start, COUNT)])
    except ScheduleError as error:
        return NextDue(str(error))


def _start(schedule: Schedule, runs: Sequence[Mapping[str, Any]], now: datetime) -> datetime:
    """`@every` counts from the last due time, if that is not long ago; all else from now."""
    last = next((datetime.fromisoformat(run["due"]) for run in runs if run["due"]), None)
    if isinstance(schedule, Every) and last and now < last + timedelta(seconds=schedule.period_seconds):
        return last
    return now
