"""What a domain has, as far as a push or a pull needs to know it, by way of the API."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from juvuln.commands.client import ApiClient
from juvuln.commands.errors import UnknownError
from juvuln.deploy.specification import Specification
from shared.errors import SelfhostError
from shared.terminal import harmless


class DomainError(SelfhostError):
    """What the domain has does not fit what is asked for."""


@dataclass(frozen=True, slots=True)
class Revision:
    number: int
    checksum: str
    """SHA-256 of the code, in hex."""
    signed: bool


@dataclass(frozen=True, slots=True)
class RemoteProgram:
    """A program as the domain has it."""

    uuid: str
    name: str
    specification: Specification
    newest: Revision | None = None
    """The newest revision, signed or not; None if there is none, or nobody has asked."""

    @classmethod
    def of(cls, view: Mapping[str, Any]) -> "RemoteProgram":
        return cls(view["uuid"], view["name"], Specification.of(view))


class DomainReader:
    """Reads a domain. Its methods raise what the client's methods raise."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    @property
    def domain(self) -> str:
        return self._client.domain

    def programs(self) -> Sequence[RemoteProgram]:
        """All programs that may be read, by name, without their revisions."""
        return [RemoteProgram.of(view) for view in self._client.programs()]

    def with_newest(self, program: RemoteProgram) -> RemoteProgram:
        """The program with its newest revision."""
        return replace(program, newest=self.newest(program))

    def newest(self, program: RemoteProgram, *, signed: bool = False) -> Revision | None:
        """The newest revision, or the newest signed one; None if there is none."""
        found = [one for one in self._client.revisions(program.uuid) if one["signed"] or not signed]
        return self._revision(program, max(found, key=lambda one: int(one["revision"]))) if found else None

    def revision(self, program: RemoteProgram, number: int) -> Revision | None:
        found = [one for one in self._client.revisions(program.uuid) if one["revision"] == number]
        return self._revision(program, found[0]) if found else None

    def code(self, program: RemoteProgram, revision: Revision) -> bytes:
        """The code of a revision. Raises DomainError if the server gives other code in its place."""
        code = self._client.code(program.uuid, revision.number)
        if hashlib.sha256(code).hexdigest() != revision.checksum:
            raise DomainError(
                f"{harmless(program.name)}: the server does not give the code of revision {revision.number}; "
                "the original API server gives only the newest signed one"
            )
        return code

    def _revision(self, program: RemoteProgram, view: Mapping[str, Any]) -> Revision:
        number = int(view["revision"])
        # The original API server may have left the checksum out.
        checksum = view["checksum"] or hashlib.sha256(self._client.code(program.uuid, number)).hexdigest()
        return Revision(number, checksum, view["signed"] is not None)


def module_code(reader: DomainReader, module: RemoteProgram, number: int | None) -> bytes | None:
    """The code that an import of a domain's module would get: the newest signed, or that revision if it is signed."""
    try:
        revision = reader.newest(module, signed=True) if number is None else reader.revision(module, number)
        return reader.code(module, revision) if revision and revision.signed else None
    except UnknownError:
        return None
