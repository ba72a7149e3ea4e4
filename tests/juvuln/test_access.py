"""Policies: allowed if something allows and nothing denies."""

from uuid import UUID

import pytest

from juvuln.access import Policy, Principal, is_allowed, like


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


def test_a_pattern_of_many_wildcards_does_not_take_for_ever() -> None:
    assert not like("%a" * 100 + "b", "a" * 1000)


def test_the_own_group_is_the_one_with_the_users_uuid() -> None:
    user, other = UUID(int=2), UUID(int=1)
    assert Principal("test", user, (other, user), ()).own_group == user
    assert Principal("test", user, (other,), ()).own_group == other
