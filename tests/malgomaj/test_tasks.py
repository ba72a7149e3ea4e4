"""Tasks sent to a real worker, which all tests of this file share: what they answer."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from shared.wire import REPORT_CONTENT_TYPE
from tests.malgomaj.manager import LocalManager, local_manager
from tests.malgomaj.worker import UUID, RunningWorker, call, running_worker, task

pytestmark = pytest.mark.asyncio(loop_scope="module")

ECHO = """
cgi := import("cgi")
cgi.response.status(201)
cgi.response.headers("X-Given", cgi.request.headers()["X-Give"])
cgi.response.headers("X-Twice", "1")
cgi.response.headers("X-Twice", "2")
cgi.response.write(cgi.request.body())
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def manager() -> AsyncIterator[LocalManager]:
    async with local_manager() as manager:
        yield manager


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(tmp_path_factory: pytest.TempPathFactory, manager: LocalManager) -> AsyncIterator[RunningWorker]:
    async with running_worker(tmp_path_factory.mktemp("worker"), manager, CACHE__LIBRARY_TIMEOUT="0") as worker:
        yield worker


async def test_a_program_that_ends_well_is_an_empty_answer(worker: RunningWorker) -> None:
    answered = await worker.run("x := 1 + 1")
    assert (answered.status, answered.body) == (200, b"")
    expires = parsedate_to_datetime(answered.headers["X-Expires"])
    assert timedelta(seconds=290) < expires - datetime.now(UTC) <= timedelta(seconds=301)


async def test_a_webhook_answers_what_its_program_wrote(worker: RunningWorker) -> None:
    answered = await worker.run(ECHO, http=call(b"\x00\xffbinary", **{"X-Give": "gift"}))
    assert (answered.status, answered.body) == (201, b"\x00\xffbinary")
    assert answered.headers["X-Given"] == "gift"
    assert answered.headers.getall("X-Twice") == ["1", "2"]
    assert "X-Expires" in answered.headers


async def test_a_webhook_knows_how_it_was_called(worker: RunningWorker) -> None:
    source = """
    cgi := import("cgi")
    fmt := import("fmt")
    r := cgi.request
    cgi.response.write(fmt.sprintf("%s %s %s %s", r.method(), r.path(), r.query(), r.remote()))
    """
    http = call() | {"method": "PUT", "path": "/a", "query": "b=c", "remote": "192.0.2.1"}
    assert (await worker.run(source, http=http)).body == b"PUT /a b=c 192.0.2.1"


async def test_calls_side_by_side_are_never_mixed_up(worker: RunningWorker) -> None:
    bodies = [str(number).encode() * 100 for number in range(100)]
    calls = (worker.run(ECHO, http=call(body, **{"X-Give": body.decode()})) for body in bodies)
    answers = await asyncio.gather(*calls)
    assert [answered.body for answered in answers] == bodies
    assert [answered.headers["X-Given"].encode() for answered in answers] == bodies


async def test_a_report_tells_everything_of_a_run(worker: RunningWorker) -> None:
    source = 'log := import("log"); log.info("%d is the answer", 42); log.error("but")'
    answered = await worker.run(source, report=True)
    assert answered.headers["Content-Type"].startswith(REPORT_CONTENT_TYPE)
    assert "X-Expires" in answered.headers
    report = answered.json
    assert (report["outcome"], report["error"], report["response"]) == ("succeeded", None, None)
    assert [(line["level"], line["message"]) for line in report["log"]] == [
        ("info", "42 is the answer"),
        ("error", "but"),
    ]
    assert 0 < report["duration_ms"] < 5000


async def test_a_program_that_does_not_compile_is_answered_with_the_place(worker: RunningWorker) -> None:
    answered = await worker.run("x := 1\ny := z", program_name="greet")
    assert answered.status == 500
    assert answered.json == {"code": 500, "message": "unresolved reference 'z' (at greet:2:6)"}
    report = await worker.report("x := 1\ny := z")
    assert report["outcome"] == "failed"
    assert (report["error"]["kind"], report["error"]["stack"]) == ("compile", [f"{UUID}:2:6"])


async def test_a_runtime_error_is_answered_with_the_stack(worker: RunningWorker) -> None:
    source = "f := func(x) {\n  return 1 / x\n}\nf(0)"
    report = await worker.report(source, program_name="greet")
    assert report["error"]["kind"] == "runtime"
    assert report["error"]["stack"] == ["greet:2:10", "greet:4:1"]


async def test_log_lines_before_an_error_are_kept(worker: RunningWorker) -> None:
    report = await worker.report('log := import("log"); log.info("before"); x := 1 / 0')
    assert [line["message"] for line in report["log"]] == ["before"]


async def test_modules_come_from_the_library_nested_ones_too(worker: RunningWorker, manager: LocalManager) -> None:
    manager.modules["inner"] = {3: "export func(x) { return x * 10 }"}
    manager.modules["outer"] = {0: 'inner := import("inner@3"); export func(x) { return inner(x) + 1 }'}
    source = 'log := import("log"); outer := import("outer@0"); log.info("%d", outer(4))'
    for _ in range(2):  # compiled, then cached
        report = await worker.report(source)
        assert [line["message"] for line in report["log"]] == ["41"]
        assert [(use["name"], use["revision"]) for use in report["modules"]] == [("outer@0", 0), ("inner@3", 3)]
        assert all(use["etag"] for use in report["modules"])


async def test_each_revision_is_the_right_one(worker: RunningWorker, manager: LocalManager) -> None:
    manager.modules["simplemath"] = {0: "export 0", 1: "export 1"}
    source = """
    log := import("log")
    log.info("%d %d %d", import("simplemath@0"), import("simplemath@1"), import("simplemath@latest"))
    """
    assert (await worker.report(source))["log"][0]["message"] == "0 1 1"
    manager.modules["simplemath"][2] = "export 2"
    assert (await worker.report(source))["log"][0]["message"] == "0 1 2"
    before = len(manager.answers)
    assert (await worker.report(source))["log"][0]["message"] == "0 1 2"
    assert manager.answers[before:] == [304, 304, 304]


async def test_a_module_that_comes_to_need_another_is_compiled_with_it(
    worker: RunningWorker, manager: LocalManager
) -> None:
    manager.modules["grown"] = {0: "export 5"}
    source = 'log := import("log"); log.info("%d", import("grown"))'
    assert (await worker.report(source))["log"][0]["message"] == "5"
    manager.modules["more"] = {0: "export 6"}
    manager.modules["grown"][1] = 'export import("more")'
    report = await worker.report(source)
    assert report["log"][0]["message"] == "6"
    assert [use["name"] for use in report["modules"]] == ["grown", "more"]
    manager.modules["grown"][2] = "export 7"
    for _ in range(2):
        report = await worker.report(source)
        assert report["log"][0]["message"] == "7"
        assert [use["name"] for use in report["modules"]] == ["grown"]


async def test_a_module_that_is_needed_no_more_may_go(worker: RunningWorker, manager: LocalManager) -> None:
    manager.modules |= {"leaving": {0: "export 1"}, "stays": {0: 'export import("leaving")'}}
    source = 'log := import("log"); log.info("%d", import("stays"))'
    assert (await worker.report(source))["log"][0]["message"] == "1"
    del manager.modules["leaving"]
    report = await worker.report(source, program_name="greet")
    assert report["error"]["message"].startswith("module 'leaving' is not found or not signed (imported at stays:1:8)")
    manager.modules["stays"][1] = "export 2"
    for _ in range(2):
        assert (await worker.report(source))["log"][0]["message"] == "2"


async def test_a_module_that_is_not_there_is_named_with_its_importing_place(
    worker: RunningWorker, manager: LocalManager
) -> None:
    answered = await worker.run('x := 1\ny := import("missing@3")', program_name="greet")
    assert answered.status == 500
    message = "module 'missing@3' is not found or not signed (imported at greet:2:6)"
    assert answered.json["message"] == message
    report = await worker.report('import("missing@3")')
    assert (report["outcome"], report["error"]["kind"]) == ("failed", "compile")


async def test_modules_in_a_circle_are_refused(worker: RunningWorker, manager: LocalManager) -> None:
    manager.modules["ping"] = {0: 'export import("pong")'}
    manager.modules["pong"] = {0: 'export import("ping")'}
    report = await worker.report('import("ping")')
    assert report["error"]["kind"] == "compile"
    assert "ping" in report["error"]["message"]
    assert "pong" in report["error"]["message"]


async def test_an_error_inside_a_module_names_the_module(worker: RunningWorker, manager: LocalManager) -> None:
    manager.modules["broken"] = {1: "export func() {\n  return 1 / 0\n}"}
    report = await worker.report('b := import("broken@1")\nb()', program_name="greet")
    assert report["error"]["stack"] == ["broken@1:2:10", "greet:2:1"]


async def test_files_and_the_system_cannot_be_imported(worker: RunningWorker) -> None:
    for name in ("os", "./x", "/etc/passwd"):
        report = await worker.report(f'import("{name}")')
        assert report["error"]["kind"] == "compile", name


async def test_a_new_source_never_runs_old_code(worker: RunningWorker) -> None:
    for number in range(5):
        report = await worker.report(f'log := import("log"); log.info("{number}")')
        assert report["log"][0]["message"] == str(number)


async def test_sixty_four_calls_that_wait_take_little_longer_than_one(worker: RunningWorker) -> None:
    source = 'times := import("times"); times.sleep(50 * times.millisecond)'
    await worker.run(source)
    began = asyncio.get_running_loop().time()
    answers = await asyncio.gather(*(worker.run(source) for _ in range(64)))
    assert {answered.status for answered in answers} == {200}
    assert asyncio.get_running_loop().time() - began < 1.0


async def test_the_status_tells_of_the_load_while_there_is_some(worker: RunningWorker) -> None:
    assert (await worker.status())["load"] == 0
    source = 'times := import("times"); times.sleep(300 * times.millisecond)'
    runs = [asyncio.create_task(worker.run(source, deadline=deadline)) for deadline in (2000, 3000, 0)]

    async with asyncio.timeout(5):
        while (await worker.status())["load"] != 65_000:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.01)
    status = await worker.status()
    assert status["executors"] == 1
    assert status["runs"] <= 3
    assert status["programs"] >= 1
    await asyncio.gather(*runs)
    assert (await worker.status())["load"] == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic !"},
        {"Authorization": "Bearer the secret of manager and workers"},
        {"Authorization": aiohttp.encode_basic_auth("user", "wrong")},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/tasks"), ("POST", "/v1/tasks/batch"), ("GET", "/v1/status")]
)
async def test_strangers_are_sent_away(worker: RunningWorker, method: str, path: str, headers: dict[str, str]) -> None:
    answered = await worker.request(method, path, headers=headers, json=task("x := 1"))
    assert answered.status == 401
    assert answered.headers["WWW-Authenticate"].startswith("Basic ")
    assert answered.json["code"] == 401


@pytest.mark.parametrize(
    ("body", "code", "part"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b"\xff", 400, "not JSON"),
        (b"[]", 422, ""),
        (b"{}", 422, "source_code"),
    ],
)
async def test_a_body_that_is_no_task_is_refused(worker: RunningWorker, body: bytes, code: int, part: str) -> None:
    answered = await worker.request("POST", "/v1/tasks", data=body)
    assert (answered.status, answered.json["code"]) == (code, code)
    assert part in answered.json["message"]


@pytest.mark.parametrize(
    ("fields", "code", "part"),
    [
        ({"language": "lua"}, 400, "'lua' is not run here; run here: tengo"),
        ({"deadline": 60_001}, 422, "deadline"),
        ({"deadline": -1}, 422, "deadline"),
        ({"deadline": "soon"}, 422, "deadline"),
        ({"source_code": "not base64!"}, 422, "source_code"),
        ({"program_uuid": "short"}, 422, "program_uuid"),
        ({"domain": ""}, 422, "domain"),
        ({"http": {"headers": {"A": 1}}}, 422, "http.headers"),
        ({"http": call(b"x" * (1024 * 1024 + 1))}, 413, "limits.body_bytes"),
        ({"source_code": base64.b64encode(b" " * (1024 * 1024 + 1)).decode()}, 413, "limits.source_bytes"),
        ({"source_code": "A" * 6_000_000}, 413, "the request body exceeds"),
    ],
)
async def test_a_task_that_cannot_be_run_is_refused(
    worker: RunningWorker, fields: dict[str, Any], code: int, part: str
) -> None:
    answered = await worker.run("x := 1", **fields)
    assert (answered.status, answered.json["code"]) == (code, code)
    assert part in answered.json["message"]


async def test_what_is_as_large_as_may_be_is_taken(worker: RunningWorker) -> None:
    size = 1024 * 1024
    answered = await worker.run(ECHO.ljust(size), http=call(b"x" * size, **{"X-Give": "1"}))
    assert (answered.status, len(answered.body)) == (201, size)


async def test_unknown_fields_are_ignored(worker: RunningWorker) -> None:
    assert (await worker.run("x := 1", from_the_future={"a": 1})).status == 200


async def test_wrong_paths_and_methods_are_refused_as_json(worker: RunningWorker) -> None:
    answered = await worker.request("GET", "/v1/tasks")
    assert (answered.status, answered.headers["Allow"], answered.json["code"]) == (405, "OPTIONS,POST", 405)
    assert (await worker.request("GET", "/v2/nothing")).json["code"] == 404


async def test_anybody_may_ask_how_it_fares_and_what_it_answers(worker: RunningWorker) -> None:
    assert (await worker.request("GET", "/healthz", headers={})).status == 200
    ready = await worker.request("GET", "/readyz", headers={})
    assert (ready.status, ready.json) == (200, {"ready": True, "problems": {}})
    document = (await worker.request("GET", "/openapi3.json", headers={})).json
    assert set(document["paths"]) == {
        "/v1/tasks",
        "/v1/tasks/batch",
        "/v1/tasks/held",
        "/v1/runs/{run_id}",
        "/v1/runs/{run_id}/log",
        "/v1/status",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi3.json",
    }
    assert set(document["paths"]["/v1/tasks"]["post"]["responses"]) >= {"200", "401", "429", "500", "503"}


async def test_each_run_is_one_log_line_with_its_context(worker: RunningWorker) -> None:
    await worker.run("x := 1", run_id="run-77", program_name="greet")
    await worker.run("x := ", run_id="run-78", program_name="greet")
    events = {event.get("run"): event for event in worker.process.events("run_ended")}
    assert events["run-77"].items() >= {"program": "greet", "domain": "test", "outcome": "succeeded"}.items()
    assert events["run-77"]["duration_ms"] >= 0
    assert events["run-78"]["outcome"] == "failed"
    assert "greet:1:" in events["run-78"]["error"]
