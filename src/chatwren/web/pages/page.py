"""What every page has: a layout, words that stand in no template, a strict policy, and a page for what goes wrong."""

import mimetypes
import re
import tomllib
from functools import partial
from pathlib import Path

import litestar
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Response
from litestar.params import FromPath
from markupsafe import Markup, escape

from chatwren.domain.errors import NotFound
from chatwren.web.context import HttpRequest
from chatwren.web.http import errors

_FOLDER = Path(__file__).parent
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}
_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[([^]]+)\]\(([^)]+)\)")
_STATIC = {path.name: path.read_bytes() for path in (_FOLDER / "static").iterdir()}


def _prose(text: str) -> Markup:
    """A text as HTML: what stands between backticks is code, and `[words](address)` is a link."""
    linked = _LINK.sub(r'<a href="\2">\1</a>', _CODE.sub(r"<code>\1</code>", str(escape(text))))
    return Markup(linked)  # noqa: S704 - escaped before


_environment = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters["prose"] = _prose
_environment.globals["words"] = tomllib.loads((_FOLDER / "locale" / "en.toml").read_text())


def render(template: str, **values: object) -> str:
    """A page as HTML. `values` are what its template names beside the words."""
    return _environment.get_template(template).render(values)


def answer(html: str, *, status: int = 200) -> Response[str]:
    """The answer that shows a page."""
    return Response(html, status_code=status, media_type=MediaType.HTML, headers=_HEADERS)


def _respond(request: HttpRequest, error: Exception) -> Response[str]:
    told = errors.told(error, request.scope)
    status = told.status.value
    shown = answer(render("error.html", status=status, message=told.error.message), status=status)
    shown.headers.update({name.decode(): value.decode("latin-1") for name, value in told.headers})
    return shown


get = partial(litestar.get, media_type=MediaType.HTML, exception_handlers={Exception: _respond})
"""Declares a page: what goes wrong with it is shown as one, whatever the client says that it accepts."""


@litestar.get("/static/{name:str}", access=None)
async def static(name: FromPath[str]) -> Response[bytes]:
    """What pages load: their styles."""
    if name not in _STATIC:
        raise NotFound("There is no such file.")
    return Response(_STATIC[name], media_type=mimetypes.guess_type(name)[0])
