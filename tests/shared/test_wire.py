"""Wire models: what Go writes must be understood."""

import json

import pytest
from pydantic import ValidationError

from shared.wire import Subscriber, Task

TASK = {
    "deadline": 1000,
    "domain": "test",
    "language": "tengo",
    "program_uuid": "11111111-2222-4333-8444-555555555555",
    "source_code": "eCA6PSAx",
}


def test_null_stands_for_bytes_and_maps_that_were_never_made() -> None:
    body = TASK | {"source_code": None, "http": {"headers": None, "body": None}}
    task = Task.model_validate_json(json.dumps(body))
    assert task.source_code == b""
    assert task.http is not None
    assert (task.http.headers, task.http.body) == ({}, b"")


def test_fields_that_nobody_knows_are_ignored_and_ours_are_optional() -> None:
    task = Task.model_validate_json(json.dumps(TASK | {"anything": 1}))
    assert (task.source_code, task.http, task.report, task.program_name) == (b"x := 1", None, False, None)


def test_bytes_travel_as_base64() -> None:
    task = Task.model_validate_json(json.dumps(TASK))
    assert json.loads(task.model_dump_json())["source_code"] == "eCA6PSAx"


@pytest.mark.parametrize("capacity", [True, "4", 0, 1e9])
def test_a_capacity_is_a_number_within_reason(capacity: object) -> None:
    subscriber = {"uuid": TASK["program_uuid"], "scheme": "http", "authority": "a:1", "languages": ["tengo"]}
    assert Subscriber.model_validate_json(json.dumps(subscriber | {"capacity": 4})).capacity == 4.0
    with pytest.raises(ValidationError, match="capacity"):
        Subscriber.model_validate_json(json.dumps(subscriber | {"capacity": capacity}))
