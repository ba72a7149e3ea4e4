"""A plan: what it takes to make a domain as a folder is."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juvuln.commands.terminal import Terminal
from juvuln.deploy.domain import RemoteProgram, Revision
from juvuln.deploy.folder import LocalProgram
from juvuln.deploy.matching import paired
from juvuln.deploy.plan import Action, Plan, gone_from, make_plan
from juvuln.deploy.plan_text import format_plan, unsigned_note
from juvuln.deploy.specification import Specification, value_faults

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROUTINE = Specification("routine", schedule="@hourly")

SPECIFICATIONS = st.builds(
    Specification,
    type=st.sampled_from(["module", "routine", "webhook"]),
    state=st.sampled_from(["active", "inactive", "failed"]),
    schedule=st.sampled_from(["", "@hourly"]),
    deadline=st.integers(0, 2),
    tags=st.lists(st.sampled_from("ab"), max_size=2).map(tuple),
)
CODES = st.sampled_from([None, b"x := 1", b"x := 2"])
NAMES = st.sampled_from("abcd")


def local(name: str, specification: Specification = ROUTINE, code: bytes | None = b"x := 1") -> LocalProgram:
    return LocalProgram(name, specification, code, Path(f"{name}.tengo"), Path(), None, {}, f"{name}.tengo:1")


def remote(
    name: str, specification: Specification = ROUTINE, code: bytes | None = b"x := 1", *, signed: bool = True
) -> RemoteProgram:
    newest = None if code is None else Revision(4, hashlib.sha256(code).hexdigest(), signed)
    return RemoteProgram(f"uuid of {name}", name, specification, newest)


def carried_out(plan: Plan, domain: dict[str, RemoteProgram]) -> dict[str, RemoteProgram]:
    """The domain after it."""
    after = dict(domain)
    for step in plan.steps:
        if step.local is None:
            gone = domain[step.name]
            after[step.name] = replace(gone, specification=replace(gone.specification, state="inactive"))
            continue
        newest = step.remote.newest if step.remote else None
        if step.local.code is not None and step.revision is not None:
            newest = Revision(step.revision, hashlib.sha256(step.local.code).hexdigest(), step.signed)
        uuid = step.remote.uuid if step.remote else "new"
        after[step.name] = RemoteProgram(uuid, step.name, step.local.specification, newest)
    return after


@given(
    folder=st.dictionaries(NAMES, st.tuples(SPECIFICATIONS, CODES)),
    domain=st.dictionaries(NAMES, st.tuples(SPECIFICATIONS, CODES, st.booleans())),
    sign=st.booleans(),
    prune=st.booleans(),
)
def test_once_a_plan_is_carried_out_the_next_finds_nothing_to_do(
    folder: dict[str, tuple[Specification, bytes | None]],
    domain: dict[str, tuple[Specification, bytes | None, bool]],
    sign: bool,
    prune: bool,
) -> None:
    here = [local(name, *one) for name, one in folder.items()]
    there = {name: remote(name, one[0], one[1], signed=one[2]) for name, one in domain.items()}

    def plan_for(there: dict[str, RemoteProgram]) -> Plan:
        pairs = paired(here, there.values())
        return make_plan(pairs, sign=sign, gone=gone_from(pairs, there.values()) if prune else ())

    plan = plan_for(there)
    assert len(format_plan(plan, Terminal()).splitlines()) >= min(1, len(plan.steps))
    assert plan_for(carried_out(plan, there)).work == []


@pytest.mark.parametrize(
    ("here", "there", "sign", "actions"),
    [
        (local("a"), None, False, ["create"]),
        (local("a"), remote("a"), True, ["unchanged"]),
        (local("a"), remote("a", signed=False), False, ["unchanged"]),
        (local("a"), remote("a", signed=False), True, ["sign"]),
        (local("a"), remote("a", code=b"x := 2"), False, ["new revision"]),
        (local("a"), remote("a", code=None), False, ["new revision"]),
        (local("a", code=None), remote("a"), True, ["unchanged"]),
        (local("a"), remote("a", replace(ROUTINE, deadline=1)), False, ["change"]),
        (local("a"), remote("a", replace(ROUTINE, state="failed")), False, ["reactivate"]),
        (local("a"), remote("a", replace(ROUTINE, state="inactive", deadline=1)), False, ["reactivate", "change"]),
        (local("a", replace(ROUTINE, state="inactive")), remote("a"), False, ["deactivate"]),
        (local("a", replace(ROUTINE, state="failed")), remote("a"), False, ["change"]),
    ],
)
def test_a_program_is_compared_with_the_newest_revision_and_field_by_field(
    here: LocalProgram, there: RemoteProgram | None, sign: bool, actions: list[Action]
) -> None:
    (step,) = make_plan([(here, there)], sign=sign).steps
    assert list(step.actions) == actions


def test_whoever_did_not_sign_is_told_what_does_not_run() -> None:
    here, there = [local("a"), local("b", code=None), local("c")], [remote("a", signed=False), remote("c")]
    plan = make_plan(paired(here, there), sign=False)
    assert "unchanged  a        revision 4, unsigned\n" in format_plan(plan, Terminal())
    assert unsigned_note(plan) == "the newest code of 1 program is not signed, and does not run; --sign signs it"
    assert unsigned_note(make_plan(paired(here, []), sign=False)) is not None
    assert unsigned_note(make_plan(paired(here, there), sign=True)) is None


@pytest.mark.parametrize(
    ("name", "specification", "sent", "field"),
    [
        ("", Specification("webhook"), ["name"], "name"),
        ("a" * 256, Specification("webhook"), ["name"], "name"),
        ("a\0b", Specification("webhook"), ["name"], "name"),
        ("fmt", Specification("module"), ["name", "type"], "name"),
        ("a@b", Specification("module"), ["type"], "name"),
        ("a", Specification("rutine"), ["type"], "type"),
        ("a", Specification("webhook", state="on"), ["state"], "state"),
        ("a", Specification("webhook", deadline=60_001), ["deadline"], "deadline"),
        ("a", Specification("webhook", language="lua"), ["language"], "language"),
        ("a", Specification("webhook", tags=("",)), ["tags"], "tags"),
        ("a", Specification("webhook", tags=("a",) * 101), ["tags"], "tags"),
        ("a", Specification("webhook", tags=("mine", "overlap:x")), ["tags"], "tags"),
        ("a", Specification("webhook", tags=("jitter:soon",)), ["tags"], "tags"),
        ("a", Specification("routine"), ["type"], "schedule"),
        ("a", Specification("routine", schedule="0 0 0 30 2 *"), ["schedule"], "schedule"),
        ("a", Specification("routine", schedule="soon"), ["state"], "schedule"),
        ("a", Specification("webhook", schedule="soon"), ["schedule"], "schedule"),
    ],
)
def test_what_the_server_would_refuse_is_known_and_only_what_is_sent_counts(
    name: str, specification: Specification, sent: list[str], field: str
) -> None:
    assert [at_fault for at_fault, _ in value_faults(name, specification, sent, NOW)] == [field]
    assert value_faults(name, specification, [], NOW) == []
