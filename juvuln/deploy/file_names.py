"""File names for programs, whose own names can be any text. Pure functions."""

import re
import unicodedata
from collections.abc import Collection
from itertools import count

from juvuln.deploy.manifest import SUFFIX

LONGEST_STEM = 60

_UNSAFE = re.compile(r"[^\w.-]+")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""What another system takes for a device."""


def file_name(program: str, taken: Collection[str]) -> str:
    """A file's name that says which program it is, safe on every file system.

    ``taken`` are the :func:`folded` names of the files that there are; the new one is not among them.
    """
    stem = _UNSAFE.sub("_", unicodedata.normalize("NFC", program)).strip("._-")[:LONGEST_STEM].rstrip("._-")
    if not stem or _RESERVED.fullmatch(stem):
        stem = f"program_{stem}".rstrip("_")
    for number in count(1):
        name = f"{stem}{SUFFIX}" if number == 1 else f"{stem}-{number}{SUFFIX}"
        if folded(name) not in taken:
            return name
    raise AssertionError("numbers do not end")


def folded(name: str) -> str:
    """The same for names that a file system may take for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
