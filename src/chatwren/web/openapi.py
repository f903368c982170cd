"""The OpenAPI document, made of what the handlers say of themselves.

Bodies are read by one lenient reader (forms.py) and not by a schema, so each handler names the shapes that it reads and
answers, as `msgspec.Struct`s, in an `Operation`. A test holds those to what the handlers do.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Any

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute
from msgspec import Meta, Struct

from chatwren.domain.caller import WAYS, Scope, Way
from chatwren.domain.clock import now, to_wire
from chatwren.web.http.cookie import COOKIE_NAME

JSON = "application/json"
URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
PROBLEM = "application/problem+json"

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"}, examples=["2027-05-16T10:00:00.000Z"])]
"""A moment, as every answer writes it."""

TOMORROW = "{tomorrow}"
"""Stands in an example for a time ahead, since one that is past is refused."""
DAY_AFTER = "{day after}"
"""For one that is later than that."""
SERVER = "http://server.invalid"
"""Stands in an example for how this server is reached."""

_PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")


@dataclass(frozen=True, slots=True)
class Operation:
    """What a route is for, reads and answers. Handlers carry it as `operation=`.

    Attributes:
        summary: a few words.
        answer: type of the body of a 200; None where `media_type` says all.
        description: a paragraph for people.
        body: shape of the request's fields.
        body_types: Content-Types that it may have; the first is the one to use.
        query: shape of the query's parameters.
        path: what each parameter of the path means.
        errors: statuses besides those that follow from the rest.
        access: the scope that a caller needs; None: whoever comes.
        sets_cookie: whether the answer has a Set-Cookie line.
        media_type: of the answer.
        supposes: the handler does for the caller what goes by their standing (`access.as_supposed`).
        at_once: a user's requests are answered as they come, not a few at a time: they are stored in batches.
    """

    summary: str
    answer: Any = None
    access: Scope | None = field(kw_only=True)
    description: str = ""
    body: type[Struct] | None = None
    body_types: tuple[str, ...] = (JSON, URLENCODED, MULTIPART)
    query: type[Struct] | None = None
    path: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[int, ...] = ()
    sets_cookie: bool = False
    media_type: str = JSON
    at_once: bool = False
    supposes: bool = False


class FieldProblem(Struct):
    """What is wrong with one field."""

    field: Annotated[str, Meta(examples=["phoneId"])]
    message: Annotated[str, Meta(examples=["phoneId is required."])]


class Problem(Struct):
    """How every error is told: the members of RFC 9457, and what clients commonly look for."""

    type: str
    title: Annotated[str, Meta(examples=["Bad Request"])]
    status: Annotated[int, Meta(examples=[400])]
    detail: Annotated[str, Meta(description="What went wrong and what to do about it.")]
    instance: str
    success: Annotated[bool, Meta(description="Always false.", examples=[False])]
    code: Annotated[str, Meta(description="Stable: programs may depend on it.", examples=["invalid"])]
    message: Annotated[str, Meta(description="The same sentence as `detail`.")]
    error: Annotated[str, Meta(description="The same sentence as `detail`.")]
    errors: Annotated[list[FieldProblem], Meta(description="Each field at fault.")]


@dataclass(frozen=True, slots=True)
class Route:
    """One method at one path."""

    method: str
    path: str
    operation: Operation
    name: str


def routes(app: Litestar) -> Iterator[Route]:
    """The documented routes, in the order in which the application names them."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            path = _PARAMETER.sub(r"{\1}", route.path)
            for handler in route.route_handlers:
                if isinstance(operation := handler.opt.get("operation"), Operation):
                    yield Route(min(handler.http_methods), path, operation, handler.handler_name)


def document(app: Litestar, *, server: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of `app`, reached at the URL `server`."""
    documented = list(routes(app))
    types: list[Any] = [Problem]
    for route in documented:
        types += [one for one in (route.operation.answer, route.operation.body, route.operation.query) if one]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = {id(one): schema for one, schema in zip(types, schemas, strict=True)}
    paths: dict[str, Any] = {}
    for route in documented:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_type, components)
    for shape in {route.operation.query.__name__ for route in documented if route.operation.query}:
        del components[shape]  # stated as parameters
    ahead = [to_wire(datetime.combine(now().date() + timedelta(days=days), time(10), now().tzinfo)) for days in (1, 2)]
    made: dict[str, Any] = _filled(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Chatwren",
                "version": version("chatwren"),
                "description": "WhatsApp automation: link an account, send and schedule messages, follow the queue.",
                "license": {"name": "MPL-2.0", "identifier": "MPL-2.0"},
            },
            "servers": [{"url": server}],
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {Way.SESSION: {"type": "apiKey", "in": "cookie", "name": COOKIE_NAME}},
            },
        },
        dict(zip((TOMORROW, DAY_AFTER), ahead, strict=True)),
        server,
    )
    return made


def example(schema: Mapping[str, Any], components: Mapping[str, Any]) -> Any:
    """A value of this schema, made of the examples of its parts; optional members without an example are left out."""
    if "$ref" in schema:
        return example(components[schema["$ref"].rpartition("/")[2]], components)
    if "examples" in schema:
        return schema["examples"][0]
    if "anyOf" in schema:
        return example(schema["anyOf"][0], components)
    match schema.get("type"):
        case "object":
            required = schema.get("required", ())
            return {
                name: example(member, components)
                for name, member in schema.get("properties", {}).items()
                if name in required or _has_example(member, components)
            }
        case "array":
            return [example(schema["items"], components)] if schema.get("items") else []
        case "boolean":
            return True
        case "integer":
            return 1
        case "null":
            return None
        case _:
            return "…"


def _has_example(schema: Mapping[str, Any], components: Mapping[str, Any]) -> bool:
    if "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    return "examples" in schema or any(_has_example(one, components) for one in schema.get("properties", {}).values())


def _operation(route: Route, by_type: Mapping[int, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    operation = route.operation
    made: dict[str, Any] = {
        "operationId": route.name,
        "summary": operation.summary,
        "tags": [route.path.split("/")[2] if route.path.startswith("/api/") else "service"],
    }
    if operation.description:
        made["description"] = operation.description
    parameters = [
        {"name": name, "in": "path", "required": True, "description": meaning, "schema": {"type": "string"}}
        for name, meaning in operation.path.items()
    ]
    if operation.query:
        shape = components[operation.query.__name__]
        parameters += [_query_parameter(name, schema, shape) for name, schema in shape["properties"].items()]
    if parameters:
        made["parameters"] = parameters
    if operation.body:
        schema = by_type[id(operation.body)]
        content = {
            one: {"schema": schema, "example": _body_example(schema, components, one)} for one in operation.body_types
        }
        made["requestBody"] = {"required": True, "content": content}
    made["security"] = [{way: []} for way in WAYS[operation.access]] if operation.access else []
    made["responses"] = {"200": _success(operation, by_type, components), **_failures(route)}
    return made


def _query_parameter(name: str, schema: dict[str, Any], shape: Mapping[str, Any]) -> dict[str, Any]:
    schema = dict(schema)
    description = schema.pop("description", "")
    required = name in shape.get("required", ())
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}


def _body_example(schema: Mapping[str, Any], components: Mapping[str, Any], media_type: str) -> Any:
    made = example(schema, components)
    if media_type == JSON:
        return {name: value for name, value in made.items() if not _is_file(schema, components, name)}
    return made


def _is_file(schema: Mapping[str, Any], components: Mapping[str, Any], name: str) -> bool:
    members = components[schema["$ref"].rpartition("/")[2]]["properties"]
    return bool(members[name].get("format") == "binary")


def _success(operation: Operation, by_type: Mapping[int, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Done."}
    content: dict[str, Any] = {}
    if operation.answer is not None:
        schema = by_type[id(operation.answer)]
        content = {"schema": schema, "example": example(schema, components)}
    answer["content"] = {operation.media_type: content}
    if operation.sets_cookie:
        answer["headers"] = {"Set-Cookie": {"description": "The session.", "schema": {"type": "string"}}}
    return answer


def _failures(route: Route) -> dict[str, Any]:
    operation = route.operation
    statuses = {*operation.errors, 503}
    if operation.body:
        statuses |= {400, 408, 413, 415}
    if operation.query:
        statuses.add(400)
    if operation.access:
        statuses.add(401)
    if route.method != "GET":
        statuses.add(403)
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    content = {JSON: {"schema": schema}, PROBLEM: {"schema": schema}}
    named = {str(one): {"description": HTTPStatus(one).phrase, "content": content} for one in sorted(statuses)}
    return {**named, "default": {"description": "Any other error has the same form.", "content": content}}


def _filled(value: Any, times: Mapping[str, str], server: str) -> Any:
    """A document, or a part of it, with what its examples hold a place for."""
    if isinstance(value, dict):
        return {name: _filled(one, times, server) for name, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, times, server) for one in value]
    return times.get(value, value.replace(SERVER, server)) if isinstance(value, str) else value
