"""A push is refused as a whole if anything in it would be: values, sizes, and what does not compile."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from juvuln.deploy.domain import DomainError, DomainReader, RemoteProgram, module_code
from juvuln.deploy.folder import LocalProgram
from juvuln.deploy.matching import by_name
from juvuln.deploy.plan import ACTIVE, Plan, Step
from juvuln.deploy.specification import TENGO, Specification, value_faults
from shared.excerpt import Place, excerpt
from shared.imports import LATEST, UnusableImport, parse_import
from shared.terminal import harmless
from shared.wire import ErrorKind, ProgramError, ProgramType
from tengo_bridge.compiler import Compiler, open_compiler
from tengo_bridge.compiling import Import

COMPILE_TIMEOUT_SECONDS = 60.0
MODULE = ProgramType.MODULE.value


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of a plan after everything in it was compiled."""

    faults: Sequence[str]
    """Why it is refused, each a text with ``file:line``; empty if all is well."""
    warnings: Sequence[str]
    """What does not compile, and is in the domain as it is here."""
    imports: Mapping[str, frozenset[str]]
    """The folder's modules in the import graph of each program, by the keys of their steps."""

    def in_order(self, steps: Iterable[Step]) -> Sequence[Step]:
        """What is imported before what imports it; what is to be deactivated last."""
        # The import graph of an importer holds more of the folder's modules than that of each module in it.
        return sorted(steps, key=lambda step: (step.local is None, len(self.imports.get(step.key, ())), step.name))


class Modules:
    """Where imports lead once a plan is carried out: to the folder's modules first, then to the domain's."""

    def __init__(self, plan: Plan, domain: Iterable[RemoteProgram], reader: DomainReader) -> None:
        self._changing = {step.name for step in plan.work}
        # Where a name stands for several, the server takes the highest revision, of two the one of the lower uuid.
        modules = sorted(filter(_is_module_of_folder, plan.steps), key=lambda step: step.key, reverse=True)
        self._local = {step.name: step for step in sorted(modules, key=lambda step: step.revision or 0)}
        in_folder = {step.name for step in plan.steps}
        self._domain = by_name(one for one in domain if one.name not in in_folder and is_module(one.specification))
        self._reader = reader
        self._fetched: dict[tuple[str, int | None], bytes | None] = {}

    def local(self, imported: str) -> Step | None:
        """The step of the folder's module that an import of that name leads to."""
        try:
            name, revision = parse_import(imported)
        except UnusableImport:
            return None
        step = self._local.get(name)
        if step is None or revision in (LATEST, str(step.revision) if step.signed else LATEST):
            return step
        return None

    def changes(self, imported: str) -> bool:
        """Whether the plan does anything to what an import of that name leads to, be it only that it is deactivated."""
        try:
            return parse_import(imported)[0] in self._changing
        except UnusableImport:
            return False

    async def code(self, imported: str) -> bytes | None:
        """What an import of that name would get; None if there is no such module."""
        if step := self.local(imported):
            return step.local.code if step.local else None
        try:
            name, revision = parse_import(imported)
        except UnusableImport:
            return None
        return await self._from_domain(name, None if revision == LATEST else int(revision))

    async def _from_domain(self, name: str, revision: int | None) -> bytes | None:
        step = self._local.get(name)
        module = step.remote if step else self._only(name)
        if module is None:
            return None
        if (name, revision) not in self._fetched:
            self._fetched[name, revision] = await asyncio.to_thread(module_code, self._reader, module, revision)
        return self._fetched[name, revision]

    def _only(self, name: str) -> RemoteProgram | None:
        """The domain's module of that name. Raises DomainError where there are several."""
        found = self._domain.get(name, ())
        if len(found) > 1:
            raise DomainError(
                f"the domain has several modules called {harmless(name)} ({', '.join(one.uuid for one in found)}); "
                "rename or deactivate one: nobody can tell which is meant"
            )
        return found[0] if found else None


async def check_plan(plan: Plan, modules: Modules, now: datetime) -> Checked:
    """Compile every program of the folder, and look at what the server would refuse. Raises SelfhostError."""
    faults: list[str] = []
    warnings: list[str] = []
    imports: dict[str, frozenset[str]] = {}
    async with open_compiler(COMPILE_TIMEOUT_SECONDS) as compiler:
        for step in plan.steps:
            if step.local is None:
                continue
            faults += _value_faults(step, step.local, now)
            asked: set[str] = set()
            errors = await _compile(compiler, step.local, modules, asked)
            imports[step.key] = frozenset(found.key for name in asked if (found := modules.local(name)))
            was_so_before = step.unchanged and not any(map(modules.changes, asked))
            (warnings if was_so_before else faults).extend(error_text(error, step.local, modules) for error in errors)
    return Checked(faults, warnings, imports)


async def _compile(
    compiler: Compiler, local: LocalProgram, modules: Modules, asked: set[str]
) -> Sequence[ProgramError]:
    """What is wrong with a program; the names that were imported are added to ``asked``."""

    async def find(needed: Sequence[Import]) -> Mapping[str, bytes]:
        asked.update(one.name for one in needed)
        found = {one.name: await modules.code(one.name) for one in needed}
        return {name: code for name, code in found.items() if code is not None}

    if local.code is None or local.specification.language != TENGO:
        return []
    as_module = local.specification.type == MODULE
    return await compiler.check(_utf8(local.title), local.code, find, as_module=as_module)


def error_text(error: ProgramError, local: LocalProgram, modules: Modules) -> str:
    """What is wrong and where, the line of the source with a caret, and how the program came there."""
    title = _utf8(local.title)
    places = [Place.parse(place) for place in error.stack]
    files = {title: local} | {
        place.file: step.local
        for place in places
        if place and place.file != title and (step := modules.local(place.file)) and step.local
    }
    shown = [_shown(text, place, files) for text, place in zip(error.stack, places, strict=True)]
    kind = "compile error" if error.kind is ErrorKind.COMPILE else f"{error.kind} error"
    lines = [f"{shown[0] if shown else harmless(title)}: {kind}: {harmless(error.message, keep=chr(10))}"]
    if places and places[0] and (file := files.get(places[0].file)) and file.code is not None:
        lines += excerpt(file.code, places[0])
    return "\n".join([*lines, *(f"  imported at {place}" for place in shown[1:])])


def _shown(text: str, place: Place | None, files: Mapping[str, LocalProgram]) -> str:
    """A place in the folder's module as one in its file."""
    file = files.get(place.file) if place else None
    return harmless(f"{_utf8(file.title)}:{place.line}:{place.column}" if place and file else text)


def _value_faults(step: Step, local: LocalProgram, now: datetime) -> list[str]:
    found = value_faults(local.name, local.specification, step.sent_fields, now)
    faults = [f"{local.place_of(field)}: {field}: {fault}" for field, fault in found]
    if step.uploads and local.code is not None and not local.code.strip():
        faults.append(f"{local.title}:1: there is no code in it")
    return [harmless(fault) for fault in faults]


def is_module(specification: Specification) -> bool:
    """Whether it can be imported, as far as its specification says."""
    return (specification.type, specification.state, specification.language) == (MODULE, ACTIVE, TENGO)


def _is_module_of_folder(step: Step) -> bool:
    return step.local is not None and step.local.code is not None and is_module(step.local.specification)


def _utf8(text: str) -> str:
    """File names that are not UTF-8 reach us as halves of surrogate pairs; the compiler has no room for them."""
    return text.encode("utf-8", "replace").decode("utf-8")
