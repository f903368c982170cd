"""The API's documentation, made of the same document as /openapi.json. No script, nothing from elsewhere."""

import json
import re
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
from chatwren.domain.reasons import ENGLISH
from chatwren.web.context import HttpRequest, base_url
from chatwren.web.openapi import JSON, MULTIPART, SERVER, document, example
from chatwren.web.pages import page

_JAR = "cookies.txt"
_FILE = "picture.png"
_ROWS_FILE = "messages.jsonl"
_IDS = {
    "message_id": "msg_0197a3f2c9e07c3b9d5f8e6a41b2c3d4",
    "bulk_id": "bulk_0197a3f2c9e07c3b9d5f8e6a41b2c3d4",
    "media_id": "0197a3f2c9e07c3b9d5f8e6a41b2c3d4",
    "session": "7d1a2f0c9b8e4d5f6a7b8c9d0e1f2a3b",
    "token": "4q2Yc1p0bXJ8",
    "name": "1810548000.svg",
}
"""What stands in a line for curl where a path has a parameter."""
_PLACE = re.compile(r"{\w+}")
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
    """One route as the page shows it. `curl_file`: with a file, where one can go along, else empty."""

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
    curl_file: str
    answer: str
    answer_fields: list[_Field]
    errors: list[tuple[str, str]]


@get("/openapi.json", access=None)
async def openapi(request: HttpRequest) -> Response[bytes]:
    """The OpenAPI document, with this server's address and times that lie ahead in its examples."""
    server = msgspec.json.encode(base_url(request))[1:-1]
    made = _made(request.app, now().date())[0]
    return Response(made.replace(SERVER.encode(), server), media_type=JSON)


@page.get("/docs", access=None)
async def docs(request: HttpRequest) -> Response[str]:
    """The documentation as a page."""
    made = _made(request.app, now().date())[1]
    return page.answer(made.replace(SERVER, str(escape(base_url(request)))))


@lru_cache(maxsize=2)
def _made(app: Litestar, _day: date) -> tuple[bytes, str]:
    """Document and page of a day (they hold tomorrow's date), with `SERVER` where the server's address goes."""
    described = document(app, server=SERVER)
    settings = app.state.context.settings
    groups: dict[str, list[_Entry]] = {}
    for path, methods in described["paths"].items():
        for method, operation in sorted(methods.items(), key=lambda one: _METHODS.index(one[0])):
            groups.setdefault(operation["tags"][0], []).append(_entry(method, path, operation, described))
    html = page.render(
        "docs.html",
        title=described["info"]["title"],
        version=described["info"]["version"],
        description=described["info"]["description"],
        phones=settings.sandbox_port if settings.sandbox else None,
        groups=groups,
        reasons={code: _PLACE.sub("…", words.sentence) for code, words in ENGLISH.items() if "." not in code},
        problem=_pretty(example({"$ref": "#/components/schemas/Problem"}, described["components"]["schemas"])),
    )
    return msgspec.json.encode(described), html


def _entry(method: str, path: str, operation: Mapping[str, Any], described: Mapping[str, Any]) -> _Entry:
    components = described["components"]["schemas"]
    content = operation.get("requestBody", {}).get("content", {})
    url = described["servers"][0]["url"] + path.format_map(_IDS)
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
        curl=shlex.join(_curl(method.upper(), url, operation, content)),
        curl_file=_curl_with_file(method.upper(), url, operation, described),
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


def _curl(method: str, url: str, operation: Mapping[str, Any], content: Mapping[str, Any]) -> list[str]:
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
                written = value if isinstance(value, str) else json.dumps(value)
                words += ["-F", f"{name}={written}" + (f";filename={_ROWS_FILE}" if name == "file" else "")]
        else:
            words += ["-H", f"Content-Type: {media_type}", "-d", json.dumps(body["example"], ensure_ascii=False)]
    return words


def _curl_with_file(method: str, url: str, operation: Mapping[str, Any], described: Mapping[str, Any]) -> str:
    """The line for curl of a form in which a file can go along, with one; empty where there is no such form."""
    content = operation.get("requestBody", {}).get("content", {})
    if next(iter(content), None) != MULTIPART:
        return ""
    shape = described["components"]["schemas"][content[MULTIPART]["schema"]["$ref"].rpartition("/")[2]]
    for name, one in shape["properties"].items():
        if one.get("format") == "binary" and "examples" not in one:
            return shlex.join([*_curl(method, url, operation, content), "-F", f"{name}=@{_FILE}"])
    return ""


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
