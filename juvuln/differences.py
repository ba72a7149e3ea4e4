"""The difference between two texts, in the unified format."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

CONTEXT_LINES = 3
COMPARED_LINES = 1000
"""The most lines, between what both texts begin and end with, that are compared one by one. The time that takes grows
with the cube of their number in the worst case; longer texts are shown as replaced."""

Change = tuple[str, int, int, int, int]
"""As SequenceMatcher has it: what is done, and from where to where in the old lines and in the new ones."""


def unified_difference(old: str, new: str, old_name: str, new_name: str) -> str:
    """Nothing where both are the same."""
    old_lines, new_lines = _lines(old), _lines(new)
    grouping = SequenceMatcher(None, "", "")
    grouping.opcodes = list(_changes(old_lines, new_lines))  # type: ignore[attr-defined]
    hunks = [
        line for group in grouping.get_grouped_opcodes(CONTEXT_LINES) for line in _hunk(group, old_lines, new_lines)
    ]
    return "".join([f"--- {old_name}\n", f"+++ {new_name}\n", *hunks]) if hunks else ""


def _lines(text: str) -> list[str]:
    """The lines with their ends. Only a line feed ends one, for so it is in every tool that reads differences."""
    lines = [f"{line}\n" for line in text.split("\n")]
    last = lines.pop()
    return lines if last == "\n" else [*lines, f"{last}\\ No newline at end of file\n"]


def _changes(old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    shorter = min(len(old), len(new))
    start = next((index for index in range(shorter) if old[index] != new[index]), shorter)
    longest_end = shorter - start
    end = next((index for index in range(longest_end) if old[-1 - index] != new[-1 - index]), longest_end)
    old_end, new_end = len(old) - end, len(new) - end
    if start:
        yield "equal", 0, start, 0, start
    if max(old_end, new_end) - start > COMPARED_LINES:
        yield "replace", start, old_end, start, new_end
    else:
        compared = SequenceMatcher(None, old[start:old_end], new[start:new_end])
        for what, *places in compared.get_opcodes():
            old_from, old_to, new_from, new_to = (place + start for place in places)
            yield what, old_from, old_to, new_from, new_to
    if end:
        yield "equal", old_end, len(old), new_end, len(new)


def _hunk(changes: Sequence[Change], old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    (_, old_from, _, new_from, _), (_, _, old_to, _, new_to) = changes[0], changes[-1]
    yield f"@@ -{_range(old_from, old_to)} +{_range(new_from, new_to)} @@\n"
    for what, old_start, old_end, new_start, new_end in changes:
        if what == "equal":
            yield from (f" {line}" for line in old[old_start:old_end])
        else:
            yield from (f"-{line}" for line in old[old_start:old_end])
            yield from (f"+{line}" for line in new[new_start:new_end])


def _range(start: int, end: int) -> str:
    """Lines count from 1; an empty range is named by the line before it."""
    length = end - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"
