"""Carries a plan out, one program after the other, looking before each whether the domain is still as planned."""

from collections.abc import Iterator, Sequence

from juvuln.commands.client import ApiClient
from juvuln.deploy.domain import DomainError, DomainReader, RemoteProgram
from juvuln.deploy.plan import Step
from juvuln.deploy.specification import Change, as_json
from shared.terminal import harmless


def carry_out(client: ApiClient, steps: Sequence[Step]) -> Iterator[tuple[Step, str]]:
    """Do the steps in their order; each is given when it is done, with the program's uuid.

    Raises DomainError if somebody changed what is about to be changed, and what the client raises: then the step after
    those that were given may be done in part, and the others are not.
    """
    reader = DomainReader(client)
    _check_names_are_free(reader, [step.name for step in steps if step.remote is None])
    for step in steps:
        if step.remote is None:
            uuid = _create(client, step)
        else:
            _check_is_as_planned(client, reader, step, step.remote)
            uuid = step.remote.uuid
        _do(client, uuid, step)
        yield step, uuid


def _create(client: ApiClient, step: Step) -> str:
    assert step.local is not None
    return str(client.create({"name": step.name, **step.local.specification.as_json()})["uuid"])


def _do(client: ApiClient, uuid: str, step: Step) -> None:
    """What becomes active does so last, when its code is there; what becomes inactive does so first."""
    last = [change for change in step.changes if change.field == "state" and step.activates]
    first = [change for change in step.changes if change not in last]
    _update(client, uuid, first)
    revision = step.revision
    if step.uploads and step.local is not None and step.local.code is not None:
        revision = int(client.upload(uuid, step.local.code)["revision"])
    if step.signs and revision is not None:
        client.sign(uuid, revision)
    _update(client, uuid, last)


def _update(client: ApiClient, uuid: str, changes: Sequence[Change]) -> None:
    if changes:
        client.update(uuid, {change.field: as_json(change.new) for change in changes})


def _check_names_are_free(reader: DomainReader, names: Sequence[str]) -> None:
    taken = {program.name for program in reader.programs()} & set(names) if names else set()
    if taken:
        raise DomainError(f"somebody has just created {harmless(min(taken))}; look at a new plan: push again")


def _check_is_as_planned(client: ApiClient, reader: DomainReader, step: Step, planned: RemoteProgram) -> None:
    now = RemoteProgram.of(client.program(planned.uuid))
    if step.local is not None:
        now = reader.with_newest(now)
    if now != planned:
        raise DomainError(f"somebody has just changed {harmless(planned.name)}; look at a new plan: push again")
