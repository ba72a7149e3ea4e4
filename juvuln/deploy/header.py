"""The specification of a program in the comments at the beginning of its file. Pure functions.

Each is a line of its own, ``// key: value``. Lines of other forms are comments as ever. The first line that
is no comment, an empty one too, ends it.
"""

import re
from codecs import BOM_UTF8

from juvuln.deploy.said import KEYS, Said, SayingFault, unknown_key

_LINE = re.compile(rb"//[ \t]*(?P<key>[A-Za-z_]+):(?P<space>[ \t]*)(?P<value>.*)")


def read_header(code: bytes, file: str) -> dict[str, Said]:
    """What is said, by key; empty if nothing is. Raises SayingFault."""
    said: dict[str, Said] = {}
    lines = code.removeprefix(BOM_UTF8).split(b"\n")  # a mark that some editors put there, and Tengo reads over
    for number, line in enumerate(lines, start=1):
        line = line.strip()
        if not line.startswith(b"//"):
            break
        if match := _LINE.fullmatch(line):
            key, value, place = match["key"].decode(), match["value"], f"{file}:{number}"
            if match["space"] or not value:
                _take(said, key, value, place)
            elif key in KEYS:
                raise SayingFault(place, f"write a space after '{key}:'")
    return said


def _take(said: dict[str, Said], key: str, value: bytes, place: str) -> None:
    if key not in KEYS:
        if key.lower() in KEYS:
            raise SayingFault(place, f"write {key.lower()!r} instead of {key!r}")
        if key.islower():
            raise unknown_key(key, place, "; a comment that means something else may begin with a capital letter")
        return
    if key in said:
        raise SayingFault(place, f"{key} is said twice, first at {said[key].place}")
    try:
        said[key] = Said(_value(key, value.decode("utf-8")), place)
    except ValueError as error:
        raise SayingFault(place, f"{key} cannot be read: {error}") from error


def _value(key: str, text: str) -> str | tuple[str, ...]:
    """Text stands as it is, or in quotes; tags are a list. Raises ValueError."""
    if not (text.startswith("[") if key == "tags" else text[:1] in ("'", '"')):
        return text
    import yaml

    try:
        value = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - it makes nothing but texts, lists and maps
    except yaml.YAMLError as error:
        raise ValueError("its quotes or brackets do not close") from error
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    if isinstance(value, str):
        return value
    raise ValueError("it is neither a text nor a list of texts")
