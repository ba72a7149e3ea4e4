"""Which program of a domain is meant by one of a folder. Names need not be unique in a domain; a uuid tells which."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from juvuln.deploy.domain import RemoteProgram
from juvuln.deploy.folder import FolderError, LocalProgram
from juvuln.deploy.manifest import MANIFEST, UUID
from juvuln.deploy.said import SayingFault
from shared.terminal import harmless

Pair = tuple[LocalProgram, RemoteProgram | None]


def paired(local: Iterable[LocalProgram], domain: Iterable[RemoteProgram]) -> Sequence[Pair]:
    """Each of the folder's programs with the domain's, None where it is to be made. Raises FolderError."""
    named = by_name(domain)
    pairs: list[Pair] = []
    faults: list[str] = []
    for program in local:
        try:
            pairs.append((program, _counterpart(program, named)))
        except SayingFault as fault:
            faults.append(str(fault))
    if faults:
        raise FolderError("\n".join(faults))
    return pairs


def by_name(programs: Iterable[RemoteProgram]) -> Mapping[str, Sequence[RemoteProgram]]:
    found: dict[str, list[RemoteProgram]] = defaultdict(list)
    for program in programs:
        found[program.name].append(program)
    return found


def meant(local: LocalProgram, named: Mapping[str, Sequence[RemoteProgram]]) -> RemoteProgram | None:
    """The program of a domain that one of a folder is; None if it has none. Raises SayingFault if it may be several."""
    found = [one for one in named.get(local.name, ()) if local.uuid in (None, one.uuid)]
    if len(found) > 1:
        uuids = ", ".join(one.uuid for one in found)
        raise SayingFault(
            local.place,
            f"the domain has several programs called {harmless(local.name)}; "
            f"say in {MANIFEST} which is meant, by {UUID}: {uuids}",
        )
    return found[0] if found else None


def _counterpart(local: LocalProgram, named: Mapping[str, Sequence[RemoteProgram]]) -> RemoteProgram | None:
    found = meant(local, named)
    if found is None and local.uuid is not None:
        raise SayingFault(
            local.place,
            f"the domain has no program called {harmless(local.name)} with the {UUID} {harmless(local.uuid)}; "
            f"without {UUID} a push makes one",
        )
    return found
