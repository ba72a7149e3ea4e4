"""`make run`: what a newcomer sees."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from shared.auth import BasicCredentials
from tests.support.waiting import free_port, until

GREET = "11111111-0000-4000-8000-000000000003"
CALCULATE = "11111111-0000-4000-8000-000000000005"
FORECAST = "11111111-0000-4000-8000-000000000002"
HEARTBEAT = "11111111-0000-4000-8000-000000000001"
HEADERS = {"Authorization": BasicCredentials("demo", "root").header()}


class Demo:
    """The script that `make run` starts, in a folder of its own."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = folder / "output"
        self._variables = variables
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "JUVULN_LISTEN__PORT": str(self.port),
            "MALGOMAJ_LISTEN__PORT": str(free_port()),
            **self._variables,
        }
        with self.output.open("wb") as output:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "examples.demo",
                env=environ,
                cwd=self.folder,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        await self.until_printed("Runs as they end:")

    async def until_printed(self, text: str) -> None:
        async def printed() -> bool:
            if text in self.output.read_text(encoding="utf-8"):
                return True
            assert self.process is None or self.process.returncode is None, "the demo ended"
            return False

        await until(printed, f"the demo prints {text!r}; it printed:\n{self.output.read_text(encoding='utf-8')}")

    async def stop(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        async with asyncio.timeout(20):
            return await self.process.wait()

    def processes(self) -> list[tuple[int, str]]:
        """Process ids and command lines of what runs in our folder."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "cwd").readlink() == self.folder:
                    command = (process / "cmdline").read_text(encoding="utf-8").replace("\0", " ")
                    found.append((int(process.name), command))
            except OSError:
                continue  # it ended while we looked
        return found

    def left_over(self) -> list[str]:
        return [command for _, command in self.processes()]


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Demo]:
    made = Demo(tmp_path)
    yield made
    if made.process is not None and made.process.returncode is None:
        await made.stop(signal.SIGTERM)


async def fetch(method: str, url: str, **arguments: object) -> tuple[int, object]:
    async with (
        aiohttp.ClientSession(headers=HEADERS) as session,
        session.request(method, url, **arguments) as reply,  # type: ignore[arg-type]
    ):
        return reply.status, await reply.json() if reply.status != 204 else None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_demo_does_what_the_readme_says_and_leaves_no_process_behind(
    demo: Demo, number: signal.Signals
) -> None:
    await demo.start()
    for path in (f"/v2/programs/{GREET}/webhook", f"/v1/webhooks/demo/{GREET}"):
        status, answer = await fetch("POST", demo.url + path, data='{"name":"Ada"}')
        assert (status, answer) == (200, {"greeting": "Hello, Ada!"})
    status, answer = await fetch("POST", f"{demo.url}/v2/programs/{GREET}/webhook", data="nonsense")
    assert (status, answer) == (400, {"error": "send a JSON object with a name"})
    status, answer = await fetch("POST", f"{demo.url}/v2/programs/{CALCULATE}/webhook")
    assert status == 200
    assert answer == {
        "simplemath@0": {"version": 0, "sum": 13},
        "simplemath@1": {"version": 1, "product": 42},
        "simplemath@latest": {"version": 1, "product": 42},
    }
    await demo.until_printed("heartbeat     succeeded")
    await demo.until_printed("greet         succeeded")
    shown = await juvuln_runs(demo)
    assert "heartbeat" in shown
    assert "alive at" in shown
    shown = await juvuln_runs(demo, "greet")
    assert "greet" in shown
    assert "heartbeat" not in shown
    assert demo.left_over() != []
    assert await demo.stop(number) == 0
    assert demo.output.read_text(encoding="utf-8").endswith("stopped\n")
    assert demo.left_over() == []


async def test_a_second_start_keeps_the_record_and_what_users_changed(demo: Demo) -> None:
    await demo.start()
    await fetch("POST", f"{demo.url}/v2/programs/{GREET}/webhook", data='{"name":"Ada"}')
    status, _ = await fetch("PUT", f"{demo.url}/v2/programs/{HEARTBEAT}", json={"state": "inactive"})
    assert status == 204
    assert await demo.stop(signal.SIGTERM) == 0
    await demo.start()
    status, runs = await fetch("GET", f"{demo.url}/v2/programs/{GREET}/runs")
    assert status == 200
    assert isinstance(runs, list)
    assert [run["outcome"] for run in runs] == ["succeeded"]
    _, heartbeat = await fetch("GET", f"{demo.url}/v2/programs/{HEARTBEAT}")
    assert isinstance(heartbeat, dict)
    assert heartbeat["state"] == "inactive"


async def test_the_forecast_can_be_fetched_from_elsewhere(tmp_path: Path) -> None:
    asked: list[str] = []

    async def forecast(request: web.Request) -> web.Response:
        asked.append(f"{request.headers['User-Agent']} {request.query_string}")
        details = {"instant": {"details": {"air_temperature": 21.5}}}
        return web.json_response({"properties": {"timeseries": [{"data": details}]}})

    app = web.Application()
    app.router.add_get("/forecast", forecast)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    demo = Demo(tmp_path, FORECAST_URL=f"http://127.0.0.1:{runner.addresses[0][1]}/forecast")
    try:
        await demo.start()
        # The demo fetches it hourly; nobody wants to wait that long.
        await fetch("PUT", f"{demo.url}/v2/programs/{FORECAST}", json={"schedule": "* * * * * *"})
        await demo.until_printed("forecast      succeeded")
        _, runs = await fetch("GET", f"{demo.url}/v2/programs/{FORECAST}/runs")
    finally:
        await demo.stop(signal.SIGTERM)
        await runner.cleanup()
    assert asked[0] == "Selfhost Forecast Getter/1.0 lat=56.1569464184167&lon=15.590792749446742"
    assert isinstance(runs, list)
    ended_well = next(run for run in runs if run["outcome"] == "succeeded")
    assert "air temperature now: 21.5 degrees" in ended_well["log"][0]["message"]


async def test_a_second_demo_beside_the_first_says_that_the_port_is_taken(demo: Demo) -> None:
    await demo.start()
    folder = demo.folder / "second"
    folder.mkdir()
    second = Demo(folder)
    second.port = demo.port
    with pytest.raises(AssertionError, match="the demo ended"):
        await second.start()
    said = second.output.read_text(encoding="utf-8")
    assert f"port {demo.port} on 127.0.0.1 is taken by another program" in said
    assert "Runs as they end" not in said
    status, _ = await fetch("GET", f"{demo.url}/v2/programs")
    assert status == 200


async def test_a_second_signal_ends_a_demo_that_waits_for_a_long_run(demo: Demo) -> None:
    await demo.start()
    new = {"name": "slow", "type": "webhook", "state": "active", "deadline": 30000, "language": "tengo"}
    _, program = await fetch("POST", f"{demo.url}/v2/programs", json=new)
    assert isinstance(program, dict)
    path = f"{demo.url}/v2/programs/{program['uuid']}"
    await fetch("POST", f"{path}/code", data='import("times").sleep(20000000000)')
    await fetch("PUT", f"{path}/revisions/0/sign")
    call = asyncio.create_task(fetch("POST", f"{path}/webhook"))

    async def under_way() -> bool:
        _, runs = await fetch("GET", f"{path}/runs")
        return bool(runs)

    await until(under_way, "the run is on record")
    assert demo.process is not None
    demo.process.send_signal(signal.SIGINT)
    await demo.until_printed("Ctrl-C again ends them")
    async with asyncio.timeout(10):
        await demo.stop(signal.SIGINT)
    await asyncio.gather(call, return_exceptions=True)
    assert demo.left_over() == []


async def test_a_worker_that_is_killed_ends_the_demo_and_is_named(demo: Demo) -> None:
    await demo.start()
    (pid,) = [pid for pid, command in demo.processes() if "malgomaj --config" in command]
    os.kill(pid, signal.SIGKILL)
    assert demo.process is not None
    async with asyncio.timeout(20):
        assert await demo.process.wait() == 1
    assert "malgomaj was killed by SIGKILL" in demo.output.read_text(encoding="utf-8")


async def test_a_daemon_that_cannot_start_ends_the_demo_with_the_reason(demo: Demo, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "domains.yaml").write_text("domains: {demo: nonsense}\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="the demo ended"):
        await demo.start()
    assert demo.process is not None
    assert await demo.process.wait() == 1
    assert "domains.demo: a database URL begins with" in demo.output.read_text(encoding="utf-8")
    assert demo.left_over() == []


async def juvuln_runs(demo: Demo, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("juvuln"),
        "runs",
        *arguments,
        env={"SELFHOST_SERVER": demo.url, "SELFHOST_DOMAIN": "demo", "SELFHOST_TOKEN": "root", "HOME": "/nowhere"},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()
