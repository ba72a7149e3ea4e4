"""The API as the commands call it: pages followed to their end, programs found by name, log lines as they come."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from juvuln.commands.client import PAGE, ApiClient
from juvuln.commands.errors import UnknownError, UsageError
from juvuln.commands.transport import Server
from tests.support.http_server import Answer, Respond, serving

TWINS = [
    {"uuid": "a", "name": "twin", "type": "x\x1b", "state": "y"},
    {"uuid": "b", "name": "twin", "type": "x", "state": "y"},
]
ONE_TO_THREE = [{"uuid": "1"}, {"uuid": "2"}, {"uuid": "3"}]


@contextmanager
def calling(respond: Respond) -> Iterator[ApiClient]:
    with serving(respond) as url, closing(ApiClient(Server.parse(url), "domain", "token")) as client:
        yield client


def answering(content: object) -> Respond:
    return lambda _: (200, {}, json.dumps(content).encode())


def test_the_links_to_next_pages_are_followed() -> None:
    asked: list[str] = []
    pages = {
        "/v2/programs?limit=1000&tags=a": (ONE_TO_THREE[:2], "x"),
        "/v2/programs?after=x": (ONE_TO_THREE[2:], "y"),
        "/v2/programs?after=y": ([], ""),
    }

    def page(request: BaseHTTPRequestHandler) -> Answer:
        asked.append(request.path)
        found, after = pages[request.path]
        headers = {"Link": f'</v2/programs?after={after}>; rel="next"'} if after else {}
        return 200, headers, json.dumps(found).encode()

    with calling(page) as client:
        assert list(client.programs(["a"])) == ONE_TO_THREE
    assert asked == list(pages)


def test_a_server_without_links_is_asked_by_offset() -> None:
    everything = [{"uuid": str(number)} for number in range(PAGE + 1)]

    def page(request: BaseHTTPRequestHandler) -> Answer:
        offset = int(request.path.partition("offset=")[2] or 0)
        return 200, {}, json.dumps(everything[offset : offset + PAGE]).encode()

    with calling(page) as client:
        assert list(client.programs()) == everything


def test_a_name_stands_for_one_program_or_the_candidates_are_told() -> None:
    with calling(answering([{"uuid": "c", "name": "one"}, *TWINS])) as client:
        assert client.find("one")["uuid"] == "c"
        with pytest.raises(UnknownError, match="there is no program called on in domain"):
            client.find("on")
        with pytest.raises(UsageError) as raised:
            client.find("twin")
    assert str(raised.value) == "2 programs are called twin; give the uuid:\n  a  x␛, y\n  b  x, y"


def test_signs_of_life_among_log_lines_are_no_lines() -> None:
    with calling(lambda _: (200, {}, b'{"message": "a"}\n\n{"message": "b"}\n')) as client:
        assert list(client.follow_log("u", "r")) == [{"message": "a"}, {"message": "b"}]


def test_what_is_asked_for_is_quoted() -> None:
    asked: list[str] = []

    def note(request: BaseHTTPRequestHandler) -> Answer:
        asked.append(request.path)
        return 200, {}, b"[]"

    with calling(note) as client:
        client.one_run("u", "../x?y")
        client.runs("u", 5, outcomes=["a&b"])
    assert asked == ["/v2/programs/u/runs/..%2Fx%3Fy", "/v2/programs/u/runs?limit=5&outcome=a%26b"]
