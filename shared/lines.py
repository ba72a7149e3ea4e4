"""Lines out of pieces, as both daemons read what they send each other."""

from collections.abc import AsyncIterable, AsyncIterator


class LongLineError(ValueError):
    """A line that is longer than it may be."""


async def lines_of(pieces: AsyncIterable[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    """Each line as soon as it is there, without its end, but for empty ones; at last what comes after the last end.

    Raises LongLineError. Nothing is looked at twice: of a line of eleven megabytes, with a webhook's answer in it, that
    would take more than half a second.
    """
    begun = bytearray()
    async for piece in pieces:
        end_of_line, *others = piece.split(b"\n")
        begun += end_of_line
        if len(begun) > max_bytes:
            raise LongLineError
        for other in others:
            if begun:
                yield bytes(begun)
            begun = bytearray(other)
    if begun:
        yield bytes(begun)
