"""What an executor may answer. It runs other people's programs, so nothing that it says is taken on trust."""

import re
from collections.abc import Mapping

from pydantic import BaseModel, Field

from shared.wire import Outcome, ProgramError, TaskAnswer
from tengo_bridge.frames import Frame, FrameError, Kind

_ENDINGS = frozenset({Outcome.SUCCEEDED, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CANCELLED})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


class _Compiled(BaseModel):
    modules: list[str] = []
    bytes: int = 0


class _Needed(BaseModel):
    name: str
    at: str
    via: list[str] = []


class _Needs(BaseModel):
    modules: list[_Needed]


class _Refused(BaseModel):
    error: ProgramError


class _Pong(BaseModel):
    goroutines: int = Field(ge=0)


_TO_COMPILE: Mapping[Kind, type[BaseModel]] = {Kind.COMPILED: _Compiled, Kind.NEEDS: _Needs, Kind.REFUSED: _Refused}


def check_answer(frame: Frame, *, to_compile: bool) -> None:
    """Raises FrameError, or a ValueError, if ``frame`` is no answer to a COMPILE or a RUN frame."""
    if to_compile:
        if frame.kind not in _TO_COMPILE:
            raise FrameError(f"the answer to a compile is a {frame.kind.name} frame")
        _TO_COMPILE[frame.kind].model_validate(frame.meta)
    elif frame.kind is not Kind.DONE:
        raise FrameError(f"the answer to a run is a {frame.kind.name} frame")
    else:
        _check_done(frame)


def goroutines_of(pong: Frame) -> int:
    """How many goroutines an executor says that it has. Raises a ValueError if it says nonsense."""
    return _Pong.model_validate(pong.meta).goroutines


def _check_done(frame: Frame) -> None:
    outcome = frame.meta.get("outcome")
    if not isinstance(outcome, str) or outcome not in _ENDINGS:
        raise FrameError(f"no run ends as {outcome!r:.40}")
    if outcome != Outcome.SUCCEEDED:
        ProgramError.model_validate(frame.meta.get("error"))
    elif "response" in frame.meta:
        written = TaskAnswer.model_validate(frame.meta["response"])
        if not all(_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value) for name, value in written.headers):
            raise FrameError("an answer has a header that no message can have")
