"""Who may do what in a domain: tokens, and the policies of the groups that a token's user is in. Pure functions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from uuid import UUID

Action = Literal["create", "read", "update", "delete"]


@dataclass(frozen=True, slots=True)
class Policy:
    effect: str
    action: str
    resource: str
    """A pattern of SQL LIKE: ``%`` is any text, ``_`` any one character."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A user of a domain who showed a token."""

    domain: str
    user: UUID
    groups: tuple[UUID, ...]
    policies: tuple[Policy, ...]

    def may(self, action: Action, resource: str) -> bool:
        return is_allowed(self.policies, action, resource)


def is_allowed(policies: Sequence[Policy], action: Action, resource: str) -> bool:
    """Whether some policy allows and none denies (Self-host contract)."""
    effects = {policy.effect for policy in policies if policy.action == action and like(policy.resource, resource)}
    return "allow" in effects and "deny" not in effects


def like(pattern: str, text: str) -> bool:
    """SQL's LIKE, as PostgreSQL has it: a backslash takes the next character literally."""
    return _pattern(pattern).fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    parts: list[str] = []
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            parts.append(re.escape(next(characters, "\\")))
        elif character == "%":
            # Possessive runs of wildcards cannot make the match take exponential time.
            if not parts or parts[-1] != ".*":
                parts.append(".*")
        else:
            parts.append("." if character == "_" else re.escape(character))
    return re.compile("".join(parts), re.DOTALL)
