"""How modules are called where they are imported."""

import re
from functools import lru_cache

from shared.errors import SelfhostError

LATEST = "latest"

_NAME = re.compile(r"(?P<name>[^@]+)(?:@(?P<revision>latest|\d{1,18}))?")


class UnusableImport(SelfhostError):
    """A text that no module can be imported by."""


@lru_cache(maxsize=4096)
def parse_import(name: str) -> tuple[str, str]:
    """The module's name and revision in ``name``, ``name@latest`` or ``name@N``. Raises UnusableImport."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise UnusableImport(f"module '{name}' is not a name, name@latest or name@N")
    revision = match["revision"] or LATEST
    return match["name"], revision if revision == LATEST else str(int(revision))


def import_name(module: str, revision: str) -> str:
    """The shortest name under which that revision is imported."""
    return module if revision == LATEST else f"{module}@{revision}"
