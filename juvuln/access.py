"""Who may do what in a domain: tokens, and the policies of the groups that a token's user is in. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from uuid import UUID

Action = Literal["create", "read", "update", "delete"]
ANY_TEXT, ANY_CHARACTER = "any text", "any character"


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

    @property
    def own_group(self) -> UUID:
        """The group that is the user's own: it has the user's uuid. Without one, the first of the others stands in."""
        return self.user if self.user in self.groups or not self.groups else self.groups[0]

    def may(self, action: Action, resource: str) -> bool:
        return is_allowed(self.policies, action, resource)


def is_allowed(policies: Sequence[Policy], action: Action, resource: str) -> bool:
    """Whether some policy allows and none denies (Self-host contract)."""
    effects = {policy.effect for policy in policies if policy.action == action and like(policy.resource, resource)}
    return "allow" in effects and "deny" not in effects


def like(pattern: str, text: str) -> bool:
    """SQL's LIKE, as PostgreSQL has it: a backslash takes the next character literally.

    Patterns are users' data. A regular expression of many wildcards can take for ever; this takes at most the product
    of both lengths, for only the last ``%`` ever has to be tried again.
    """
    tokens = _tokens(pattern)
    position = token = 0
    retry: tuple[int, int] | None = None
    while position < len(text):
        if token < len(tokens) and tokens[token] == ANY_TEXT:
            token += 1
            retry = position, token
        elif token < len(tokens) and tokens[token] in (text[position], ANY_CHARACTER):
            position, token = position + 1, token + 1
        elif retry is not None:
            position, token = retry[0] + 1, retry[1]
            retry = position, token
        else:
            return False
    return all(rest == ANY_TEXT for rest in tokens[token:])


@lru_cache(maxsize=4096)
def _tokens(pattern: str) -> tuple[str, ...]:
    """Single characters to be matched literally, and the two wildcards by names longer than one character."""
    tokens: list[str] = []
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            tokens.append(next(characters, "\\"))
        else:
            tokens.append({"%": ANY_TEXT, "_": ANY_CHARACTER}.get(character, character))
    return tuple(tokens)
