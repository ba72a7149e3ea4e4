"""The API as the command line calls it: a method for each call, JSON as the API gives it.

All methods raise UnreachableError, or RefusedError (UnknownError for 404, DeniedError for 401 and 403).
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from juvuln.commands.errors import UnknownError, UsageError
from juvuln.commands.transport import TIMEOUT_SECONDS, Server, Transport
from shared.auth import BasicCredentials
from shared.terminal import harmless

UUID_FORM = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
PAGE = 1000
NEXT_PAGE = re.compile(r'<[^>]*\?([^>]*)>\s*;\s*rel="?next"?')
RUN_TIMEOUT_SECONDS = 120.0
"""A run may take a minute, and wait for a worker before."""
NEWEST = -1

Json = dict[str, Any]


class ApiClient:
    def __init__(self, server: Server, domain: str, token: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.server = server
        self.domain = domain
        self._http = Transport(server, BasicCredentials(domain, token).header(), timeout_seconds)

    def check(self) -> None:
        """Whether the server knows the domain and its token; raises DeniedError if not."""
        self._http.json("GET", "/v2/programs?limit=1")

    def close(self) -> None:
        """Close the connection that is kept open for the next call."""
        self._http.close()

    def programs(self, tags: Sequence[str] = ()) -> Iterator[Json]:
        """All programs that may be read, by name, page by page; with tags only those that have one of them."""
        return self._pages([("tags", tag) for tag in tags])

    def _pages(self, filters: Sequence[tuple[str, str]]) -> Iterator[Json]:
        query = urlencode([("limit", PAGE), *filters])
        offset = 0
        following: str | None = query
        while following is not None:
            reply = self._http.call("GET", f"/v2/programs?{following}")
            page = self._http.decode(reply.body)
            yield from page
            offset += len(page)
            following = _next_page(reply.headers)
            if following is None and len(page) == PAGE:
                following = f"{query}&offset={offset}"  # a server that gives no links

    def first_programs(self) -> list[Json]:
        """One page of programs: all of a small domain, enough of a large one to choose from."""
        found: list[Json] = self._http.json("GET", f"/v2/programs?limit={PAGE}")
        return found

    def find(self, program: str) -> Json:
        """The program of this uuid or name. Raises UsageError if several have the name."""
        if UUID_FORM.fullmatch(program):
            return self.program(program)
        found = self.named(program)
        if not found:
            raise UnknownError(f"there is no program called {harmless(program)} in {self.domain}", 404, {})
        if len(found) > 1:
            candidates = "\n".join(harmless(f"  {one['uuid']}  {one['type']}, {one['state']}") for one in found)
            raise UsageError(f"{len(found)} programs are called {harmless(program)}; give the uuid:\n{candidates}")
        return found[0]

    def named(self, name: str) -> list[Json]:
        """The programs of this name: it need not be unique."""
        # The original server knows no such filter, and gives all.
        return [one for one in self._pages([("name", name)]) if one["name"] == name]

    def program(self, uuid: str) -> Json:
        found: Json = self._http.json("GET", _path(uuid))
        return found

    def webhook_url(self, uuid: str) -> str:
        """Where a webhook is called."""
        return self.server.url + _path(uuid, "webhook")

    def schedule(self, uuid: str) -> Json | None:
        """When it is due and which policies hold; None from a server that does not tell."""
        try:
            found: Json = self._http.json("GET", f"{_path(uuid)}/schedule")
        except UnknownError:
            return None
        return found

    def create(self, specification: Mapping[str, object]) -> Json:
        """``specification``: name, type, state, schedule, deadline (ms), language, tags."""
        made: Json = self._http.json("POST", "/v2/programs", specification)
        return made

    def update(self, uuid: str, changes: Mapping[str, object]) -> None:
        """``changes``: any of the fields of a specification."""
        self._http.call("PUT", _path(uuid), json.dumps(changes).encode(), {"Content-Type": "application/json"})

    def delete(self, uuid: str) -> None:
        self._http.call("DELETE", _path(uuid))

    def revisions(self, uuid: str) -> list[Json]:
        """All revisions, oldest first."""
        found: list[Json] = self._http.json("GET", _path(uuid, "revisions"))
        return found

    def code(self, uuid: str, revision: int | None = None) -> bytes:
        """The code of a revision; without a number that of the newest signed one."""
        query = "" if revision is None else f"?revision={revision}"
        return self._http.call("GET", _path(uuid, "code") + query, headers={"Accept": "text/plain"}).body

    def upload(self, uuid: str, code: bytes) -> Json:
        """The new revision."""
        reply = self._http.call("POST", _path(uuid, "code"), code, {"Content-Type": "text/plain; charset=utf-8"})
        made: Json = self._http.decode(reply.body)
        return made

    def sign(self, uuid: str, revision: int, *, force: bool = False) -> None:
        """The server compiles it first, and refuses what does not compile (422) unless ``force``."""
        query = "?force=true" if force else ""
        self._http.call("PUT", _path(uuid, "revisions", revision, "sign") + query)

    def diff(self, uuid: str, old: int, new: int) -> bytes:
        """A unified diff between two revisions; -1 is the newest."""
        query = urlencode({"rev_a": old, "rev_b": new})
        return self._http.call("GET", f"{_path(uuid, 'diff')}?{query}", headers={"Accept": "text/plain"}).body

    def run(self, uuid: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *, wait: bool = True) -> Json:
        """Run a program now: the run when it has ended or, without ``wait``, as soon as it is on record."""
        path = _path(uuid, "run") + ("" if wait else "?async=true")
        reply = self._http.call("POST", path, body, headers, timeout_seconds=RUN_TIMEOUT_SECONDS)
        made: Json = self._http.decode(reply.body)
        return made

    def runs(self, uuid: str | None, limit: int, before: str | None = None, outcomes: Sequence[str] = ()) -> list[Json]:
        """Runs, newest first; of all programs where ``uuid`` is None."""
        query: list[tuple[str, object]] = [("limit", limit), *(("outcome", outcome) for outcome in outcomes)]
        if before is not None:
            query.append(("before", before))
        path = "/v2/runs" if uuid is None else _path(uuid, "runs")
        found: list[Json] = self._http.json("GET", f"{path}?{urlencode(query)}")
        return found

    def one_run(self, uuid: str, run: str) -> Json:
        found: Json = self._http.json("GET", _path(uuid, "runs", run))
        return found

    def follow_log(self, uuid: str, run: str) -> Iterator[Json]:
        """The log lines of a run as they are written, until it ends."""
        path = _path(uuid, "runs", run, "log") + "?follow=true"
        for line in self._http.lines(path, {"Accept": "application/x-ndjson"}):
            if line.strip():  # the others are signs of life
                yield self._http.decode(line)


def _path(uuid: str, *parts: object) -> str:
    return "/".join(["/v2/programs", *(quote(str(part), safe="") for part in (uuid, *parts))])


def _next_page(headers: Mapping[str, str]) -> str | None:
    """The query of the next page, which a `Link` header names."""
    link = next((value for name, value in headers.items() if name.lower() == "link"), "")
    match = NEXT_PAGE.search(link)
    return match[1] if match else None
