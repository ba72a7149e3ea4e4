"""Policies: allowed if something allows and nothing denies."""

from typing import Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juvuln.access import Policies, Policy, is_allowed, like, own_group


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("%", "anything at all", True),
        ("programs/%", "programs/1/code", True),
        ("programs/%", "program", False),
        ("programs/_/code", "programs/1/code", True),
        ("programs/_/code", "programs/12/code", False),
        (r"100\%", "100%", True),
        (r"100\%", "1000", False),
        ("a.c", "abc", False),
        ("", "", True),
        ("two\nlines%", "two\nlines and more", True),
    ],
)
def test_like_is_that_of_postgresql(pattern: str, text: str, expected: bool) -> None:
    assert like(pattern, text) is expected


def test_a_deny_wins_over_every_allow() -> None:
    policies = [Policy("allow", "read", "%"), Policy("deny", "read", "programs/secret%")]
    assert is_allowed(policies, "read", "programs/1")
    assert not is_allowed(policies, "read", "programs/secret-1")
    assert not is_allowed(policies, "delete", "programs/1")
    assert not is_allowed([], "read", "programs/1")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("%a" * 100 + "b", "a" * 1000), ("%a" * 500_000, "a" * 45), ("_" * 1_000_000, "a" * 45), ("%" * 1_000_000, "b")],
)
@pytest.mark.timeout(10)
def test_a_pattern_of_many_wildcards_does_not_take_for_ever(pattern: str, text: str) -> None:
    assert like(pattern, text) is (set(pattern) == {"%"})


PROGRAMS = ["programs/" + str(UUID(int=number)) for number in range(3)]
resources = st.builds(
    "{}{}".format,
    st.sampled_from([*PROGRAMS, "programs", "programs/"]),
    st.sampled_from(["", "/code", "/", "/revisions/1"]),
)
patterns = st.one_of(
    resources,
    st.builds("{}{}".format, resources, st.sampled_from(["%", "/%", "_", "\\", "\\%"])),
    st.sampled_from(["%", "programs/%", "programs/________-%", "programs%/code", "%code"]),
)
policies = st.builds(
    Policy, st.sampled_from(["allow", "deny", "other"]), st.sampled_from(["read", "update", "other"]), patterns
)


@given(st.lists(policies, max_size=8), st.sampled_from(["read", "update"]), resources)
def test_policies_kept_apart_by_program_decide_as_a_plain_list_does(
    given_policies: list[Policy], action: Literal["read", "update"], resource: str
) -> None:
    kept = Policies(given_policies)
    assert kept.allow(action, resource) is is_allowed(given_policies, action, resource)
    if kept.allow_all(action, "programs/"):
        assert all(is_allowed(given_policies, action, program) for program in PROGRAMS)


def test_rights_to_thousands_of_programs_make_no_question_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each program that a user makes brings four policies; none of the others' is looked at."""
    of_others = [Policy("allow", "read", f"programs/{UUID(int=number)}/%") for number in range(1, 10_000)]
    mine = Policies([*of_others, Policy("allow", "read", f"programs/{UUID(int=0)}/%")])
    asked: list[str] = []

    def counted(pattern: str, text: str) -> bool:
        asked.append(pattern)
        return like(pattern, text)

    monkeypatch.setattr("juvuln.access.like", counted)
    assert mine.allow("read", f"programs/{UUID(int=0)}/code")
    assert not mine.allow("read", f"programs/{UUID(int=0)}")
    assert len(asked) == 2


def test_the_own_group_has_the_user_s_uuid_or_else_the_user_s_name_and_no_other_stands_in() -> None:
    user, other = UUID(int=2), UUID(int=1)
    assert own_group(user, "ada", {other: "ada", user: "programmers"}) == user
    assert own_group(user, "ada", {other: "ada"}) == other
    assert own_group(user, "ada", {other: "programmers"}) is None
