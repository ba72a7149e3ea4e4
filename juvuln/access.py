"""Who may do what in a domain: tokens, and the policies of the groups that a token's user is in. Pure functions."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from uuid import UUID

Action = Literal["create", "read", "update", "delete"]
ANY_TEXT, ANY_CHARACTER = "any text", "any character"
WILDCARDS = "%_\\"
PROGRAM_LENGTH = len("programs/") + 36
"""How long the part of a resource is that names a single program."""
REMEMBERED_ANSWERS = 256
"""Of each user: a webhook is called again and again with one question."""


@dataclass(frozen=True, slots=True)
class Policy:
    effect: str
    action: str
    resource: str
    """A pattern of SQL LIKE: ``%`` is any text, ``_`` any one character."""


class Policies:
    """A user's policies. Whoever makes programs gets four policies with each: those of one program are kept apart from
    those of the others, so that a question costs the same however many there are."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._general: dict[str, list[Policy]] = defaultdict(list)
        self._of_program: dict[tuple[str, str], list[Policy]] = defaultdict(list)
        self._denying: set[str] = set()
        self._answers: dict[tuple[str, str], bool] = {}
        for policy in policies:
            start = policy.resource[:PROGRAM_LENGTH]
            if len(start) == PROGRAM_LENGTH and not any(sign in start for sign in WILDCARDS):
                self._of_program[policy.action, start].append(policy)
            else:
                self._general[policy.action].append(policy)
            if policy.effect == "deny":
                self._denying.add(policy.action)

    def allow(self, action: Action, resource: str) -> bool:
        """Whether some policy allows and none denies."""
        question = (action, resource)
        if (known := self._answers.get(question)) is not None:
            return known
        of_program = self._of_program.get((action, resource[:PROGRAM_LENGTH]), ())
        allowed = is_allowed([*self._general.get(action, ()), *of_program], action, resource)
        if len(self._answers) == REMEMBERED_ANSWERS:
            self._answers.clear()
        self._answers[question] = allowed
        return allowed

    def allow_all(self, action: Action, beginning: str) -> bool:
        """Whether everything that begins so is allowed, as far as that is seen without looking at each."""
        patterns = {policy.resource for policy in self._general.get(action, ()) if policy.effect == "allow"}
        return action not in self._denying and not patterns.isdisjoint(("%", f"{beginning}%"))


@dataclass(frozen=True, slots=True)
class Principal:
    """A user of a domain who showed a token."""

    domain: str
    user: UUID
    own_group: UUID | None
    """The group that gets the rights to what the user makes."""
    policies: Policies

    def may(self, action: Action, resource: str) -> bool:
        return self.policies.allow(action, resource)

    def may_read_runs_of(self, program: UUID) -> bool:
        """Whether what the runs of a program log, and what is wrong with them, may be told."""
        return self.may("read", f"programs/{program}")


def own_group(user: UUID, user_name: str, groups: Mapping[UUID, str]) -> UUID | None:
    """The group of a user's ``groups`` (names by uuid) that is the user's own: with the user's uuid, or else name.

    There may be none. No other stands in, for whoever is in it would get the user's rights.
    """
    if user in groups:
        return user
    return next((uuid for uuid, name in groups.items() if name == user_name), None)


def is_allowed(policies: Sequence[Policy], action: Action, resource: str) -> bool:
    """Whether some policy allows and none denies (Self-host contract). Priorities are stored, and not looked at."""
    effects = {policy.effect for policy in policies if policy.action == action and like(policy.resource, resource)}
    return "allow" in effects and "deny" not in effects


def like(pattern: str, text: str) -> bool:
    """SQL's LIKE, as PostgreSQL has it: a backslash takes the next character literally.

    Patterns are users' data. A regular expression of many wildcards can take for ever; this takes at most the square of
    the text's length, for only the last ``%`` ever has to be tried again.
    """
    tokens, shortest = _tokens(pattern)
    if len(text) < shortest:
        return False
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
def _tokens(pattern: str) -> tuple[tuple[str, ...], int]:
    """Single characters to be matched literally, and the two wildcards by names longer than one character; and the
    length of the shortest text that matches."""
    tokens: list[str] = []
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            tokens.append(next(characters, "\\"))
        elif character == "_":
            tokens.append(ANY_CHARACTER)
        elif character != "%":
            tokens.append(character)
        elif tokens[-1:] != [ANY_TEXT]:
            tokens.append(ANY_TEXT)
    return tuple(tokens), len(tokens) - tokens.count(ANY_TEXT)
