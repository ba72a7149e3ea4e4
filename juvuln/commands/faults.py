"""What is wrong with a program's code, as people read it. Pure functions."""

from collections.abc import Sequence

from shared.excerpt import Place, excerpt
from shared.terminal import harmless


def fault_text(kind: str, message: str, stack: Sequence[str], name: str, code: bytes) -> str:
    """What and where, the line of the source with a caret, and which imports led there; ``name`` is the program's."""
    where = stack[0] if stack else name
    place = Place.parse(where)
    lines = [f"{harmless(where)}: {harmless(kind)} error: {harmless(message, keep=chr(10))}"]
    if place and place.file == name:
        lines += excerpt(code, place)
    return "\n".join([*lines, *(f"  imported at {harmless(one)}" for one in stack[1:])])
