"""A webhook's call and its answer, between the words of the wire and those of the frames."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shared.wire import TaskRequest
from tengo_bridge.frames import Frame

NOT_THE_PROGRAMS = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to a connection, not to what the program wrote."""


def request_parts(http: TaskRequest | None) -> tuple[Mapping[str, Any] | None, bytes]:
    """The meta data and the body of the call that a webhook answers; None and nothing for a routine."""
    if http is None:
        return None, b""
    facts = {"method": http.method, "path": http.path, "query": http.query, "remote": http.remote}
    return facts | {"headers": http.headers}, http.body


class Written(NamedTuple):
    """What a program wrote: what a :class:`shared.wire.TaskAnswer` says."""

    status: int
    headers: Sequence[tuple[str, str]]
    """Those that a program may set."""
    body: bytes

    def words(self) -> Mapping[str, object]:
        """Of JSON."""
        return {"status": self.status, "headers": self.headers, "body": b64encode(self.body).decode()}


def written_by_program(done: Frame) -> Written:
    """By the DONE frame of a run that ended well; that it says what can be said was checked when it came."""
    response = done.meta.get("response", {})
    headers = [(name, value) for name, value in response.get("headers", ()) if name.lower() not in NOT_THE_PROGRAMS]
    return Written(int(response.get("status", 200)), headers, done.body)
