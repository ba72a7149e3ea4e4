"""How a task that ended is answered."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from malgomaj.answers import answer
from malgomaj.run_logs import RunLog
from malgomaj.tasks import Ended, Progress
from shared.wire import REPORT_CONTENT_TYPE, ErrorKind, LogLine, Outcome, ProgramError, Report, Task
from tengo_bridge.frames import Frame, Kind
from tests.malgomaj.worker import call, task

ERROR = ProgramError(kind=ErrorKind.RUNTIME, message="it broke", stack=["greet:3:9", "greet:7:1"])


def asked(**fields: Any) -> Task:
    return Task.model_validate_json(json.dumps(task("", **fields)))


def succeeded(body: bytes = b"", headers: list[list[str]] | None = None, status: int = 200) -> Ended:
    done = Frame(Kind.DONE, 1, {"response": {"status": status, "headers": headers or []}}, body)
    return Ended(Outcome.SUCCEEDED, None, 1.5, 60.0, Progress(b"", compiled=True), done)


def failed(outcome: Outcome = Outcome.FAILED) -> Ended:
    lines = [LogLine(at_ms=5, level="info", message="so far so good")]
    return Ended(outcome, ERROR, 1.5, None, Progress(b"", RunLog(lines)), None)


def test_a_routine_that_ended_well_is_an_empty_answer() -> None:
    response = answer(asked(), succeeded()).response()
    assert (response.status, response.body) == (200, b"")


def test_the_answer_says_until_when_the_program_is_kept() -> None:
    expires = parsedate_to_datetime(answer(asked(), succeeded()).headers["X-Expires"])
    assert timedelta(seconds=57) < expires - datetime.now(UTC) <= timedelta(seconds=60)
    assert "X-Expires" not in answer(asked(report=True), failed()).headers


def test_a_webhook_is_answered_with_what_the_program_wrote() -> None:
    headers = [["Content-Type", "image/png"], ["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"]]
    response = answer(asked(http=call()), succeeded(b"\x89PNG", headers, 201)).response()
    assert (response.status, response.body) == (201, b"\x89PNG")
    assert response.headers.getall("Set-Cookie") == ["a=1", "b=2"]
    assert response.headers.getall("Content-Type") == ["image/png"]


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Connection", "Keep-Alive", "Upgrade"])
def test_headers_of_the_connection_are_not_the_programs(name: str) -> None:
    ended = succeeded(b"hello", [[name, "5000"], ["X-Mine", "1"]])
    response = answer(asked(http=call()), ended).response()
    assert response.headers.get(name) in (None, "5")
    assert response.headers["X-Mine"] == "1"
    report = json.loads(answer(asked(http=call(), report=True), ended).body)
    assert report["response"]["headers"] == [["X-Mine", "1"]]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"hello", "text/plain; charset=utf-8"), (b"\xff\xfe", "application/octet-stream")],
)
def test_a_body_without_a_content_type_gets_a_harmless_one(body: bytes, content_type: str) -> None:
    assert answer(asked(http=call()), succeeded(body)).headers["Content-Type"] == content_type


def test_a_failure_says_what_and_where() -> None:
    response = answer(asked(), failed()).response()
    assert response.status == 500
    assert json.loads(str(response.text)) == {"code": 500, "message": "it broke (at greet:3:9)"}


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CRASHED, Outcome.CANCELLED])
def test_a_report_of_a_failure_holds_all_that_is_known(outcome: Outcome) -> None:
    response = answer(asked(report=True), failed(outcome)).response()
    assert (response.status, response.content_type) == (500, REPORT_CONTENT_TYPE)
    report = Report.model_validate_json(str(response.text))
    assert (report.outcome, report.error, report.response) == (outcome, ERROR, None)
    assert [line.message for line in report.log] == ["so far so good"]
    assert report.duration_ms == 1.5


def test_a_report_of_a_webhook_holds_its_answer() -> None:
    ended = succeeded(b"\x00\xff", [["A", "1"], ["A", "2"]], 299)
    report = Report.model_validate_json(answer(asked(report=True, http=call()), ended).body)
    assert report.response is not None
    assert (report.response.status, report.response.body) == (299, b"\x00\xff")
    assert report.response.headers == [("A", "1"), ("A", "2")]
    routine = Report.model_validate_json(answer(asked(report=True), succeeded()).body)
    assert routine.response is None
