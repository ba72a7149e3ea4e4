"""How the manager, its domains and its workers are, as people read it. Pure functions of `GET /v1/overview`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from juvuln.commands.runs_table import local_time, outcome_cell
from juvuln.commands.table import Cell, Row, format_table
from juvuln.commands.terminal import Colour, Terminal
from shared.terminal import harmless

MOST_ROWS = 20
"""Of a table; those with something wrong come first."""

Json = Mapping[str, Any]


def format_overview(overview: Json, terminal: Terminal) -> str:
    at = datetime.fromisoformat(overview["at"])
    parts = [
        _manager(overview["manager"], at, terminal),
        [_runs(overview["runs"])],
        _domains(overview["domains"], terminal),
        _workers(overview["workers"], terminal),
        _next(overview["next"], at, terminal),
        _failures(overview["failures"], terminal),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def span(seconds: float) -> str:
    """How long that is, in the unit that fits."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _manager(manager: Json, at: datetime, terminal: Terminal) -> list[str]:
    state = terminal.paint("ready", Colour.GREEN) if manager["ready"] else terminal.paint("not ready", Colour.RED)
    since = f"{local_time(manager['since'])} ({span((at - datetime.fromisoformat(manager['since'])).total_seconds())})"
    head = f"juvuln {manager['version']} ({harmless(manager['name'])}): {state}, up since {since}"
    problems = [f"    {harmless(part)}: {harmless(problem)}" for part, problem in manager["problems"].items()]
    return [head, *(terminal.paint(problem, Colour.RED) for problem in problems)]


def _runs(runs: Json) -> str:
    now = f"runs: {runs['under_way']} under way, {runs['waiting']} waiting"
    ended = f"{runs['succeeded']} succeeded, {runs['failed']} failed, {runs['not_run']} did not run"
    return f"{now}; since the manager started {ended}"


def _domains(domains: Sequence[Json], terminal: Terminal) -> list[str]:
    if not domains:
        return ["there is no domain"]
    rows = [
        (
            domain["name"],
            "-" if domain["programs"] is None else str(domain["programs"]),
            "-" if domain["faulty"] is None else str(domain["faulty"]),
            "never" if domain["age_seconds"] is None else f"{span(domain['age_seconds'])} ago",
            _domain_state(domain),
        )
        for domain in sorted(
            domains, key=lambda domain: (domain["problem"] is None, domain["paused"] is None, domain["name"])
        )
    ]
    return _table(("DOMAIN", "PROGRAMS", "FAULTY", "LAST READ", "STATE"), rows, terminal, "domains")


def _domain_state(domain: Json) -> Cell:
    if domain["problem"] is not None:
        state = "stale" if domain["stale"] else "away" if domain["away"] else "not followed"
        return Cell(f"{state}: {domain['problem']}", Colour.RED)
    if domain["paused"] is not None:
        return Cell(domain["paused"], Colour.YELLOW)
    return Cell("not read yet", Colour.YELLOW) if domain["age_seconds"] is None else Cell("good", Colour.GREEN)


def _workers(workers: Sequence[Json], terminal: Terminal) -> list[str]:
    if not workers:
        return [terminal.paint("no worker is subscribed", Colour.RED)]
    rows = [
        (
            worker["address"],
            Cell(worker["state"], Colour.GREEN if worker["state"] == "ready" else Colour.YELLOW),
            str(worker["runs"]),
            f"{worker['load_ms'] / 1000:.1f} s",
            f"{span(worker['silent_seconds'])} ago",
            " ".join(worker["languages"]),
        )
        for worker in sorted(workers, key=lambda worker: (worker["state"] == "ready", worker["address"]))
    ]
    return _table(("WORKER", "STATE", "RUNS", "LOAD", "LAST HEARD", "LANGUAGES"), rows, terminal, "workers")


def _next(due: Sequence[Json], at: datetime, terminal: Terminal) -> list[str]:
    if not due:
        return ["no routine is due"]
    rows = [
        (
            local_time(one["due"]),
            span(max(0.0, (datetime.fromisoformat(one["due"]) - at).total_seconds())),
            one["domain"],
            one["program_name"],
        )
        for one in due
    ]
    return format_table(("NEXT DUE", "IN", "DOMAIN", "PROGRAM"), rows, terminal)


def _failures(failures: Sequence[Json] | None, terminal: Terminal) -> list[str]:
    if failures is None:
        return [terminal.paint("the record of runs cannot be read", Colour.RED)]
    if not failures:
        return ["nothing went wrong lately"]
    rows = [
        (local_time(run["due"] or run["claimed"]), run["domain"], run["program_name"], outcome_cell(run), _why(run))
        for run in failures
    ]
    return format_table(("LAST FAILURES", "DOMAIN", "PROGRAM", "OUTCOME", "WHY"), rows, terminal)


def _why(run: Json) -> str:
    text = run["reason"] or (run["error"] or {}).get("message") or "-"
    return str(text).partition("\n")[0]


def _table(headings: Sequence[str], rows: Sequence[Row], terminal: Terminal, what: str) -> list[str]:
    lines = format_table(headings, rows[:MOST_ROWS], terminal)
    left_out = len(rows) - MOST_ROWS
    return lines if left_out <= 0 else [*lines, f"and {left_out} more {what}"]
