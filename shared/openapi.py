"""The OpenAPI 3 document of a daemon, made from the same table of routes that serves the calls."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

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


def openapi_document(title: str, version: str, description: str, routes: Sequence[Route]) -> Json:
    schemas: Json = {}
    paths: Json = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    used = {name for route in routes for name in route.security}
    return {
        "openapi": "3.0.3",
        "info": {"title": title, "version": version, "description": description},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {name: SECURITY_SCHEMES[name] for name in sorted(used)},
        },
    }


def _operation(route: Route, schemas: Json) -> Json:
    operation: Json = {
        "summary": route.summary,
        "responses": {str(code): _answer(code, answer, schemas) for code, answer in route.answers.items()},
    }
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
        content: Json = {"application/json": {"schema": _schema(route.request, schemas)}}
        operation["requestBody"] = {"required": True, "content": content}
    elif route.request_content_type is not None:
        body_schema = {"type": "string", "format": "binary"}
        operation["requestBody"] = {"content": {route.request_content_type: {"schema": body_schema}}}
    return operation


def _path_parameters(path: str) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)(?::[^}]*)?}", path)
    ]


def _answer(code: int, answer: Answer, schemas: Json) -> Json:
    model = answer.model
    if model is None and code >= 400:
        model = ErrorBody
    if model is not None:
        content = {answer.content_type: {"schema": _schema(model, schemas)}}
    elif code == 204 or answer.content_type == "application/json":
        return {"description": answer.description}
    else:
        content = {answer.content_type: {"schema": {"type": "string", "format": "binary"}}}
    return {"description": answer.description, "content": content}


def _schema(model: Any, schemas: Json) -> Json:
    """The schema of ``model``; the models that it refers to go into ``schemas``."""
    schema = TypeAdapter(model).json_schema(ref_template="#/components/schemas/{model}")
    for name, definition in schema.pop("$defs", {}).items():
        schemas[name] = _for_openapi_3_0(definition)
    converted: Json = _for_openapi_3_0(schema)
    return converted


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
