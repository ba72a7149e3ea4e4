"""The OpenAPI 3 document of a daemon, made from the same table of routes that serves the calls."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import TypeAdapter

from shared.http import Answer, Route
from shared.wire import ErrorBody

Json = dict[str, Any]

SECURITY_SCHEMES: Mapping[str, Json] = {
    "domain": {
        "type": "http",
        "scheme": "basic",
        "description": "User: the domain. Password: a token of it.",
    },
    "worker": {
        "type": "http",
        "scheme": "bearer",
        "description": "The secret shared by manager and workers.",
    },
    "manager": {
        "type": "http",
        "scheme": "basic",
        "description": "The credentials in the worker's authority.",
    },
}


BYTES: Json = {"type": "string", "format": "binary"}

PATH_PARAMETERS: Mapping[str, Json] = {
    "uuid": {"description": "The UUID of what is meant.", "schema": {"type": "string", "format": "uuid"}},
    "id": {"description": "The id of a run.", "schema": {"type": "string", "format": "uuid"}},
    "revision": {
        "description": "The number of a revision.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
    },
    "domain": {"description": "The name of a domain.", "schema": {"type": "string", "minLength": 1}},
}

GROUPS: Mapping[str, str] = {
    "programs": "The programs of a domain, for its users.",
    "runs": "What ran, and how it went.",
    "webhooks": "Programs that answer calls.",
    "subscribers": "Workers that take work.",
    "library": "Signed modules, for workers.",
    "tasks": "Programs to be run, from the manager.",
    "status": "How the daemon is.",
}
"""The groups that calls are listed in: by the last word of a path that is one of them."""


def openapi_document(title: str, version: str, description: str, routes: Sequence[Route]) -> Json:
    schemas: Json = {}
    paths: Json = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    used_schemes = {name for route in routes for name in route.security}
    used_groups = {group_of(route.path) for route in routes}
    return {
        "openapi": "3.0.3",
        "info": {"title": title, "version": version, "description": description},
        "tags": [{"name": name, "description": text} for name, text in GROUPS.items() if name in used_groups],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {name: SECURITY_SCHEMES[name] for name in sorted(used_schemes)},
        },
    }


def _operation(route: Route, schemas: Json) -> Json:
    operation: Json = {
        "operationId": _operation_id(route),
        "tags": [group_of(route.path)],
        "summary": route.summary,
        "responses": {str(code): _answer(answer, schemas, code >= 400) for code, answer in _answers(route).items()},
    }
    if route.other_answer is not None:
        operation["responses"]["default"] = _answer(route.other_answer, schemas, is_error=False)
    parameters = _path_parameters(route.path) + [
        {
            "name": parameter.name,
            "in": "query",
            "description": parameter.description,
            "required": parameter.required,
            "schema": dict(parameter.schema),
        }
        for parameter in route.query
    ]
    if parameters:
        operation["parameters"] = parameters
    if route.security:
        operation["security"] = [{name: []} for name in route.security]
    if route.request is not None:
        content: Json = {"application/json": {"schema": _schema(route.request, "validation", schemas)}}
        operation["requestBody"] = {"required": True, "content": content}
    elif route.request_content_type is not None:
        body_schema = {"type": "string", "minLength": 1} if route.request_required else BYTES
        content = {route.request_content_type: {"schema": body_schema}}
        operation["requestBody"] = {"required": route.request_required, "content": content}
    return operation


def _answers(route: Route) -> Mapping[int, Answer]:
    if route.request is None and route.request_content_type is None:
        return route.answers
    return {**route.answers, 408: Answer("the body did not arrive in time")}


def _operation_id(route: Route) -> str:
    """Such as `get_v2_programs_uuid_code`."""
    return "_".join([route.method.lower(), *re.findall(r"\w+", route.path)])


def group_of(path: str) -> str:
    """The group of the calls with a route's path."""
    words = [word for word in path.split("/") if word in GROUPS]
    return words[-1] if words else "status"


def _path_parameters(path: str) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, **PATH_PARAMETERS.get(name, {"schema": {"type": "string"}})}
        for name in re.findall(r"{(\w+)(?::[^}]*)?}", path)
    ]


def _answer(answer: Answer, schemas: Json, is_error: bool) -> Json:
    described: Json = {"description": answer.description}
    model = ErrorBody if answer.model is None and is_error else answer.model
    if model is not None:
        described["content"] = {answer.content_type: {"schema": _schema(model, "serialization", schemas)}}
    elif answer.content_type != "application/json":
        described["content"] = {answer.content_type: {"schema": BYTES}}
    if answer.headers:
        described["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in answer.headers.items()
        }
    return described


def _schema(model: Any, mode: Literal["validation", "serialization"], schemas: Json) -> Json:
    """A reference to the schema of ``model``, or the schema itself where that has no name of its own.

    The models that are referred to go into ``schemas``.
    """
    schema = TypeAdapter(model).json_schema(ref_template="#/components/schemas/{model}", mode=mode)
    for name, definition in schema.pop("$defs", {}).items():
        schemas[name] = _for_openapi_3_0(definition)
    converted: Json = _for_openapi_3_0(schema)
    if "title" not in converted or "$ref" in converted:
        return converted
    schemas[converted["title"]] = converted
    return {"$ref": f"#/components/schemas/{converted['title']}"}


def _for_openapi_3_0(schema: Any) -> Any:
    """JSON Schema 2020-12 as pydantic writes it, in the older dialect of OpenAPI 3.0."""
    if isinstance(schema, list):
        return [_for_openapi_3_0(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _for_openapi_3_0(value) for key, value in schema.items() if key not in ("const", "prefixItems")}
    if "const" in schema:
        result["enum"] = [schema["const"]]
    if "prefixItems" in schema:
        result["items"] = {}
    options = result.get("anyOf", [])
    if {"type": "null"} in options:
        rest = [option for option in options if option != {"type": "null"}]
        del result["anyOf"]
        result |= {"nullable": True} | ({"allOf": rest} if len(rest) == 1 else {"anyOf": rest})
    return result
