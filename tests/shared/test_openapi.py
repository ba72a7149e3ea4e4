"""The OpenAPI document says what the table of routes says."""

import json
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from shared.http import Answer, Parameter, Route
from shared.openapi import openapi_document


class Part(BaseModel):
    kind: Literal["bolt"]
    size: tuple[int, int]


class Machine(BaseModel):
    name: Annotated[str, Field(min_length=1)]
    note: str | None = None
    spare: Part | None = None
    parts: list[Part]


async def nothing(_request: web.Request) -> web.Response:
    return web.Response()


ROUTES = [
    Route(
        "GET",
        "/machines/{uuid}",
        nothing,
        "Find a machine",
        {200: Answer("the machine", Machine), 404: Answer("there is none")},
        query=[Parameter("limit", "how many", {"type": "integer"})],
        security=["domain"],
    ),
    Route("PUT", "/machines/{uuid}", nothing, "Change a machine", {204: Answer("changed")}, request=Machine),
    Route(
        "POST",
        "/code",
        nothing,
        "Upload",
        {201: Answer("text", content_type="text/plain")},
        request_content_type="text/plain",
    ),
]

DOCUMENT = openapi_document("Machines", "1.2", "All of them.", ROUTES)


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def test_every_route_is_described_under_its_path() -> None:
    assert {path: sorted(operations) for path, operations in DOCUMENT["paths"].items()} == {
        "/machines/{uuid}": ["get", "put"],
        "/code": ["post"],
    }
    assert DOCUMENT["info"] == {"title": "Machines", "version": "1.2", "description": "All of them."}


def test_parameters_of_path_and_query_are_described() -> None:
    parameters = DOCUMENT["paths"]["/machines/{uuid}"]["get"]["parameters"]
    assert [(each["name"], each["in"], each["required"]) for each in parameters] == [
        ("uuid", "path", True),
        ("limit", "query", False),
    ]


def test_an_error_without_a_model_has_the_body_of_all_errors() -> None:
    answer = DOCUMENT["paths"]["/machines/{uuid}"]["get"]["responses"]["404"]
    assert sorted(resolved(answer["content"]["application/json"]["schema"])["properties"]) == ["code", "message"]


def test_an_answer_without_a_body_has_no_content() -> None:
    assert DOCUMENT["paths"]["/machines/{uuid}"]["put"]["responses"]["204"] == {"description": "changed"}


def test_bodies_that_are_no_json_are_described_by_their_type() -> None:
    upload = DOCUMENT["paths"]["/code"]["post"]
    assert list(upload["requestBody"]["content"]) == ["text/plain"]
    assert list(upload["responses"]["201"]["content"]) == ["text/plain"]


def test_only_the_ways_to_authenticate_that_are_used_are_listed() -> None:
    assert list(DOCUMENT["components"]["securitySchemes"]) == ["domain"]
    assert DOCUMENT["paths"]["/machines/{uuid}"]["get"]["security"] == [{"domain": []}]


def test_schemas_keep_to_the_dialect_of_openapi_3_0() -> None:
    text = json.dumps(DOCUMENT)
    for word in ('"const"', '"prefixItems"', '"$defs"', '"null"'):
        assert word not in text
    machine = resolved(
        DOCUMENT["paths"]["/machines/{uuid}"]["put"]["requestBody"]["content"]["application/json"]["schema"]
    )
    assert machine["properties"]["note"]["nullable"] is True
    assert DOCUMENT["components"]["schemas"]["Part"]["properties"]["kind"]["enum"] == ["bolt"]


def test_every_reference_leads_somewhere() -> None:
    def references(node: object) -> list[str]:
        if isinstance(node, list):
            return [found for item in node for found in references(item)]
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [found for item in node.values() for found in references(item)]
        return []

    found = references(DOCUMENT)
    assert found
    assert {reference.rpartition("/")[2] for reference in found} <= set(DOCUMENT["components"]["schemas"])
