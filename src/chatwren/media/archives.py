"""What a ZIP file holds, of the formats whose files are ZIP files.

Sources: ECMA-376, part 2 (Office's packages have a list of the types in them); OpenDocument 1.3, part 2, and EPUB 3.3
(a file `mimetype`); Android's packages have a manifest.
"""

import encodings.cp437  # noqa: F401 - of names; loaded here, since what is confined can load nothing
import os
import re
import zipfile
from typing import BinaryIO

from chatwren.media.formats import ZIPPED

_MAX_READ = 256 * 1024
_MAX_DIRECTORY = 2_000_000  # some 20,000 parts
_TAIL = 22 + 65_535  # the end of an archive, with the longest comment
_TYPES, _MIMETYPE, _MANIFEST = "[Content_Types].xml", "mimetype", "AndroidManifest.xml"
# The type of the main part of each of Office's formats.
_MAIN_TYPES = {
    f"{mimetype.removesuffix('.12')}{suffix}".lower(): extension
    for extension, mimetype in ZIPPED.items()
    for suffix in (".main+xml", ".main")
}
_MAIN_TYPES["application/vnd.ms-word.template.macroenabledtemplate.main+xml"] = "dotm"
_BY_TYPE = {mimetype: extension for extension, mimetype in ZIPPED.items()}


def zip_format(file: BinaryIO) -> str:
    """The usual extension of the format of a ZIP file; "" if it cannot be told, or read within the memory there is."""
    try:
        if not 0 < _directory_size(file) <= _MAX_DIRECTORY:
            return ""
        with zipfile.ZipFile(file) as archive:
            return _format(archive)
    except Exception:  # noqa: BLE001 - of a file that is no archive, or a hostile one
        return ""


def _directory_size(file: BinaryIO) -> int:
    """Bytes of the list of its parts; 0 without any."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - _TAIL))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    return int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0


def _format(archive: zipfile.ZipFile) -> str:
    names = archive.NameToInfo
    if _TYPES in names:
        quoted = re.split("[\"']", _text(archive, _TYPES).lower())
        return next((_MAIN_TYPES[one] for one in quoted if one in _MAIN_TYPES), "")
    if _MIMETYPE in names:
        return _BY_TYPE.get(_text(archive, _MIMETYPE).strip(), "")
    return "apk" if _MANIFEST in names else ""


def _text(archive: zipfile.ZipFile, name: str) -> str:
    with archive.open(name) as part:
        return part.read(_MAX_READ).decode("utf-8", "replace")
