"""`malgomaj run`: a program in a file, as the worker would run it."""

import asyncio
import base64
import os
import signal
import subprocess
import sys
from asyncio.subprocess import Process

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.commands import MalgomajCommand
from tests.support.processes import alive, children
from tests.support.waiting import until

ECHO = """
cgi := import("cgi")
request := cgi.request
cgi.response.status(201)
cgi.response.headers("X-Call", request.method() + " " + request.path() + " " + request.query())
for name in ["Accept", "X-Twice"] { cgi.response.headers("X-Got", name + "=" + string(request.headers()[name])) }
cgi.response.headers("Content-Length", "1000")
cgi.response.write(request.body())
"""
SAY_AND_SLEEP = """
log := import("log")
times := import("times")
log.info("it began")
times.sleep(60 * times.second)
"""
FETCH = """
http := import("http")
log := import("log")
answer := http.get("%s")
log.info("%%s", is_error(answer) ? string(answer) : string(answer.Body))
"""


async def begun(malgomaj: MalgomajCommand, *arguments: str) -> tuple[Process, int]:
    """The command, running SAY_AND_SLEEP, and the executor that it is in."""
    malgomaj.write(sleep=SAY_AND_SLEEP)
    process = await malgomaj.start("run", "sleep.tengo", *arguments)
    assert process.stderr is not None
    assert await asyncio.wait_for(process.stderr.readline(), 20) == b"info: it began\n"
    (executor,) = children(process.pid)
    return process, executor


async def test_a_routine_that_ends_well_says_nothing_but_its_log(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(hello='log := import("log")\nlog.info("%d\\n\\x1b[1mbold", 42)\nlog.error("oh")\n')
    said = await malgomaj("run", "hello.tengo")
    assert (said.status, said.text, said.err) == (0, "", "info: 42\n␛[1mbold\nerror: oh\n")


async def test_log_lines_come_while_it_runs_and_interrupting_leaves_no_executor(malgomaj: MalgomajCommand) -> None:
    process, executor = await begun(malgomaj)
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 5) == 130
    assert not alive(executor)
    assert process.stderr is not None
    assert await process.stderr.read() == b""


async def test_interrupting_its_start_says_nothing_and_leaves_no_executor(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(loop="for {}")
    process = await malgomaj.start("run", "loop.tengo")

    async def started() -> list[int] | None:
        return children(process.pid) or None

    (executor,) = await until(started, "an executor is started")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert await asyncio.wait_for(process.stderr.read(), 5) == b""
    assert await process.wait() == 130
    assert not alive(executor)


async def test_being_killed_leaves_no_executor(malgomaj: MalgomajCommand) -> None:
    process, executor = await begun(malgomaj)
    process.kill()
    await process.wait()

    async def gone() -> bool:
        return not alive(executor)

    await until(gone, "the executor is gone")


async def test_a_runtime_error_is_shown_with_line_and_stack_through_modules(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(use='lib := import("lib")\nf := func() { return lib.half("x") + 1 }\nf()\n')
    malgomaj.write(library="export {\n\thalf: func(a) { return a / 2 }\n}\n")
    said = await malgomaj("run", "use.tengo", "--module", "lib=library.tengo")
    assert (said.status, said.text) == (1, "")
    assert said.err == (
        "lib:2:25 (library.tengo): runtime error: invalid operation: string / int\n"
        "        half: func(a) { return a / 2 }\n"
        "                               ^\n"
        "  called from use.tengo:2:22\n"
        "  called from use.tengo:3:1\n"
    )


async def test_a_program_that_does_not_compile_is_not_run(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(bad='log := import("log")\nlog.info("x")\ny\n', needy='import("a")')
    said = await malgomaj("run", "bad.tengo")
    assert (said.status, said.err) == (1, "bad.tengo:3:1: compile error: unresolved reference 'y'\n    y\n    ^\n")
    said = await malgomaj("run", "needy.tengo")
    assert said.status == 1
    assert "--module a=PATH" in said.err


async def test_a_webhooks_answer_is_its_status_its_headers_and_its_body_unchanged(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(echo=ECHO)
    body = bytes(range(256))
    headers = ("--header", "Accept: text/html", "--header", "X-Twice:1", "--header", "x-twice: 2")
    said = await malgomaj(
        "run", "echo.tengo", "--request", "PUT", "--path", "/p", "--query", "a=1&b", *headers, "--body", "-", stdin=body
    )
    assert (said.status, said.err) == (0, "")
    head = b"HTTP 201\nX-Call: PUT /p a=1&b\nX-Got: Accept=text/html\nX-Got: X-Twice=1, 2\n\n"
    assert said.out == head + body


async def test_a_body_alone_makes_it_a_post(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(echo=ECHO)
    (malgomaj.folder / "body").write_bytes(b"from a file")
    said = await malgomaj("run", "echo.tengo", "--body", "body")
    assert said.status == 0
    assert b"X-Call: POST / \n" in said.out
    assert said.out.endswith(b"\n\nfrom a file")


async def test_arguments_that_are_not_utf8_do_no_harm(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(**{"\udcff": ECHO + "\nx := [] + 1"})
    parts = ("--header", "Accept: \udcff", "--path", "\udcff", "--query", "\udcff", "--request", "\udcff")
    said = await malgomaj("run", "\udcff.tengo", *parts)
    assert said.status == 1
    assert said.err.startswith("?.tengo:10:6: runtime error: ")


async def test_without_a_request_a_webhook_cannot_read_one(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(echo=ECHO)
    said = await malgomaj("run", "echo.tengo")
    assert (said.status, said.text) == (1, "")
    assert "this run has no request" in said.err


async def test_json_is_the_report_of_the_run(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(hook='import("log").info("hi")\nimport("cgi").response.write(import("lib@2"))', lib='export "ok"')
    said = await malgomaj("run", "hook.tengo", "--json", "--request", "POST", "--module", "lib@2=lib.tengo")
    assert (said.status, said.err) == (0, "info: hi\n")
    report = said.json()
    assert report.pop("duration_ms") > 0
    assert isinstance(report["log"][0].pop("at_ms"), int)
    assert report == {
        "outcome": "succeeded",
        "error": None,
        "log": [{"level": "info", "message": "hi"}],
        "attempts": 1,
        "waited_ms": None,
        "modules": [{"name": "lib@2", "revision": 2, "etag": ""}],
        "response": {"status": 200, "headers": [], "body": base64.b64encode(b"ok").decode()},
    }


async def test_json_of_a_failure_has_its_kind_and_stack(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(bad="f := func() { return 1 + [] }\nf()\n", needy='import("a")\nimport("b")')
    said = await malgomaj("run", "--json", "bad.tengo")
    assert (said.status, said.err, said.json()["outcome"]) == (1, "", "failed")
    stack = ["bad.tengo:1:22", "bad.tengo:2:1"]
    assert said.json()["error"] == {"kind": "runtime", "message": "invalid operation: int + array", "stack": stack}
    error = (await malgomaj("run", "--json", "needy.tengo")).json()["error"]
    assert error["stack"] == ["needy.tengo:1:1"]
    assert "module 'a' is not supplied" in error["message"]
    assert "needy.tengo:2:1: module 'b' is not supplied" in error["message"]


@pytest.mark.parametrize("code", ["for {}", 'import("times").sleep(60000000000)'], ids=["loop", "sleep"])
async def test_the_deadline_ends_it(code: str, malgomaj: MalgomajCommand) -> None:
    malgomaj.write(late=code)
    said = await malgomaj("run", "late.tengo", "--deadline", "150")
    assert said.status == 3
    assert "deadline error: deadline of 150 ms exceeded\n" in said.err


async def test_an_executor_that_does_not_answer_is_ended_at_the_deadline(malgomaj: MalgomajCommand) -> None:
    process, executor = await begun(malgomaj, "--deadline", "2000")
    os.kill(executor, signal.SIGSTOP)
    assert await asyncio.wait_for(process.wait(), 10) == 3
    assert not alive(executor)
    assert process.stderr is not None
    assert await process.stderr.read() == b"sleep.tengo: deadline error: deadline of 2000 ms exceeded\n"


async def test_a_crash_of_the_executor_is_told(malgomaj: MalgomajCommand) -> None:
    process, executor = await begun(malgomaj)
    os.kill(executor, signal.SIGKILL)
    assert await asyncio.wait_for(process.wait(), 10) == 4
    assert process.stderr is not None
    assert await process.stderr.read() == b"sleep.tengo: crash error: the executor was ended by SIGKILL\n"


async def test_too_much_memory_and_too_long_an_answer_are_limits(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(hoard='x := []\nfor { x = append(x, "%s" + string(len(x))) }' % ("a" * 1000))
    malgomaj.write(long='import("cgi").response.write(import("text").repeat("x", 2000))')
    small = {"MALGOMAJ_EXECUTORS__MEMORY_BYTES": str(192 * 1024 * 1024), "MALGOMAJ_LIMITS__ANSWER_BYTES": "1024"}
    said = await malgomaj.with_variables(**small)("run", "--json", "hoard.tengo")
    assert (said.status, said.json()["error"]["kind"]) == (4, "memory")
    said = await malgomaj.with_variables(**small)("run", "--json", "long.tengo", "--request", "GET")
    assert (said.status, said.json()["error"]["kind"], said.json()["response"]) == (4, "output", None)


async def test_a_body_over_the_limit_is_not_sent(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(echo=ECHO)
    small = {"MALGOMAJ_LIMITS__BODY_BYTES": "1024"}
    said = await malgomaj.with_variables(**small)("run", "echo.tengo", "--body", "-", stdin=b"x" * 1025)
    assert (said.status, said.text) == (4, "")
    assert said.err == "malgomaj: -: a body may have 1024 bytes (limits.body_bytes)\n"
    assert (await malgomaj.with_variables(**small)("run", "echo.tengo", "--body", "-", stdin=b"x" * 1024)).status == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["none.tengo"],
        ["hello.tengo", "--header", "nothing"],
        ["hello.tengo", "--body", "none"],
        ["hello.tengo", "--module", "x"],
        ["hello.tengo", "--deadline", "60001"],
        ["hello.tengo", "--deadline", "-1"],
        ["hello.tengo", "--config", "none"],
        ["hello.tengo", "hello.tengo"],
        [],
    ],
)
async def test_what_cannot_be_used_is_a_usage_error_and_nothing_runs(
    arguments: list[str], malgomaj: MalgomajCommand
) -> None:
    malgomaj.write(hello='import("log").info("it ran")')
    said = await malgomaj("run", *arguments)
    assert (said.status, said.text) == (2, "")
    assert "it ran" not in said.err
    assert "Traceback" not in said.err


async def test_a_deadline_of_zero_is_the_longest(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(hello="x := 1")
    assert (await malgomaj("run", "hello.tengo", "--deadline", "0")).status == 0


async def test_it_may_call_what_runs_beside_it_unless_a_configuration_says_otherwise(
    malgomaj: MalgomajCommand,
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="hello from beside")

    app = web.Application()
    app.router.add_get("/", answer)
    config = malgomaj.folder / "malgomaj.yaml"
    config.write_text("egress: {domains: {home: {allow: {networks: [loopback]}}}}", encoding="utf-8")
    async with TestServer(app, host="127.0.0.1") as server:
        malgomaj.write(fetch=FETCH % server.make_url("/"))
        assert (await malgomaj("run", "fetch.tengo")).err == "info: hello from beside\n"
        said = await malgomaj("run", "fetch.tengo", "--config", "malgomaj.yaml", "--domain", "home")
        assert said.err == "info: hello from beside\n"
        said = await malgomaj("run", "fetch.tengo", "--config", "malgomaj.yaml")
        assert "egress.allow.networks" in said.err


async def test_it_needs_no_secret_and_writes_nothing(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(hello="x := 1")
    for command in ("check", "run"):
        await malgomaj.good(command, "hello.tengo")
    assert [path.name for path in malgomaj.folder.rglob("*")] == ["hello.tengo"]


def test_it_starts_without_what_only_the_daemon_needs() -> None:
    script = (
        "import sys, malgomaj.cli, malgomaj.local_commands; print('aiohttp' in sys.modules, 'uvloop' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


async def test_a_limit_that_is_a_run_time_error_has_the_status_of_limits(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(calls='h := import("http"); for { h.get("http://127.0.0.1:1/") }')
    said = await malgomaj("run", "calls.tengo")
    assert (said.status, "(limits.http_calls)" in said.err) == (4, True)
