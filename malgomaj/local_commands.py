"""The commands `malgomaj check` and `malgomaj run`: from what the command line says to what is printed."""

import asyncio
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from malgomaj.config import WorkerSettings
from malgomaj.egress import AllowSection, EgressSection, load_egress
from malgomaj.errors import UnusableInput, WorkerError
from malgomaj.executor import ExecutorOptions
from malgomaj.executor_options import executor_options
from malgomaj.exit_status import exit_status
from malgomaj.local import Ended, Order, check_all, open_executor, run
from malgomaj.local_output import answer_bytes, check_json, error_text, log_text, run_json
from malgomaj.sources import Sources, as_utf8, read_at_most, read_modules, read_source
from shared.terminal import harmless
from shared.wire import MAX_DEADLINE_MS, LogLine, ProgramError, TaskRequest

STANDARD_INPUT = Path("-")
CALLER = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Call:
    """The call that a webhook is to answer, as the command line says it; ``headers`` are of the form ``K: V``."""

    method: str
    path: str
    query: str
    headers: Sequence[str]
    body: Path | None


def without_configuration(settings: WorkerSettings) -> WorkerSettings:
    """Where no operator has said what programs may call, they may call what runs beside them, as in the demo."""
    if "egress" in settings.model_fields_set:
        return settings
    egress = EgressSection(allow=AllowSection(networks=("public", "private", "loopback")))
    return settings.model_copy(update={"egress": egress})


def options_for(settings: WorkerSettings, domain: str) -> ExecutorOptions:
    """As the daemon's executors of ``domain`` are made. Raises ConfigurationError."""
    return executor_options(settings, load_egress(settings.egress, os.environ), domain)


def check_files(options: ExecutorOptions, files: Sequence[Path], modules: Sequence[str], *, as_json: bool) -> int:
    """Compile each file and print what is wrong with it; gives the exit status. Raises WorkerError."""
    supplied = read_modules(modules)
    programs = [Sources(read_source(file), supplied) for file in files]
    return asyncio.run(_check_all(options, programs, as_json=as_json))


def read_order(file: Path, modules: Sequence[str], call: Call | None, deadline_ms: int, max_body_bytes: int) -> Order:
    """What the command line says is to be run; a deadline of 0 asks for the longest. Raises WorkerError."""
    sources = Sources(read_source(file), read_modules(modules))
    request = _request(call, max_body_bytes) if call else None
    return Order(sources, request, deadline_ms or MAX_DEADLINE_MS)


def run_order(options: ExecutorOptions, order: Order, *, as_json: bool) -> int:
    """Run a program and print what came of it; gives the exit status. Raises WorkerError."""
    ended = asyncio.run(_run(options, order))
    if as_json:
        print(run_json(ended), flush=True)
    else:
        _print_ended(ended, order.sources)
    return exit_status(ended.errors)


async def _check_all(options: ExecutorOptions, programs: Iterable[Sources], *, as_json: bool) -> int:
    status = 0
    async for sources, errors in check_all(programs, options):
        status = max(status, exit_status(errors))
        if as_json:
            print(check_json(sources, errors), flush=True)
        else:
            _print_checked(sources, errors)
    return status


async def _run(options: ExecutorOptions, order: Order) -> Ended:
    async with open_executor(options) as executor:
        return await run(executor, order, _print_line)


def _request(call: Call, max_body_bytes: int) -> TaskRequest:
    body = _body(call.body, max_body_bytes)
    if len(body) > max_body_bytes:
        raise WorkerError(f"{call.body}: a body may have {max_body_bytes} bytes (limits.body_bytes)")
    return TaskRequest(
        headers=_headers(map(as_utf8, call.headers)),
        body=body,
        method=as_utf8(call.method),
        path=as_utf8(call.path),
        query=as_utf8(call.query),
        remote=CALLER,
    )


def _body(path: Path | None, max_bytes: int) -> bytes:
    """One byte more than ``max_bytes`` of it where it is longer."""
    if path is None:
        return b""
    if path == STANDARD_INPUT:
        if sys.stdin is None:
            raise UnusableInput("--body -: standard input is closed")
        return sys.stdin.buffer.read(max_bytes + 1)
    return read_at_most(path, max_bytes)


def _headers(given: Iterable[str]) -> dict[str, str]:
    """As the manager hands them on: one that is given again is joined to the first."""
    headers: dict[str, str] = {}
    names: dict[str, str] = {}
    for text in given:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise UnusableInput(f"--header {text}: is not NAME: VALUE")
        name = names.setdefault(name.strip().lower(), name.strip())
        headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
    return headers


def _print_line(line: LogLine) -> None:
    # Should nobody read them any more, the run goes on.
    with suppress(OSError):
        print(log_text(line), file=sys.stderr, flush=True)


def _print_checked(sources: Sources, errors: Sequence[ProgramError]) -> None:
    if not errors:
        print(f"{harmless(sources.main.name)}: good", flush=True)
    _print_errors(errors, sources)


def _print_ended(ended: Ended, sources: Sources) -> None:
    _print_errors(ended.errors, sources)
    if ended.response is not None:
        if sys.stdout is None:
            raise UnusableInput("standard output is closed, so that the answer goes nowhere")
        sys.stdout.buffer.write(answer_bytes(ended.response))
        sys.stdout.buffer.flush()


def _print_errors(errors: Iterable[ProgramError], sources: Sources) -> None:
    for error in errors:
        print(error_text(error, sources), file=sys.stderr, flush=True)
