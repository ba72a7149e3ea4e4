"""Time and identity, handed to whoever needs them, so that tests can give their own."""

import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Clock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""
        return time.time_ns() // 1_000_000

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_seconds(self) -> float:
        """For durations: never set back, never jumps."""
        return time.monotonic()


def from_ms(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def to_ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def new_run_id(now_ms: int, random_bits: int | None = None) -> str:
    """A version 7 UUID (RFC 9562): ids of later runs sort after those of earlier ones.

    It is to be unique, and need not be secret, for nobody is let in by it.
    """
    bits = random.getrandbits(74) if random_bits is None else random_bits
    number = (now_ms & (1 << 48) - 1) << 80 | 0x7 << 76 | (bits >> 62) << 64 | 0b10 << 62 | bits & (1 << 62) - 1
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
