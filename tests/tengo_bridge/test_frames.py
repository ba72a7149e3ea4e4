"""The frame codec against the definition that the Go side is tested against too, and against random frames."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tengo_bridge import frames
from tengo_bridge.frames import MAX_FRAME_BYTES, Frame, FrameDecoder, FrameError, Kind, encode

DEFINITION: dict[str, Any] = json.loads(
    Path(frames.__file__).with_name("go").joinpath("testdata", "frames.json").read_text(encoding="utf-8")
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
any_frame = st.builds(
    Frame,
    kind=st.sampled_from(Kind),
    id=st.integers(0, 2**32 - 1),
    meta=st.dictionaries(st.text(), json_values, max_size=4),
    body=st.binary(max_size=200),
)


def frame_of(row: dict[str, Any]) -> Frame:
    return Frame(Kind[row["kind"]], row["id"], row["meta"], bytes.fromhex(row["body_hex"]))


def test_kinds_and_limit_are_those_of_the_definition() -> None:
    assert {kind.name: int(kind) for kind in Kind} == DEFINITION["kinds"]
    assert DEFINITION["max_frame_bytes"] == MAX_FRAME_BYTES


def test_every_kind_has_an_example() -> None:
    assert {row["kind"] for row in DEFINITION["frames"]} == set(DEFINITION["kinds"])


@pytest.mark.parametrize("row", DEFINITION["frames"], ids=lambda row: row["kind"])
def test_example_frames_are_written_as_defined(row: dict[str, Any]) -> None:
    assert encode(frame_of(row)).hex() == row["hex"]


@pytest.mark.parametrize("row", DEFINITION["frames"] + DEFINITION["read_only"], ids=lambda row: row["kind"])
def test_example_frames_are_read_as_defined(row: dict[str, Any]) -> None:
    assert FrameDecoder().feed(bytes.fromhex(row["hex"])) == [frame_of(row)]


@pytest.mark.parametrize("row", DEFINITION["refused"], ids=lambda row: row["why"])
def test_what_is_no_frame_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(FrameError):
        FrameDecoder().feed(bytes.fromhex(row["hex"]))


@given(st.lists(any_frame, max_size=5))
def test_frames_survive_the_wire(sent: list[Frame]) -> None:
    assert FrameDecoder().feed(b"".join(map(encode, sent))) == sent


@given(st.lists(any_frame, min_size=1, max_size=3), st.data())
def test_a_stream_may_be_cut_at_any_byte(sent: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(map(encode, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    decoder = FrameDecoder()
    received = [
        frame
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for frame in decoder.feed(stream[start:end])
    ]
    assert received == sent


@given(
    st.binary(max_size=64) | st.builds(bytes.__add__, st.builds(encode, any_frame), st.binary(max_size=64)), st.data()
)
def test_any_bytes_are_frames_or_no_frames_but_nothing_worse(stream: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, max(0, len(stream) - 1)))
    damaged = stream[:place] + data.draw(st.binary(max_size=2)) + stream[place + 1 :]
    try:
        read = FrameDecoder().feed(damaged)
    except FrameError:
        return
    assert len(read) <= len(damaged) // 13


def test_meta_data_that_is_nested_beyond_all_measure_is_no_frame() -> None:
    meta = b'{"a":' + b"[" * 200_000
    with pytest.raises(FrameError, match="is not JSON"):
        FrameDecoder().feed(
            (9 + len(meta)).to_bytes(4, "big") + b"\x0c" + bytes(4) + len(meta).to_bytes(4, "big") + meta
        )


def test_a_stream_may_come_byte_by_byte() -> None:
    sent = [frame_of(row) for row in DEFINITION["frames"]]
    decoder = FrameDecoder()
    stream = b"".join(map(encode, sent))
    assert [frame for byte in stream for frame in decoder.feed(bytes([byte]))] == sent


def test_the_largest_frame_passes_and_one_byte_more_is_refused() -> None:
    body = bytes(MAX_FRAME_BYTES - 9)
    assert FrameDecoder().feed(encode(Frame(Kind.RUN, 1, {}, body))) == [Frame(Kind.RUN, 1, {}, body)]
    with pytest.raises(FrameError, match="RUN frame of 16777217 bytes"):
        encode(Frame(Kind.RUN, 1, {}, body + b"x"))


def test_text_that_is_no_unicode_is_not_sent() -> None:
    """It comes from nowhere: not out of JSON, and not from the command line."""
    with pytest.raises(FrameError, match="meta data of a RUN frame cannot be sent"):
        encode(Frame(Kind.RUN, 1, {"headers": {"X-Name": "\udce5"}}))
