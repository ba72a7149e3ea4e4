"""Writes a pull into its folder: each file whole or not at all, and manifests with their comments kept."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from typing import Any

from juvuln.deploy.manifest import PROGRAMS
from juvuln.deploy.pulled import EntryWriting, PullStep
from shared.errors import SelfhostError

WIDEST = 1_000_000
"""Columns of a line of YAML. Broken lines would have to be put together again by all readers alike."""

_PLAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_. -]*[A-Za-z0-9_])?")


class WritingError(SelfhostError):
    """A file cannot be written."""


def write_pull(steps: Iterable[PullStep]) -> None:
    """Write what the steps say: code first, then the manifests. Raises WritingError."""
    entries: dict[Path, list[EntryWriting]] = defaultdict(list)
    for step in steps:
        if step.writes_code and step.file is not None and step.pulled.code is not None:
            _write(step.file, step.pulled.code)
        if step.entry is not None:
            entries[step.entry.manifest].append(step.entry)
    for manifest, found in entries.items():
        _write(manifest, manifest_with(_read(manifest), found, str(manifest)))


def manifest_with(content: bytes, entries: Sequence[EntryWriting], path: str) -> bytes:
    """A manifest in which the entries are, and what was there before is still. Raises WritingError."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    yaml = YAML()
    yaml.width = WIDEST
    yaml.indent(mapping=2, sequence=4, offset=2)
    root = yaml.load(content) if content.strip() else None
    if root is None:
        root = CommentedMap()
    for entry in entries:
        _set(_map_of(entry, root, path), entry.values)
    written = BytesIO()
    yaml.dump(root, written)
    return written.getvalue()


def _map_of(entry: EntryWriting, root: Any, path: str) -> Any:
    """The map in which an entry's values stand."""
    from ruamel.yaml.comments import CommentedMap

    if entry.key is None:
        return root
    if root and PROGRAMS not in root:
        raise WritingError(f"{path}: it describes one program, and there are more now; put {PROGRAMS}: above them")
    programs = root.setdefault(PROGRAMS, CommentedMap())
    if programs.get(entry.key) is None:
        programs[entry.key] = CommentedMap()
    return programs[entry.key]


def _set(target: Any, values: Mapping[str, object]) -> None:
    from ruamel.yaml.comments import CommentedSeq

    for field, value in values.items():
        if isinstance(value, list):
            target[field] = CommentedSeq(map(_quoted, value))
            target[field].fa.set_flow_style()
        else:
            target[field] = _quoted(value)


def _quoted(value: object) -> object:
    """Texts with anything but letters, digits and the like in quotes, which leave nothing to the taste of readers."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        return DoubleQuotedScalarString(value)
    return value


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise WritingError(f"{path}: cannot be read: {error.strerror}") from error


def _write(path: Path, content: bytes) -> None:
    """Under another name first, then in the place of what was there."""
    draft = path.with_name(f".{path.name[:40]}.{token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("xb") as file:
            file.write(content)
        if path.exists():
            draft.chmod(path.stat().st_mode & 0o777)
        draft.replace(path)
    except OSError as error:
        raise WritingError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
