import asyncio
import hashlib
import io
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from chatwren.domain.errors import ChatwrenError, Invalid, TooLarge
from chatwren.domain.ids import uuid7
from chatwren.media.decoders import Decoders
from chatwren.media.prepare import PreparedFile, prepare
from chatwren.media.recognise import MAX_IMAGE_EDGE, MEGABYTE, MediaKind
from tests.unit.media.pictures import BLUE, RED, picture, written

GPS = 0x8825
ORIENTATION = 0x0112


ALICE = uuid7()
_runner, _decoding = asyncio.Runner(), Decoders()  # one set of processes for all the tests


@pytest.fixture(scope="module", autouse=True)
def _processes() -> Iterator[None]:
    with _runner:
        yield
        _runner.run(_decoding.close())


def prepared(
    path: Path, content: bytes | None = None, *, name: str | None = "file", content_type: str | None = None
) -> PreparedFile:
    if content is not None:
        path.write_bytes(content)
    return _runner.run(prepare(path, file_name=name, content_type=content_type, user=ALICE, decoders=_decoding))


def exif(*, orientation: int | None = None, place: bool = False) -> Image.Exif:
    data = Image.Exif()
    data[0x010F] = "Camera maker"
    if orientation is not None:
        data[ORIENTATION] = orientation
    if place:
        data.get_ifd(GPS)[1] = "N"
        data.get_ifd(GPS)[2] = (18.0, 31.0, 12.0)
    return data


def opened(file: PreparedFile) -> Image.Image:
    image = Image.open(file.path)
    image.load()
    return image


def png_text(key: str, value: str) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_itxt(key, value)
    return info


def with_iptc_city(jpeg: bytes) -> bytes:
    record = b"\x1c\x02\x5a" + struct.pack(">H", 4) + b"Pune"
    content = (
        b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(record)) + record + b"\0" * (len(record) % 2)
    )
    return jpeg[:2] + b"\xff\xed" + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description {}/></x:xmpmeta>'
XMP_PLACE = XMP.format('exif:GPSLatitude="18,31.2N"')
XMP_TITLE = XMP.format('dc:title="Summer sale"')


@pytest.mark.parametrize(
    ("content", "mimetype", "extension"),
    [
        (written(picture()), "image/jpeg", "jpg"),
        (written(picture(), progressive=True, quality=95), "image/jpeg", "jpg"),
        (written(picture(mode="L")), "image/jpeg", "jpg"),
        (written(picture(), exif=exif()), "image/jpeg", "jpg"),
        (written(picture(), exif=exif(orientation=1)), "image/jpeg", "jpg"),
        (written(picture(), exif=exif(orientation=0)), "image/jpeg", "jpg"),
        (written(picture(), xmp=XMP_TITLE.encode()), "image/jpeg", "jpg"),
        (written(picture(), icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
         "image/jpeg", "jpg"),
        (written(picture(), "PNG"), "image/png", "png"),
        (written(picture(mode="RGBA"), "PNG"), "image/png", "png"),
        (written(picture(mode="P"), "PNG", transparency=0), "image/png", "png"),
        (written(picture(mode="1"), "PNG"), "image/png", "png"),
        (written(picture(), "PNG", pnginfo=png_text("Software", "a camera")), "image/png", "png"),
        (written(picture((MAX_IMAGE_EDGE, 10)), "PNG"), "image/png", "png"),
        (written(picture((1, 1)), "PNG"), "image/png", "png"),
    ],
)  # fmt: skip
def test_an_image_within_bounds_passes_untouched(path: Path, content: bytes, mimetype: str, extension: str) -> None:
    file = prepared(path, content, name="photo")
    assert file.path == path
    assert path.read_bytes() == content
    assert (file.kind, file.mimetype, file.file_name) == (MediaKind.IMAGE, mimetype, f"photo.{extension}")
    assert (file.width, file.height) == Image.open(io.BytesIO(content)).size
    assert file.size == len(content)
    assert file.sha256 == file.received_sha256 == hashlib.sha256(content).hexdigest()
    assert file.seconds is None
    assert file.warnings == ()


@pytest.mark.parametrize(
    "content",
    [
        written(picture(), exif=exif(orientation=6)),
        written(picture(), exif=exif(place=True)),
        written(picture(), exif=exif(place=True).tobytes()[:-20]),  # cut off, and yet the place may be found
        written(picture(), xmp=XMP_PLACE.encode()),
        written(picture(), exif=exif(place=True), comment=b"at 18.52 N"),
        with_iptc_city(written(picture())),
        written(picture(), "PNG", exif=exif(place=True)),
        written(picture(), "PNG", exif=exif(orientation=3)),
        written(picture(), "PNG", pnginfo=png_text("XML:com.adobe.xmp", XMP_PLACE)),
        written(picture(), "PNG", pnginfo=png_text("Raw profile type iptc", "\n8\n00")),
        written(picture(mode="CMYK")),
        written(picture((MAX_IMAGE_EDGE + 1, 60))),
        written(picture(), "WEBP", exif=exif(place=True)),
        written(picture(), "WEBP", lossless=True),
        written(picture(), "AVIF", exif=exif(place=True)),
        written(picture(), "GIF"),
        written(picture(), "BMP"),
        written(picture(mode="P"), "BMP"),
        written(picture(), "MPO", save_all=True, append_images=[picture()], exif=exif(place=True)),
    ],
)
def test_any_other_image_becomes_a_plain_jpeg(path: Path, content: bytes) -> None:
    file = prepared(path, content, name="photo.x")
    stored = file.path.read_bytes()
    assert file.kind is MediaKind.IMAGE
    assert (file.mimetype, file.file_name) == ("image/jpeg", "photo.x.jpg")
    assert file.size == len(stored)
    assert file.sha256 == hashlib.sha256(stored).hexdigest()
    assert file.received_sha256 == hashlib.sha256(content).hexdigest()
    assert file.warnings == ()
    assert list(path.parent.iterdir()) == [path]
    image = opened(file)
    assert image.format == "JPEG"
    assert image.mode == "RGB"
    assert image.size == (file.width, file.height)
    assert dict(image.getexif()) == {}
    assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi"}
    for trace in (b"GPS", b"Pune", b"18.52", b"Camera maker"):
        assert trace not in stored
    again = prepared(path, stored)
    assert again.sha256 == file.sha256  # it is within bounds now


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_an_image_is_turned_upright(path: Path, orientation: int, file_format: str) -> None:
    # As a camera writes it: the pixels are turned the other way, and the tag says how to turn them back.
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    turned = picture((80, 40)).transpose(back[orientation]) if orientation in back else picture((80, 40))
    file = prepared(path, written(turned, file_format, exif=exif(orientation=orientation)))
    image = opened(file).convert("RGB")
    assert (file.width, file.height) == image.size == (80, 40)
    for point, colour in (((10, 10), BLUE), ((70, 10), RED), ((10, 30), RED), ((70, 30), RED)):
        pixel = image.getpixel(point)
        assert isinstance(pixel, tuple)
        assert max(abs(is_ - should) for is_, should in zip(pixel, colour, strict=True)) < 40


@pytest.mark.parametrize(
    ("size", "scaled"),
    [
        ((MAX_IMAGE_EDGE * 2, 1000), (MAX_IMAGE_EDGE, 500)),
        ((1000, MAX_IMAGE_EDGE * 2), (500, MAX_IMAGE_EDGE)),
        ((8192, 6144), (4096, 3072)),
        ((60_000, 2), (MAX_IMAGE_EDGE, 1)),
    ],
)
def test_an_image_is_scaled_with_its_shape_kept(path: Path, size: tuple[int, int], scaled: tuple[int, int]) -> None:
    file = prepared(path, written(Image.new("RGB", size, RED)))
    assert (file.width, file.height) == opened(file).size == scaled


def test_a_turned_large_image_is_scaled_too(path: Path) -> None:
    file = prepared(path, written(Image.new("RGB", (8000, 400), RED), exif=exif(orientation=6)))
    assert (file.width, file.height) == opened(file).size == (205, MAX_IMAGE_EDGE)


def test_the_colour_profile_is_kept(path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = prepared(path, written(picture(), icc_profile=profile, exif=exif(orientation=6)))
    assert opened(file).info["icc_profile"] == profile


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_was_transparent_is_white(path: Path, mode: str) -> None:
    clear = Image.new("RGBA", (MAX_IMAGE_EDGE + 4, 8), (0, 0, 0, 0)).convert(mode)
    file = prepared(path, written(clear, "PNG", **({"transparency": 0} if mode == "P" else {})))
    assert opened(file).getpixel((5, 5)) == (255, 255, 255)
    assert file.thumbnail is not None
    assert Image.open(io.BytesIO(file.thumbnail)).getpixel((1, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    "content",
    [
        written(picture((3000, 1500))),
        written(picture((300, 150), "RGBA"), "PNG"),
        written(picture((300, 150), "P"), "PNG"),
        written(picture((300, 150), "1"), "PNG"),
        written(picture((300, 150)), "WEBP"),
        written(picture((300, 150)), comment=b"x" * 9_000),
    ],
)
def test_an_image_has_a_thumbnail(path: Path, content: bytes) -> None:
    thumbnail = prepared(path, content).thumbnail
    assert thumbnail is not None
    image = Image.open(io.BytesIO(thumbnail))
    assert (image.format, image.size) == ("JPEG", (100, 50))
    assert len(thumbnail) < 4_000


def animation(file_format: str) -> bytes:
    return written(picture(), file_format, save_all=True, append_images=[picture().rotate(90)], duration=100)


@pytest.mark.parametrize(
    ("content", "mimetype"),
    [
        (animation("GIF"), "image/gif"),
        (animation("WEBP"), "image/webp"),
        (animation("PNG"), "image/png"),
        (animation("AVIF"), "image/avif"),
        (written(Image.new("I;16", (20, 20), 30_000), "PNG"), "image/png"),
        (written(picture(), "TIFF"), "image/tiff"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "image/heic"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(100), "video/quicktime"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm" + bytes(100), "video/webm"),
        (b"RIFF\x24\0\0\0WAVEfmt " + bytes(100), "audio/wav"),
        (b"\0\0\0\x14ftypisom\0\0\0\0isom" + bytes(100), "video/mp4"),
    ],
)
def test_what_whatsapp_would_not_show_goes_as_a_document_with_a_warning(
    path: Path, content: bytes, mimetype: str
) -> None:
    file = prepared(path, content, name="my file")
    assert (file.kind, file.mimetype) == (MediaKind.DOCUMENT, mimetype)
    assert path.read_bytes() == content
    assert file.thumbnail is None
    [warning] = file.warnings
    assert warning.startswith("mediaFile goes as a document: ")


@pytest.mark.parametrize(
    ("content", "name", "content_type", "mimetype", "stored_name"),
    [
        (b"%PDF-1.7\n", "Rechnung März.pdf", "application/msword", "application/pdf", "Rechnung März.pdf"),
        (b"name,phone\n", "list.csv", None, "text/csv", "list.csv"),
        (b"\0\1\2", "drawing.dwg", "Application/Acad; x=y", "application/acad", "drawing.dwg"),
        (b"\0\1\2", "drawing.dwg", "nonsense\r\nX: y", "application/octet-stream", "drawing.dwg"),
        (b"\0\1\2", None, None, "application/octet-stream", "file"),
        (b"PK\3\4" + bytes(50), "../a.zip", "application/zip", "application/zip", "a.zip"),
    ],
)
def test_a_document(
    path: Path, *, content: bytes, name: str | None, content_type: str | None, mimetype: str, stored_name: str
) -> None:
    file = prepared(path, content, name=name, content_type=content_type)
    assert (file.kind, file.mimetype, file.file_name) == (MediaKind.DOCUMENT, mimetype, stored_name)
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert file.warnings == ()


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def movie(handler: bytes, brand: bytes = b"isom") -> bytes:
    header = bytes(40) + struct.pack(">9iII", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000, 640 << 16, 360 << 16)
    track = box(b"trak", box(b"tkhd", header), box(b"mdia", box(b"hdlr", bytes(8), handler)))
    clock = box(b"mvhd", bytes(4), struct.pack(">IIII", 0, 0, 1000, 7000), bytes(80))
    return box(b"ftyp", brand, bytes(4)) + box(b"moov", clock, track)


def test_a_video(path: Path) -> None:
    file = prepared(path, movie(b"vide"), name="film.mp4")
    assert (file.kind, file.mimetype, file.file_name) == (MediaKind.VIDEO, "video/mp4", "film.mp4")
    assert (file.width, file.height, file.seconds) == (640, 360, 7)
    assert file.warnings == ()


@pytest.mark.parametrize("brand", [b"isom", b"M4A "])
def test_a_recording_in_an_mp4_is_audio(path: Path, brand: bytes) -> None:
    file = prepared(path, movie(b"soun", brand), name="note.m4a")
    assert (file.kind, file.mimetype, file.file_name, file.seconds) == (MediaKind.AUDIO, "audio/mp4", "note.m4a", 7)
    assert (file.width, file.height) == (None, None)


@pytest.mark.parametrize(
    ("content", "mimetype", "seconds"),
    [
        (b"ID3\4\0" + bytes(100), "audio/mpeg", None),
        (b"#!AMR\n" + bytes(100), "audio/amr", 1),
        (b"OggS\0\2" + bytes(8) + b"abcd" + bytes(8) + b"\1\x13OpusHead\1\1\0\0" + bytes(7)
         + b"OggS\0\4" + struct.pack("<q", 48_000 * 4) + b"abcd" + bytes(9), "audio/ogg; codecs=opus", 4),
    ],
)  # fmt: skip
def test_audio(path: Path, content: bytes, mimetype: str, seconds: int | None) -> None:
    file = prepared(path, content)
    assert (file.kind, file.mimetype, file.seconds) == (MediaKind.AUDIO, mimetype, seconds)
    assert file.warnings == ()


def enlarge(path: Path, content: bytes, size: int) -> None:
    """A file of some size that takes no room on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.truncate(size)


@pytest.mark.parametrize(
    ("content", "limit", "kind"),
    [
        (movie(b"vide"), 16, MediaKind.VIDEO),
        (movie(b"soun"), 16, MediaKind.AUDIO),
        (b"ID3\4\0", 16, MediaKind.AUDIO),
        (b"%PDF-1.7", 100, MediaKind.DOCUMENT),
        (written(picture()), 16, MediaKind.IMAGE),
    ],
)
def test_the_limits_are_reached_exactly(path: Path, content: bytes, limit: int, kind: MediaKind) -> None:
    enlarge(path, content, limit * MEGABYTE)
    file = prepared(path)
    assert (file.kind, file.size) == (kind, limit * MEGABYTE)


@pytest.mark.parametrize(
    ("content", "limit"),
    [
        (b"ID3\4\0", 16),
        (movie(b"soun", b"M4A "), 16),
        (movie(b"soun"), 16),
        (movie(b"vide"), 100),
        (b"%PDF-1.7", 100),
        (b"\0\0", 100),
    ],
)
def test_over_a_limit(path: Path, content: bytes, limit: int) -> None:
    enlarge(path, content, limit * MEGABYTE + 1)
    with pytest.raises(TooLarge, match=f"{limit} MB at most"):
        prepared(path)
    assert path.exists()


def test_a_video_over_its_limit_goes_as_a_document(path: Path) -> None:
    enlarge(path, movie(b"vide"), 16 * MEGABYTE + 1)
    file = prepared(path, name="film.mp4")
    assert (file.kind, file.mimetype, file.file_name, file.seconds) == (MediaKind.DOCUMENT, "video/mp4", "film.mp4", 7)
    assert file.warnings == ("mediaFile goes as a document: WhatsApp plays videos of up to 16 MB.",)


def test_an_image_over_the_limit_of_whatsapp_is_made_smaller(path: Path) -> None:
    enlarge(path, written(picture()), 16 * MEGABYTE + 1)
    file = prepared(path)
    assert file.kind is MediaKind.IMAGE
    assert file.size == path.stat().st_size < 10_000


def test_an_empty_file(path: Path) -> None:
    with pytest.raises(Invalid) as refused:
        prepared(path, b"", name="photo.jpg")
    assert [error.field for error in refused.value.fields] == ["mediaFile"]


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"])
def test_a_damaged_image(path: Path, file_format: str) -> None:
    whole = written(picture((400, 300)), file_format)
    for content in (whole[: len(whole) // 2], whole[:30]):
        with pytest.raises(Invalid) as refused:
            prepared(path, content)
        assert [error.field for error in refused.value.fields] == ["mediaFile"]
        assert path.read_bytes() == content


def test_several_at_once(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(8)]
    for path in paths:
        path.write_bytes(written(picture((500, 300)), exif=exif(orientation=6)))

    async def all_of_them() -> list[PreparedFile]:
        return await asyncio.gather(
            *(prepare(path, file_name=None, content_type=None, user=uuid7(), decoders=_decoding) for path in paths)
        )

    files = _runner.run(all_of_them())
    assert [file.path for file in files] == paths
    assert {(file.width, file.height) for file in files} == {(300, 500)}


WHOLE = [
    written(picture(), exif=exif(orientation=6, place=True)),
    written(picture(), "PNG", exif=exif(place=True), pnginfo=png_text("XML:com.adobe.xmp", XMP_PLACE)),
    with_iptc_city(written(picture())),
    written(picture(), "MPO", save_all=True, append_images=[picture()]),
    *(animation(file_format) for file_format in ("GIF", "WEBP", "PNG", "AVIF")),
    *(written(picture(), file_format) for file_format in ("GIF", "WEBP", "BMP", "AVIF")),
    movie(b"vide"),
    movie(b"soun"),
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(WHOLE), st.integers(0, 2**32), st.integers(0, 6), st.none() | st.text(st.characters()))
def test_nothing_but_a_file_or_our_error(path: Path, whole: bytes, seed: int, damages: int, name: str | None) -> None:
    damage, content = random.Random(seed), bytearray(whole)  # noqa: S311 - repeatable damage
    for _ in range(damages):
        content[damage.randrange(len(content))] = damage.randrange(256)
    if damage.random() < 0.3:
        del content[damage.randrange(len(content)) :]
    try:
        file = prepared(path, bytes(content), name=name)
    except ChatwrenError:
        return
    assert file.size == path.stat().st_size
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
