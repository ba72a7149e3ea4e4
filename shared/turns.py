"""Letting the event loop go round: a pause that costs nothing where there is nothing else to do."""

import asyncio


async def turns_of_the_loop(count: int) -> None:
    """Let everything that is ready have its turn, so many times."""
    for _ in range(count):
        await asyncio.sleep(0)
