"""The API as the command line calls it."""

import json
import re
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request, urlopen

from shared.auth import BasicCredentials
from shared.errors import SelfhostError

TIMEOUT_SECONDS = 30.0
UUID_FORM = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
PAGE, MOST_PROGRAMS = 1000, 100_000


class ApiError(SelfhostError):
    """The manager cannot be reached, or refuses."""


class ApiClient:
    def __init__(self, server: str, domain: str, token: str) -> None:
        self._server = server.rstrip("/")
        self._authorization = BasicCredentials(domain, token).header()

    def runs(self, program: str | None, limit: int) -> list[dict[str, Any]]:
        """Runs, newest first, as the API gives them; ``program`` is a uuid or a name. Raises ApiError."""
        path = "/v2/runs" if program is None else f"/v2/programs/{quote(self._uuid(program), safe='')}/runs"
        runs: list[dict[str, Any]] = self._get(f"{path}?{urlencode({'limit': limit})}")
        return runs

    def _uuid(self, program: str) -> str:
        """The uuid of a program that is known by it or by its name."""
        if UUID_FORM.fullmatch(program):
            return program
        for offset in range(0, MOST_PROGRAMS, PAGE):
            page = self._get(f"/v2/programs?{urlencode({'limit': PAGE, 'offset': offset})}")
            found = [one["uuid"] for one in page if one["name"] == program]
            if found:
                return str(found[0])
            if len(page) < PAGE:
                break
        raise ApiError(f"there is no program called {program!r}")

    def _get(self, path: str) -> Any:
        try:
            scheme = urlsplit(self._server).scheme
        except ValueError as error:
            raise ApiError(f"{self._server}: {error}") from error
        if scheme not in ("http", "https"):
            raise ApiError(f"{self._server}: a server's address begins with http:// or https://")
        request = Request(self._server + path, headers={"Authorization": self._authorization})  # noqa: S310
        try:
            with urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - the scheme is checked above
                return json.load(response)
        except HTTPError as error:
            raise ApiError(f"{self._server}: {_message(error)}") from error
        except (URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            raise ApiError(f"{self._server} cannot be reached ({reason}); is juvuln running there?") from error
        except ValueError as error:
            raise ApiError(f"{self._server} does not answer with JSON; is it juvuln?") from error


def _message(error: HTTPError) -> str:
    try:
        return f"{json.load(error)['message']} ({error.code})"
    except (ValueError, KeyError, TypeError):
        return f"answers {error.code}"
