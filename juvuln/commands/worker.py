"""`juvuln worker …`: the workers that the manager gives runs to."""

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from juvuln.commands.endings import ends_well_or_says_why
from juvuln.commands.errors import UnknownError, UsageError
from juvuln.commands.operator import ManagerOption, call_manager
from juvuln.commands.output import JsonOption, QuietOption, print_json
from shared.cli import ConfigOption

if TYPE_CHECKING:
    from juvuln.commands.transport import Transport

WAIT_SECONDS = 0.5

Json = dict[str, Any]

app = typer.Typer(
    name="worker", help="The workers that the manager gives runs to.", no_args_is_help=True, rich_markup_mode=None
)

WorkerArgument = Annotated[
    str, typer.Argument(metavar="WORKER", help="Its address, or its uuid or how that begins.", show_default=False)
]


@app.command("list")
@ends_well_or_says_why
def list_workers(
    as_json: JsonOption = False, quiet: QuietOption = False, server: ManagerOption = None, config: ConfigOption = None
) -> None:
    """The workers: how they are, and what they have to do."""
    from juvuln.commands.table import format_table
    from juvuln.commands.terminal import standard_output

    workers = _workers(call_manager(server, config))
    if as_json:
        print_json(workers)
    elif quiet:
        for worker in workers:
            print(worker["uuid"])
    elif not workers:
        print("no worker is subscribed")
    else:
        headings = ("ADDRESS", "STATE", "RUNS", "LOAD", "LANGUAGES", "SINCE", "VERSION", "UUID")
        rows = [_row(worker) for worker in workers]
        print("\n".join(format_table(headings, rows, standard_output(), whole=("ADDRESS", "STATE", "UUID"))))


@app.command("drain")
@ends_well_or_says_why
def drain(
    worker: WorkerArgument,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has no run of this manager left.")] = False,
    server: ManagerOption = None,
    config: ConfigOption = None,
) -> None:
    """Give a worker no new runs. It brings those that it has to their end."""
    manager = call_manager(server, config)
    found = _find(worker, _workers(manager))
    _change_state(manager, found, "drained")
    print(f"worker {found['address']}: drained; it has {_counted(found['runs'])} to end")
    if wait:
        while _runs_of(found["uuid"], _workers(manager)):
            time.sleep(WAIT_SECONDS)
        print(f"worker {found['address']}: has no run left")


@app.command("undrain")
@ends_well_or_says_why
def undrain(worker: WorkerArgument, server: ManagerOption = None, config: ConfigOption = None) -> None:
    """Give a drained worker runs again."""
    manager = call_manager(server, config)
    found = _find(worker, _workers(manager))
    _change_state(manager, found, "ready")
    print(f"worker {found['address']}: ready")


def _workers(manager: "Transport") -> list[Json]:
    found: list[Json] = manager.json("GET", "/v1/subscribers")["workers"]
    return found


def _change_state(manager: "Transport", worker: Json, state: str) -> None:
    body = json.dumps({"state": state}).encode()
    manager.call("PUT", f"/v1/subscribers/{worker['uuid']}/state", body, {"Content-Type": "application/json"})


def _find(wanted: str, workers: Sequence[Json]) -> Json:
    """The worker with this address or uuid. Raises UnknownError, or UsageError if there are several."""
    from shared.terminal import harmless

    found = [worker for worker in workers if worker["address"] == wanted] or [
        worker for worker in workers if wanted and worker["uuid"].startswith(wanted.lower())
    ]
    if not found:
        known = ", ".join(worker["address"] for worker in workers) or "there is none"
        raise UnknownError(harmless(f"there is no worker {wanted}; subscribed: {known}"), 404, {})
    if len(found) > 1:
        raise UsageError(harmless(f"{len(found)} workers have a uuid that begins with {wanted}; give more of it"))
    return found[0]


def _runs_of(uuid: str, workers: Sequence[Json]) -> int:
    return sum(worker["runs"] for worker in workers if worker["uuid"] == uuid)


def _counted(runs: int) -> str:
    return "no run" if runs == 0 else "1 run" if runs == 1 else f"{runs} runs"


def _row(worker: Json) -> Sequence[str]:
    return (
        worker["address"],
        worker["state"],
        str(worker["runs"]),
        f"{worker['load_ms'] / 1000:.1f} s",
        ", ".join(worker["languages"]),
        worker["since"].partition(".")[0],
        worker["version"] or "-",
        worker["uuid"],
    )
