"""What is to be signed is compiled first, against the modules that its runs would use."""

from collections.abc import Mapping, Sequence

from juvuln.domains.store import DomainStore, NotFoundError, Specification
from juvuln.fairness import Places
from juvuln.programs import LARGEST_REVISION
from shared.imports import LATEST, UnusableImport, parse_import
from shared.wire import ProgramError, ProgramType
from tengo_bridge.compiler import open_compiler
from tengo_bridge.compiling import TENGO, FindModules, Import, NotCompiled

PARALLEL_COMPILES = 2
COMPILE_SECONDS = 10.0


class CompileCheck:
    """Compiles code that is to be signed, a few programs at a time, each in a process of its own.

    Domains take turns, so that none makes the others wait for all that it wants compiled.
    """

    def __init__(self) -> None:
        self._places = Places(PARALLEL_COMPILES)

    async def faults(self, store: DomainStore, specification: Specification, code: bytes) -> Sequence[ProgramError]:
        """What is wrong with the code of a program: nothing if it compiles, or is in a language that we do not run.

        Raises NoCompiler, DatabaseError.
        """
        if specification.language != TENGO:
            return ()
        await self._places.take(store.name)
        try:
            async with open_compiler(COMPILE_SECONDS) as compiler:
                return await compiler.check(
                    specification.name,
                    code,
                    _modules_of(store),
                    as_module=specification.type == ProgramType.MODULE.value,
                )
        finally:
            self._places.give_back(store.name)


def _modules_of(store: DomainStore) -> FindModules:
    """Finds modules as the Library would give them to a worker."""

    async def find(needed: Sequence[Import]) -> Mapping[str, bytes]:
        found: dict[str, bytes] = {}
        missing: list[ProgramError] = []
        for one in needed:
            try:
                found[one.name] = await _module(store, one.name)
            except (UnusableImport, NotFoundError) as error:
                missing.append(one.error(str(error)))
        if missing:
            raise NotCompiled(missing)
        return found

    return find


async def _module(store: DomainStore, imported: str) -> bytes:
    """Raises UnusableImport, NotFoundError, DatabaseError."""
    name, revision = parse_import(imported)
    number = None if revision == LATEST else int(revision)
    if number is not None and number > LARGEST_REVISION:
        raise NotFoundError(f"there is no module {imported}: revisions end at {LARGEST_REVISION}")
    return (await store.module(name, TENGO, number)).code
