"""A webhook's call and its answer, between the words of the wire and those of the frames."""

from collections.abc import Iterable, Mapping
from typing import Any

from shared.wire import TaskAnswer, TaskRequest
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


def task_answer(done: Frame) -> TaskAnswer:
    """What the program wrote, by the DONE frame of a run that ended well."""
    written = done.meta.get("response", {})
    headers = _programs_headers(written.get("headers", ()))
    return TaskAnswer(status=written.get("status", 200), headers=headers, body=done.body)


def _programs_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of ``headers`` that a program may set."""
    return [(name, value) for name, value in headers if name.lower() not in NOT_THE_PROGRAMS]
