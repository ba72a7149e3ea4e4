"""A real worker process, and calls to it with the credentials that it gave its manager."""

import base64
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.malgomaj.manager import SECRET, LocalManager
from tests.support.daemons import DaemonProcess
from tests.support.waiting import free_port, until

UUID = "11111111-2222-4333-8444-555555555555"


def task(source: str | bytes, **fields: Any) -> dict[str, Any]:
    """The JSON of a task; ``fields`` go over the defaults."""
    code = source.encode() if isinstance(source, str) else source
    body = {"deadline": 10_000, "domain": "test", "language": "tengo", "program_uuid": UUID}
    return body | {"source_code": base64.b64encode(code).decode()} | fields


def call(body: bytes = b"", **headers: str) -> dict[str, Any]:
    """The `http` part of a task for a webhook."""
    return {"headers": headers, "body": base64.b64encode(body).decode()}


@dataclass(frozen=True)
class Answered:
    status: int
    headers: Any
    body: bytes
    json: Any


@dataclass
class RunningWorker:
    process: DaemonProcess
    manager: LocalManager
    session: aiohttp.ClientSession

    @property
    def headers(self) -> dict[str, str]:
        """The credentials that the worker gave its manager."""
        (subscriber,) = self.manager.subscribers.values()
        user, _, password = subscriber["authority"].rpartition("@")[0].partition(":")
        return {"Authorization": aiohttp.encode_basic_auth(unquote(user), unquote(password))}

    async def request(self, method: str, path: str, **options: Any) -> Answered:
        if "headers" not in options:
            options["headers"] = self.headers
        async with self.session.request(method, f"{self.process.url}{path}", **options) as response:
            body = await response.read()
            parsed = json.loads(body) if body and response.content_type.endswith(("/json", "+json")) else None
            return Answered(response.status, response.headers, body, parsed)

    async def run(self, source: str | bytes, **fields: Any) -> Answered:
        content = io.BytesIO(json.dumps(task(source, **fields)).encode())
        return await self.request("POST", "/v1/tasks", data=content)

    async def report(self, source: str | bytes, **fields: Any) -> dict[str, Any]:
        """The report of a task that asked for one."""
        answered = await self.run(source, report=True, **fields)
        report: dict[str, Any] = answered.json
        assert answered.status == (200 if report["outcome"] == "succeeded" else 500)
        return report

    async def status(self) -> dict[str, Any]:
        answered = await self.request("GET", "/v1/status")
        assert answered.status == 200
        status: dict[str, Any] = answered.json
        return status

    async def subscribed(self) -> None:
        async def known() -> bool:
            return bool(self.manager.subscribers)

        await until(known, "the worker subscribes")

    def executors(self) -> list[int]:
        """The pids of the worker's child processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text(encoding="ascii").split()]


async def figures(worker: RunningWorker) -> dict[str, float]:
    """By name, with the values of the labels behind it; asked for without credentials."""
    answered = await worker.request("GET", "/metrics", headers={})
    assert answered.status == 200
    assert answered.headers["Content-Type"].startswith("text/plain; version=")
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(answered.body.decode())
        for sample in family.samples
    }


def environment(folder: Path, authority: str, port: int, **settings: str) -> dict[str, str]:
    """Variables for a worker; ``settings`` are names without the prefix."""
    variables = {
        "STATE_DIR": str(folder),
        "SECRET": SECRET,
        "LISTEN__PORT": str(port),
        "PROGRAM_MANAGER__AUTHORITY": authority,
        "SUBSCRIPTION__INTERVAL_SECONDS": "0.2",
        "EGRESS__ALLOW__NETWORKS": '["public", "private", "loopback"]',
    }
    return {f"MALGOMAJ_{name}": value for name, value in (variables | settings).items()}


@asynccontextmanager
async def running_worker(folder: Path, manager: LocalManager, **settings: str) -> AsyncIterator[RunningWorker]:
    """A subscribed worker, gone at the end."""
    port = free_port()
    process = DaemonProcess("malgomaj", environment(folder, manager.authority, port, **settings), folder / "log", port)
    try:
        await process.start()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            worker = RunningWorker(process, manager, session)
            await worker.subscribed()
            yield worker
    finally:
        await process.kill()
