"""Requests, however they came in."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from multidict import CIMultiDictProxy

from shared.direct import DirectCall, Made

RequestT = TypeVar("RequestT")


class Asking(Protocol):
    """As far as they tell who is asking."""

    @property
    def headers(self) -> CIMultiDictProxy[str]: ...
    @property
    def remote(self) -> str | None: ...


def of_head(request: RequestT, make: Callable[[RequestT], Made]) -> Made:
    """What ``make`` makes of a request, of which it looks at nothing but the head; made once for those that begin alike
    if the request came past aiohttp.
    """
    if isinstance(request, DirectCall):
        return request.from_head(make)  # type: ignore[arg-type] # which takes what the request is
    return make(request)
