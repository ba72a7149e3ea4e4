"""An answer's bytes."""

import pytest
from multidict import CIMultiDict

from shared.reply import Reply, http_date


def test_an_answer_has_its_length_and_date() -> None:
    head, _, body = Reply(429, b"later", {"Retry-After": "2"}).encode().partition(b"\r\n\r\n")
    status, *headers = head.split(b"\r\n")
    assert (status, body) == (b"HTTP/1.1 429 Too Many Requests", b"later")
    assert headers[:2] == [b"Retry-After: 2", b"Content-Length: 5"]
    assert headers[2].startswith(b"Date: ")


def test_a_header_may_come_several_times_and_the_programs_date_stands() -> None:
    headers = CIMultiDict([("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("date", "today")])
    head = Reply(200, b"", headers).encode()
    assert head == b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\ndate: today\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_may_have_no_body_has_none(status: int) -> None:
    assert b"Content-Length" not in Reply(status, b"something").encode()
    assert Reply(status, b"something").encode().endswith(b"\r\n\r\n")


def test_a_status_without_a_name_is_one_all_the_same() -> None:
    assert Reply(299).encode().startswith(b"HTTP/1.1 299 \r\n")


@pytest.mark.parametrize("value", ["one\r\nX-Other: two", "one\nX-Other: two", "one\rtwo", "one\0two"])
def test_a_header_of_more_than_one_line_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="a header holds"):
        Reply(200, b"", {"X-Name": value}).encode()


def test_a_date_is_that_of_the_standard() -> None:
    assert http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"
