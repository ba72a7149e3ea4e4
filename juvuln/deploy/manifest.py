"""`program.yaml`: the specifications of the programs in a folder. Pure functions.

It has either ``programs:``, with a file's or a program's name before each specification, or is one specification.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from juvuln.deploy.said import KEYS, Said, SayingFault, unknown_key

MANIFEST = "program.yaml"
SUFFIX = ".tengo"
PROGRAMS = "programs"
FILE = "file"
UUID = "uuid"

_NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a manifest says of one program."""

    key: str | None
    """What stands before it below ``programs:``; None where the manifest is one specification."""
    said: Mapping[str, Said]
    file: str | None
    """Its file in the same folder, as far as that is said."""
    has_code: bool
    """False where ``file`` is null: the program has no code."""
    uuid: str | None
    """Which of the domain's programs it is, where the name stands for several."""
    place: str

    @property
    def default_name(self) -> str | None:
        if self.key is None:
            return None
        return self.key.removesuffix(SUFFIX)


def read_manifest(content: bytes, path: str) -> Sequence[Entry]:
    """The entries of a manifest. Raises SayingFault."""
    import yaml

    try:
        root = yaml.compose(content, yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        raise SayingFault(f"{path}:{mark.line + 1 if mark else 1}", f"this is not YAML: {problem}") from error
    if root is None:
        raise SayingFault(f"{path}:1", f"it is empty; it needs {PROGRAMS}:, or a specification")
    pairs = _pairs(root, path)
    if PROGRAMS not in pairs:
        return [_entry(None, root, path, _place(path, root))]
    for key, (node, _) in pairs.items():
        if key != PROGRAMS:
            raise SayingFault(_place(path, node), f"beside {PROGRAMS}: there can be nothing, and here is {key!r}")
    _, programs = pairs[PROGRAMS]
    return [_entry(key, value, path, _place(path, at)) for key, (at, value) in _pairs(programs, path).items()]


def _entry(key: str | None, node: Any, path: str, entry_place: str) -> Entry:
    said: dict[str, Said] = {}
    file = None if key is None else key if key.endswith(SUFFIX) else f"{key}{SUFFIX}"
    has_code, uuid = True, None
    for name, (at, value) in _pairs(node, path).items():
        place = _place(path, at)
        if name == FILE:
            has_code = value.tag != _NULL
            file = _file(value, path) if has_code else None
        elif name == UUID:
            uuid = _text(value, path).lower()
        elif name in KEYS:
            said[name] = Said(_value(name, value, path), place)
        else:
            more = "" if key else f", or {PROGRAMS} above all of them"
            raise unknown_key(name, place, f", {FILE} and {UUID}{more}")
    return Entry(key, said, file, has_code, uuid, entry_place)


def _pairs(node: Any, path: str) -> dict[str, tuple[Any, Any]]:
    """A map's nodes, key and value, by the key's text. Raises SayingFault."""
    import yaml

    if not isinstance(node, yaml.MappingNode):
        raise SayingFault(_place(path, node), "here must be a map, such as `type: webhook`")
    pairs: dict[str, tuple[Any, Any]] = {}
    for key, value in node.value:
        text = _text(key, path)
        if text in pairs:
            raise SayingFault(_place(path, key), f"{text!r} is there twice, first in line {_line(pairs[text][0])}")
        pairs[text] = key, value
    return pairs


def _value(name: str, node: Any, path: str) -> str | tuple[str, ...]:
    import yaml

    if name == "tags" and isinstance(node, yaml.SequenceNode):
        return tuple(_texts(node, path))
    if node.tag == _NULL:
        raise SayingFault(_place(path, node), f"{name} has no value; leave it out, or put one there")
    return _text(node, path)


def _file(node: Any, path: str) -> str:
    name = _text(node, path)
    if "/" in name or name in ("", ".", "..") or "\0" in name or not name.endswith(SUFFIX):
        raise SayingFault(_place(path, node), f"file is the name of a {SUFFIX} file in the same folder, not {name!r}")
    return name


def _texts(node: Any, path: str) -> Iterator[str]:
    for one in node.value:
        yield _text(one, path)


def _text(node: Any, path: str) -> str:
    """A scalar as it is written: ``name: 42`` is a name too."""
    import yaml

    if not isinstance(node, yaml.ScalarNode):
        raise SayingFault(_place(path, node), "here must be a text")
    text: str = node.value
    return text


def _place(path: str, node: Any) -> str:
    return f"{path}:{_line(node)}"


def _line(node: Any) -> int:
    line: int = node.start_mark.line + 1
    return line
