"""`juvuln program sign`: let a revision run."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from juvuln.commands.arguments import ForceOption, ProgramArgument
from juvuln.commands.connection import DomainOption, ProfileOption, ServerOption, TokenOption, connect
from juvuln.commands.endings import ends_well_or_says_why
from juvuln.commands.errors import RefusedError, UnknownError
from shared.terminal import harmless

if TYPE_CHECKING:
    from juvuln.commands.client import ApiClient, Json

DOES_NOT_COMPILE = 422


@ends_well_or_says_why
def sign_program(
    program: ProgramArgument,
    revision: Annotated[
        int | None,
        typer.Argument(metavar="REVISION", min=0, help="Which revision; else the newest.", show_default=False),
    ] = None,
    force: ForceOption = False,
    server: ServerOption = None,
    domain: DomainOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Sign a revision, so that it runs.

    The server compiles it first, and refuses what does not compile.
    """
    client = connect(server, domain, token, profile)
    found = client.find(program)
    number = newest_revision(client, found) if revision is None else revision
    sign_revision(client, found, number, None, force=force)
    print(f"signed revision {number} of {harmless(found['name'])}")


def newest_revision(client: "ApiClient", program: "Json") -> int:
    """The number of a program's newest revision, signed or not. Raises UnknownError."""
    revisions = client.revisions(program["uuid"])
    if not revisions:
        raise UnknownError(f"{harmless(program['name'])} has no code yet", 404, {})
    number: int = revisions[-1]["revision"]
    return number


def sign_revision(client: "ApiClient", program: "Json", revision: int, code: bytes | None, *, force: bool) -> "Json":
    """Sign a revision and give it as it is then.

    If the server finds that it does not compile, says where on standard error and raises RefusedError. ``code`` is the
    revision's, where it is at hand.
    """
    try:
        client.sign(program["uuid"], revision, force=force)
    except RefusedError as error:
        fault = error.body.get("error")
        if error.status != DOES_NOT_COMPILE or not isinstance(fault, dict):
            raise
        code = client.code(program["uuid"], revision) if code is None else code
        _print_fault(fault, program["name"], code)
        raise RefusedError(
            f"revision {revision} of {harmless(program['name'])} does not compile, and is not signed", error.status, {}
        ) from None
    return next(one for one in client.revisions(program["uuid"]) if one["revision"] == revision)


def _print_fault(fault: dict[str, Any], name: str, code: bytes) -> None:
    from juvuln.commands.faults import fault_text

    print(fault_text(fault["kind"], fault["message"], fault["stack"], name, code), file=sys.stderr)
