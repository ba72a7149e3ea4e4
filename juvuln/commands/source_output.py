"""Source code on standard output: to the byte, but harmless on a terminal."""

from typing import TextIO

from juvuln.commands.terminal import Colour, standard_output
from shared.terminal import harmless


def write_source(code: bytes, stream: TextIO) -> None:
    if not stream.isatty():
        stream.buffer.write(code)
        return
    print(harmless(code.decode("utf-8", "replace"), keep="\n\t"), file=stream)


def write_diff(diff: bytes, stream: TextIO) -> None:
    if not stream.isatty():
        stream.buffer.write(diff)
        return
    terminal = standard_output()
    for line in diff.decode("utf-8", "replace").splitlines():
        print(terminal.paint(harmless(line, keep="\t"), diff_colour(line)), file=stream)


def diff_colour(line: str) -> Colour | None:
    """Of a line of a unified diff."""
    if line.startswith(("+++", "---")):
        return Colour.BOLD
    return {"+": Colour.GREEN, "-": Colour.RED, "@": Colour.CYAN}.get(line[:1])
