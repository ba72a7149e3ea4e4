"""`juvuln next` and `juvuln program next`: a schedule in words, and when it is due. It needs no server."""

import json
import sys
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Annotated

import typer

from shared.start import EXIT_USAGE

if TYPE_CHECKING:
    from juvuln.schedule import ScheduleError

ScheduleArgument = Annotated[
    str,
    typer.Argument(
        metavar="SCHEDULE", help='Such as "0 45 23 * * 6", "@every 90s" or "TZ=Europe/Stockholm @daily"; in quotes.'
    ),
]
ZoneOption = Annotated[
    str, typer.Option("--zone", metavar="ZONE", help="The time zone, where the schedule does not begin with TZ=ZONE.")
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME",
        help="Due times after this, such as 2026-03-28T12:00:00+01:00; without an offset in the schedule's zone. "
        "Now, if not given.",
    ),
]
CountOption = Annotated[int, typer.Option("--count", "-n", metavar="N", min=1, max=10_000, help="How many due times.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print a JSON array of the due times, for programs.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print the due times alone, a line each.")]


def next_command(
    schedule: ScheduleArgument,
    zone: ZoneOption = "UTC",
    start: FromOption = None,
    count: CountOption = 5,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """When a schedule is due, in words and times.

    For a bad one, where the fault is. It needs no server.
    """
    from juvuln.clock import Clock
    from juvuln.schedule import ScheduleError, load_zone, parse_schedule, schedule_zone, upcoming
    from juvuln.schedule_words import schedule_words

    try:
        default_zone = load_zone(zone)
    except ScheduleError as error:
        raise _refused(f"--zone: {error}") from None
    try:
        parsed = parse_schedule(schedule, default_zone)
        own_zone = schedule_zone(schedule, default_zone)
        begin = Clock().now() if start is None else _instant(start, own_zone)
        due = [instant.astimezone(own_zone) for instant in upcoming(parsed, begin, count)]
    except ScheduleError as error:
        raise _refused(*fault_lines(schedule, error)) from None
    if as_json:
        print(json.dumps([instant.isoformat() for instant in due], indent=2))
        return
    if not quiet:
        print(schedule_words(parsed, own_zone, begin))
    for instant in due:
        print(instant.isoformat() if quiet else f"{instant.isoformat()}  {instant:%A}")


def fault_lines(text: str, error: "ScheduleError") -> list[str]:
    """What is wrong with a schedule, its text with a caret under the fault, and what may stand there."""
    from juvuln.schedule_words import field_rule
    from shared.terminal import columns, harmless

    if error.span is None:
        return [str(error)]
    start, end = error.span
    before, fault = columns(harmless(text[:start])), columns(harmless(text[start:end]))
    lines = [f"{error} (character {start + 1})", f"    {harmless(text)}", f"    {' ' * before}{'^' * max(1, fault)}"]
    return lines if error.field is None else [*lines, field_rule(error.field)]


def _instant(text: str, zone: tzinfo) -> datetime:
    """The time that `--from` says; without an offset it is meant in ``zone``."""
    try:
        instant = datetime.fromisoformat(text)
        aware = instant if instant.tzinfo else instant.replace(tzinfo=zone)
        aware.astimezone(zone)
    except (ValueError, OverflowError):
        raise _refused(f"--from: {text!r} is not a time such as 2026-03-28T12:00:00+01:00") from None
    return aware


def _refused(*lines: str) -> typer.Exit:
    for line in lines:
        print(f"juvuln: {line}", file=sys.stderr)
    return typer.Exit(EXIT_USAGE)
