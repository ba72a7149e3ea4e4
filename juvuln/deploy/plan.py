"""What a push would do: the programs of a folder against those of a domain. Values and pure functions."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from juvuln.deploy.domain import RemoteProgram
from juvuln.deploy.folder import LocalProgram
from juvuln.deploy.matching import Pair
from juvuln.deploy.specification import Change, changes
from shared.wire import ProgramState

ACTIVE, INACTIVE = ProgramState.ACTIVE.value, ProgramState.INACTIVE.value


class Action(StrEnum):
    CREATE = "create"
    CHANGE = "change"
    REACTIVATE = "reactivate"
    NEW_REVISION = "new revision"
    SIGN = "sign"
    DEACTIVATE = "deactivate"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Step:
    """What is to happen to one program; ``local`` is None if the folder lacks it, ``remote`` if the domain does."""

    local: LocalProgram | None
    remote: RemoteProgram | None
    changes: tuple[Change, ...] = ()
    uploads: bool = False
    signs: bool = False

    @property
    def name(self) -> str:
        known = self.local or self.remote
        assert known is not None
        return known.name

    @property
    def key(self) -> str:
        """What tells it from the others: several programs of a domain may have one name."""
        return self.remote.uuid if self.remote else self.name

    @property
    def actions(self) -> tuple[Action, ...]:
        if self.remote is None:
            return (Action.CREATE,)
        activity = [Action.REACTIVATE if self.activates else Action.DEACTIVATE] if self._changes_activity else []
        others = [change for change in self.changes if not (change.field == "state" and activity)]
        wanted = (
            *activity,
            *([Action.CHANGE] if others else []),
            *([Action.NEW_REVISION] if self.uploads else []),
            *([Action.SIGN] if self.signs and not self.uploads else []),
        )
        return wanted or (Action.UNCHANGED,)

    @property
    def activates(self) -> bool:
        return any(change.field == "state" and change.new == ACTIVE for change in self.changes)

    @property
    def _changes_activity(self) -> bool:
        """From active to inactive, or from anything to active."""
        states = [(change.old, change.new) for change in self.changes if change.field == "state"]
        return any(new == ACTIVE or (old, new) == (ACTIVE, INACTIVE) for old, new in states)

    @property
    def unchanged(self) -> bool:
        return self.actions == (Action.UNCHANGED,)

    @property
    def revision(self) -> int | None:
        """The number of the folder's code as a revision, when all is done; None without code."""
        newest = self.remote.newest if self.remote else None
        if self.uploads:
            return newest.number + 1 if newest else 0
        return newest.number if newest else None

    @property
    def signed(self) -> bool:
        """Whether that revision will be signed."""
        newest = self.remote.newest if self.remote else None
        return self.signs or (not self.uploads and newest is not None and newest.signed)

    @property
    def left_unsigned(self) -> bool:
        """Whether the folder's code will be in the domain, but not run."""
        return self.local is not None and self.local.code is not None and not self.signed

    @property
    def sent_fields(self) -> frozenset[str]:
        """The fields that the server will be told."""
        if self.remote is None and self.local is not None:
            return frozenset(("name", *self.local.specification.as_json()))
        return frozenset(change.field for change in self.changes)


@dataclass(frozen=True, slots=True)
class Plan:
    steps: Sequence[Step]
    """By name; what is to be deactivated comes last."""

    @property
    def work(self) -> Sequence[Step]:
        """The steps in which something happens."""
        return [step for step in self.steps if not step.unchanged]


def make_plan(pairs: Iterable[Pair], *, sign: bool, gone: Iterable[RemoteProgram] = ()) -> Plan:
    """``pairs`` have the domain's programs with their newest revisions; ``gone`` is what is to be deactivated."""
    steps = [_step(local, remote, sign=sign) for local, remote in sorted(pairs, key=lambda pair: pair[0].name)]
    return Plan([*steps, *map(_deactivation, gone)])


def gone_from(pairs: Iterable[Pair], domain: Iterable[RemoteProgram]) -> Sequence[RemoteProgram]:
    """The active programs of a domain that the folder has not."""
    kept = {remote.uuid for _, remote in pairs if remote}
    return [one for one in domain if one.specification.state == ACTIVE and one.uuid not in kept]


def _step(local: LocalProgram, remote: RemoteProgram | None, *, sign: bool) -> Step:
    newest = remote.newest if remote else None
    uploads = local.code is not None and (newest is None or newest.checksum != hashlib.sha256(local.code).hexdigest())
    unsigned = uploads or (newest is not None and not newest.signed)
    return Step(
        local=local,
        remote=remote,
        changes=changes(remote.specification, local.specification) if remote else (),
        uploads=uploads,
        signs=sign and local.code is not None and unsigned,
    )


def _deactivation(remote: RemoteProgram) -> Step:
    return Step(None, remote, (Change("state", remote.specification.state, INACTIVE),))
