"""The API's documentation, made of the same document as /openapi.json. No script, nothing from elsewhere."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import msgspec
from litestar import Litestar, Response, get
from markupsafe import escape

from chatwren.domain.clock import now
from chatwren.web.context import HttpRequest, base_url
from chatwren.web.openapi import JSON, MULTIPART, document, example
from chatwren.web.pages import page

_JAR = "cookies.txt"
_SERVER = "http://server.invalid"
_METHODS = ("get", "post", "patch", "delete")  # the order in which the methods of a path are shown


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    type: str
    required: bool
    description: str
    example: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """One route as the page shows it."""

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    signed_in: bool
    parameters: list[_Field]
    body_types: list[str]
    fields: list[_Field]
    curl: str
    answer: str
    answer_fields: list[_Field]
    errors: list[tuple[str, str]]


@get("/openapi.json", access=None)
async def openapi(request: HttpRequest) -> Response[bytes]:
    """The OpenAPI document, with this server's address and times that lie ahead in its examples."""
    server = msgspec.json.encode(base_url(request))[1:-1]
    made = _made(request.app, now().date())[0]
    return Response(made.replace(_SERVER.encode(), server), media_type=JSON)


@page.get("/docs", access=None)
async def docs(request: HttpRequest) -> Response[str]:
    """The documentation as a page."""
    made = _made(request.app, now().date())[1]
    return page.answer(made.replace(_SERVER, str(escape(base_url(request)))))


@lru_cache(maxsize=2)
def _made(app: Litestar, _day: date) -> tuple[bytes, str]:
    """Document and page of a day (they hold tomorrow's date), with `_SERVER` where the server's address goes."""
    described = document(app, server=_SERVER)
    entries = [
        _entry(method, path, operation, described)
        for path, methods in described["paths"].items()
        for method, operation in sorted(methods.items(), key=lambda one: _METHODS.index(one[0]))
    ]
    html = page.render(
        "docs.html",
        title=described["info"]["title"],
        version=described["info"]["version"],
        description=described["info"]["description"],
        server=_SERVER,
        api=[one for one in entries if one.path.startswith("/api/")],
        service=[one for one in entries if not one.path.startswith("/api/")],
        problem=_pretty(example({"$ref": "#/components/schemas/Problem"}, described["components"]["schemas"])),
    )
    return msgspec.json.encode(described), html


def _entry(method: str, path: str, operation: Mapping[str, Any], described: Mapping[str, Any]) -> _Entry:
    components = described["components"]["schemas"]
    content = operation.get("requestBody", {}).get("content", {})
    body = next(iter(content.values()), None)
    ((media_type, answer),) = operation["responses"]["200"]["content"].items()
    return _Entry(
        anchor=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        description=operation.get("description", ""),
        signed_in=bool(operation["security"]),
        parameters=[_field(one["name"], one["schema"], one, components) for one in operation.get("parameters", ())],
        body_types=list(content),
        fields=_fields(body["schema"], components) if body else [],
        curl=_curl(method.upper(), described["servers"][0]["url"] + path, operation, content),
        answer=_pretty(answer["example"]) if "example" in answer else media_type,
        answer_fields=_fields(answer["schema"], components) if "schema" in answer else [],
        errors=[(status, one["description"]) for status, one in operation["responses"].items() if status.isdecimal()][
            1:
        ],
    )


def _fields(schema: Mapping[str, Any], components: Mapping[str, Any], within: str = "") -> list[_Field]:
    """The members of an object or of a list's objects, each followed by its own: `user`, `user.name`."""
    if "anyOf" in schema:  # an object, or null
        return [one for way in schema["anyOf"] for one in _fields(way, components, within)]
    if schema.get("type") == "array":
        return _fields(schema["items"], components, f"{within[:-1]}[].")
    if "$ref" not in schema:
        return []
    shape = components[schema["$ref"].rpartition("/")[2]]
    found = []
    for name, one in shape["properties"].items():
        found.append(_field(within + name, one, {"required": name in shape.get("required", ()), **one}, components))
        found += _fields(one, components, f"{within}{name}.")
    return found


def _field(name: str, schema: Mapping[str, Any], about: Mapping[str, Any], components: Mapping[str, Any]) -> _Field:
    examples = schema.get("examples", ())
    return _Field(
        name=name,
        type=_type(schema, components),
        required=about["required"],
        description=about.get("description", ""),
        example=examples[0] if examples and isinstance(examples[0], str) else "",
    )


def _type(schema: Mapping[str, Any], components: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return _type(components[schema["$ref"].rpartition("/")[2]], components)
    if "anyOf" in schema:
        return " or ".join(_type(one, components) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join("null" if one is None else str(one) for one in schema["enum"])
    if schema.get("format") == "binary":
        return "file"
    kind = schema.get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _curl(method: str, url: str, operation: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    words = ["curl"]
    if operation["security"]:
        words += ["-b", _JAR]
    if "headers" in operation["responses"]["200"]:
        words += ["-c", _JAR] if operation["security"] else ["-b", _JAR, "-c", _JAR]
    if method != "GET":
        words += ["-X", method]
    words.append(url)
    if content:
        media_type, body = next(iter(content.items()))
        if media_type == MULTIPART:
            for name, value in body["example"].items():
                words += ["-F", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
        else:
            words += ["-H", f"Content-Type: {media_type}", "-d", json.dumps(body["example"], ensure_ascii=False)]
    return shlex.join(words)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
