"""A whole Self-host installation of our two daemons, on free ports, with domains in real databases."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import yaml

from juvuln.database import open_engine
from juvuln.domains.create import ROOT_UUID, create_domain
from juvuln.domains.store import DomainStore, Specification
from shared.auth import BasicCredentials
from tests.support.daemons import DaemonProcess
from tests.support.databases import DatabaseServer
from tests.support.waiting import free_port, until

Json = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """An HTTP answer, read to its end."""

    status: int
    body: bytes
    headers: Any

    def json(self) -> Any:
        import json

        return json.loads(self.body)


@dataclass
class Domain:
    """A domain as its users see it, and its database as the Go API server would write it."""

    name: str
    url: str
    store: DomainStore

    async def add(
        self,
        name: str,
        code: str,
        *,
        kind: str = "webhook",
        schedule: str = "",
        deadline_ms: int = 5000,
        state: str = "active",
        signed: bool = True,
        tags: Sequence[str] = (),
    ) -> UUID:
        """Write a program and its first revision straight into the database; gives its uuid."""
        uuid = uuid4()
        specification = Specification(uuid, name, kind, state, schedule, deadline_ms, "tengo", tuple(tags))
        await self.store.create_program(specification, [ROOT_UUID], uuid4)
        await self.revise(uuid, code, signed=signed)
        return uuid

    async def revise(self, uuid: UUID, code: str, *, signed: bool = True) -> int:
        """Add a revision straight to the database; gives its number."""
        now = datetime.now(UTC)
        number = await self.store.add_revision(uuid, code.encode(), ROOT_UUID, now)
        if signed:
            await self.store.sign_revision(uuid, number, ROOT_UUID, now)
        return number


@dataclass
class Installation:
    folder: Path
    databases: DatabaseServer
    refresh_seconds: float = 0.3
    manager_port: int = field(default_factory=free_port)
    domains: dict[str, Domain] = field(default_factory=dict)
    daemons: list[DaemonProcess] = field(default_factory=list)
    record_url: str = ""
    own_domain: str = "test"
    """Where calls are made that name no other domain."""
    _session: aiohttp.ClientSession | None = None

    @property
    def domain_file(self) -> Path:
        return self.folder / "domains.yaml"

    @property
    def as_root(self) -> dict[str, str]:
        """What has the commands call the manager as root of the own domain."""
        server = f"http://127.0.0.1:{self.manager_port}"
        return {"SELFHOST_SERVER": server, "SELFHOST_DOMAIN": self.own_domain, "SELFHOST_TOKEN": "root"}

    async def open(self) -> None:
        self._session = aiohttp.ClientSession()
        self.record_url = self.record_url or await self.databases.create()

    async def close(self) -> None:
        for daemon in self.daemons:
            await daemon.kill()
        for domain in self.domains.values():
            await domain.store.close()
        if self._session is not None:
            await self._session.close()

    async def add_domain(self, name: str) -> Domain:
        url = await self.databases.create()
        engine = open_engine(url, create=True)
        await create_domain(engine, name, datetime.now(UTC))
        self.domains[name] = Domain(name, url, DomainStore(name, engine))
        self.write_domain_file()
        return self.domains[name]

    def write_domain_file(self, extra: Json | None = None) -> None:
        urls = {name: domain.url for name, domain in self.domains.items()} | (extra or {})
        self.domain_file.write_text(yaml.safe_dump({"domains": urls}), encoding="utf-8")

    def manager(self, **settings: str) -> DaemonProcess:
        """A manager that is not started yet; ``settings`` are variables without their prefix."""
        variables = {
            "LISTEN__PORT": str(self.manager_port),
            "DOMAINFILE": str(self.domain_file),
            "DATABASE": self.record_url,
            "STATE_DIR": str(self.folder),
            "REFRESH__INTERVAL_SECONDS": str(self.refresh_seconds),
            "SHUTDOWN_TIMEOUT_SECONDS": "10",
            "NAME": "manager",
        } | settings
        return self._daemon("juvuln", self.manager_port, variables)

    def worker(self, **settings: str) -> DaemonProcess:
        """A worker that is not started yet; ``settings`` are variables without their prefix."""
        port = free_port()
        variables = {
            "LISTEN__PORT": str(port),
            "PROGRAM_MANAGER__AUTHORITY": f"127.0.0.1:{self.manager_port}",
            "STATE_DIR": str(self.folder),
            "SUBSCRIPTION__INTERVAL_SECONDS": "0.5",
            "CACHE__LIBRARY_TIMEOUT": "0.2",
            "EGRESS__ALLOW__NETWORKS": '["public", "private", "loopback"]',
            "SHUTDOWN_TIMEOUT_SECONDS": "10",
        } | settings
        return self._daemon("malgomaj", port, variables)

    def _daemon(self, name: str, port: int, variables: dict[str, str]) -> DaemonProcess:
        environ = {f"{name.upper()}_{key}": value for key, value in variables.items()}
        daemon = DaemonProcess(name, environ, self.folder / f"{name}-{port}.log", port)
        self.daemons.append(daemon)
        return daemon

    async def start(self, *, workers: int = 1) -> Sequence[DaemonProcess]:
        """A manager and workers, ready; gives them, the manager first."""
        daemons = [self.manager(), *[self.worker() for _ in range(workers)]]
        for daemon in daemons:
            await daemon.start()
        await self.until_ready()
        return daemons

    async def until_ready(self) -> None:
        async def ready() -> bool:
            return (await self.call("GET", "/readyz", token=None)).status == 200

        await until(ready, "the manager is ready")

    async def call(
        self,
        method: str,
        path: str,
        *,
        domain: str | None = None,
        token: str | None = "root",
        bearer: str | None = None,
        json: Any = None,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        url: str | None = None,
    ) -> Reply:
        """Call the manager as a user of a domain (``token`` None: as a stranger)."""
        assert self._session is not None
        sent = dict(headers or {})
        if bearer is not None:
            sent["Authorization"] = f"Bearer {bearer}"
        elif token is not None:
            sent["Authorization"] = BasicCredentials(self.own_domain if domain is None else domain, token).header()
        base = url or f"http://127.0.0.1:{self.manager_port}"
        body = None if data is None else io.BytesIO(data)  # aiohttp warns of large bodies as plain bytes
        async with self._session.request(method, base + path, json=json, data=body, headers=sent) as answer:
            return Reply(answer.status, await answer.read(), answer.headers)

    async def workers(self) -> list[Json]:
        """The workers as the manager knows them, by address."""
        secret = (self.folder / "secret").read_text(encoding="utf-8").strip()
        reply = await self.call("GET", "/v1/subscribers", bearer=secret)
        assert reply.status == 200, reply.body
        workers: list[Json] = reply.json()["workers"]
        return workers

    async def webhook(self, uuid: UUID, data: bytes = b"", *, domain: str | None = None) -> Reply:
        return await self.call("POST", f"/v2/programs/{uuid}/webhook", domain=domain, data=data)

    async def runs(self, uuid: UUID, *, domain: str | None = None, limit: int = 100) -> list[Json]:
        """The runs of a program that have ended, oldest first."""
        reply = await self.call("GET", f"/v2/programs/{uuid}/runs?limit={limit}", domain=domain)
        assert reply.status == 200, reply.body
        return [run for run in reversed(reply.json()) if run["outcome"] is not None]

    async def until_runs(self, uuid: UUID, count: int, *, domain: str | None = None) -> list[Json]:
        async def enough() -> list[Json] | None:
            runs = await self.runs(uuid, domain=domain)
            return runs if len(runs) >= count else None

        return await until(enough, f"{count} runs of {uuid} have ended")
