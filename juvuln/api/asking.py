"""A request as far as it tells who is asking, however it came in."""

from typing import Protocol

from multidict import CIMultiDictProxy


class Asking(Protocol):
    @property
    def headers(self) -> CIMultiDictProxy[str]: ...
    @property
    def remote(self) -> str | None: ...
