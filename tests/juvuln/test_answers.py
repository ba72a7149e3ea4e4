"""What a worker's answer to a task says: reports of ours, and the plain answers of the contract."""

import json

import pytest

from juvuln.answers import NotStarted, Unanswered, Why, WorkerAnswer, understand, understand_line
from shared.wire import REPORT_CONTENT_TYPE, BatchLine, Outcome, TaskRefusal


def plain(status: int, body: bytes = b"", content_type: str = "text/plain", **headers: str) -> WorkerAnswer:
    return WorkerAnswer(status, [("Content-Type", content_type), *headers.items()], content_type, body)


def error(code: int, status: int | None = None) -> WorkerAnswer:
    body = json.dumps({"code": code, "message": "the reason"}).encode()
    return plain(status or code, body, "application/json")


def test_a_report_says_everything() -> None:
    body = json.dumps({"outcome": "crashed", "error": {"kind": "crash", "message": "bang"}, "duration_ms": 7}).encode()
    said = understand(plain(500, body, REPORT_CONTENT_TYPE), is_call=False)
    assert (said.outcome, said.duration_ms) == (Outcome.CRASHED, 7)
    assert said.error is not None
    assert said.error.message == "bang"


def test_a_routine_succeeded_if_the_answer_is_200_and_failed_if_it_is_an_error() -> None:
    assert understand(plain(200), is_call=False).outcome is Outcome.SUCCEEDED
    said = understand(error(500), is_call=False)
    assert said.outcome is Outcome.FAILED
    assert said.error is not None
    assert said.error.message == "the reason"


@pytest.mark.parametrize("answer", [plain(404), plain(502, b"<html>", "text/html"), plain(302), error(500, status=400)])
def test_what_no_worker_answers_to_a_routine_is_not_taken_for_success(answer: WorkerAnswer) -> None:
    with pytest.raises(Unanswered):
        understand(answer, is_call=False)


@pytest.mark.parametrize("status", [200, 201, 302, 404, 429, 503])
def test_a_webhook_s_own_answer_is_passed_on_whatever_its_status(status: int) -> None:
    body = b'{"error": "mine"}'
    answer = plain(status, body, "application/json", Location="/x", Date="today", Server="them")
    said = understand(answer, is_call=True)
    assert said.outcome is Outcome.SUCCEEDED
    assert said.answer is not None
    assert (said.answer.status, said.answer.body) == (status, body)
    assert said.answer.headers == [("Content-Type", "application/json"), ("Location", "/x")]


def test_a_failure_of_a_webhook_is_told_from_its_own_answer_by_the_code() -> None:
    assert understand(error(500), is_call=True).outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("status", "why"), [(429, Why.BUSY), (503, Why.BUSY), (401, Why.STRANGER), (403, Why.STRANGER)]
)
def test_a_worker_that_refused_did_not_start_the_run(status: int, why: Why) -> None:
    with pytest.raises(NotStarted) as caught:
        understand(error(status), is_call=True)
    assert caught.value.why is why


def test_a_worker_that_needs_the_source_did_not_start_the_run() -> None:
    line = BatchLine(index=0, refusal=TaskRefusal(code=409, message="send it again"))
    with pytest.raises(NotStarted) as alone:
        understand(error(409), is_call=True, keeps_sources=True)
    with pytest.raises(NotStarted) as in_a_batch:
        understand_line(line)
    assert alone.value.why is in_a_batch.value.why is Why.SOURCE_NEEDED


def test_a_worker_that_keeps_no_sources_cannot_have_meant_that() -> None:
    assert understand(error(409), is_call=True).outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("said", "seconds"), [("3", 3.0), ("0", 0.1), ("86400", 10.0), ("-1", 1.0), ("soon", 1.0), (None, 1.0)]
)
def test_a_busy_worker_says_when_to_ask_again_and_is_believed_within_reason(said: str | None, seconds: float) -> None:
    headers = [] if said is None else [("Retry-After", said)]
    with pytest.raises(NotStarted) as caught:
        understand(error(429)._replace(headers=headers), is_call=False)
    assert caught.value.retry_after_seconds == seconds


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b'{"outcome": "great"}',
        b'{"outcome": "failed", "error": "x"}',
        # Such an ending could not be written by any database, and would keep all others from being written.
        b'{"outcome": "failed", "attempts": 4294967296}',
        b'{"outcome": "failed", "duration_ms": 1e999}',
        b'{"outcome": "failed", "log": [{"at_ms": 1000000000000000000, "level": "info", "message": "x"}]}',
        # That is for the manager to judge.
        b'{"outcome": "skipped"}',
        b'{"outcome": "lost"}',
    ],
)
def test_a_report_that_cannot_be_read_leaves_the_run_unanswered(body: bytes) -> None:
    with pytest.raises(Unanswered, match="cannot be understood"):
        understand(plain(200, body, REPORT_CONTENT_TYPE), is_call=True)
