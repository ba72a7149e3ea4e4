"""The demo domain: an embedded SQLite database with the programs of this folder."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from uuid import UUID, uuid4

import yaml
from pydantic import BaseModel, TypeAdapter

from juvuln.database import open_engine
from juvuln.domains.create import ROOT_UUID, create_domain
from juvuln.domains.store import DomainStore, NotFoundError, Specification

EXAMPLES = Path(__file__).parent
FORECAST_URL = "https://api.met.no/weatherapi/locationforecast/2.0/complete.json"


class ExampleRevision(BaseModel):
    file: str
    signed: bool = True


class ExampleProgram(BaseModel):
    uuid: UUID
    name: str
    type: Literal["routine", "webhook", "module"]
    schedule: str = ""
    deadline: int
    revisions: list[ExampleRevision]


def example_programs() -> Sequence[ExampleProgram]:
    content = yaml.safe_load((EXAMPLES / "programs.yaml").read_text(encoding="utf-8"))
    return TypeAdapter(list[ExampleProgram]).validate_python(content["programs"])


async def make_demo_domain(url: str, name: str, forecast_url: str | None) -> None:
    """Make the domain, or add what is missing in it. What a user changed there stays.

    With ``forecast_url`` the forecast is fetched from there, now and at later starts.
    """
    engine = open_engine(url, create=True)
    store = DomainStore(name, engine)
    try:
        await create_domain(engine, name, datetime.now(UTC))
        for example in example_programs():
            await _add_if_missing(store, example)
        if forecast_url:
            await _point_forecast_to(store, forecast_url)
    finally:
        await store.close()


async def _add_if_missing(store: DomainStore, example: ExampleProgram) -> None:
    try:
        await store.specification(example.uuid)
        return
    except NotFoundError:
        pass
    specification = Specification(
        uuid=example.uuid,
        name=example.name,
        type=example.type,
        state="active",
        schedule=example.schedule,
        deadline=example.deadline,
        language="tengo",
        tags=("demo",),
    )
    await store.create_program(specification, owners=[ROOT_UUID], make_uuid=uuid4)
    for revision in example.revisions:
        await _add_revision(store, example.uuid, (EXAMPLES / revision.file).read_bytes(), signed=revision.signed)


async def _point_forecast_to(store: DomainStore, url: str) -> None:
    forecast = next(example for example in example_programs() if example.name == "forecast")
    code = (EXAMPLES / forecast.revisions[0].file).read_bytes().replace(FORECAST_URL.encode(), url.encode())
    if await store.signed_code(forecast.uuid) != code:
        await _add_revision(store, forecast.uuid, code, signed=True)


async def _add_revision(store: DomainStore, uuid: UUID, code: bytes, *, signed: bool) -> None:
    now = datetime.now(UTC)
    number = await store.add_revision(uuid, code, ROOT_UUID, now)
    if signed:
        await store.sign_revision(uuid, number, ROOT_UUID, now)
