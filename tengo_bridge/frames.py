"""The frames between a worker and an executor, as values and as bytes.

A frame on the wire, integers big-endian::

    u32  length       of everything after this field, at most MAX_FRAME_BYTES
    u8   kind
    u32  id           the run or compile that the frame speaks of, 0 where there is none
    u32  meta_length
    ...  meta         a JSON object in UTF-8; nothing at all stands for {}
    ...  body         raw bytes, to the end of the frame

The Go side is ``tengo_bridge/go/internal/frame``; both are tested against ``tengo_bridge/go/testdata/frames.json``.
"""

from collections.abc import Mapping
from enum import IntEnum
from struct import Struct
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic_core import PydanticSerializationError, from_json, to_json

from tengo_bridge.errors import BridgeError

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""The largest length field that either side sends or accepts."""

_HEADER = Struct(">IBII")
_LENGTH = Struct(">I")
_SHORTEST_FRAME_BYTES = _HEADER.size - _LENGTH.size


class Kind(IntEnum):
    """What a frame says. Each name is followed by who sends it."""

    READY = 1  # executor
    CONFIGURE = 2  # worker
    COMPILE = 3  # worker
    COMPILED = 4  # executor
    NEEDS = 5  # executor
    REFUSED = 6  # executor
    FORGET = 7  # worker
    RUN = 8  # worker
    LOG = 9  # executor
    DONE = 10  # executor
    CANCEL = 11  # worker
    PING = 12  # worker
    PONG = 13  # executor


class FrameError(BridgeError):
    """A frame that cannot be sent, or a stream that does not hold frames and must be dropped."""


_KINDS: Mapping[int, Kind] = {kind.value: kind for kind in Kind}
_NO_META: Mapping[str, Any] = MappingProxyType({})


class Frame(NamedTuple):
    """One message: ``meta`` is what JSON can hold, ``body`` travels as it is."""

    kind: Kind
    id: int = 0
    meta: Mapping[str, Any] = _NO_META
    body: bytes = b""


def encode(frame: Frame) -> bytes:
    """The bytes of ``frame``; FrameError if it is larger than MAX_FRAME_BYTES, or holds text that is no Unicode."""
    meta = _encode_meta(frame) if frame.meta else b""
    length = _SHORTEST_FRAME_BYTES + len(meta) + len(frame.body)
    if length > MAX_FRAME_BYTES:
        raise FrameError(f"a {frame.kind.name} frame of {length} bytes is over the limit of {MAX_FRAME_BYTES} bytes")
    return b"".join((_HEADER.pack(length, frame.kind, frame.id, len(meta)), meta, frame.body))


def _encode_meta(frame: Frame) -> bytes:
    try:
        return to_json(frame.meta)
    except PydanticSerializationError as error:
        raise FrameError(f"the meta data of a {frame.kind.name} frame cannot be sent: {error}") from error


class FrameDecoder:
    """Turns a stream of bytes, cut anywhere, back into frames."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that ``data`` completes, in order. After a FrameError the stream cannot be read on."""
        if not self._pending:
            frames, used = _decode(data)
            self._pending += data[used:]
            return frames
        self._pending += data
        frames, used = _decode(self._pending)
        del self._pending[:used]
        return frames


def _decode(data: bytes | bytearray) -> tuple[list[Frame], int]:
    """All whole frames at the start of ``data``, and how many bytes they take."""
    frames = []
    start = 0
    while len(data) - start >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(data, start)
        if not _SHORTEST_FRAME_BYTES <= length <= MAX_FRAME_BYTES:
            raise _no_length(length)
        end = start + _LENGTH.size + length
        if end > len(data):
            break
        frames.append(_decode_one(data, start, end))
        start = end
    return frames, start


def _no_length(length: int) -> FrameError:
    return FrameError(
        f"a frame's length is {length} bytes, not {_SHORTEST_FRAME_BYTES} to {MAX_FRAME_BYTES}; "
        "the other side does not speak this protocol"
    )


def _decode_one(data: bytes | bytearray, start: int, end: int) -> Frame:
    _, number, frame_id, meta_bytes = _HEADER.unpack_from(data, start)
    meta_start = start + _HEADER.size
    meta_end = meta_start + meta_bytes
    if meta_end > end:
        raise FrameError(f"a frame of {end - start} bytes claims to hold {meta_bytes} bytes of meta data")
    return Frame(_kind(number), frame_id, _meta(data[meta_start:meta_end]), bytes(data[meta_end:end]))


def _kind(number: int) -> Kind:
    try:
        return _KINDS[number]
    except KeyError:
        raise FrameError(f"no frame is of kind {number}; worker and libtengo.so are of different versions") from None


def _meta(text: bytes | bytearray) -> dict[str, Any]:
    if not text:
        return {}
    try:
        meta = from_json(text)
    except ValueError as error:
        raise FrameError(f"a frame's meta data is not JSON: {error}") from error
    if not isinstance(meta, dict):
        raise FrameError(f"a frame's meta data is a JSON {type(meta).__name__}, not an object")
    return meta
