"""`juvuln program push`: a folder of programs is made so in the domain."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from juvuln.commands.connection import DomainOption, ProfileOption, ServerOption, TokenOption, connect
from juvuln.commands.endings import PROGRAM, ends_well_or_says_why
from juvuln.commands.errors import UsageError
from juvuln.commands.output import JsonOption, QuietOption, print_json
from shared.errors import SelfhostError

if TYPE_CHECKING:
    from juvuln.commands.client import ApiClient
    from juvuln.deploy.checking import Checked
    from juvuln.deploy.domain import DomainReader
    from juvuln.deploy.plan import Plan

FolderArgument = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="The folder: .tengo files, each with its specification in a program.yaml or in its leading comments.",
    ),
]
SignOption = Annotated[bool, typer.Option("--sign", help="Sign the newest code, so that it runs.")]
PruneOption = Annotated[
    bool, typer.Option("--prune", help="Deactivate the domain's active programs that are not in the folder.")
]
DiffOption = Annotated[bool, typer.Option("--diff", help="Show what changes in the code.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Check everything, show the plan, change nothing.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Carry the plan out without asking.")]


class PushRefused(SelfhostError):
    """Something in the folder would be refused, or was declined; nothing was sent."""


@ends_well_or_says_why
def push_programs(
    folder: FolderArgument,
    sign: SignOption = False,
    prune: PruneOption = False,
    diff: DiffOption = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    server: ServerOption = None,
    domain: DomainOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Make the programs of a folder so in the domain.

    Shows a plan first, and carries it out after a yes. Everything is compiled before anything is sent.
    Nothing is ever deleted.
    """
    from juvuln.commands.terminal import confirm
    from juvuln.deploy.domain import DomainReader
    from juvuln.deploy.plan_text import plan_json

    client = connect(server, domain, token, profile)
    reader = DomainReader(client)
    plan, checked = _planned(folder, reader, sign=sign, prune=prune)
    _tell(checked)
    done: dict[str, str] = {}
    if not (as_json or quiet):
        _print_plan(plan, reader, diff=diff)
    if not plan.work:
        if not (as_json or quiet):
            print(f"nothing to do: {client.domain} is as {folder}")
            _print_note(plan)
    elif not dry_run:
        question = f"carry this out in {client.domain} at {client.server.url}?"
        try:
            if not yes and not confirm(question):
                raise PushRefused("nothing was changed")
            _carry_out(plan, checked, client, done, say=not as_json, quiet=quiet)
            if not (as_json or quiet):
                _print_note(plan)
        finally:
            if as_json:
                print_json(plan_json(plan, done, carried_out=len(done) == len(plan.work)))
        return
    if as_json:
        print_json(plan_json(plan, done, carried_out=not plan.work))


def _planned(folder: Path, reader: "DomainReader", *, sign: bool, prune: bool) -> "tuple[Plan, Checked]":
    import asyncio

    from juvuln.clock import Clock
    from juvuln.deploy.checking import Modules, check_plan
    from juvuln.deploy.folder import read_folder
    from juvuln.deploy.matching import paired
    from juvuln.deploy.plan import gone_from, make_plan

    local = read_folder(folder)
    if prune and not local:
        raise UsageError(f"{folder} holds no program: with --prune that would deactivate all that the domain has")
    remote = reader.programs()
    pairs = [(here, there and reader.with_newest(there)) for here, there in paired(local, remote)]
    plan = make_plan(pairs, sign=sign, gone=gone_from(pairs, remote) if prune else ())
    checked = asyncio.run(check_plan(plan, Modules(plan, remote, reader), Clock().now()))
    return plan, checked


def _tell(checked: "Checked") -> None:
    """What does not compile. Raises PushRefused."""
    for warning in checked.warnings:
        print(f"{PROGRAM}: warning: it is so in the domain already: {warning}", file=sys.stderr)
    if checked.faults:
        raise PushRefused("\n".join([*checked.faults, "nothing was sent"]))


def _print_plan(plan: "Plan", reader: "DomainReader", *, diff: bool) -> None:
    from juvuln.commands.terminal import standard_output
    from juvuln.deploy.plan_text import format_diff, format_plan

    print(format_plan(plan, standard_output()), end="")
    if diff:
        for step in plan.work:
            newest = step.remote.newest if step.remote and step.uploads else None
            old = reader.code(step.remote, newest) if step.remote and newest else b""
            if step.uploads:
                print("", *format_diff(step, old), sep="\n")


def _print_note(plan: "Plan") -> None:
    from juvuln.deploy.plan_text import unsigned_note

    if note := unsigned_note(plan):
        print(note)


def _carry_out(
    plan: "Plan", checked: "Checked", client: "ApiClient", done: dict[str, str], *, say: bool, quiet: bool
) -> None:
    """Each program with which it is through is added to ``done`` by the step's key, with its uuid."""
    from juvuln.deploy.carry_out import carry_out
    from shared.terminal import harmless

    steps = checked.in_order(plan.work)
    try:
        for step, uuid in carry_out(client, steps):
            done[step.key] = uuid
            if say:
                print(uuid if quiet else f"done: {', '.join(step.actions)} {harmless(step.name)}", flush=True)
    except BaseException:
        left = [harmless(step.name) for step in steps if step.key not in done]
        print(f"{PROGRAM}: not done, or in part: {', '.join(left)}; push again completes it", file=sys.stderr)
        raise
