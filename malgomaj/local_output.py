"""What the commands on local files print. Pure functions."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby

from malgomaj.local import Ended
from malgomaj.sources import Sources
from shared.excerpt import Place, excerpt
from shared.terminal import harmless
from shared.wire import ErrorKind, LogLine, ProgramError, Report, TaskAnswer, as_one_error

_LINE_BREAKS = "\n\t"


def error_text(error: ProgramError, sources: Sources) -> str:
    """What is wrong and where, the line of the source with a caret, and how the program came there."""
    where = _shown(error.stack[0], sources) if error.stack else harmless(sources.main.name)
    head = f"{where}: {error.kind} error: {harmless(error.message, keep=_LINE_BREAKS)}"
    way = "imported at" if error.kind is ErrorKind.COMPILE else "called from"
    return "\n".join([head, *_excerpt(error, sources), *_way(way, error.stack[1:], sources)])


def log_text(line: LogLine) -> str:
    return f"{line.level}: {harmless(line.message, keep=_LINE_BREAKS)}"


def check_json(sources: Sources, errors: Sequence[ProgramError]) -> str:
    """One line of JSON for a file that was checked."""
    told = [error.model_dump(mode="json") for error in errors]
    return json.dumps({"file": sources.main.name, "good": not errors, "errors": told})


def run_json(ended: Ended) -> str:
    """The report that a worker gives its manager."""
    report = Report(
        outcome=ended.outcome,
        error=as_one_error(ended.errors) if ended.errors else None,
        log=list(ended.log),
        duration_ms=round(ended.duration_ms, 3),
        modules=list(ended.modules),
        response=ended.response,
    )
    return json.dumps(report.model_dump(mode="json"))


def answer_bytes(answer: TaskAnswer) -> bytes:
    """A webhook's answer: a line with its status, its headers, an empty line, its body as it is."""
    lines = [f"HTTP {answer.status}", *(f"{name}: {value}" for name, value in answer.headers), "", ""]
    return "\n".join(lines).encode() + answer.body


def _excerpt(error: ProgramError, sources: Sources) -> list[str]:
    place = Place.parse(error.stack[0]) if error.stack else None
    file = sources.file_of_place(place.file) if place else None
    return excerpt(file.code, place) if place and file else []


def _way(word: str, places: Sequence[str], sources: Sources) -> Iterator[str]:
    for place, repeated in groupby(places):
        times = len(list(repeated))
        yield f"  {word} {_shown(place, sources)}" + (f" ({times} times)" if times > 1 else "")


def _shown(text: str, sources: Sources) -> str:
    """A place as it is shown: a module's with the file that stands for it."""
    place = Place.parse(text)
    module = sources.module(place.file) if place and place.file != sources.main.name else None
    return harmless(f"{text} ({module.name})" if module else text)
