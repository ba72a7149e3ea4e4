"""How modules are called where they are imported."""

import re
from functools import lru_cache

from malgomaj.errors import ModuleMissing

LATEST = "latest"

_NAME = re.compile(r"(?P<name>[^@]+)(?:@(?P<revision>latest|\d{1,18}))?")


@lru_cache(maxsize=4096)
def parse_import(name: str) -> tuple[str, str]:
    """The module's name and revision in ``name``, ``name@latest`` or ``name@N``. Raises ModuleMissing."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ModuleMissing(f"module '{name}' is not a name, name@latest or name@N")
    revision = match["revision"] or LATEST
    return match["name"], revision if revision == LATEST else str(int(revision))


def import_name(module: str, revision: str) -> str:
    """The shortest name under which that revision is imported."""
    return module if revision == LATEST else f"{module}@{revision}"
