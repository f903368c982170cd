"""Pictures of pairing codes, for `<img src={qrCodeUrl}>` on any page: no cookie, but an address that nobody can guess.

An <img> does not fetch again while its src stays the same. So the SVG holds all codes that the pairing has left, and
switches them on their schedule by CSS animation, which runs in an <img> too. The PNG is the current code.
"""

import io
import re
from datetime import datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING
from zlib import crc32

from litestar import Response, get
from litestar.params import FromPath

from chatwren.domain.clock import now
from chatwren.domain.errors import NotFound
from chatwren.domain.pairings import Code
from chatwren.service import linking
from chatwren.service.linking import Picture
from chatwren.web.context import HttpRequest, context
from chatwren.web.openapi import Operation

if TYPE_CHECKING:
    import segno

_QUIET_ZONE = 4  # modules of white around a code, as scanners expect
_PNG_SCALE = 8
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NAME = re.compile(r"[0-9]{1,12}\.(svg|png)")
_HEADERS = {
    "cache-control": "no-store",
    "cross-origin-resource-policy": "cross-origin",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
}
_WORDS = {
    "linked": ("Linked", "WhatsApp is connected."),
    "expired": ("Expired", "Ask for a new code."),
}
_KEPT = 1024
"""Codes, in each form: 30 ms of Python, then 1 kB as a PNG and 8 kB as a path. Six are of one linking."""
_SIDE = 61  # of a picture without a code, in the units of one with


def picture_url(base: str, token: str, code: Code) -> str:
    """Where the picture is. It changes with the code, so that a page that sets it again makes the browser fetch."""
    return f"{base}/qr/{token}/{crc32(code.text.encode())}.svg"


def linked_url(base: str) -> str:
    """Where the picture is that says that an account is linked."""
    return f"{base}/qr/linked.svg"


@get(
    "/qr/linked.svg",
    media_type="image/svg+xml",
    operation=Operation("Picture: linked", access=None, media_type="image/svg+xml"),
)
async def linked_picture() -> Response[bytes]:
    """The picture that says that an account is linked."""
    return Response(_words_svg("linked"), headers=_HEADERS, media_type="image/svg+xml")


@get(
    "/qr/{token:str}/{name:str}",
    operation=Operation(
        "Picture of the QR code",
        access=None,
        description="`qrCodeUrl` of createqr. Ask for it as `.svg`, which changes with the codes by itself, or `.png`.",
        path={"token": "Of the linking; nobody can guess it.", "name": "Any number, and .svg or .png."},
        errors=(404,),
        media_type="image/svg+xml",
    ),
)
async def qr_picture(request: HttpRequest, token: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """The current code, by the token of its pairing."""
    kind = _NAME.fullmatch(name)
    if not kind or not _TOKEN.fullmatch(token):
        raise NotFound("There is no such picture.")
    found = await linking.qr_picture(context(request).db, token)
    draw, media_type = (draw_png, "image/png") if kind[1] == "png" else (draw_svg, "image/svg+xml")
    drawn = await context(request).computing.draw(found.user_id, lambda: draw(found, now()))
    return Response(drawn, headers=_HEADERS, media_type=media_type)


def draw_svg(picture: Picture, at: datetime) -> bytes:
    """The codes that are left at `at`, each shown in its time, then "expired"."""
    codes = [code for code in picture.codes if code.ends_at > at]
    if picture.state != "codes" or not codes:
        return _words_svg("linked" if picture.state == "linked" else "expired")
    side, _ = _modules(codes[0].text)
    shown = []
    begins = 0.0
    for code in codes:
        code_side, path = _modules(code.text)
        ends = (code.ends_at - at).total_seconds()
        shown.append(
            f'<path style="animation:show {ends - begins:.3f}s {begins:.3f}s" '
            f'transform="scale({side / code_side:.6f})" d="{path}"/>'
        )
        begins = ends
    style = (
        "path{stroke:#000}path,.end{visibility:hidden}"
        f".end{{animation:show 1s {begins:.3f}s forwards}}"
        "@keyframes show{from,to{visibility:visible}}"
    )
    return _svg(side, style, "".join(shown) + f'<g class="end">{_words(side, "expired")}</g>')


def draw_png(picture: Picture, at: datetime) -> bytes:
    """The code that is current at `at`, or what there is to say instead."""
    code = next((one for one in picture.codes if one.ends_at > at), None)
    if picture.state == "codes" and code is not None:
        return _code_png(code.text)
    return _words_png("linked" if picture.state == "linked" else "expired")


@lru_cache(maxsize=_KEPT)
def _code_png(text: str) -> bytes:
    buffer = io.BytesIO()
    _make(text).save(buffer, kind="png", scale=_PNG_SCALE, border=_QUIET_ZONE)
    return buffer.getvalue()


@cache
def _words_png(state: str) -> bytes:
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - 4 MB, and seldom asked for

    title, line = _WORDS[state]
    buffer = io.BytesIO()
    side = _SIDE * _PNG_SCALE
    image = Image.new("L", (side, side), 255)
    draw = ImageDraw.Draw(image)
    draw.text((side / 2, side * 0.46), title, fill=0, anchor="mm", font=ImageFont.load_default(side // 9))
    draw.text((side / 2, side * 0.58), line, fill=0, anchor="mm", font=ImageFont.load_default(side // 20))
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _make(text: str) -> "segno.QRCode":
    import segno  # noqa: PLC0415 - likewise

    return segno.make_qr(text, error="m", boost_error=False)


@lru_cache(maxsize=_KEPT)
def _modules(text: str) -> tuple[int, str]:
    """Side of the picture in modules, and the path of the dark ones, a stroke a run."""
    code = _make(text)
    moves = []
    for y, row in enumerate(code.matrix, _QUIET_ZONE):
        x = 0
        for run in re.finditer(rb"\x01+", bytes(row)):
            x = run.start() + _QUIET_ZONE
            moves.append(f"M{x} {y}.5h{len(run[0])}")
    return len(code.matrix) + 2 * _QUIET_ZONE, "".join(moves)


def _words_svg(state: str) -> bytes:
    return _svg(_SIDE, "", _words(_SIDE, state))


def _words(side: int, state: str) -> str:
    title, line = _WORDS[state]
    return (
        f'<g text-anchor="middle" font-family="system-ui,sans-serif">'
        f'<text x="{side / 2}" y="{side * 0.48:.1f}" font-size="{side / 9:.1f}">{title}</text>'
        f'<text x="{side / 2}" y="{side * 0.6:.1f}" font-size="{side / 20:.1f}">{line}</text></g>'
    )


def _svg(side: int, style: str, content: str) -> bytes:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" width="{side * 6}" height="{side * 6}" '
        f'shape-rendering="crispEdges"><style>{style}</style><rect width="{side}" height="{side}" fill="#fff"/>'
        f"{content}</svg>"
    ).encode()
